"""The same project on the two engines: what is compiled for Snowflake is Snowflake's SQL."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlglot
import yaml
from sqlglot import exp

from sync.local.sample_data import SampleSize, generate, write_files
from sync.local.tracking_logs import load_logs
from sync.settings import PROJECT_ROOT, EmbeddedWarehouse
from sync.warehouse import Warehouse
from tests.dbt.envelopes import ENVELOPES, SEVERAL
from tests.dbt.scenario import Batch, load, prepare
from tests.support.dbt import Dbt

ONLY_EMBEDDED = {
    *("JSON_VALID", "JSON_EXTRACT_STRING", "LIST_EXTRACT", "LIST_FILTER", "LIST_TRANSFORM"),
}
"""DuckDB functions of the embedded branches; Snowflake has none of them."""

OPTIONS = """{
    course_from_url: true, long_video_option: true, long_gap_rule: cap, tail_seconds: 60,
    event_selection: denylist, emit_zero_rows: true, timezone: America/New_York,
}"""


@pytest.fixture(scope="module")
def snowflake_profiles(
    warehouse_settings: EmbeddedWarehouse, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A target that is called snowflake, so that macros choose its branch, and is the embedded one.

    dbt cannot compile incremental models without a connection.
    """
    profiles = yaml.safe_load((PROJECT_ROOT / "profiles.yml").read_text(encoding="utf-8"))
    outputs = profiles["learning_time_webhooks"]["outputs"]
    outputs["snowflake"] = outputs["embedded"]
    directory = tmp_path_factory.mktemp("profiles")
    (directory / "profiles.yml").write_text(yaml.safe_dump(profiles), encoding="utf-8")
    return directory


def test_the_snowflake_target_parses_without_a_warning_or_an_account(
    dbt: Dbt, tmp_path: Path
) -> None:
    dbt(
        *("--warn-error", "parse", "--no-partial-parse", "--show-all-deprecations"),
        *("--target", "snowflake"),
    )


@pytest.mark.parametrize(
    ("target", "parameters"),
    [
        pytest.param("snowflake", "{}", id="snowflake", marks=pytest.mark.prove),
        pytest.param("snowflake", OPTIONS, id="snowflake with every option"),
        pytest.param("embedded", "{}", id="embedded", marks=pytest.mark.prove),
    ],
)
def test_every_compiled_statement_parses_in_the_snowflake_dialect(
    warehouse: Warehouse,
    dbt: Dbt,
    dbt_target_path: Path,
    snowflake_profiles: Path,
    target: str,
    parameters: str,
) -> None:
    prepare(warehouse)
    compiled_path = fresh(dbt_target_path / "compiled")

    dbt(
        *("compile", "--target", target, "--profiles-dir", str(snowflake_profiles)),
        *("--vars", parameters),
    )

    compiled = sorted(compiled_path.rglob("*.sql"))
    assert len(compiled) > 60
    functions = set()
    for path in compiled:
        statement = sqlglot.parse_one(path.read_text(encoding="utf-8"), read="snowflake")
        assert isinstance(statement, exp.Query), path
        functions |= {one.name.upper() for one in statement.find_all(exp.Anonymous)}
    assert (functions & ONLY_EMBEDDED == ONLY_EMBEDDED) == (target == "embedded")
    assert not functions & ONLY_EMBEDDED or target == "embedded"


def test_both_branches_read_every_sample_line_alike(
    warehouse: Warehouse,
    dbt: Dbt,
    dbt_target_path: Path,
    snowflake_profiles: Path,
    tmp_path: Path,
) -> None:
    """Dirty lines included: the fast branch of the laptop is not another parser."""
    prepare(warehouse)
    data = generate(
        SampleSize(lines=1_000),
        seed=5,
        start=datetime(2026, 3, 2, tzinfo=UTC),
        receiver_url="http://127.0.0.1:1",
    )
    load_logs(warehouse, write_files(tmp_path, data.waves[0]), progress=lambda _: None)
    # The embedded engine, and no other, keeps the quotes of a text in a list in this branch.
    wrapped = {name: one for name, one in ENVELOPES.items() if name != "list of texts"}
    wrapped |= {f"several {number}": one for number, one in enumerate(SEVERAL)}
    loaded_at = datetime(2026, 3, 5, tzinfo=UTC)
    load(warehouse, *(Batch(name, loaded_at, (one,)) for name, one in wrapped.items()))
    readings = []
    for target in ("embedded", "snowflake"):
        compiled_path = fresh(dbt_target_path / "compiled")
        dbt(
            *("compile", "--select", "stg_tracking__events", "--target", target),
            *("--profiles-dir", str(snowflake_profiles)),
        )
        (compiled,) = compiled_path.rglob("stg_tracking__events.sql")
        readings.append(warehouse.rows(compiled.read_text(encoding="utf-8")))

    for row in (one for reading in readings for one in reading):
        del row["raw_line"]  # of a record in a list it is as the engine writes JSON
    fast, portable = (sorted(map(repr, one)) for one in readings)
    assert len(fast) > 500
    assert fast == portable


def fresh(directory: Path) -> Path:
    """The directory without what earlier tests compiled for another target."""
    shutil.rmtree(directory, ignore_errors=True)
    return directory
