"""Learning time looked up in the mart, over a real session."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.delivery.learning_time import (
    LOOKUP_BATCH,
    CompletionKey,
    Found,
    LearningTimeClient,
    LearningTimeOutcome,
    NoData,
    NotYet,
    Unavailable,
)
from sync.warehouse import Warehouse, open_warehouse
from tests.support.examples import examples
from tests.support.learning_times import THROUGH, fill_mart, key, mart_row
from tests.support.scenarios import Scenarios

MART = "analytics.marts.completion_learning_time"


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
    "neighbor",
    [
        pytest.param(CompletionKey("0" * 36, 1, key(1).courserun_key), id="another enterprise"),
        pytest.param(key(2), id="another learner"),
        pytest.param(
            key(1, courserun_key="course-v1:ExampleX+DATA101+2026_T2"), id="another course run"
        ),
    ],
)
def test_a_value_belongs_to_learner_run_and_enterprise(
    warehouse: Warehouse, neighbor: CompletionKey
):
    fill_mart(warehouse, mart_row(neighbor, 60))
    assert LearningTimeClient(warehouse).get_learning_time(key(1)) == NotYet(None)


def test_a_missing_or_bad_value_is_unavailable_and_no_zero(warehouse: Warehouse):
    fill_mart(warehouse, mart_row(key(1), None), mart_row(key(2), -1))
    outcomes = LearningTimeClient(warehouse).get_many([key(1), key(2)])
    assert {type(one) for one in outcomes.values()} == {Unavailable}


def test_a_mart_that_was_never_built_is_unavailable_and_says_what_to_run(warehouse: Warehouse):
    outcome = LearningTimeClient(warehouse).get_learning_time(key(1))
    assert isinstance(outcome, Unavailable)
    assert "is missing: run learning_time_job" in outcome.reason


def test_what_is_known_costs_no_statement_and_no_time(warehouse: Warehouse):
    fill_mart(warehouse, mart_row(key(1), 60))
    client = LearningTimeClient(warehouse)
    started = time.perf_counter()
    client.get_learning_time(key(1))
    asked = time.perf_counter() - started
    statements, durations = warehouse.statements, []
    for _ in range(50):
        started = time.perf_counter()
        assert client.get_learning_time(key(1)) == Found(60, THROUGH)
        durations.append(time.perf_counter() - started)
    assert warehouse.statements == statements
    assert client.statements == 1
    assert sorted(durations)[25] < asked / 5


def test_a_mixed_request_asks_for_what_is_unknown_only(warehouse: Warehouse):
    fill_mart(warehouse, mart_row(key(1), 60), mart_row(key(2), 61))
    client = LearningTimeClient(warehouse)
    client.get_learning_time(key(1))
    warehouse.execute(f"update {MART} set learning_time_seconds = 99")
    assert client.get_many([key(2), key(1)]) == {
        key(1): Found(60, THROUGH),
        key(2): Found(99, THROUGH),
    }


@pytest.mark.parametrize(("count", "statements"), [(LOOKUP_BATCH, 1), (LOOKUP_BATCH + 1, 2)])
def test_one_statement_per_five_thousand_completions(
    warehouse: Warehouse, count: int, statements: int
):
    fill_mart(warehouse, *(mart_row(key(n), n) for n in range(count)))
    client = LearningTimeClient(warehouse)
    outcomes = client.get_many(key(n) for n in range(count))
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
def filled(scenarios: Scenarios) -> Iterator[Warehouse]:
    """A mart with awkward keys, filled once for all examples of the property."""
    scenarios.stand("nothing")
    with open_warehouse(scenarios.settings, purpose="tests") as opened:
        fill_mart(opened, *(mart_row(one, seconds) for one, seconds in KNOWN.items()))
        yield opened


@settings(max_examples=examples(15, 500))
@given(st.lists(st.one_of(st.sampled_from(list(KNOWN)), KEYS), max_size=20))
def test_many_lookups_are_those_of_a_plain_dictionary(
    filled: Warehouse, wanted: list[CompletionKey]
):
    outcomes = LearningTimeClient(filled).get_many(wanted)
    assert outcomes == {
        one: Found(KNOWN[one], THROUGH) if one in KNOWN else NotYet(None) for one in wanted
    }
