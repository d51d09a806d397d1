"""The steps that build the image, executed in a clean virtual environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sync.local.sandbox import OWN_SETTINGS
from sync.settings import PROJECT_ROOT
from tests.support.dockerfile import DOCKERFILE, read

pytestmark = pytest.mark.prove
BUILD = 0
DEFAULTS = {"SNOWFLAKE_DATABASE": "ANALYTICS", "SNOWFLAKE_SCHEMA": "PUBLIC"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root directory of the first stage after all its steps."""
    root = tmp_path_factory.mktemp("image")
    app = root / "app"
    app.mkdir()
    # Keep the machine's package index settings, but not this project's settings.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith((*OWN_SETTINGS, "PYTHON"))
    }
    for one in read(DOCKERFILE):
        if one.stage != BUILD:
            continue
        if one.name == "ENV":
            environment |= dict(word.split("=", 1) for word in one.words)
        elif one.name == "ARG":
            environment |= dict([one.text.split("=", 1)])
        elif one.name == "COPY":
            *sources, target = one.words
            for source in sources:
                copy(PROJECT_ROOT / source, app / (source if target == "./" else target))
        elif one.name == "RUN":
            step = one.text.replace("/opt/venv", str(root / "venv")).replace("/app", str(app))
            done = subprocess.run(
                ["/bin/sh", "-ec", step],
                cwd=app,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{one.text}\n{done.stdout}{done.stderr}"
    return root


def copy(source: Path, target: Path) -> None:
    """Copy like Docker, with file times, which Dagster's staleness check uses."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    else:
        shutil.copy2(source, target)


def test_the_manifest_names_the_relations_of_the_deployment(built: Path) -> None:
    manifest = json.loads((built / "app/target/snowflake/manifest.json").read_text())
    assert {node["database"] for node in manifest["nodes"].values()} == {"ANALYTICS"}
    assert "marts" in {node["schema"] for node in manifest["nodes"].values()}


def test_the_definitions_load_in_the_image_and_parse_nothing_again(built: Path) -> None:
    manifest = built / "app/target/snowflake/manifest.json"
    before = manifest.stat().st_mtime_ns
    settings = {
        "PATH": os.environ["PATH"],
        "HOME": str(built),
        "DBT_TARGET": "snowflake",
        "LTW_HOME": str(built / "home"),
        **{f"SNOWFLAKE_{name}": "X" for name in ("ACCOUNT", "USER", "ROLE", "WAREHOUSE")},
        **DEFAULTS,
        "SNOWFLAKE_PRIVATE_KEY_PATH": "/nowhere.p8",
    }
    code = "from orchestration.definitions import defs; defs().resolve_job_def('learning_time_job')"
    done = subprocess.run(
        [built / "venv/bin/python", "-c", code],
        cwd=built / "app",
        env=settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert manifest.stat().st_mtime_ns == before


def test_without_its_settings_the_image_says_so_and_uses_no_other_warehouse(built: Path) -> None:
    done = subprocess.run(
        [built / "venv/bin/learning-time-webhooks", "status"],
        cwd=built / "app",
        env={"PATH": os.environ["PATH"], "HOME": str(built), "DBT_TARGET": "snowflake"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "SNOWFLAKE_ACCOUNT" in done.stderr
