"""Commands in a second terminal while ``make dev`` runs in the first."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sync.http.network import DEVELOPMENT_SETTING
from sync.local.dev import _dagster
from sync.local.dev_settings import FILE, adopt, published
from sync.local.embedded.lifecycle import free_port
from tests.support.command_line import Command
from tests.support.waiting import wait_until

OWN = {DEVELOPMENT_SETTING: "127.0.0.1:8755", "WEBHOOKS_ACTIVATED_AT": "2026-03-01T00:00:00"}


def test_they_have_its_settings_while_it_runs_and_not_afterwards(tmp_path: Path) -> None:
    environ = {"LTW_HOME": str(tmp_path), "WEBHOOKS_ACTIVATED_AT": "2026-04-01T00:00:00"}
    with published(tmp_path, OWN):
        second = dict(environ)
        assert adopt(second) == {DEVELOPMENT_SETTING: "127.0.0.1:8755"}, "one's own count first"
        assert second == environ | {DEVELOPMENT_SETTING: "127.0.0.1:8755"}
        elsewhere = {"LTW_HOME": str(tmp_path / "other")}
        assert adopt(elsewhere) == {}
        assert adopt(snowflake() | {"LTW_HOME": str(tmp_path)}) == {}
    assert adopt(dict(environ)) == {}


@pytest.mark.parametrize("content", ["", "{}", "[]", "no JSON", '{"pid": "1", "settings": {}}'])
def test_a_file_that_is_none_of_ours_changes_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    assert adopt({"LTW_HOME": str(tmp_path)}) == {}


def test_a_killed_one_leaves_a_file_that_nobody_believes(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / FILE).write_text(json.dumps({"pid": ended.pid, "settings": OWN}))
    assert adopt({"LTW_HOME": str(tmp_path)}) == {}


def test_a_command_says_whose_settings_it_has(
    ltw: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTW_HOME", str(tmp_path))
    monkeypatch.delenv(DEVELOPMENT_SETTING, raising=False)
    # Restored with the test: the command sets it in this process.
    monkeypatch.setenv("WEBHOOKS_ACTIVATED_AT", "")
    with published(tmp_path, OWN):
        said = ltw("warehouse", "info", "--json")
        assert said.document["files"]
        assert f"taken from the running make dev: {DEVELOPMENT_SETTING}" in said.text
        assert os.environ[DEVELOPMENT_SETTING] == OWN[DEVELOPMENT_SETTING]
    monkeypatch.delenv(DEVELOPMENT_SETTING)


def test_a_second_make_dev_of_one_home_is_refused_and_stops_nothing(
    ltw: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTW_HOME", str(tmp_path))
    with published(tmp_path, {}):
        said = ltw("dev")
    assert said.code == 2
    assert f"is already running, as process {os.getpid()}" in said.text
    assert "LTW_RECEIVER_PORT and LTW_DAGSTER_PORT" in said.text


@pytest.mark.parametrize("setting", ["LTW_RECEIVER_PORT", "LTW_DAGSTER_PORT"])
def test_a_port_that_is_taken_is_named_with_its_setting(
    ltw: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        monkeypatch.setenv("LTW_HOME", str(tmp_path))
        monkeypatch.setenv("LTW_RECEIVER_PORT", str(free_port()))
        monkeypatch.setenv(setting, port)
        said = ltw("dev")
    assert said.code == 2
    assert f"cannot listen on port {port}" in said.text
    assert f"set {setting} to another" in said.text


def snowflake() -> dict[str, str]:
    parts = ("ACCOUNT", "USER", "ROLE", "WAREHOUSE", "DATABASE", "SCHEMA", "PRIVATE_KEY")
    return {f"SNOWFLAKE_{part}": "x" for part in parts}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_that_closes_stops_dagster_as_ctrl_c_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    stand_in = tmp_path / "dagster"
    stand_in.write_text("#!/bin/sh\necho started\nexec sleep 60\n", encoding="utf-8")
    stand_in.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    log = tmp_path / "dev.log"

    def interrupt() -> None:
        wait_until(lambda: log.exists() and "started" in log.read_text())
        os.kill(os.getpid(), number)

    before = signal.signal(number, signal.SIG_DFL)  # Under nohup SIGHUP is ignored, and stays so.
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(interrupt)
            assert _dagster(os.environ, 1, log) == 0
    finally:
        signal.signal(number, before)
