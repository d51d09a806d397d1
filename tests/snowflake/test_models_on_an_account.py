"""The models give the same rows as on the embedded engine, however they were built."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sync.local.sample_data import SampleSize, generate, load_sample, write_files
from sync.local.tracking_logs import load_logs
from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse, open_warehouse
from tests.dbt.scenario import ONLY_TABLES, prepare
from tests.snowflake.conftest import Place
from tests.support.dbt import Dbt

pytestmark = [pytest.mark.snowflake, pytest.mark.prove]

START = datetime(2026, 3, 2, tzinfo=UTC)
LOADED_AT = datetime(2026, 3, 20)
MARTS = (
    "learning_time",
    "completion_learning_time",
    "learning_time_watermark",
    "tracking_line_counts",
    "quarantined_lines",
    "unknown_event_types",
    "completed_enrollments",
    "ineligible_completions",
    "webhook_endpoints",
)
OF_A_RUN = ("built_at", "computed_at", "updated_at")
"""Columns with the time a row was built."""


def test_full_incremental_and_empty_builds_are_those_of_the_embedded_engine(
    place: Place,
    there: Warehouse,
    warehouse_settings: EmbeddedWarehouse,
    dbt: Dbt,
    tmp_path: Path,
) -> None:
    def build(target: str, *options: str) -> None:
        own = ("--profiles-dir", str(place.profiles)) if target != "plain" else ()
        dbt(
            *("build", *ONLY_TABLES, *own, "--vars", json.dumps(dict(place.variables))),
            *("--target", place.settings.dbt_target if own else "embedded", *options),
        )

    data = generate(SampleSize(lines=1_000), seed=5, start=START, receiver_url="http://127.0.0.1:1")
    with open_warehouse(warehouse_settings, purpose="tests") as here:
        sessions = [there, here] if place.is_account else [there]
        for session in sessions:
            prepare(session)
        prepare(here)
        build("there")
        assert [name for name, rows in marts(there).items() if rows] == ["learning_time_watermark"]
        for n, wave in enumerate(data.waves):
            files = write_files(tmp_path / str(n), wave)
            at = LOADED_AT + timedelta(hours=n)
            for session in sessions:
                load_sample(session, wave)
                load_logs(session, files, progress=lambda _: None, clock=lambda at=at: at)
            build("there")
        incremental = marts(there)
        build("there", "--full-refresh")
        full = marts(there)
        build("plain")
        embedded = marts(here)
    for name in MARTS:
        assert incremental[name] == full[name], name
        assert full[name] == embedded[name], name
    assert len(full["learning_time"]) > 10
    assert len(full["completed_enrollments"]) > 1


def marts(session: Warehouse) -> Mapping[str, list[str]]:
    """Sorted rows of the marts, without build times."""
    return {
        name: sorted(
            repr([(column, str(value)) for column, value in row.items() if column not in OF_A_RUN])
            for row in session.rows(f"select * from {session.relation('marts', name)}")
        )
        for name in MARTS
    }
