"""The dbt models as assets, their tests as checks, in two groups: the number and the deliveries."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, DbtProject, dbt_assets
from dagster_dbt.core.dbt_event_iterator import DbtEventIterator
from packaging.version import Version

from orchestration.config import DeliveryModelsConfig, ModelsConfig
from orchestration.dbt_translator import Translator
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


# The launchpad shows this docstring to operators.
class DbtCli(DbtCliResource):
    """How dbt is called. The project sets all of it: leave it as it is."""

    @cached_property
    def _cli_version(self) -> Version:
        # The parent asks ``dbt --version`` in every run, which takes 4 s and looks for a newer
        # release on the network; the installed package says the same at once.
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
        yield from _build(
            context,
            dbt,
            warehouse,
            full_refresh=config.full_refresh,
            # A run of a part of the graph drops the exclusion above, and dbt would then run the
            # tests that also read the delivery models, which do not exist before the first run.
            exclude=[DELIVERY_TAG],
            row_counts=config.with_row_counts,
            column_lineage=config.with_column_lineage,
        )

    @dbt_assets(
        name="delivery_models",
        manifest=project.manifest_path,
        project=project,
        select=DELIVERY_TAG,
        dagster_dbt_translator=Translator(),
        pool=WAREHOUSE_POOL,
    )
    def delivery_models(
        context: dg.AssetExecutionContext,
        dbt: DbtCliResource,
        warehouse: WarehouseResource,
        config: DeliveryModelsConfig,
    ) -> Iterator[Any]:
        yield from _build(
            context,
            dbt,
            warehouse,
            full_refresh=False,
            # They are views: there are no rows of theirs to count.
            row_counts=False,
            column_lineage=config.with_column_lineage,
        )

    return learning_time_models, delivery_models


class ModelEvents(DbtEventIterator[Any]):
    """Events of a build, with metadata added to models only.

    The parent also asks for the columns of every data test, which have no table: an error with a
    traceback in the run's log for each of them.
    """

    def _attach_metadata(
        self, fn: Callable[[Any, Any], dict[str, Any] | None]
    ) -> DbtEventIterator[Any]:
        def of_models(invocation: Any, event: Any) -> dict[str, Any] | None:
            return fn(invocation, event) if isinstance(event, dg.Output) else None

        return super()._attach_metadata(of_models)


def _build(
    context: dg.AssetExecutionContext,
    dbt: DbtCliResource,
    warehouse: WarehouseResource,
    *,
    full_refresh: bool,
    row_counts: bool,
    column_lineage: bool,
    exclude: Sequence[str] = (),
) -> Iterator[Any]:
    with warehouse.session(purpose="prepare"):
        pass
    # Unit tests prove the SQL on made-up rows: the suite runs them, a scheduled build need not.
    arguments = ["build", "--exclude-resource-type", "unit_test"]
    arguments += ["--full-refresh"] if full_refresh else []
    for one in exclude:
        arguments += ["--exclude", one]
    op_name = context.op_execution_context.op.name
    with artifacts_directory(dbt_project(), context.run.run_id, op_name) as directory:
        invocation = dbt.cli(arguments, context=context, target_path=directory)
        events = ModelEvents(invocation.stream(), dbt_cli_invocation=invocation)
        if column_lineage:
            events = events.fetch_column_metadata()
        if row_counts:
            events = events.fetch_row_counts()
        yield from events


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
