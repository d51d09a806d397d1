"""A learner whose lines are deleted from the raw log.

The log is otherwise append-only, so an increment looks for new lines, not for missing ones.
Deletion is the one case that needs a full refresh; these tests show what happens before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sync.ledger.erasures import person_key
from sync.local.raw_tables import insert_rows
from sync.operations.erase import Erase
from sync.settings import PROJECT_ROOT
from sync.warehouse import Warehouse
from tests.dbt.scenario import (
    ENTERPRISE,
    LEARNING_TIME,
    ONLY_NAMED_TESTS,
    ONLY_TABLES,
    Batch,
    enroll,
    line,
    load,
    pass_course,
    stand_models,
)
from tests.support.dbt import Dbt
from tests.support.pipeline import Pipeline
from tests.support.receiver import receiver
from tests.support.scenarios import Scenarios

BUILD = (*LEARNING_TIME, "assert_every_learning_line_is_counted_once", *ONLY_NAMED_TESTS)
MONDAY = datetime(2026, 3, 9, 6, 0, tzinfo=UTC)
KEPT, ERASED = 8, 7


def lines(user_id: int, minute: int) -> tuple[str, ...]:
    """Ten minutes of learning and a quarantined line."""
    return (
        line(user_id, f"2026-03-08T09:{minute:02}:00+00:00"),
        line(user_id, f"2026-03-08T09:{minute + 10:02}:00+00:00", "page_close"),
        line(user_id, "yesterday"),
    )


@pytest.fixture
def built(scenarios: Scenarios, warehouse: Warehouse, dbt: Dbt) -> Warehouse:
    """Two learners, each with lines in an old batch and in a batch within the lookback."""

    def make(empty: Warehouse) -> None:
        stand_models(scenarios, dbt)
        enroll(empty, [KEPT, ERASED])
        load(
            empty,
            Batch("old", MONDAY, lines(KEPT, 0) + lines(ERASED, 0)),
            Batch("new", MONDAY + timedelta(days=20), lines(KEPT, 20) + lines(ERASED, 20)),
        )
        dbt(*BUILD)

    scenarios.stand("two learners", make)
    assert seconds(warehouse) == {KEPT: 1800, ERASED: 1800}
    return warehouse


def test_a_full_refresh_leaves_nothing_of_an_erased_learner(built: Warehouse, dbt: Dbt) -> None:
    """Before it, the build stops where counts differ, and the marts keep their rows."""
    erase(built, "%")
    with pytest.raises(AssertionError, match="assert_every_learning_line_is_counted_once"):
        dbt(*BUILD)
    assert seconds(built) == {KEPT: 1800, ERASED: 1800}

    dbt(*BUILD, "--full-refresh")

    assert seconds(built) == {KEPT: 1800}
    for table in ("int_tracking_events", "int_learning_gaps", "int_learning_time_daily"):
        assert not built.rows(
            f"select 1 from analytics.intermediate.{table} where user_id = ?", ERASED
        )


@pytest.mark.prove
def test_an_erasure_beyond_the_lookback_stays_unseen_until_then(built: Warehouse, dbt: Dbt) -> None:
    erase(built, "old")
    dbt(*BUILD)
    assert seconds(built) == {KEPT: 1800, ERASED: 1800}

    dbt(*BUILD, "--full-refresh")
    assert seconds(built) == {KEPT: 1800, ERASED: 600}


def erase(warehouse: Warehouse, file_name: str) -> None:
    """Delete the learner's lines from the matching files."""
    deleted = warehouse.execute(
        "delete from raw.tracking.tracking_logs where file_name like ? and line like ?",
        file_name,
        f'%"user_id": {ERASED},%',
    )
    assert deleted > 0


def seconds(warehouse: Warehouse) -> dict[int, int]:
    """Learning time by learner in the mart."""
    rows = warehouse.rows(
        "select user_id, sum(learning_time_seconds) as seconds "
        "from analytics.marts.learning_time group by user_id"
    )
    return {int(row["user_id"]): int(row["seconds"]) for row in rows}


DOCUMENTED = 90417
"""The user id in the document."""
PERSON = 904_170_000_000_017
MARK = str(PERSON)
"""Also in the name and the address; too long to occur in a time, a key or a row id by chance."""
CHANGED = (
    *("--select", "config.materialized:table", "config.materialized:incremental"),
    *("int_tracking_events_screened", "completed_enrollments"),
)
"""All except views from ``stand_models``; the first of the last two depends on the erasures."""
WHOLE = ("build", *CHANGED, "--exclude", "tag:delivery", "test_name:replica_is_readable")
WHOLE += ("--exclude-resource-type", "unit_test")
"""Build with the data tests of all built models."""
TABLES = ("build", *CHANGED, *ONLY_TABLES)


def found(warehouse: Warehouse, *databases: str, views: bool = True) -> set[str]:
    """Tables, and marts that are views, with the person's data in any column."""
    hits = set()
    for database in databases:
        # The embedded engine keeps views apart. Those between the tables and the marts show what
        # one of either shows.
        for kind, schemas in [
            ("tables", "not in ('information_schema', 'main')"),
            *([("views", "= 'marts'")] if views else []),
        ]:
            for row in warehouse.rows(
                f"select table_schema, table_name from {database}.information_schema.{kind}"
                f" where lower(table_schema) {schemas}"
            ):
                name = f"{database}.{row['table_schema']}.{row['table_name']}"
                text = str(warehouse.rows(f"select * from {name}"))
                if MARK in text:
                    hits.add(name.lower())
    return hits


@pytest.fixture
def sent(
    scenarios: Scenarios, warehouse: Warehouse, dbt: Dbt, tmp_path: Path
) -> Iterator[Pipeline]:
    """Two learners with sent completions and lines of every kind."""
    stand_models(scenarios, dbt)
    enroll(warehouse, [KEPT, PERSON])
    warehouse.execute(
        "update raw.lms.auth_user set email = username || '@example.com', is_staff = 0,"
        " is_superuser = 0"
    )
    for one in (KEPT, PERSON):
        pass_course(warehouse, one, MONDAY)
    unreadable = f'{{"username": "learner_{PERSON}", "time'
    load(warehouse, Batch("day", MONDAY, (*lines(KEPT, 0), *lines(PERSON, 0), unreadable)))
    with receiver() as target:
        insert_rows(
            warehouse,
            "channel_integration_enterprisewebhookconfiguration",
            [
                {
                    "id": 1,
                    "enterprise_customer_id": ENTERPRISE,
                    "region": "OTHER",
                    "webhook_url": f"{target.url}/hooks/one",
                    "active": True,
                    "modified": MONDAY,
                }
            ],
        )
        dbt(*TABLES)
        pipeline = Pipeline(warehouse, target, tmp_path)
        pipeline.detect()
        pipeline.build()
        pipeline.send()
        assert len(target.received) == 2
        yield pipeline


def test_an_erased_learner_is_nowhere_and_does_not_come_back(sent: Pipeline, dbt: Dbt) -> None:
    warehouse = sent.warehouse
    # The search itself finds the person, in the raw tables, the ledger, the models and the marts.
    before = found(warehouse, "raw", "analytics")
    for name in (
        "raw.tracking.tracking_logs",
        "analytics.sync.webhook_outbox",
        "analytics.intermediate.int_tracking_events",
        "analytics.marts.learning_time",
        "analytics.marts.completed_enrollments",
    ):
        assert name in before
    assert "analytics.marts.quarantined_lines" not in before, "no line keeps its text"
    ids = {row["webhook_id"]: row["state"] for row in sent.rows("webhook_id, state")}

    erase_learner(sent)

    assert found(warehouse, "analytics", views=False) == set()
    assert "analytics.marts.completed_enrollments" not in found(warehouse, "analytics")
    assert {row["webhook_id"]: row["state"] for row in sent.rows("webhook_id, state")} == ids

    counts = []
    for arguments in (WHOLE, (*TABLES, "--full-refresh")):
        # The raw rows are still there.
        dbt(*arguments)
        counts.append(line_counts(warehouse))
        assert found(warehouse, "analytics", views=False) == set()
        assert seconds(warehouse) == {KEPT: 600}
        sent.detect()
        assert len(sent.rows("webhook_id")) == 2
    # Their lines, including the unusable one, count as without a learner, read again or not.
    assert counts[0] == counts[1]
    assert counts[0]["user_erased"] == 3
    assert counts[0]["learning"] == 2
    assert counts[0]["duplicate"] == 0

    for statement in statements_for(PERSON):
        warehouse.execute(statement)
    dbt(*TABLES, "--full-refresh")
    assert found(warehouse, "raw", "analytics") == set()
    assert seconds(warehouse) == {KEPT: 600}
    assert list(sent.journals.rglob("*")) == [], "no journal outlives its run"


def line_counts(warehouse: Warehouse) -> dict[str, int]:
    rows = warehouse.rows(
        "select reason, sum(line_count) as n"
        " from analytics.marts.tracking_line_counts group by reason"
    )
    return {row["reason"]: int(row["n"]) for row in rows}


def erase_learner(pipeline: Pipeline) -> None:
    request = Erase(person_key=person_key(PERSON), reason="ticket 4711")
    request.apply(
        pipeline.warehouse,
        pipeline.clock,
        confirmed=request.plan(pipeline.warehouse, pipeline.clock).matched,
        by="an operator",
        environ={"LTW_JOURNAL_DIR": str(pipeline.journals)},
    )


def statements_for(user_id: int) -> list[str]:
    """The statements in the document, for this learner."""
    text = (PROJECT_ROOT / "docs" / "erasure.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```sql\n(.*?)```", text, flags=re.DOTALL)
    assert str(DOCUMENTED) in block
    statements = block.replace(str(DOCUMENTED), str(user_id)).split(";")
    return [one.strip() for one in statements if one.strip()]
