"""The same project on the two engines: what is compiled for Snowflake is Snowflake's SQL."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from sync.local.sample_data import SampleSize, generate, write_files
from sync.local.tracking_logs import load_logs
from sync.warehouse import Warehouse
from tests.dbt.envelopes import ENVELOPES, SEVERAL
from tests.dbt.scenario import Batch, load, prepare
from tests.support.dbt import EVERY_OPTION, Dbt

ONLY_EMBEDDED = {
    *("JSON_VALID", "JSON_EXTRACT_STRING", "LIST_EXTRACT", "LIST_FILTER", "LIST_TRANSFORM"),
}
"""DuckDB functions of the embedded branches; Snowflake has none of them."""


def test_the_snowflake_target_parses_without_a_warning_or_an_account(
    dbt: Dbt, tmp_path: Path
) -> None:
    dbt(
        *("--warn-error", "parse", "--no-partial-parse", "--show-all-deprecations"),
        *("--target", "snowflake"),
    )


@pytest.mark.parametrize(
    ("target", "options"),
    [
        pytest.param("snowflake", {}, id="snowflake", marks=pytest.mark.prove),
        pytest.param("snowflake", EVERY_OPTION, id="snowflake with every option"),
        pytest.param("embedded", {}, id="embedded", marks=pytest.mark.prove),
    ],
)
def test_every_compiled_statement_parses_in_the_snowflake_dialect(
    warehouse: Warehouse, dbt: Dbt, target: str, options: dict[str, object]
) -> None:
    prepare(warehouse)
    compiled = dbt.compiled(target, **options)
    assert len(compiled) > 60
    functions = set()
    for path in compiled:
        statement = sqlglot.parse_one(path.read_text(encoding="utf-8"), read="snowflake")
        assert isinstance(statement, exp.Query), path
        functions |= {one.name.upper() for one in statement.find_all(exp.Anonymous)}
    assert (functions & ONLY_EMBEDDED == ONLY_EMBEDDED) == (target == "embedded")
    assert not functions & ONLY_EMBEDDED or target == "embedded"


def test_both_branches_read_every_sample_line_alike(
    warehouse: Warehouse, dbt: Dbt, dbt_target_path: Path, tmp_path: Path
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
    shutil.rmtree(dbt_target_path / "compiled", ignore_errors=True)
    dbt("compile", "--select", "stg_tracking__events")
    branches = [(dbt_target_path / "compiled").rglob("*.sql"), dbt.compiled("snowflake")]
    readings = []
    for branch in branches:
        (compiled,) = (path for path in branch if path.name == "stg_tracking__events.sql")
        readings.append(warehouse.rows(compiled.read_text(encoding="utf-8")))

    for row in (one for reading in readings for one in reading):
        del row["raw_line"]  # of a record in a list it is as the engine writes JSON
        # Snowflake's object has sorted keys
        with suppress(TypeError, ValueError):
            row["payload_text"] = json.dumps(json.loads(row["payload_text"]), sort_keys=True)
    fast, portable = (sorted(map(repr, one)) for one in readings)
    assert len(fast) > 500
    assert fast == portable
