"""The tables of the ledger are created once, however often and from wherever a run needs them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from sync.ledger.tables import MIGRATIONS, ensure_ledger, ledger_ids
from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse, open_warehouse
from tests.support.scenarios import Scenarios

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


def test_a_ledger_that_was_half_made_is_completed_and_keeps_its_rows(
    scenarios: Scenarios, warehouse: Warehouse
) -> None:
    scenarios.stand("ledger", ensure_ledger)
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
    scenarios: Scenarios, warehouse: Warehouse
) -> None:
    scenarios.stand("ledger", ensure_ledger)
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


OLD_COLUMNS = (
    "webhook_id, event_type, enterprise_customer_uuid, user_id, courserun_key, occurred_at,"
    " recorded_at, state, body, frozen_at, enrichment_outcome, learning_time_seconds,"
    " next_attempt_at, replay_id, body_removed_at, attempt_count, fence, updated_at"
)
OLD_ROWS: dict[str, tuple[str, str | None, str | None, str | None, str | None, str | None]] = {
    # state, body, built, next attempt, replay, removed
    "awaiting": ("awaiting", None, None, None, None, None),
    "pending": ("pending", '{"n": 1}', "2026-03-01", "2026-03-02", None, None),
    "held and built": ("held", '{"n": 2}', "2026-03-01", "2026-03-02", None, None),
    "held and not built": ("held", None, None, None, None, None),
    "delivered": ("delivered", '{"n": 3}', "2026-02-01", None, None, None),
    "replayed": ("delivered", '{"n": 4}', "2026-02-01", "2026-03-02", "again", None),
    "replayed once": ("delivered", '{"n": 5}', "2026-02-01", "2026-03-02", None, None),
    "emptied": ("dead", None, "2026-01-01", None, None, "2026-02-01"),
    "suppressed": ("suppressed", None, None, None, None, None),
}
WITH_FACTS = (1, 2, 3)
"""Versions whose outbox contained a copy of learners' data."""
EMAIL = "learner@example.com"
OPEN = {"awaiting", "pending", "held and built", "held and not built", "replayed"}


def stand_filled(scenarios: Scenarios, version: int) -> None:
    """A ledger of an earlier version with a row of each kind."""

    def make(warehouse: Warehouse) -> None:
        older = tuple(one for one in MIGRATIONS if one.version <= version)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("sync.ledger.tables.MIGRATIONS", older)
            ensure_ledger(warehouse)
        for name, (state, body, frozen_at, due_at, replay_id, removed_at) in OLD_ROWS.items():
            warehouse.execute(
                f"insert into {OUTBOX} ({OLD_COLUMNS}) select ?, 'course_completion', 'e', 1, 'c',"
                " sysdate(), cast('2026-01-01' as timestamp_ntz), ?, ?, cast(? as timestamp_ntz),"
                " iff(? is null, null, 'found'), iff(? is null, null, 600),"
                " cast(? as timestamp_ntz), ?, cast(? as timestamp_ntz), 0, 0, sysdate()",
                *(name, state, body, frozen_at, frozen_at, frozen_at),
                *(due_at, replay_id, removed_at),
            )
        if version in WITH_FACTS:
            email = f'{{"email": "{EMAIL}"}}'
            warehouse.execute(f"update {OUTBOX} set facts = parse_json(?)", email)

    scenarios.stand(f"filled ledger of version {version}", make)


def assert_moved(warehouse: Warehouse) -> None:
    """Every row keeps its id, state and bytes; the outbox no longer contains bytes."""
    rows = {
        row["webhook_id"]: row
        for row in warehouse.rows(
            f"select outbox.*, messages.* exclude (webhook_id, build_id) from {OUTBOX} as outbox"
            " left join analytics.sync.webhook_messages as messages"
            " on outbox.webhook_id = messages.webhook_id and outbox.build_id = messages.build_id"
        )
    }
    assert {
        name: (row["state"], row["body"], row["frozen_at"] is not None, row["replay_id"])
        for name, row in rows.items()
    } == {name: (one[0], one[1], one[2] is not None, one[4]) for name, one in OLD_ROWS.items()}
    assert {name for name, row in rows.items() if row["learning_time_seconds"] == 600} == {
        name for name, one in OLD_ROWS.items() if one[2] is not None
    }
    assert {name for name, row in rows.items() if row["next_attempt_at"] is not None} == OPEN
    assert {name for name, row in rows.items() if row["build_id"] is None} == {
        "awaiting",
        "held and not built",
        "suppressed",
    }
    assert not {"body", "frozen_at", "facts"} & warehouse.rows(f"select * from {OUTBOX}")[0].keys()


@pytest.mark.parametrize("version", range(1, 7))
def test_a_filled_ledger_of_each_version_keeps_ids_and_bytes_and_its_rows_get_slim(
    scenarios: Scenarios, warehouse: Warehouse, version: int
) -> None:
    stand_filled(scenarios, version)
    assert (EMAIL in str(warehouse.rows(f"select * from {OUTBOX}"))) is (version in WITH_FACTS)
    assert ensure_ledger(warehouse) == NEWEST
    assert_moved(warehouse)
    if version in WITH_FACTS:
        # A run killed between the tables and the history repeats the step.
        warehouse.execute(f"delete from {HISTORY} where version > ?", version)
        assert ensure_ledger(warehouse) == NEWEST
        assert_moved(warehouse)


def test_the_move_of_messages_can_be_broken_off_at_every_statement(
    scenarios: Scenarios, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_filled(scenarios, 6)
    execute = Warehouse.execute
    left = breaks = 0

    def until_broken(self: Warehouse, sql: str, *binds: object) -> int:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        return execute(self, sql, *binds)

    with monkeypatch.context() as patched:
        patched.setattr(Warehouse, "execute", until_broken)
        while True:
            left = breaks
            try:
                ensure_ledger(warehouse)
            except KeyboardInterrupt:
                breaks += 1
            else:
                break
    assert breaks >= 5
    assert_moved(warehouse)


def test_a_body_that_an_older_run_builds_during_the_move_is_kept(
    scenarios: Scenarios, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_filled(scenarios, 6)
    execute = Warehouse.execute

    def and_build(self: Warehouse, sql: str, *binds: object) -> int:
        changed = execute(self, sql, *binds)
        if sql.lower().startswith("create table analytics.sync.webhook_messages"):
            execute(
                self,
                f"update {OUTBOX} set body = 'late', frozen_at = sysdate(), state = 'pending'"
                " where webhook_id = 'awaiting'",
            )
        return changed

    monkeypatch.setattr(Warehouse, "execute", and_build)
    ensure_ledger(warehouse)
    (found,) = warehouse.rows(
        "select messages.body from analytics.sync.webhook_outbox as outbox inner join"
        " analytics.sync.webhook_messages as messages using (webhook_id, build_id)"
        " where outbox.webhook_id = 'awaiting'"
    )
    assert found["body"] == "late"


def test_a_ledger_keeps_its_id_and_one_made_anew_has_another(
    scenarios: Scenarios, warehouse: Warehouse
) -> None:
    scenarios.stand("ledger", ensure_ledger)
    before = ledger_ids(warehouse)
    assert len(before) == 1
    ensure_ledger(warehouse)
    assert ledger_ids(warehouse) == before
    warehouse.execute("drop schema analytics.sync cascade")
    ensure_ledger(warehouse)
    assert ledger_ids(warehouse).isdisjoint(before)
