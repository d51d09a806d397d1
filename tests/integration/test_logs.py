"""Log lines of real delivery runs: what they report, and that they never name a learner."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sync import logs
from sync.delivery.send import send_due
from sync.errors import ConfigurationError
from sync.http.transport import Transport
from sync.operations.watching import MOST_LINES, Watch
from sync.settings import PROJECT_ROOT
from sync.warehouse import Warehouse
from tests.support.delivery import Run
from tests.support.processes import LTW
from tests.support.receiver_process import ReceiverProcess, receiver_process
from tests.support.scenarios import Scenarios
from tests.support.telemetry import listening
from tests.support.watched import CANARIES, NO_SETTING, PER_ENDPOINT, built_run, deliver


@pytest.fixture(scope="module")
def target() -> Iterator[ReceiverProcess]:
    with receiver_process() as running:
        yield running


@pytest.fixture
def run(scenarios: Scenarios, warehouse: Warehouse, target: ReceiverProcess, tmp_path: Path) -> Run:
    return built_run(scenarios, warehouse, target, tmp_path)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@pytest.fixture(autouse=True)
def quiet_again() -> Iterator[None]:
    yield
    logs.configure(NO_SETTING)


def test_each_failure_is_one_json_line_with_run_webhook_endpoint_and_outcome(
    warehouse: Warehouse, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    deliver(warehouse, run, {"LTW_LOG_FORMAT": "json"})
    found = lines(capsys.readouterr().out)
    attempts = [one for one in found if one["event"] == "attempt"]
    logged = {
        row["webhook_id"]: row
        for row in warehouse.rows("select * from analytics.sync.webhook_attempts")
        if row["outcome"] != "delivered"
    }
    assert {one["webhook_id"] for one in attempts} == logged.keys()
    for one in attempts:
        row = logged[one["webhook_id"]]
        assert one["run_id"] == run.run_id
        assert one["endpoint_id"] == row["endpoint_id"]
        assert one["outcome"] == row["outcome"]
        assert one["status"] == row["status_code"]
        assert one["error_kind"] == row["error_kind"]
        assert one["attempt"] == row["attempt_number"]
    totals = {one["outcome"]: one["count"] for one in found if one["event"] == "attempts"}
    assert totals == {"delivered": 3, "retry": 3, "dead": len(logged) - 3}


def test_at_level_debug_the_delivered_ones_have_lines_too(
    warehouse: Warehouse, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    deliver(warehouse, run, {"LTW_LOG_FORMAT": "json", "LTW_LOG_LEVEL": "debug"})
    found = [one for one in lines(capsys.readouterr().out) if one["event"] == "attempt"]
    delivered = [one for one in found if one["outcome"] == "delivered"]
    assert [one["level"] for one in delivered] == ["debug"] * PER_ENDPOINT


def test_without_the_setting_nothing_is_written(
    warehouse: Warehouse, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    deliver(warehouse, run, NO_SETTING)
    assert lines(capsys.readouterr().out) == []


def test_neither_lines_nor_metrics_nor_spans_name_a_learner_or_a_secret(
    warehouse: Warehouse, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with listening() as heard:
        deliver(warehouse, run, {"LTW_LOG_FORMAT": "json", "LTW_LOG_LEVEL": "DEBUG"})
        said = heard.everything() + capsys.readouterr().out
    assert [canary for canary in CANARIES if canary in said] == []
    assert run.run_id in said, "the search looks at something"


def test_a_field_that_has_no_place_in_a_line_is_refused() -> None:
    with pytest.raises(ValueError, match="email"):
        logs.write("x", email="learner@example.com")


def test_a_hundred_thousand_failures_do_not_flood_the_log(
    warehouse: Warehouse, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure({"LTW_LOG_FORMAT": "json"})
    watch = Watch("run-1", lines=MOST_LINES - 1)
    with Transport(policy=run.policy) as transport:
        report = send_due(warehouse, run.sender(warehouse, transport), on_batch=watch.batch)
    watch.delivered(warehouse, report)
    found = lines(capsys.readouterr().out)
    assert len([one for one in found if one["event"] == "attempt"]) == 1
    (left_out,) = [one["count"] for one in found if one["outcome"] == "not_logged"]
    failures = report.outcomes.total() - report.outcomes["delivered"]
    assert left_out == failures - 1


@pytest.mark.parametrize(
    ("setting", "value"), [("LTW_LOG_FORMAT", "jsonl"), ("LTW_LOG_LEVEL", "loud")]
)
def test_a_setting_that_means_nothing_is_named(setting: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        logs.configure({"LTW_LOG_FORMAT": "json", setting: value})


def test_a_line_of_dagster_tells_its_run_and_step() -> None:
    record = logging.LogRecord("dagster", logging.INFO, "", 0, "run - step - said", None, None)
    record.dagster_meta = {"run_id": "r1", "step_key": "s1", "orig_message": "said"}
    line = json.loads(logs.json_formatter().format(record))
    assert (line["run_id"], line["step"], line["message"]) == ("r1", "s1", "said")


def test_an_exception_is_its_type_and_text_without_a_traceback() -> None:
    try:
        raise ValueError("no such row")
    except ValueError:
        record = logging.LogRecord("sync", logging.ERROR, "", 0, "said", None, sys.exc_info())
    line = logs.json_formatter().format(record)
    assert json.loads(line)["error"] == "ValueError: no such row"
    assert "Traceback" not in line


def test_a_command_ends_with_one_line_that_has_its_exit_code() -> None:
    done = subprocess.run(
        [*LTW, "endpoints", "disable", "no-number"],
        cwd=PROJECT_ROOT,
        env=os.environ | {"LTW_LOG_FORMAT": "json"},
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = lines(done.stderr)
    assert (line["command"], line["exit_code"]) == ("endpoints disable", 2)
