"""From a late line to the correction that the customer gets, through the real models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sync.local.raw_tables import insert_rows
from sync.operations.endpoint_settings import change_settings
from sync.warehouse import Warehouse, open_warehouse
from tests.dbt.scenario import ENTERPRISE, Batch, enroll, line, load, pass_course, stand_models
from tests.support.dbt import Dbt
from tests.support.event_types import COMPLETIONS, CORRECTIONS
from tests.support.pipeline import Pipeline
from tests.support.receiver import Receiver, receiver
from tests.support.scenarios import Scenarios

MODELS = (
    "int_tracking_events", "int_tracking_line_counts", "int_learning_gaps",
    "int_learning_time_daily",
    "learning_time_watermark", "int_learning_time_to_completion", "completion_learning_time",
)  # fmt: skip
WRITTEN_LATER = 2
"""A learner without a completion, whose lines show how far the log is complete."""


@pytest.fixture
def target() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture
def warehouse(scenarios: Scenarios, dbt: Dbt) -> Iterator[Warehouse]:
    stand_models(scenarios, dbt)
    with open_warehouse(scenarios.settings, purpose="tests") as opened:
        yield opened


def test_a_late_line_is_told_once_the_log_is_complete_for_a_day_and_never_again(
    warehouse: Warehouse, dbt: Dbt, target: Receiver, tmp_path: Path
) -> None:
    enroll(warehouse, [1])
    pass_course(warehouse, 1, datetime(2026, 3, 5, 10, tzinfo=UTC))
    hooks = {"enterprise_customer_id": ENTERPRISE, "region": "OTHER", "active": True}
    insert_rows(
        warehouse,
        "channel_integration_enterprisewebhookconfiguration",
        [{"id": 1, "webhook_url": f"{target.url}/hooks", **hooks}],
    )
    pipeline = Pipeline(warehouse, target, tmp_path)
    change_settings(warehouse, 1, clock=pipeline.clock, event_types=CORRECTIONS.name)

    def after(file: str, loaded_at: str, *lines: str, options: tuple[str, ...] = ()) -> list[str]:
        """What the receiver has after these lines are loaded, built and sent."""
        at = datetime.fromisoformat(loaded_at).replace(tzinfo=UTC)
        load(warehouse, Batch(file, at, lines))
        dbt("run", "--select", *MODELS, *options)
        for source in (COMPLETIONS, CORRECTIONS):
            pipeline.detect(source=source)
        pipeline.build(enabled=True)
        pipeline.send()
        bodies = [json.loads(one.body) for one in target.received]
        return [f"{one['event_type']} {one['learning_time']['total_seconds']}" for one in bodies]

    first, correction = "course_completion 1200", "course_completion_correction 2700"
    studied = [line(1, f"2026-03-05T{time}Z") for time in ("09:00:00", "09:20:00", "09:45:00")]
    so_far = line(WRITTEN_LATER, "2026-03-05T10:59:00Z")
    assert after("1", "2026-03-05T11:00", *studied[:2], so_far) == [first]
    assert after("2", "2026-03-07T06:00", studied[2]) == [first], "settling: nothing came since"
    a_day = line(WRITTEN_LATER, "2026-03-08T06:10:00Z")
    assert after("3", "2026-03-08T06:20", a_day) == [first, correction]
    a_copy = after("4", "2026-03-09T06:00", studied[2], options=("--full-refresh",))
    assert a_copy == [first, correction]
    rows = warehouse.rows("select last_loaded_at from analytics.marts.completion_learning_time")
    assert rows == [{"last_loaded_at": datetime(2026, 3, 7, 6)}]
