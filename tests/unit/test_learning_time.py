"""How the client handles a failing warehouse, and what it queries; without a warehouse."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from snowflake.connector.errors import OperationalError, ProgrammingError

from sync.delivery.learning_time import (
    LOOKUP_BATCH,
    PAUSE_SECONDS,
    CompletionKey,
    Found,
    LearningTimeClient,
    NotYet,
    Unavailable,
)
from sync.settings import EmbeddedWarehouse, SnowflakeWarehouse
from sync.warehouse import BULK_BIND_BYTES, Warehouse, connect_arguments
from tests.support.hand_clock import HandClock
from tests.support.learning_times import key

SETTINGS = EmbeddedWarehouse(port=1, home=Path("unused"))
COLUMNS = (
    "ENTERPRISE_CUSTOMER_UUID",
    "USER_ID",
    "COURSERUN_KEY",
    "PASSED_AT",
    "LEARNING_TIME_SECONDS",
    "EVENT_COUNT",
    "COMPUTED_THROUGH",
)
PASSED, THROUGH = datetime(2026, 3, 10), datetime(2026, 3, 12)
LOST = OperationalError(msg="no answer from 192.0.2.1", errno=250003)


@dataclass
class Connection:
    """Replaces the connector: raises, or returns these rows for every statement."""

    error: Exception | None = None
    rows: list[tuple[object, ...]] = field(default_factory=list)
    binds: list[str] = field(default_factory=list)

    def cursor(self) -> Any:
        return SimpleNamespace(execute=self._execute)

    def _execute(self, sql: str, binds: tuple[str, ...]) -> Any:
        self.binds.append(binds[0])
        if self.error is not None:
            raise self.error
        return SimpleNamespace(
            description=[SimpleNamespace(name=name, type_code=2) for name in COLUMNS],
            fetchall=lambda: self.rows,
        )


def client(connection: Connection, **options: Any) -> LearningTimeClient:
    return LearningTimeClient(Warehouse(SETTINGS, cast(Any, connection)), **options)


def row(
    completion: CompletionKey, seconds: object, through: object = THROUGH
) -> tuple[object, ...]:
    return (
        completion.enterprise_customer_uuid,
        completion.user_id,
        completion.courserun_key,
        PASSED,
        seconds,
        3,
        through,
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(LOST, "does not respond", id="silence"),
        pytest.param(OperationalError(msg="closed", errno=250002), "does not respond", id="closed"),
        pytest.param(OperationalError(msg="busy", errno=290503), "does not respond", id="HTTP 503"),
        pytest.param(ProgrammingError(msg="timeout", errno=630), "time limit", id="time limit"),
        pytest.param(ProgrammingError(msg="canceled", errno=604), "time limit", id="canceled"),
        pytest.param(ProgrammingError(msg="missing", errno=2003), "is missing", id="no mart"),
        pytest.param(ProgrammingError(msg="syntax", errno=1003), "refused", id="refused"),
        pytest.param(MemoryError(), "unexpected MemoryError", id="anything else"),
    ],
)
def test_no_error_gets_out_and_each_has_its_reason(error: Exception, reason: str):
    outcome = client(Connection(error)).get_learning_time(key(1))
    assert isinstance(outcome, Unavailable)
    assert reason in outcome.reason
    assert "192.0.2.1" not in outcome.reason


def test_a_bad_setting_of_the_warehouse_is_an_outcome_as_well(tmp_path: Path):
    settings = SnowflakeWarehouse(
        account="example",
        user="service",
        role="reader",
        warehouse="small",
        database="ANALYTICS",
        schema="PUBLIC",
        private_key_path=str(tmp_path / "missing.p8"),
    )
    with LearningTimeClient.connect(settings) as asking:
        outcome = asking.get_learning_time(key(1))
    assert isinstance(outcome, Unavailable)
    assert "settings" in outcome.reason


def test_after_a_failed_batch_the_others_of_the_run_are_not_asked_for():
    clock, connection = HandClock(), Connection(LOST)
    asking = client(connection, clock=clock)
    keys = [key(n) for n in range(2 * LOOKUP_BATCH + 1)]
    outcomes = asking.get_many(keys)
    assert len(connection.binds) == 1
    assert set(outcomes) == set(keys)
    assert len(set(outcomes.values())) == 1
    clock.now = PAUSE_SECONDS - 0.1
    asking.get_learning_time(key(-1))
    assert len(connection.binds) == 1


def test_after_the_rest_it_asks_again_and_one_success_ends_it():
    clock, connection = HandClock(), Connection(LOST)
    asking = client(connection, clock=clock)
    asking.get_learning_time(key(1))
    connection.error = None
    clock.now = PAUSE_SECONDS
    assert asking.get_learning_time(key(1)) == NotYet(None)
    assert asking.get_learning_time(key(2)) == NotYet(None)
    assert len(connection.binds) == 3


def test_a_failure_that_goes_on_is_met_once_a_rest():
    clock, connection = HandClock(), Connection(LOST)
    asking = client(connection, clock=clock)
    for second in range(int(3 * PAUSE_SECONDS)):
        clock.now = float(second)
        asking.get_learning_time(key(second))
    assert len(connection.binds) == 3


def test_what_was_found_is_asked_for_once():
    connection = Connection(rows=[row(key(1), 60)])
    asking = client(connection)
    first = asking.get_many([key(1), key(2)])
    assert asking.get_learning_time(key(1)) == first[key(1)] == Found(60, THROUGH)
    asking.get_learning_time(key(2))
    assert [json.loads(one)[-1]["u"] for one in connection.binds] == [2, 2], "not there yet: again"


@pytest.mark.parametrize("seconds", [-1, None, "60", 1.5])
def test_a_bad_value_spoils_its_own_completion_only(seconds: object):
    connection = Connection(rows=[row(key(1), seconds), row(key(2), 60)])
    outcomes = client(connection).get_many([key(1), key(2)])
    bad = outcomes[key(1)]
    assert isinstance(bad, Unavailable)
    assert "not a number of seconds" in bad.reason
    assert outcomes[key(2)] == Found(60, THROUGH)


@pytest.mark.parametrize("first", [60, None], ids=["two values", "one of them unknown"])
def test_two_rows_for_one_completion_are_no_number(first: int | None):
    through = THROUGH if first else None
    connection = Connection(rows=[row(key(1), first, through), row(key(1), 61)])
    outcome = client(connection).get_learning_time(key(1))
    assert isinstance(outcome, Unavailable)
    assert "several rows" in outcome.reason


def test_a_reason_is_logged_once_a_run_and_counted_by_completion(
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.WARNING, "sync")
    asking = client(Connection(LOST))
    for start in range(0, 300, 100):
        asking.get_many([key(n) for n in range(start, start + 100)])
    assert asking.problems == {"the warehouse does not respond": 300}
    assert len(caplog.records) == 2, "the engine's own words once, and what it means once"


def test_a_run_without_trouble_logs_nothing(caplog: pytest.LogCaptureFixture):
    asking = client(Connection())
    asking.get_many([key(1), key(2)])
    assert not asking.problems
    assert not caplog.records


def test_five_thousand_completions_are_one_statement_below_its_limit():
    connection = Connection()
    run = "course-v1:ExampleUniversityX+DATA_ANALYSIS_101x+2026_T1_SELF"
    asking = client(connection)
    asking.get_many([key(40_000_000 + n, courserun_key=run) for n in range(LOOKUP_BATCH)])
    assert len(connection.binds) == asking.statements == 1
    assert len(json.loads(connection.binds[0])) == LOOKUP_BATCH
    assert 500_000 < len(connection.binds[0].encode()) < BULK_BIND_BYTES


def test_a_key_asked_for_twice_is_sent_once():
    connection = Connection()
    client(connection).get_many([key(1), key(1)])
    assert len(json.loads(connection.binds[0])) == 1


def test_nothing_asked_for_is_nothing_sent():
    connection = Connection()
    assert client(connection).get_many([]) == {}
    assert not connection.binds


@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS,
        SnowflakeWarehouse(
            account="example",
            user="service",
            role="reader",
            warehouse="small",
            database="ANALYTICS",
            schema="PUBLIC",
            private_key_path="",
        ),
    ],
    ids=["embedded", "snowflake"],
)
def test_the_time_limit_of_a_session_holds_on_both_sides(
    settings: EmbeddedWarehouse | SnowflakeWarehouse, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sync.warehouse.private_key_der", lambda settings: b"")
    arguments = connect_arguments(settings, purpose="tests", statement_timeout_seconds=5)
    assert arguments["session_parameters"]["STATEMENT_TIMEOUT_IN_SECONDS"] == 5
    assert arguments["session_parameters"]["STATEMENT_QUEUED_TIMEOUT_IN_SECONDS"] == 5
    assert arguments["session_parameters"]["TIMESTAMP_INPUT_FORMAT"] == "AUTO"
    assert arguments["network_timeout"] == arguments["socket_timeout"] == 7
    usual = connect_arguments(settings, purpose="tests")
    assert (usual["network_timeout"], usual["socket_timeout"]) == (300, 60)
