"""The project with the next minor version of dbt, in a separate environment.

dbt-core 1.12 requires a package that only its own parser can use and whose build downloads a
program. An override excludes it (https://docs.astral.sh/uv/concepts/resolution/#overrides).
"""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sync.settings import PROJECT_ROOT
from sync.warehouse import Warehouse
from tests.dbt.scenario import BUILD_DAYS, Batch, line, load, prepare
from tests.support.dbt import Dbt
from tests.support.environments import environment

pytestmark = pytest.mark.prove

NEXT = ("dbt-core>=1.12,<1.13", "dbt-snowflake>=1.12,<1.13")
LEFT_OUT = 'dbt-core-experimental-parser ; python_version < "3"\n'
DAYS = """
    select user_id, courserun_key, activity_date, learning_time_microseconds, event_count
    from analytics.intermediate.int_learning_time_daily
"""


@pytest.fixture(scope="module")
def next_dbt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``dbt`` program of that version."""
    directory = tmp_path_factory.mktemp("next_dbt")
    return environment(directory, *NEXT, overrides=LEFT_OUT) / "dbt"


def run(dbt: Path, directory: Path, *arguments: str, **settings: str) -> None:
    """A command of the other dbt; parse warnings are errors."""
    places = ["--project-dir", str(PROJECT_ROOT), "--profiles-dir", str(PROJECT_ROOT)]
    places += ["--target-path", str(directory), "--log-path", str(directory)]
    done = subprocess.run(
        [str(dbt), "--quiet", *arguments, *places],
        env=os.environ | settings,
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_parses_for_snowflake_without_a_warning(next_dbt: Path, tmp_path: Path) -> None:
    strict = ("--warn-error", "parse", "--no-partial-parse", "--show-all-deprecations")
    run(next_dbt, tmp_path, *strict, DBT_TARGET="snowflake")


def test_its_full_and_incremental_build_give_what_the_pinned_version_gives(
    next_dbt: Path, tmp_path: Path, warehouse: Warehouse, dbt: Dbt
) -> None:
    prepare(warehouse)
    for hour, left_out in ((8, ()), (9, ("--exclude-resource-type", "unit_test"))):
        times = [f"2026-03-02T{hour:02}:{minute:02}:00Z" for minute in range(0, 60, 9)]
        lines = tuple(line(7, time) for time in times)
        load(warehouse, Batch(f"{hour}.log", datetime(2026, 3, 2, hour + 2, tzinfo=UTC), lines))
        run(next_dbt, tmp_path, "build", *left_out)
    built = warehouse.rows(DAYS)
    dbt(*BUILD_DAYS, "--full-refresh")
    assert built == warehouse.rows(DAYS)
    assert [row["user_id"] for row in built] == [7]
