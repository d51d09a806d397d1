"""``make dev``: three servers that come up together and go down together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from sync.local.embedded.lifecycle import Running, Stopped, free_port, status
from sync.settings import PROJECT_ROOT
from tests.support.dbt import Dbt
from tests.support.processes import LTW, processes_of

START_SECONDS = 150.0
STOP_SECONDS = 60.0


def fetch(url: str) -> str | None:
    """The page, or None while nobody responds."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, OSError):
        return None


def test_all_three_respond_and_one_interrupt_ends_all_three(tmp_path: Path, dbt: Dbt) -> None:
    warehouse, receiver, dagster = free_port(), free_port(), free_port()
    environment = os.environ | {
        "LTW_HOME": str(tmp_path / "home"),
        "LTW_WAREHOUSE_PORT": str(warehouse),
        "LTW_RECEIVER_PORT": str(receiver),
        "LTW_DAGSTER_PORT": str(dagster),
        "DBT_TARGET_PATH": str(dbt.prepare(tmp_path / "dbt")),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    log = tmp_path / "dev.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*LTW, "dev"],
            cwd=PROJECT_ROOT,
            env=environment,
            stdout=output,
            stderr=output,
            # A terminal sends Ctrl-C to the whole group; a group of our own stands in for it.
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        info = None
        while info is None and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
            info = fetch(f"http://127.0.0.1:{dagster}/server_info")
        assert info is not None, f"the Dagster UI did not respond:\n{log.read_text()}"
        assert "dagster_version" in json.loads(info)
        page = fetch(f"http://127.0.0.1:{receiver}/")
        assert page is not None
        assert "<html" in page
        assert isinstance(status(warehouse), Running)

        os.killpg(process.pid, signal.SIGINT)
        code = process.wait(STOP_SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert code in (0, 130), log.read_text()
    assert isinstance(status(warehouse), Stopped)
    assert fetch(f"http://127.0.0.1:{receiver}/") is None
    assert fetch(f"http://127.0.0.1:{dagster}/server_info") is None
    # Dagster's code server ends by itself when it no longer hears from the others.
    deadline = time.monotonic() + STOP_SECONDS
    while (left := processes_of(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []
