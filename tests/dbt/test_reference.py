"""The models agree with an independent implementation of the definition on dirty sample data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path

import pytest

from sync.local.sample_data import SampleSize, generate, load_sample, write_files
from sync.local.tracking_logs import load_logs
from sync.warehouse import Warehouse
from tests.dbt.scenario import daily, prepare
from tests.reference import learning_time
from tests.reference.learning_time import Event
from tests.reference.tracking_log import read_line
from tests.support.dbt import Dbt

START = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize("seed", [3, pytest.param(11, marks=pytest.mark.prove)])
def test_every_day_and_every_completion_equals_the_reference(
    warehouse: Warehouse, dbt: Dbt, tmp_path: Path, seed: int
) -> None:
    """Both waves are loaded and built one after the other, so the second build is incremental."""
    prepare(warehouse)
    data = generate(
        SampleSize(lines=3_000), seed=seed, start=START, receiver_url="http://127.0.0.1:1"
    )
    for wave in data.waves:
        load_sample(warehouse, wave)
        paths = write_files(tmp_path / str(wave.index), wave)
        loaded_at = wave.end + timedelta(hours=1)
        load_logs(warehouse, paths, progress=lambda _: None, clock=repeat(loaded_at).__next__)
        dbt(
            *("build", "--select", "+completion_learning_time"),
            *("--exclude-resource-type", "unit_test", "--exclude-resource-type", "test"),
        )

    events = _events(warehouse)
    assert daily(warehouse) == {
        key: (day.microseconds, day.event_count, day.session_count)
        for key, day in learning_time.days(events).items()
    }
    completions = warehouse.rows("select * from analytics.marts.completion_learning_time")
    assert len(completions) > 20
    assert {
        (row["user_id"], row["courserun_key"]): int(row["learning_time_seconds"])
        for row in completions
    } == {
        (row["user_id"], row["courserun_key"]): learning_time.seconds_to_completion(
            (one for one in events if one.unit == (row["user_id"], row["courserun_key"])),
            row["passed_at"].replace(tzinfo=UTC),
        )
        for row in completions
    }


def _events(warehouse: Warehouse) -> list[Event]:
    rows = warehouse.rows("select line, loaded_at from raw.tracking.tracking_logs")
    read = (read_line(row["line"] or "", row["loaded_at"].replace(tzinfo=UTC)) for row in rows)
    return [event for event in read if event is not None]
