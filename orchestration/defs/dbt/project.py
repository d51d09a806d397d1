"""The dbt project for Dagster: its manifest, its command and where a build writes."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path

from dagster_dbt import DbtCliResource, DbtProject
from packaging.version import Version

from sync.errors import ConfigurationError
from sync.settings import PROJECT_ROOT, WarehouseSettings, load_settings, model_relation

PARTIAL_PARSE = "partial_parse.msgpack"
RUN_LOCK = "run.lock"
"""In the artifacts of a run, held while the run is alive."""
KNOWN_MART = "model.learning_time_webhooks.completed_enrollments"
"""Its relation shows for which database and schema a manifest was parsed."""
LONGEST_BUILD = timedelta(hours=3)
"""``max_runtime_seconds`` in deploy/dagster.yaml stops a run after two."""


@cache
def dbt_project() -> DbtProject:
    """The project at the repository root; each target has its own manifest, so none is stale."""
    settings = load_settings(os.environ)
    target = settings.dbt_target
    project = DbtProject(
        project_dir=PROJECT_ROOT,
        target=target,
        target_path=Path(os.environ.get("DBT_TARGET_PATH") or PROJECT_ROOT / "target" / target),
    )
    if not is_usable(project.manifest_path, settings):
        parse(project, settings)
    return project


def is_usable(manifest: Path, settings: WarehouseSettings) -> bool:
    """Whether the manifest is complete and from this dbt, this warehouse's schemas and these files.

    An image build copies the sources first, so its manifest is newest and nothing is parsed.
    """
    try:
        document = json.loads(manifest.read_bytes())
        version = document["metadata"]["dbt_version"]
        mart = document["nodes"][KNOWN_MART]
        named = f"{mart['database']}.{mart['schema']}.{mart['name']}".upper()
        built = manifest.stat().st_mtime
    # A file that is truncated, empty or foreign; a directory.
    except (OSError, ValueError, LookupError, TypeError):
        return False
    sources = [PROJECT_ROOT / "dbt_project.yml", PROJECT_ROOT / "profiles.yml"]
    sources += (PROJECT_ROOT / "dbt_project").rglob("*")
    return (
        version == metadata.version("dbt-core")
        and named == model_relation(settings, "marts", mart["name"])
        and all(path.stat().st_mtime <= built for path in sources)
    )


def parse(project: DbtProject, settings: WarehouseSettings) -> None:
    """Write the manifest, which needs no warehouse. In production, the image build does it.

    If several processes start at once, one parses: the others find a missing or truncated manifest,
    wait for the lock and use the result.

    Raises:
        ConfigurationError: dbt cannot parse the project, with its output; or the files cannot be
        written, with what to remove.
    """
    directory = project.manifest_path.parent
    command = [dbt_executable(), "--quiet", "parse", "--target", str(project.target)]
    command += ["--project-dir", str(project.project_dir)]
    command += ["--target-path", str(directory), "--log-path", str(directory)]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / "parse.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if is_usable(project.manifest_path, settings):
                return
            done = subprocess.run(
                command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
            )
            problem = done.stdout + done.stderr if done.returncode else ""
    except OSError as error:
        problem = f"{error.strerror}: {error.filename}"
    if problem:
        raise ConfigurationError(
            f"dbt cannot parse the project into {directory}:\n{problem}\nIf the files there are "
            f"damaged, remove them with: rm -r {directory}; or set DBT_TARGET_PATH to another one"
        )


# The launchpad shows this docstring to operators.
class DbtCli(DbtCliResource):
    """How dbt is called. The project sets every field: do not change them."""

    @cached_property
    def _cli_version(self) -> Version:
        # The parent calls ``dbt --version`` in every run, which takes 4 s and checks the network
        # for a newer release; the installed package has the same answer immediately.
        return Version(metadata.version("dbt-core"))


def dbt_cli(project: DbtProject) -> DbtCli:
    """dbt of this interpreter's environment."""
    return DbtCli(
        project_dir=str(project.project_dir),
        target=project.target,
        dbt_executable=dbt_executable(),
    )


def dbt_executable() -> str:
    """dbt of this interpreter's environment, whether or not it is activated."""
    return str(Path(sys.executable).with_name("dbt"))


@contextmanager
def artifacts_directory(project: DbtProject, run_id: str, op_name: str) -> Iterator[Path]:
    """Where one dbt invocation writes; removed afterwards, since each would leave 6 MB behind.

    It starts with the parse state stored next to the manifest, which saves 5 s per run; if that is
    of another port or target, dbt parses again, and the new state replaces the old one. The next
    run removes files of a run that was killed or whose dbt kept writing after it."""
    manifest_directory = project.manifest_path.parent
    _remove_leftovers(manifest_directory, op_name)
    directory = manifest_directory / f"{op_name}-{run_id}"
    directory.mkdir(parents=True, exist_ok=True)
    parsed = manifest_directory / PARTIAL_PARSE
    if parsed.is_file():
        shutil.copy(parsed, directory / PARTIAL_PARSE)
    with (directory / f"{RUN_LOCK}-new").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Renamed only now: under this name, a free lock belongs to a dead run.
        Path(lock.name).rename(directory / RUN_LOCK)
        try:
            yield directory
            with suppress(OSError):
                (directory / PARTIAL_PARSE).replace(parsed)
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def _remove_leftovers(directory: Path, op_name: str) -> None:
    """Remove artifacts whose run is dead, or that were not written to for longer than a run may
    take. A dbt that outlives its run recreates its directory if it is missing."""
    oldest = time.time() - LONGEST_BUILD.total_seconds()
    for one in directory.glob(f"{op_name}-*"):
        with suppress(OSError):
            is_old = max(path.stat().st_mtime for path in (one, *one.iterdir())) < oldest
            if is_old or _is_free(one / RUN_LOCK):
                shutil.rmtree(one)


def _is_free(lock: Path) -> bool:
    """Whether there is such a lock and nobody holds it."""
    try:
        with lock.open() as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):
        return False
    return True
