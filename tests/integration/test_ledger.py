"""The tables of the ledger: made once, however often and from wherever a run asks for them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from sync.ledger.tables import MIGRATIONS, ensure_ledger, ledger_ids
from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse, open_warehouse

NEWEST = MIGRATIONS[-1].version
OUTBOX = "analytics.sync.webhook_outbox"
HISTORY = "analytics.sync.ledger_migrations"
TABLES = "select table_name from information_schema.tables where lower(table_schema) = 'sync'"


def test_it_is_made_once_and_looked_at_with_one_statement_after_that(warehouse: Warehouse) -> None:
    assert ensure_ledger(warehouse) == NEWEST
    before = warehouse.statements
    assert ensure_ledger(warehouse) == NEWEST
    assert warehouse.statements - before == 1
    rows = warehouse.rows(f"select version from {HISTORY} order by version")
    assert [int(row["version"]) for row in rows] == [one.version for one in MIGRATIONS]


def test_runs_that_start_at_the_same_time_make_it_together(
    warehouse: Warehouse, warehouse_settings: EmbeddedWarehouse
) -> None:
    def start(number: int) -> int:
        with open_warehouse(warehouse_settings, purpose=f"run-{number}") as session:
            return ensure_ledger(session)

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(start, range(3))) == [NEWEST] * 3
    made = {str(row["table_name"]).lower() for row in warehouse.rows(TABLES)}
    assert {name.lower() for one in MIGRATIONS for name, _ in one.tables} <= made


def test_a_ledger_that_was_half_made_is_completed_and_keeps_its_rows(warehouse: Warehouse) -> None:
    ensure_ledger(warehouse)
    warehouse.execute(
        "insert into analytics.sync.activations (event_type, activated_at, recorded_at)"
        " select 'course_completion', sysdate(), sysdate()"
    )
    warehouse.execute("drop table analytics.sync.endpoint_state")
    warehouse.execute(f"delete from {HISTORY}")
    assert ensure_ledger(warehouse) == NEWEST
    assert warehouse.rows("select count(*) as n from analytics.sync.endpoint_state")[0]["n"] == 0
    assert warehouse.rows("select count(*) as n from analytics.sync.activations")[0]["n"] == 1


def test_a_ledger_of_an_earlier_version_gets_what_is_new_and_keeps_its_rows(
    warehouse: Warehouse,
) -> None:
    ensure_ledger(warehouse)
    for column in ("lease_owner", "lease_expires_at", "first_used_at", "row_id"):
        warehouse.execute(f"alter table analytics.sync.activations drop column {column}")
    warehouse.execute(f"alter table {HISTORY} drop column ledger_id")
    warehouse.execute(
        "insert into analytics.sync.activations select 'course_completion', sysdate(), sysdate()"
        " union all select 'course_enrollment', sysdate(), sysdate()"
    )
    warehouse.execute(f"delete from {HISTORY} where version > 1")
    assert ensure_ledger(warehouse) == NEWEST
    first, second = warehouse.rows("select * from analytics.sync.activations order by event_type")
    assert (first["event_type"], second["event_type"]) == ("course_completion", "course_enrollment")
    assert first["lease_owner"] is None
    assert None not in (first["row_id"], second["row_id"])
    assert first["row_id"] != second["row_id"], "an id for each row, not for each statement"
    assert len(ledger_ids(warehouse)) == 1


def test_a_ledger_keeps_its_id_and_one_made_anew_has_another(warehouse: Warehouse) -> None:
    ensure_ledger(warehouse)
    before = ledger_ids(warehouse)
    assert len(before) == 1
    ensure_ledger(warehouse)
    assert ledger_ids(warehouse) == before
    warehouse.execute("drop schema analytics.sync cascade")
    ensure_ledger(warehouse)
    assert ledger_ids(warehouse).isdisjoint(before)


@pytest.mark.parametrize("version", [2, 3])
def test_a_filled_ledger_loses_its_copies_of_learners_data_and_no_row(
    warehouse: Warehouse, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = tuple(one for one in MIGRATIONS if one.version <= version)
    with monkeypatch.context() as patch:
        patch.setattr("sync.ledger.tables.MIGRATIONS", older)
        ensure_ledger(warehouse)
    states = ("awaiting", "pending", "delivered", "held", "dead", "suppressed")
    for number, state in enumerate(states):
        warehouse.execute(
            f"""
            insert into {OUTBOX} (
                webhook_id, event_type, enterprise_customer_uuid, user_id, courserun_key,
                occurred_at, facts, recorded_at, state, attempt_count, fence, updated_at
            )
            select ?, 'course_completion', 'e', ?, 'c', sysdate(),
                parse_json('{{"email": "learner@example.com"}}'), sysdate(), ?, 0, 0, sysdate()
            """,
            f"id-{number}",
            number,
            state,
        )
    assert "learner@example.com" in str(warehouse.rows(f"select * from {OUTBOX}"))
    assert ensure_ledger(warehouse) == NEWEST
    rows = warehouse.rows(f"select * from {OUTBOX} order by webhook_id")
    assert [(row["webhook_id"], row["state"]) for row in rows] == [
        (f"id-{number}", state) for number, state in enumerate(states)
    ]
    assert "facts" not in rows[0]
    # A run that was killed between the tables and the history repeats the step.
    warehouse.execute(f"delete from {HISTORY} where version > ?", version)
    assert ensure_ledger(warehouse) == NEWEST
