"""Learning time looked up in the mart, over real sessions, good ones and dead ones."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pytest
import snowflake.connector
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.learning_time import (
    ABSENT_SECONDS,
    FOUND_SECONDS,
    LOOKUP_BATCH,
    CompletionKey,
    Found,
    LearningTimeClient,
    LearningTimeOutcome,
    NoData,
    NotYet,
    Unavailable,
    UnavailableKind,
)
from sync.local.embedded.lifecycle import free_port
from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse, connect_arguments, open_warehouse
from tests.support.clean import drop_all_schemas
from tests.support.learning_times import key, mart_row
from tests.support.marts import LEARNING_TIME_COLUMNS, create_table
from tests.support.stalling_proxy import StallingProxy

THROUGH = datetime(2026, 3, 12)
MART = "analytics.marts.completion_learning_time"


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def fill_mart(warehouse: Warehouse, *rows: Mapping[str, object]) -> None:
    create_table(warehouse, "completion_learning_time", LEARNING_TIME_COLUMNS, rows)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        pytest.param({"seconds": 26964}, Found(26964, THROUGH), id="a value"),
        pytest.param({"seconds": 0}, Found(0, THROUGH), id="zero is zero"),
        pytest.param({"seconds": 3_600_000}, Found(3_600_000, THROUGH), id="a very large total"),
        pytest.param({"seconds": 0, "event_count": 0}, NoData(THROUGH), id="no learning event"),
        pytest.param(
            {"seconds": 60, "computed_through": "2026-03-10T17:42:30"},
            NotYet(datetime(2026, 3, 10, 17, 42, 30)),
            id="the mart is behind the pass",
        ),
        pytest.param(
            {"seconds": 60, "computed_through": "2026-03-10T17:42:31"},
            Found(60, datetime(2026, 3, 10, 17, 42, 31)),
            id="the mart just reaches the pass",
        ),
        pytest.param(
            {"seconds": 60, "computed_through": None}, NotYet(None), id="the mart has no watermark"
        ),
    ],
)
def test_every_row_has_one_meaning(
    warehouse: Warehouse, row: dict[str, Any], expected: LearningTimeOutcome
):
    fill_mart(warehouse, mart_row(key(1), **row), mart_row(key(2), 5))
    client = LearningTimeClient(warehouse)
    assert client.get_learning_time(key(1)) == expected
    assert client.get_learning_time(key(1)) == expected, "the same from the cache"
    assert client.get_learning_time(key(2)) == Found(5, THROUGH)


@pytest.mark.parametrize(
    "neighbour",
    [
        pytest.param(CompletionKey("0" * 36, 1, key(1).courserun_key), id="another enterprise"),
        pytest.param(key(2), id="another learner"),
        pytest.param(
            key(1, courserun_key="course-v1:ExampleX+DATA101+2026_T2"), id="another course run"
        ),
    ],
)
def test_a_value_belongs_to_learner_run_and_enterprise(
    warehouse: Warehouse, neighbour: CompletionKey
):
    fill_mart(warehouse, mart_row(neighbour, 60))
    assert LearningTimeClient(warehouse).get_learning_time(key(1)) == NotYet(None)


def test_a_missing_or_bad_value_is_unavailable_and_no_zero(warehouse: Warehouse):
    fill_mart(warehouse, mart_row(key(1), None), mart_row(key(2), -1))
    outcomes = LearningTimeClient(warehouse).get_many([key(1), key(2)])
    assert {type(one) for one in outcomes.values()} == {Unavailable}


def test_a_mart_that_was_never_built_is_unavailable_and_says_what_to_run(warehouse: Warehouse):
    outcome = LearningTimeClient(warehouse).get_learning_time(key(1))
    assert isinstance(outcome, Unavailable)
    assert outcome.kind is UnavailableKind.MART_MISSING
    assert "learning_time_job" in outcome.reason


def test_what_is_known_costs_no_statement_and_no_time(warehouse: Warehouse):
    fill_mart(warehouse, mart_row(key(1), 60))
    client = LearningTimeClient(warehouse)
    client.get_learning_time(key(1))
    statements, durations = warehouse.statements, []
    for _ in range(50):
        started = time.perf_counter()
        assert client.get_learning_time(key(1)) == Found(60, THROUGH)
        durations.append(time.perf_counter() - started)
    assert warehouse.statements == statements
    assert client.statements == 1
    assert sorted(durations)[25] < 0.001


def test_a_mixed_request_asks_for_what_is_unknown_only(warehouse: Warehouse):
    fill_mart(warehouse, mart_row(key(1), 60), mart_row(key(2), 61))
    client = LearningTimeClient(warehouse)
    client.get_learning_time(key(1))
    warehouse.execute(f"update {MART} set learning_time_seconds = 99")
    assert client.get_many([key(2), key(1)]) == {
        key(1): Found(60, THROUGH),
        key(2): Found(99, THROUGH),
    }


@pytest.mark.parametrize(
    ("row", "kept_seconds"),
    [
        pytest.param(mart_row(key(1), 60), FOUND_SECONDS, id="found"),
        pytest.param(mart_row(key(1), 0, event_count=0), ABSENT_SECONDS, id="no data"),
        pytest.param(mart_row(key(1), 60, computed_through=None), ABSENT_SECONDS, id="not yet"),
        pytest.param(mart_row(key(2), 60), ABSENT_SECONDS, id="no row"),
    ],
)
def test_what_is_not_there_is_asked_for_again_much_sooner(
    warehouse: Warehouse, row: dict[str, object], kept_seconds: float
):
    fill_mart(warehouse, row)
    clock = Clock()
    client = LearningTimeClient(warehouse, clock=clock)
    before = client.get_learning_time(key(1))
    fill_mart(warehouse, mart_row(key(1), 61))
    clock.now = kept_seconds - 0.1
    assert client.get_learning_time(key(1)) == before
    clock.now = kept_seconds
    assert client.get_learning_time(key(1)) == Found(61, THROUGH)


@pytest.mark.parametrize(("count", "statements"), [(LOOKUP_BATCH, 1), (LOOKUP_BATCH + 1, 2)])
def test_one_statement_per_five_thousand_completions_in_time(
    warehouse: Warehouse, count: int, statements: int
):
    fill_mart(warehouse, *(mart_row(key(n), n) for n in range(count)))
    client = LearningTimeClient(warehouse)
    started = time.monotonic()
    outcomes = client.get_many(key(n) for n in range(count))
    assert time.monotonic() - started < 5
    assert client.statements == statements
    assert outcomes == {key(n): Found(n, THROUGH) for n in range(count)}


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
KEYS = st.builds(CompletionKey, TEXTS, st.integers(0, 2**63 - 1), TEXTS)
KNOWN = {
    CompletionKey(enterprise, user_id, run): seconds
    for seconds, (enterprise, user_id, run) in enumerate(
        [
            ("7d3f1c52-0b6e-4a83-9c41-5e2a90d7f6b8", 1, "course-v1:ExampleX+DATA101+2026_T1"),
            ("7d3f1c52-0b6e-4a83-9c41-5e2a90d7f6b8", 1, "course-v1:examplex+data101+2026_t1"),
            ("7D3F1C52-0B6E-4A83-9C41-5E2A90D7F6B8", 1, "course-v1:ExampleX+DATA101+2026_T1"),
            ("e", 2**63 - 1, 'it\'s "quoted" \\ and\tspaced '),
            ("e", 2**53 + 1, "café"),
            ("e", 2**53, "cafe\u0301"),
            ("", 0, ""),
            ("e", 7, "123"),
            ("e", 7, "null"),
            ("e", 7, "🎓"),
        ]
    )
}


@pytest.fixture(scope="module")
def filled(warehouse_settings: EmbeddedWarehouse) -> Iterator[Warehouse]:
    """A mart with awkward keys, filled once for all examples of the property."""
    with open_warehouse(warehouse_settings, purpose="tests") as opened:
        drop_all_schemas(opened)
        fill_mart(opened, *(mart_row(one, seconds) for one, seconds in KNOWN.items()))
        yield opened


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(list(KNOWN)), KEYS), max_size=20))
def test_many_answers_are_those_of_a_plain_dictionary(
    filled: Warehouse, wanted: list[CompletionKey]
):
    outcomes = LearningTimeClient(filled).get_many(wanted)
    assert outcomes == {
        one: Found(KNOWN[one], THROUGH) if one in KNOWN else NotYet(None) for one in wanted
    }


# A connection of its own.


@dataclass
class Opened:
    """One connection, as the connector was asked for it."""

    arguments: dict[str, Any]
    is_closed: bool = False


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[Opened]:
    """Every connection opened from here on, and whether it was closed.

    The connector's own ``is_closed`` says False for a session of the embedded warehouse.
    """
    opened: list[Opened] = []
    connect = snowflake.connector.connect

    def spy(**arguments: Any) -> Any:
        seen = Opened(deepcopy(arguments))  # the connector adds to them
        connection = connect(**arguments)
        opened.append(seen)
        close = connection.close

        def closed(*args: Any, **options: Any) -> None:
            seen.is_closed = True
            close(*args, **options)

        monkeypatch.setattr(connection, "close", closed)
        return connection

    monkeypatch.setattr(snowflake.connector, "connect", spy)
    return opened


def test_its_own_connection_is_opened_when_needed_and_closed_afterwards(
    warehouse: Warehouse,
    warehouse_settings: EmbeddedWarehouse,
    connections: list[Opened],
):
    fill_mart(warehouse, mart_row(key(1), 60))
    with LearningTimeClient.connect(warehouse_settings) as client:
        assert not connections
        assert client.get_learning_time(key(1)) == Found(60, THROUGH)
        client.get_learning_time(key(2))
        [connection] = connections
        assert not connection.is_closed
    assert connection.is_closed
    expected = connect_arguments(
        warehouse_settings, purpose="learning-time", statement_timeout_seconds=5
    )
    # While it logs in, a shorter one.
    del expected["socket_timeout"], connection.arguments["socket_timeout"]
    assert connection.arguments == expected


def test_it_is_closed_when_the_run_breaks_off(
    warehouse: Warehouse,
    warehouse_settings: EmbeddedWarehouse,
    connections: list[Opened],
):
    def broken_run() -> None:
        with LearningTimeClient.connect(warehouse_settings) as client:
            client.get_learning_time(key(1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken_run()
    assert [one.is_closed for one in connections] == [True]


def test_a_warehouse_that_is_down_is_an_outcome_and_no_error(
    warehouse_settings: EmbeddedWarehouse,
):
    nobody = replace(warehouse_settings, port=free_port())
    with LearningTimeClient.connect(nobody) as client:
        outcome = client.get_learning_time(key(1))
    assert isinstance(outcome, Unavailable)
    assert outcome.kind is UnavailableKind.UNREACHABLE


# The connector's own thread for cancelling meets the same silence.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_silent_warehouse_costs_one_time_limit_and_later_all_is_well(
    warehouse: Warehouse,
    warehouse_settings: EmbeddedWarehouse,
    connections: list[Opened],
):
    fill_mart(warehouse, mart_row(key(1), 60))
    clock = Clock()
    with (
        StallingProxy(warehouse_settings.port) as proxy,
        LearningTimeClient.connect(
            replace(warehouse_settings, port=proxy.port), clock=clock, timeout_seconds=1
        ) as client,
    ):
        assert client.get_learning_time(key(1)) == Found(60, THROUGH)
        proxy.stall()
        started = time.monotonic()
        outcomes = client.get_many(key(n) for n in range(1, 3 * LOOKUP_BATCH))
        assert 1 < time.monotonic() - started < 6
        assert outcomes[key(1)] == Found(60, THROUGH), "what is known stays known"
        kinds = [one.kind for one in outcomes.values() if isinstance(one, Unavailable)]
        assert kinds == [UnavailableKind.UNREACHABLE] * (3 * LOOKUP_BATCH - 2)
        proxy.resume()
        clock.now = 60
        assert client.get_learning_time(key(2)) == NotYet(None)
    assert len(connections) == 2, "a session that failed is not used again"
