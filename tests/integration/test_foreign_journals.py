"""A journal settles only rows of the ledger that it was written for."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from sync.domain.responses import Response
from sync.ledger.identity import LedgerIdentity, ledger_identity
from sync.ledger.journal import open_journal
from sync.ledger.tables import ensure_ledger
from sync.operations.status import read_status
from sync.warehouse import Warehouse, open_warehouse
from tests.support.attempts import attempt_of
from tests.support.pipeline import Pipeline
from tests.support.scenarios import Scenarios


def leave_journal(pipeline: Pipeline, ledger: LedgerIdentity, run_id: str, fence: int) -> Path:
    """Responses to both webhooks, from a run killed before it wrote them to the ledger."""
    attempts = [
        attempt_of(Response(200, None, "", 5), str(row["webhook_id"]), fence=fence, run_id=run_id)
        for row in pipeline.rows("webhook_id")
    ]
    with open_journal(pipeline.journals, ledger) as journal:
        journal.record(attempts)
    return journal.path


def elsewhere(ledger: LedgerIdentity) -> list[LedgerIdentity]:
    """Other ledgers with the same completions and so the same webhook ids: a clone with another
    name, another schema, and an earlier ledger in this place."""
    return [
        replace(ledger, place=ledger.place.replace("ANALYTICS", "STAGING")),
        replace(ledger, place=ledger.place.replace("PUBLIC", "DEV")),
        replace(ledger, ids=frozenset({str(uuid.uuid4())})),
    ]


def test_a_journal_of_this_ledger_settles_its_rows(pipeline: Pipeline) -> None:
    pipeline.detect()
    pipeline.build()
    path = leave_journal(pipeline, ledger_identity(pipeline.warehouse), str(uuid.uuid4()), fence=1)
    report = pipeline.send()
    assert (report.recovered, report.outcomes["delivered"]) == (2, 0)
    assert not path.exists()
    assert report.foreign_journals == []


def test_journals_of_other_ledgers_settle_no_row_and_are_named(pipeline: Pipeline) -> None:
    pipeline.detect()
    pipeline.build()
    ledger = ledger_identity(pipeline.warehouse)
    others = {
        leave_journal(pipeline, other, str(uuid.uuid4()), fence=1): other
        for other in elsewhere(ledger)
    }
    for path in others:
        # Processes that share the directory may run different versions.
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("update entries set entry = 'in another form'")
    report = pipeline.send()
    assert (report.recovered, report.outcomes["delivered"]) == (0, 2)
    assert len(pipeline.target.received) == 2
    assert {one.path for one in report.foreign_journals} == others.keys()
    for named in report.foreign_journals:
        assert str(named.place) in others[named.path].mark()
        assert named.path.exists()
    told = read_status(pipeline.warehouse, journals=pipeline.journals).foreign_journals
    assert sorted(told) == sorted(map(str, report.foreign_journals))


@pytest.mark.parametrize("is_own", [True, False])
def test_a_journal_that_does_not_say_whose_it_is_settles_what_its_own_run_has_claimed(
    pipeline: Pipeline, *, is_own: bool
) -> None:
    """A journal of the previous version. Only rows claimed here by its run prove its origin."""
    pipeline.detect()
    pipeline.build()
    run_id = str(uuid.uuid4())
    path = leave_journal(pipeline, ledger_identity(pipeline.warehouse), run_id, fence=1)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("drop table written_for")
    owner = f"{run_id if is_own else uuid.uuid4()}:{uuid.uuid4()}"
    pipeline.warehouse.execute(
        "update analytics.sync.webhook_outbox set fence = 1, lease_owner = ?,"
        " lease_expires_at = dateadd(second, -1, sysdate())",
        owner,
    )
    report = pipeline.send()
    assert (report.recovered, report.outcomes["delivered"]) == ((2, 0) if is_own else (0, 2))
    assert path.exists() != is_own
    assert [one.place for one in report.foreign_journals] == ([] if is_own else [None])


def test_a_ledger_that_was_made_twice_at_once_is_one(
    scenarios: Scenarios, warehouse: Warehouse
) -> None:
    """Its journals have one of the two ids, whichever the run saw."""
    scenarios.stand("ledger", ensure_ledger)
    before = ledger_identity(warehouse)
    warehouse.execute(
        "insert into analytics.sync.ledger_migrations (version, applied_at, ledger_id)"
        " select 3, sysdate(), '00000000-0000-4000-8000-000000000000'"
    )
    with open_warehouse(warehouse.settings, purpose="other") as session:
        after = ledger_identity(session)
    assert after.is_meant_by(before.mark())


def test_the_status_names_a_journal_that_cannot_be_read(pipeline: Pipeline) -> None:
    pipeline.journals.mkdir(exist_ok=True)
    (pipeline.journals / "1-x.journal").write_bytes(b"no database, but as long as one" * 99)
    (text,) = read_status(pipeline.warehouse, journals=pipeline.journals).foreign_journals
    assert "1-x.journal" in text
