"""The `dg` command line, run in this process, since each start costs 10 s."""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._core.definitions.definitions_load_context import (
    DefinitionsLoadContext,
    DefinitionsLoadType,
)
from dagster._core.definitions.repository_definition import RepositoryLoadData
from dagster_dg_cli.cli import create_dg_cli

from orchestration.definitions import defs as load
from sync.domain.event_types import event_types, read_event_types
from sync.settings import PROJECT_ROOT

Dg = Callable[..., str]
SUBJECTS = {"alerts", "dbt", "operations", "report", "webhooks", *event_types()}


@pytest.fixture
def run_dg(
    defs: dg.Definitions, dbt_target_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Dg:
    """Run one command with this session's manifest; warnings would appear in its output.

    So would Dagster's telemetry notice, once per machine; of our settings it reads only the
    instance's.
    """
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("DBT_TARGET_PATH", str(dbt_target_path / "dagster"))
    monkeypatch.setenv("DAGSTER_IS_DEV_CLI", "")
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.chdir(PROJECT_ROOT)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(create_dg_cli(), arguments)
        assert done.exit_code == 0, done.output
        return done.output

    return run


def test_dg_finds_nothing_to_complain_of(run_dg: Dg) -> None:
    said = run_dg("check", "defs").splitlines()
    assert [line for line in said if line] == [
        "All component YAML validated successfully.",
        "All definitions loaded successfully.",
    ]


def test_dg_lists_every_asset(run_dg: Dg, defs: dg.Definitions) -> None:
    said = run_dg("list", "defs")
    keys = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    assert {key for key in keys if key not in said} == set()


def test_each_subject_is_a_folder_of_the_component_tree(run_dg: Dg) -> None:
    said = run_dg("list", "component-tree")
    assert {line.split()[-1] for line in said.splitlines() if line[:1] in "├└"} == SUBJECTS
    assert {one.name for one in (PROJECT_ROOT / "orchestration/defs").glob("[a-z]*/")} == SUBJECTS


def test_dg_lists_the_component_of_event_types(run_dg: Dg) -> None:
    assert "orchestration.components.webhook_event.WebhookEventComponent" in run_dg(
        "list", "components"
    )


def test_dg_scaffolds_an_event_type_that_its_own_checks_take(
    run_dg: Dg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(PROJECT_ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(PROJECT_ROOT / "orchestration", tmp_path / "orchestration")
    monkeypatch.chdir(tmp_path)
    component = "orchestration.components.webhook_event.WebhookEventComponent"
    run_dg("scaffold", "defs", component, "badge_awarded")
    file = tmp_path / "orchestration/defs/badge_awarded/defs.yaml"
    (made,) = [
        one for one in read_event_types(file.parent.parent).values() if one.name == "badge_awarded"
    ]
    assert not made.enabled
    assert "validated" in run_dg("check", "yaml", str(file.parent))
    file.write_text(file.read_text().replace("endpoints: asked", "endpoints: everybody"))
    wrong = CliRunner().invoke(create_dg_cli(), ["check", "yaml", str(file.parent)])
    assert wrong.exit_code != 0
    assert "endpoints" in wrong.output


def test_dg_scaffolds_where_definitions_are_loaded_from(
    run_dg: Dg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(PROJECT_ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(PROJECT_ROOT / "orchestration", tmp_path / "orchestration")
    monkeypatch.chdir(tmp_path)
    run_dg("scaffold", "defs", "dagster.asset", "example/one.py")
    assert (tmp_path / "orchestration/defs/example/one.py").is_file()


def test_definitions_load_without_a_warning_under_any_name_of_the_code_location(
    defs: dg.Definitions, caplog: pytest.LogCaptureFixture
) -> None:
    """`dagster job execute -m` names it after the module, a deployment as it likes."""
    context = DefinitionsLoadContext(
        DefinitionsLoadType.INITIALIZATION, RepositoryLoadData(code_location_name="another")
    )
    logger = logging.getLogger("dagster")
    logger.addHandler(caplog.handler)
    with DefinitionsLoadContext.scoped(context), warnings.catch_warnings():
        for category in (dg.BetaWarning, dg.PreviewWarning):
            warnings.simplefilter("error", category)
        again = load()
    logger.removeHandler(caplog.handler)
    assert caplog.messages == []
    assert set(again.resolve_all_asset_keys()) == set(defs.resolve_all_asset_keys())
