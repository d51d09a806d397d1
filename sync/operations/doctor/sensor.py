"""Sensor: the look every 30 seconds must wake nothing. A session that has no warehouse proves it:
what needed one would fail there."""

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
            return skipped(f"a session without a warehouse could not be had: it got {name}")
    try:
        sources_token(session)
    except RelationMissing:
        return skipped("the marts or the ledger are not there yet: build first, then ltw status")
    except StatementFailed as error:
        return failed(
            f"it does not respond without a warehouse: {' '.join(str(error).split())}",
            "until that is understood leave completions_arrived off; each look would be billed",
        )
    if not is_account:
        return ok("it responds; no look costs anything on the embedded warehouse")
    return ok("it responds in a session without a warehouse: a look wakes nothing")


CHECKS = (Check("Sensor", "look at change times", _look),)
