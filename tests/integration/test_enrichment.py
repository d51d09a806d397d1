"""Learning time in the message: found, awaited or omitted, and recorded accordingly."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.support.marts import (
    LEARNING_TIME_COLUMNS,
    create_table,
)
from tests.support.pipeline import (
    Pipeline,
    learning_time,
)


def test_with_the_flag_on_the_body_carries_learning_time(pipeline: Pipeline) -> None:
    create_table(
        pipeline.warehouse, "completion_learning_time", LEARNING_TIME_COLUMNS, [learning_time(1)]
    )
    pipeline.detect()
    pipeline.build(enabled=True, max_wait=timedelta(0))
    pipeline.send()
    bodies = {
        body["learner"]["user_id"]: body
        for body in (json.loads(one.body) for one in pipeline.target.received)
    }
    assert bodies[1]["learning_time"] == {
        "total_seconds": 26964,
        "total_hours": 7.49,
        "last_updated": "2026-03-12T00:00:00Z",
    }
    assert "learning_time" not in bodies[2]
    assert [row["enrichment_outcome"] for row in pipeline.rows("enrichment_outcome")] == [
        "found",
        "not_yet",
    ]


def test_with_the_flag_off_nothing_is_looked_up_or_waits(pipeline: Pipeline) -> None:
    pipeline.warehouse.execute("drop table analytics.marts.completion_learning_time")
    pipeline.detect()
    report = pipeline.build(enabled=False)
    assert report.built == {"flag_off": 2}
    assert not report.problems


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        pytest.param({"event_count": 0, "learning_time_seconds": 0}, "no_data", id="no events"),
        pytest.param({"learning_time_seconds": 0}, "found", id="zero is a value"),
        pytest.param({"computed_through": "2026-03-10T17:42:31"}, "found", id="just covered"),
    ],
)
def test_the_outcome_of_the_look_up_is_recorded(
    pipeline: Pipeline, changes: dict[str, object], outcome: str
) -> None:
    create_table(
        pipeline.warehouse,
        "completion_learning_time",
        LEARNING_TIME_COLUMNS,
        [learning_time(n, **changes) for n in (1, 2)],
    )
    pipeline.detect()
    assert pipeline.build(enabled=True).built == {outcome: 2}


def test_a_completion_waits_for_a_stale_mart_and_is_enriched_when_it_catches_up(
    pipeline: Pipeline,
) -> None:
    def mart(computed_through: str) -> None:
        create_table(
            pipeline.warehouse,
            "completion_learning_time",
            LEARNING_TIME_COLUMNS,
            [learning_time(n, computed_through=computed_through) for n in (1, 2)],
        )

    mart("2026-03-10T17:42:30")
    pipeline.detect()
    assert pipeline.build(enabled=True).waiting == {"not_yet": 2}
    pipeline.send()
    assert pipeline.target.received == []
    mart("2026-03-10T18:00:00")
    assert pipeline.build(enabled=True).built == {"found": 2}


def test_a_completion_is_sent_without_learning_time_when_the_wait_is_over(
    pipeline: Pipeline,
) -> None:
    pipeline.detect()
    assert pipeline.build(enabled=True, max_wait=timedelta(minutes=30)).waiting == {"not_yet": 2}
    pipeline.later(timedelta(minutes=30))
    assert pipeline.build(enabled=True, max_wait=timedelta(minutes=30)).built == {"not_yet": 2}
    pipeline.send()
    assert all("learning_time" not in json.loads(one.body) for one in pipeline.target.received)
    assert len(pipeline.target.received) == 2


def test_an_unreadable_mart_delays_a_completion_but_never_stops_it(pipeline: Pipeline) -> None:
    pipeline.warehouse.execute("drop table analytics.marts.completion_learning_time")
    pipeline.detect()
    assert pipeline.build(enabled=True).waiting == {"unavailable": 2}
    pipeline.later(timedelta(hours=1))
    report = pipeline.build(enabled=True)
    assert report.built == {"unavailable": 2}
    assert "COMPLETION_LEARNING_TIME" in next(iter(report.problems))


def test_a_built_body_never_changes(pipeline: Pipeline) -> None:
    pipeline.detect()
    pipeline.build(enabled=False)
    before = pipeline.rows("body, frozen_at")
    create_table(
        pipeline.warehouse, "completion_learning_time", LEARNING_TIME_COLUMNS, [learning_time(1)]
    )
    pipeline.build(enabled=True)
    assert pipeline.rows("body, frozen_at") == before


def test_an_impossible_learning_time_is_unavailable_and_never_sent(pipeline: Pipeline) -> None:
    create_table(
        pipeline.warehouse,
        "completion_learning_time",
        LEARNING_TIME_COLUMNS,
        [learning_time(n, learning_time_seconds=-5) for n in (1, 2)],
    )
    pipeline.detect()
    assert pipeline.build(enabled=True, max_wait=timedelta(0)).built == {"unavailable": 2}
    pipeline.send()
    assert all("learning_time" not in json.loads(one.body) for one in pipeline.target.received)
