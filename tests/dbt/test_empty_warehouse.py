"""The first build of a new installation, with dbt's unit tests, which production omits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sync.warehouse import Warehouse, open_warehouse
from tests.dbt.scenario import stand_models
from tests.support.dbt import Dbt
from tests.support.scenarios import Scenarios


@pytest.fixture(scope="module")
def built(scenarios: Scenarios, dbt: Dbt) -> Iterator[Warehouse]:
    """Everything built over empty tables."""
    stand_models(scenarios, dbt)
    with open_warehouse(scenarios.settings, purpose="tests") as opened:
        yield opened


def test_every_unit_test_passes(built: Warehouse, dbt: Dbt) -> None:
    """Data tests over nothing: ``test_every_data_test_can_fail``."""
    dbt("test", "--select", "resource_type:unit_test")


def test_a_build_over_nothing_claims_no_completion(built: Warehouse) -> None:
    counts = built.rows("select count(*) as n from analytics.marts.completion_learning_time")
    assert counts == [{"n": 0}]


def test_before_the_first_line_nothing_is_claimed(built: Warehouse) -> None:
    rows = built.rows("select computed_through from analytics.marts.learning_time_watermark")
    assert rows == [{"computed_through": None}]


def test_every_column_of_every_model_is_described_and_no_other(
    built: Warehouse, manifest: dict[str, Any]
) -> None:
    described = {
        (node["name"], name)
        for node in manifest["nodes"].values()
        if node["resource_type"] in ("model", "seed")
        for name, column in node["columns"].items()
        if column["description"]
    }
    found = {
        (row["table_name"].lower(), row["column_name"].lower())
        for row in built.rows(
            """
            select table_name, column_name from analytics.information_schema.columns
            where table_schema in ('STAGING', 'INTERMEDIATE', 'MARTS')
            """
        )
    }
    assert sorted(found - described) == []
    assert sorted(described - found) == []


def test_the_docs_list_every_model_with_all_of_its_columns(
    built: Warehouse, manifest: dict[str, Any], dbt: Dbt, dbt_target_path: Path
) -> None:
    """``dbt docs generate``, including views, which the embedded engine stores separately."""
    dbt("docs", "generate", "--no-compile")
    catalog = json.loads((dbt_target_path / "catalog.json").read_text(encoding="utf-8"))
    assert not catalog["errors"]
    listed = {
        name: sorted(column.lower() for column in node["columns"])
        for name, node in catalog["nodes"].items()
    }
    assert listed == {
        name: sorted(node["columns"])
        for name, node in manifest["nodes"].items()
        if node["resource_type"] in ("model", "seed")
    }
    assert set(catalog["sources"]) == set(manifest["sources"])
    project = manifest["metadata"]["project_name"]
    table = catalog["nodes"][f"model.{project}.learning_time_watermark"]
    assert table["stats"]["row_count"]["value"] == 1
    view = catalog["nodes"][f"model.{project}.completed_enrollments"]
    assert view["metadata"]["type"] == "VIEW"
