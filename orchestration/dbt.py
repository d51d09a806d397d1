"""The dbt models as assets, their tests as checks, in two groups: the number and the deliveries."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliResource,
    DbtProject,
    dbt_assets,
)
from packaging.version import Version

from orchestration.config import ModelsConfig
from orchestration.resources import WarehouseResource
from sync.errors import ConfigurationError
from sync.settings import PROJECT_ROOT, load_settings

PROFILES = PROJECT_ROOT / "dbt_project"
DELIVERY_TAG = "tag:delivery"
PARTIAL_PARSE = "partial_parse.msgpack"
WAREHOUSE_POOL = "warehouse_models"
"""One dbt build at a time: two would write the same incremental tables."""


@cache
def dbt_project() -> DbtProject:
    """The project at the repository root; each target has its own manifest, so none is stale."""
    target = load_settings(os.environ).dbt_target
    project = DbtProject(
        project_dir=PROJECT_ROOT,
        profiles_dir=PROFILES,
        target=target,
        target_path=Path(os.environ.get("DBT_TARGET_PATH") or PROJECT_ROOT / "target" / target),
    )
    if is_stale(project.manifest_path):
        parse(project)
    return project


def is_stale(manifest: Path) -> bool:
    """Whether the manifest is missing or older than a file of the dbt project.

    An image is built sources first, so there the manifest is the newest and nothing is parsed.
    """
    if not manifest.exists():
        return True
    built = manifest.stat().st_mtime
    sources = [PROJECT_ROOT / "dbt_project.yml", *PROFILES.rglob("*")]
    return any(path.stat().st_mtime > built for path in sources)


def parse(project: DbtProject) -> None:
    """Write the manifest, which needs no warehouse. In production the image build has done it.

    Raises:
        ConfigurationError: dbt cannot parse the project; with what it says.
    """
    command = [dbt_executable(), "--quiet", "parse", "--target", str(project.target)]
    command += ["--project-dir", str(project.project_dir), "--profiles-dir", str(PROFILES)]
    command += ["--target-path", str(project.manifest_path.parent)]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ConfigurationError(f"dbt cannot parse the project:\n{done.stdout}{done.stderr}")


class DbtCli(DbtCliResource):
    """dbt as a resource that knows its version.

    The parent asks ``dbt --version`` in every run, which takes 4 s and looks for a newer release
    on the network; the installed package says the same at once.
    """

    @cached_property
    def _cli_version(self) -> Version:
        return Version(metadata.version("dbt-core"))


def dbt_cli(project: DbtProject) -> DbtCli:
    """dbt of this interpreter's environment."""
    return DbtCli(
        project_dir=str(project.project_dir),
        profiles_dir=str(PROFILES),
        target=project.target,
        dbt_executable=dbt_executable(),
    )


def dbt_executable() -> str:
    """dbt of this interpreter's environment, whether or not that is activated."""
    return str(Path(sys.executable).with_name("dbt"))


class Translator(DagsterDbtTranslator):
    """How a dbt node looks in Dagster."""

    def __init__(self) -> None:
        super().__init__(
            DagsterDbtTranslatorSettings(
                enable_source_tests_as_checks=True,
                # The three ledger tables are one asset here: completion_webhooks writes them.
                enable_duplicate_source_asset_keys=True,
            )
        )

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetSpec:
        spec = super().get_asset_spec(manifest, unique_id, project)
        return spec.replace_attributes(group_name=_group(manifest, unique_id))


def _group(manifest: Mapping[str, Any], unique_id: str) -> str:
    """The folder below ``models``: staging, intermediate, marts or delivery."""
    node = manifest["nodes"].get(unique_id)
    if node is None:
        return "sources"
    if "delivery" in node["tags"]:
        return "delivery"
    return "seeds" if node["resource_type"] == "seed" else node["fqn"][1]


@cache
def dbt_asset_definitions() -> tuple[dg.AssetsDefinition, ...]:
    """Two asset groups, because the webhooks stand between them."""
    project = dbt_project()

    @dbt_assets(
        name="learning_time_models",
        manifest=project.manifest_path,
        project=project,
        exclude=DELIVERY_TAG,
        dagster_dbt_translator=Translator(),
        pool=WAREHOUSE_POOL,
    )
    def learning_time_models(
        context: dg.AssetExecutionContext,
        dbt: DbtCliResource,
        warehouse: WarehouseResource,
        config: ModelsConfig,
    ) -> Iterator[Any]:
        yield from _build(context, dbt, warehouse, full_refresh=config.full_refresh)

    @dbt_assets(
        name="delivery_models",
        manifest=project.manifest_path,
        project=project,
        select=DELIVERY_TAG,
        dagster_dbt_translator=Translator(),
        pool=WAREHOUSE_POOL,
    )
    def delivery_models(
        context: dg.AssetExecutionContext, dbt: DbtCliResource, warehouse: WarehouseResource
    ) -> Iterator[Any]:
        yield from _build(context, dbt, warehouse, full_refresh=False)

    return learning_time_models, delivery_models


def _build(
    context: dg.AssetExecutionContext,
    dbt: DbtCliResource,
    warehouse: WarehouseResource,
    *,
    full_refresh: bool,
) -> Iterator[Any]:
    with warehouse.session(purpose="prepare"):
        pass
    # Unit tests prove the SQL on made-up rows: the suite runs them, a scheduled build need not.
    arguments = ["build", "--exclude-resource-type", "unit_test"]
    arguments += ["--full-refresh"] if full_refresh else []
    with artifacts_directory(dbt_project(), context.run.run_id, context.op.name) as directory:
        yield from dbt.cli(arguments, context=context, target_path=directory).stream()


@contextmanager
def artifacts_directory(project: DbtProject, run_id: str, op_name: str) -> Iterator[Path]:
    """Where one dbt invocation writes; gone afterwards, for each would leave 2 MB behind for ever.

    It starts with the parse state that lies beside the manifest, which saves 5 s a run.
    """
    manifest_directory = project.manifest_path.parent
    directory = manifest_directory / f"{op_name}-{run_id}"
    directory.mkdir(parents=True, exist_ok=True)
    parsed = manifest_directory / PARTIAL_PARSE
    if parsed.exists():
        shutil.copy(parsed, directory / PARTIAL_PARSE)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
