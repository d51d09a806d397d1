"""The tables of docs/checks.md match the definitions.

After an intended change, regenerate them and review the diff:

    UPDATE_CHECK_TABLES=1 python -m pytest tests/documents/test_checks.py
"""

from __future__ import annotations

import os
import re
from typing import Any

import dagster as dg
import pytest
import yaml

from orchestration.check_texts import CheckText
from sync.operations.alerts import team_setting
from sync.settings import PROJECT_ROOT
from tests.support.dbt import Dbt
from tests.support.definitions import load_definitions

DOCUMENT = PROJECT_ROOT / "docs" / "checks.md"
MODELS = PROJECT_ROOT / "dbt_project" / "models"
UPDATE = "UPDATE_CHECK_TABLES"
PARTS = {
    "Deliveries": "Integrations",
    "Learning time": "Learning data",
}
KEY = "unique_combination_of_columns"
WARNING = {"warehouse_costs_are_within_budget", "nothing_is_paused"}
"""Dagster's own checks that give a warning; all its others give an error."""


@pytest.fixture(scope="module")
def texts(dbt: Dbt) -> dict[dg.AssetCheckKey, CheckText]:
    """What Dagster shows about each check."""
    graph = load_definitions(dbt).resolve_asset_graph()
    keys = sorted(graph.asset_check_keys, key=lambda one: (one.asset_key, one.name))
    return {key: text_of(graph.get(key).description or "") for key in keys}


@pytest.fixture(scope="module")
def tables(
    dbt: Dbt, texts: dict[dg.AssetCheckKey, CheckText], manifest: dict[str, Any]
) -> dict[str, str]:
    """Table by heading, from the definitions that Dagster loads."""
    graph = load_definitions(dbt).resolve_asset_graph()
    tests = {one["name"]: one for one in manifest["nodes"].values() if is_test(one)}
    rows: dict[str, list[str]] = {heading: [] for heading in (*PARTS, "Keys")}
    for check, text in texts.items():
        asset = "/".join(check.asset_key.path)
        test = tests.get(check.name)
        if test and test["name"].startswith(KEY):
            columns = ", ".join(
                f"`{one}`" for one in test["test_metadata"]["kwargs"]["combination_of_columns"]
            )
            rows["Keys"].append(f"| `{asset}` | {columns} | {text.owner} |")
        else:
            heading = next(name for name, owner in PARTS.items() if owner == text.owner)
            rows[heading].append(row(check, asset, text, severity(test, graph.get(check))))
    heads = dict.fromkeys(PARTS, "| check | on | when it fails | what it means | what to do |")
    heads["Keys"] = "| asset | one row for each | owner |"
    return {
        name: "\n".join([head, re.sub(r"[^|]+", "---", head), *rows[name]])
        for name, head in heads.items()
    }


def text_of(description: str) -> CheckText:
    """The parts of what Dagster shows about a check."""
    found = re.fullmatch(
        r"(.*)\n\n\*\*Owner:\*\* (.*)\.\n\n\*\*What to do:\*\* (.*)", description, flags=re.S
    )
    assert found, description
    return CheckText(*found.groups())


def is_test(node: dict[str, Any]) -> bool:
    return node["resource_type"] == "test"


def row(check: dg.AssetCheckKey, asset: str, text: CheckText, how: str) -> str:
    how = "never" if text.meaning.startswith("Always passes") else how
    return f"| `{check.name}` | `{asset}` | {how} | {text.meaning} | {text.action} |"


def severity(test: dict[str, Any] | None, node: Any) -> str:
    """The effect of a failure."""
    if test is None:
        if node.key.name in WARNING:
            return "warning"
        return "blocks" if node.blocking else "error"
    config = test["config"]
    if config["severity"].lower() == "warn":
        return "warning"
    return "blocks" if config["warn_if"] == "!= 0" else "warning, then error"


def parts(heading: str) -> tuple[str, str, str]:
    """The document up to the table below a heading, the table, and the rest."""
    text = DOCUMENT.read_text(encoding="utf-8")
    found = re.search(rf"^## {heading}\n[^|]*^(\|.*?)\n(?!\|)", text, flags=re.S | re.M)
    assert found, f"no table below '## {heading}'"
    return text[: found.start(1)], found[1], text[found.end(1) :]


@pytest.mark.parametrize("heading", [*PARTS, "Keys"])
def test_the_tables_are_those_of_the_definitions(tables: dict[str, str], heading: str) -> None:
    if os.environ.get(UPDATE):
        before, _, after = parts(heading)
        DOCUMENT.write_text(before + tables[heading] + after, encoding="utf-8")
    assert parts(heading)[1] == tables[heading], f"run once with {UPDATE}=1 and review the diff"


def test_every_check_says_what_it_means_who_is_told_and_what_to_do(
    tables: dict[str, str],
) -> None:
    rows = [line.split(" | ") for name in PARTS for line in tables[name].splitlines()[2:]]
    assert len(rows) > 30
    assert [cells[0] for cells in rows if not all(cell.strip(" |") for cell in cells)] == []
    assert [cells[0] for cells in rows if not cells[4].rstrip(" |").endswith(".")] == []


def test_every_threshold_that_a_check_names_is_a_setting(tables: dict[str, str]) -> None:
    """A var of dbt_project.yml or a field of run config."""
    project = (PROJECT_ROOT / "dbt_project.yml").read_text(encoding="utf-8")
    named = {
        word
        for name in PARTS
        for word in re.findall(
            r"`((?!assert_)\w+_(?:share|hours|minutes|days|seconds))`", tables[name]
        )
    }
    assert len(named) > 8
    run_config = {"max_enrichment_wait_minutes"}
    assert {name for name in named - run_config if f"    {name}: " not in project} == set()


def test_the_document_on_alerts_names_the_setting_of_every_team(
    texts: dict[dg.AssetCheckKey, CheckText],
) -> None:
    groups = yaml.safe_load((MODELS / "_groups.yml").read_text(encoding="utf-8"))["groups"]
    teams = {one["owner"]["name"] for one in groups} | {one.owner for one in texts.values()}
    text = (PROJECT_ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| (.+) \| `(LTW_ALERT_URL_\w+)` \|$", text, flags=re.MULTILINE)
    assert shown == [(team, team_setting(team)) for team in sorted(teams)]


def test_advice_names_the_next_ordinary_run_before_a_rebuild_of_everything(
    texts: dict[dg.AssetCheckKey, CheckText],
) -> None:
    """Rebuilding a year of lines takes hours; the job repairs what a partial build left behind."""
    rebuilds = [one.action for one in texts.values() if "full_refresh" in one.action]
    assert rebuilds
    for text in rebuilds:
        before = text[: text.index("full_refresh")]
        first = re.search(r"Run learning_time_job(?! once with| with)", before)
        assert first or "rule change" in before, text
