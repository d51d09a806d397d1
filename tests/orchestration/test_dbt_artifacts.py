"""dbt's files: a damaged one is recreated, and leftovers of killed runs do not accumulate."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from dagster_dbt import DbtProject
from dbt.cli.main import dbtRunner

from orchestration.defs.dbt import project as dbt
from sync.errors import ConfigurationError
from sync.settings import PROJECT_ROOT, EmbeddedWarehouse

SETTINGS = EmbeddedWarehouse(port=1, home=Path("/nowhere"))
OP = "learning_time_models"
Damage = Callable[[Path], object]
SMALL_PROJECT = {
    "dbt_project.yml": "{name: learning_time_webhooks, profile: learning_time_webhooks, "
    "flags: {send_anonymous_usage_stats: false}}",
    "models/completed_enrollments.sql": (
        "{{ config(database='analytics', schema='marts') }} select 1 as user_id"
    ),
    "macros/names.sql": (
        "{% macro generate_schema_name(name, node) %}{{ name or target.schema }}{% endmacro %}"
    ),
}


def whole(**changes: str) -> str:
    """The checked part of a manifest."""
    mart = {"database": "analytics", "schema": "marts", "name": "completed_enrollments"}
    version = changes.pop("dbt_version", metadata.version("dbt-core"))
    nodes = {dbt.KNOWN_MART: mart | changes}
    return json.dumps({"metadata": {"dbt_version": version}, "nodes": nodes})


def written(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def old(path: Path) -> None:
    written(path, whole())
    os.utime(path, (0, 0))


def directory(path: Path) -> None:
    (path / "in_it").mkdir(parents=True)


DAMAGES: dict[str, Damage] = {
    "missing": lambda path: None,
    "empty": lambda path: written(path, ""),
    "cut off": lambda path: written(path, whole()[:-20]),
    "not JSON": lambda path: path.write_bytes(b"\x89PNG\xff"),
    "another document": lambda path: written(path, "[]"),
    "without nodes": lambda path: written(path, '{"metadata": {"dbt_version": "1.11.16"}}'),
    "of another dbt": lambda path: written(path, whole(dbt_version="1.10.0")),
    "of another database": lambda path: written(path, whole(database="production")),
    "of another schema": lambda path: written(path, whole(schema="staging_marts")),
    "older than the models": old,
    "a directory": directory,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_manifest_that_is_damaged_or_of_something_else_is_not_used(
    tmp_path: Path, damage: Damage
) -> None:
    manifest = tmp_path / "manifest.json"
    damage(manifest)
    assert not dbt.is_usable(manifest, SETTINGS)


def test_a_whole_manifest_is_used(tmp_path: Path) -> None:
    written(tmp_path / "manifest.json", whole())
    assert dbt.is_usable(tmp_path / "manifest.json", SETTINGS)


@pytest.fixture
def project(tmp_path: Path) -> DbtProject:
    return DbtProject(
        project_dir=PROJECT_ROOT,
        target="embedded",
        target_path=tmp_path,
    )


@pytest.fixture
def small_project(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> DbtProject:
    """One with the mart that a manifest is known by and no other model, for a real parse."""
    directory = tmp_path_factory.mktemp("project")
    for name, text in SMALL_PROJECT.items():
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        written(path, text)
    return DbtProject(project_dir=directory, target="embedded", target_path=tmp_path)


def test_damaged_files_are_made_anew_by_one_of_two_processes(
    small_project: DbtProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "manifest.json", whole()[:-20])
    written(tmp_path / dbt.PARTIAL_PARSE, "not this either")
    commands = []

    def counted(command: list[str], **options: Any) -> Any:
        commands.append(command)
        return run(command, **options)

    run = subprocess.run
    monkeypatch.setattr("orchestration.defs.dbt.project.subprocess.run", counted)
    parsed = (small_project, SETTINGS)
    both = [threading.Thread(target=dbt.parse, args=parsed) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert dbt.is_usable(small_project.manifest_path, SETTINGS)
    assert len(commands) == 1
    # dbt logs to the project by default, where a developer's own log may be.
    assert (tmp_path / "dbt.log").is_file()
    assert not (Path(small_project.project_dir) / "logs").exists()


def dbt_in_this_process(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """The output of the process, without its start."""
    done = dbtRunner().invoke(command[1:])
    return subprocess.CompletedProcess(command, not done.success, "", str(done.exception or ""))


def test_files_that_cannot_be_written_are_named_with_the_command(
    small_project: DbtProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.defs.dbt.project.subprocess.run", dbt_in_this_process)
    directory(tmp_path / "manifest.json")
    with pytest.raises(ConfigurationError, match=re.escape(f"rm -r {tmp_path}")) as error:
        dbt.parse(small_project, SETTINGS)
    assert "manifest.json" in str(error.value)
    shutil.rmtree(tmp_path)
    tmp_path.write_text("not a directory", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=re.escape(f"rm -r {tmp_path}")):
        dbt.parse(small_project, SETTINGS)


def test_a_build_removes_its_files_and_what_a_killed_run_left(
    project: DbtProject, tmp_path: Path
) -> None:
    killed, at_work, kept = (tmp_path / name for name in (f"{OP}-1", f"{OP}-2", "logs"))
    for one in (killed, at_work, kept):
        one.mkdir()
        written(one / "dbt.log", "said")
    long_ago = time.time() - dbt.LONGEST_BUILD.total_seconds() - 60
    for path in (killed, killed / "dbt.log", at_work, kept, kept / "dbt.log"):
        os.utime(path, (long_ago, long_ago))
    with dbt.artifacts_directory(project, "3", OP) as own:
        written(own / "run_results.json", "{}")
    left = {one.name for one in tmp_path.iterdir()}
    assert left == {at_work.name, kept.name}


BUILDS = """
import sys
from types import SimpleNamespace
from pathlib import Path
from orchestration.defs.dbt import project as dbt
project = SimpleNamespace(manifest_path=Path(sys.argv[1]) / "manifest.json")
with dbt.artifacts_directory(project, "1", sys.argv[2]) as directory:
    print(directory.name, flush=True)
    sys.stdin.read()
"""


def test_a_build_removes_at_once_what_a_killed_run_left_and_nothing_of_a_living_one(
    project: DbtProject, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", BUILDS, str(tmp_path), OP]
    with subprocess.Popen(
        command, cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{OP}-1\n"
        with dbt.artifacts_directory(project, "2", OP):
            assert (tmp_path / f"{OP}-1").is_dir()
        process.kill()
    with dbt.artifacts_directory(project, "3", OP):
        assert [one.name for one in tmp_path.iterdir()] == [f"{OP}-3"]
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_parse_state_stops_no_build(project: DbtProject, tmp_path: Path) -> None:
    (tmp_path / dbt.PARTIAL_PARSE).mkdir()
    with dbt.artifacts_directory(project, "1", OP) as own:
        assert [one.name for one in own.iterdir()] == [dbt.RUN_LOCK]


def test_what_a_build_had_to_parse_anew_is_there_for_the_next(
    project: DbtProject, tmp_path: Path
) -> None:
    state = tmp_path / dbt.PARTIAL_PARSE
    with dbt.artifacts_directory(project, "1", OP) as own:
        written(own / dbt.PARTIAL_PARSE, "of this port")
    assert state.read_text("utf-8") == "of this port"

    def fail() -> None:
        with dbt.artifacts_directory(project, "2", OP) as own:
            written(own / dbt.PARTIAL_PARSE, "of this")
            raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        fail()
    assert state.read_text("utf-8") == "of this port", "a failed one may have been cut off"
