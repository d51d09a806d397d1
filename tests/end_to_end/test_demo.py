"""The demo as a user runs it, in a separate process: its output, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sync.settings import PROJECT_ROOT
from tests.support.dbt import Dbt
from tests.support.processes import LTW, PROC, processes_of

BUDGET_SECONDS = 900
"""A limit against hangs, not the target, which is 45 s on two idle cores."""


@dataclass(frozen=True)
class Demo:
    """One finished demo."""

    document: dict[str, Any]
    progress: str
    scratch: Path
    left_running: list[str]

    @property
    def rounds(self) -> list[dict[str, Any]]:
        return self.document["rounds"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, dbt: Dbt) -> Demo:
    """Run it once, from a shell with unrelated settings."""
    scratch = tmp_path_factory.mktemp("demo")
    hostile = {
        "TMPDIR": str(scratch),
        "LTW_HOME": str(scratch / "not_this"),
        "LTW_WAREHOUSE_PORT": "1",
        "ENABLE_WEBHOOK_LEARNING_TIME_ENRICHMENT": "true",
        "WEBHOOKS_ACTIVATED_AT": "2001-01-01T00:00:00Z",
        # The clean clone, `make clone`, parses the project itself.
        "DBT_TARGET_PATH": str(dbt.prepare(tmp_path_factory.mktemp("demo_dbt"))),
    }
    process = subprocess.Popen(
        [*LTW, "demo", "--json"],
        cwd=PROJECT_ROOT,
        env=os.environ | hostile,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, progress = process.communicate(timeout=BUDGET_SECONDS)
    except subprocess.TimeoutExpired:
        # Killed, it could not stop its servers.
        process.send_signal(signal.SIGINT)
        out, progress = process.communicate(timeout=BUDGET_SECONDS)
    assert process.returncode == 0, progress
    return Demo(
        document=json.loads(out),
        progress=progress,
        scratch=scratch,
        left_running=processes_of(scratch),
    )


def test_the_flag_is_off_in_the_first_round_and_on_in_the_second(demo: Demo) -> None:
    assert [one["learning_time_enrichment"] for one in demo.rounds] == ["off", "on"]
    off, on = demo.rounds
    assert set(off["enrichment"]) == {"flag_off"}
    assert on["enrichment"]["found"] > 0


def test_each_round_finds_completions_and_accounts_for_all_of_them(demo: Demo) -> None:
    for one in demo.rounds:
        assert one["detected"] > 0
        assert sum(one["outcomes"].values()) == one["detected"]
        assert one["outcomes"]["delivered"] > 0
    assert demo.rounds[1]["tracking_log_lines"] > demo.rounds[0]["tracking_log_lines"] > 1_000


def test_it_shows_one_body_of_each_kind(demo: Demo) -> None:
    off, on = (one["bodies"] for one in demo.rounds)
    assert "learning_time" not in off["v2"]
    with_time = on["v2 with learning time"]
    assert with_time["learning_time"]["total_seconds"] > 0
    assert {key for key in with_time if key != "learning_time"} == set(off["v2"])


def test_it_shows_its_progress_beside_the_document(demo: Demo) -> None:
    built = ("dbt built the models", "dbt built and tested the models")
    for step in ("warehouse", "tracking logs loaded", *built, "enrichment on"):
        assert step in demo.progress


@pytest.mark.skipif(not PROC.is_dir(), reason="only Linux lists processes with their environment")
def test_it_leaves_nothing_running(demo: Demo) -> None:
    """No process is left, and so no port is in use."""
    assert demo.left_running == []


def test_it_leaves_nothing_on_disk(demo: Demo) -> None:
    assert list(demo.scratch.glob("learning-time-demo-*")) == []
    assert not (demo.scratch / "not_this").exists()
