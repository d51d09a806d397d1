"""Sensor: the poll every 30 seconds must wake no warehouse. A session without one proves it:
a statement that needed one would fail there."""

from __future__ import annotations

from sync.operations.changes import sources_token
from sync.operations.doctor.check import Check, Finding, Session, Visit, failed, ok, skipped
from sync.settings import SnowflakeWarehouse
from sync.warehouse import RelationMissing, StatementFailed


def _look(visit: Visit) -> Finding:
    session = visit.session(Session.WITHOUT_WAREHOUSE)
    is_account = isinstance(visit.settings, SnowflakeWarehouse)
    if is_account:
        name = session.rows("select current_warehouse() as name")[0]["name"]
        if name is not None:
            return skipped(f"no session without a warehouse could be opened: it got {name}")
    try:
        sources_token(session)
    except RelationMissing:
        return skipped("the marts or the ledger do not exist yet: run dbt build, then ltw status")
    except StatementFailed as error:
        return failed(
            f"it does not respond without a warehouse: {' '.join(str(error).split())}",
            "leave completions_arrived off until that is understood; each poll would be billed",
        )
    if not is_account:
        return ok("it responds; no poll costs anything on the embedded warehouse")
    return ok("it responds in a session without a warehouse: a poll wakes nothing")


CHECKS = (Check("Sensor", "poll of change times", _look),)
