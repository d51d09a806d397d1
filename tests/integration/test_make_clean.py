"""``make clean`` removes what runs have created, and none of the user's files."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sync.settings import PROJECT_ROOT

MADE_BY_RUNS = (
    "target/embedded/manifest.json",
    "target/logs/dbt.log",
    "logs/dbt.log",
    "logs/dbt.log.1",
    ".hypothesis/examples",
    ".tmp_dagster_home_x/history",
    ".local/warehouse/analytics.db",
    ".local/warehouse.log",
    ".local/dagster/history/runs.db",
    ".local/logs/0/tracking.log",
    ".local/receiver_secrets/webhook-signing-1",
    ".local/sample_start",
)
MADE_BY_PEOPLE = (
    "logs/my-tracking.log",
    "logs/old/tracking.log.gz",
    ".local/secrets/webhook-signing-7",
    ".local/journal/1.journal",
    ".local/reports/deliveries.html",
    ".local/notes.txt",
    "dagster_home/history/runs.db",
    "deploy/settings.env",
    "deploy/secrets/snowflake-private-key.p8",
)
ELSEWHERE = ("warehouse/analytics.db", "journal/1.journal")


@pytest.mark.parametrize("has_packages", [True, False], ids=["installed", "not installed"])
def test_make_clean_deletes_nothing_that_a_user_has_made(
    tmp_path: Path, *, has_packages: bool
) -> None:
    project, home = tmp_path / "project", tmp_path / "home"
    # Other processes may write compiled files meanwhile.
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT_ROOT / "sync", project / "sync", ignore=ignored)
    for name in ("Makefile", "dbt_project.yml"):
        shutil.copy(PROJECT_ROOT / name, project)
    if has_packages:
        (project / ".venv").symlink_to(PROJECT_ROOT / ".venv")
    for name in (*MADE_BY_RUNS, *MADE_BY_PEOPLE):
        write(project / name)
    for name in ELSEWHERE:
        write(home / name)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("LTW_", "PYTHON"))
    }
    subprocess.run(
        ["make", "--no-print-directory", "clean"],  # noqa: S607 - the command of the README
        cwd=project,
        # As in a shell configured for production.
        env=environment | {"LTW_HOME": str(home), "SNOWFLAKE_ACCOUNT": "example"},
        check=True,
        timeout=120,
    )
    left = {str(one.relative_to(project)) for one in project.rglob("*") if one.is_file()}
    assert left >= set(MADE_BY_PEOPLE)
    of_shell_alone = {one for one in MADE_BY_RUNS if not one.startswith((".local", "logs"))}
    gone = set(MADE_BY_RUNS) if has_packages else of_shell_alone
    assert not left & gone
    assert all((home / name).exists() for name in ELSEWHERE)


def test_make_clean_leaves_no_empty_directories(tmp_path: Path) -> None:
    from sync.local.cleaning import clean

    write(tmp_path / ".local" / "warehouse" / "analytics.db")
    write(tmp_path / "logs" / "dbt.log")
    clean(tmp_path)
    assert list(tmp_path.iterdir()) == []


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x", encoding="utf-8")
