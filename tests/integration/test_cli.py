"""The command line as a user sees it: its output and exit code."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from sync import cli
from sync.local.embedded.lifecycle import Running, Stopped, free_port, status, stop
from sync.settings import PROJECT_ROOT, EmbeddedWarehouse
from sync.warehouse import Warehouse
from tests.support.command_line import Command
from tests.support.doubles import stopped

LINE = '{"name":"play_video","event_source":"browser"}\n'


def write(path: Path, content: str) -> Path:
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
    return path


def test_load_logs_tells_what_became_of_each_file(
    ltw: Command, warehouse: Warehouse, tmp_path: Path
) -> None:
    plain = write(tmp_path / "tracking.log", LINE * 3)
    packed = write(tmp_path / "tracking[red].log-20260304.gz", LINE * 2)
    empty = write(tmp_path / "empty.log", "")
    first = ltw("load-logs", plain, packed, empty)
    assert first.code == 0
    assert f"{plain}: 3 lines" in first.text
    assert f"{packed}: 2 lines" in first.text
    assert "empty.log: it is empty" in first.text
    again = ltw("load-logs", plain)
    assert again.code == 0
    assert "already loaded at" in again.text
    rows = warehouse.rows("select count(*) as n from raw.tracking.tracking_logs")
    assert rows == [{"n": 5}]


def test_load_logs_as_json_is_one_document(
    ltw: Command, warehouse: Warehouse, tmp_path: Path
) -> None:
    path = write(tmp_path / "tracking.log", LINE)
    loaded, skipped = ltw("load-logs", "--json", path, path).document["files"]
    assert loaded == {"file": str(path), "outcome": "loaded", "lines": 1, "cut_lines": 0}
    assert skipped["outcome"] == "skipped"
    assert "already loaded" in skipped["reason"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        pytest.param("plain.gz", LINE, "is named .gz but is not gzip", id="not gzip"),
        pytest.param("a.log", None, "does not exist", id="missing"),
    ],
)
def test_a_file_that_cannot_be_loaded_ends_with_1_and_is_named(
    ltw: Command, warehouse: Warehouse, tmp_path: Path, name: str, content: str | None, said: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    ended = ltw("load-logs", path)
    assert ended.code == 1
    assert ended.out == ""
    assert said in ended.text
    assert name in ended.text


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["load-logs"], id="no file"),
        pytest.param(["no-such-command"], id="unknown command"),
        pytest.param(["status", "--jsn"], id="unknown option"),
    ],
)
def test_bad_usage_ends_with_2(ltw: Command, arguments: list[str]) -> None:
    assert ltw(*arguments).code == 2


@pytest.mark.parametrize(
    "command", [["status"], ["load-logs", "x.log"], ["warehouse", "info"], ["dev"]]
)
def test_a_half_configured_environment_ends_with_2_and_lists_what_is_missing(
    ltw: Command, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("SNOWFLAKE_ACCOUNT", "example")
    ended = ltw(*command)
    assert ended.code == 2
    assert "SNOWFLAKE_USER" in ended.text


def test_commands_of_the_embedded_warehouse_refuse_a_snowflake_configuration(
    ltw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ACCOUNT", "USER", "ROLE", "WAREHOUSE", "DATABASE", "SCHEMA", "PRIVATE_KEY"):
        monkeypatch.setenv(f"SNOWFLAKE_{name}", "example")
    for command in (["warehouse", "start"], ["warehouse", "stop"], ["dev"]):
        ended = ltw(*command)
        assert ended.code == 2
        assert "unset" in ended.text


def test_status_before_anything_was_built_or_sent(ltw: Command, warehouse: Warehouse) -> None:
    assert "never built" in ltw("status").text
    document = ltw("status", "--json").document
    assert document["states"] == document["held_by_reason"] == {}
    assert (document["oldest_due_at"], document["computed_through"]) == (None, None)
    assert (document["due_now"], document["dead"], document["replays_waiting"]) == (0, 0, 0)


def test_sql_shows_rows_as_a_table_or_as_json(ltw: Command, warehouse: Warehouse) -> None:
    statement = "select 7 as seven, null as nothing"
    shown = ltw("warehouse", "sql", statement)
    assert "seven" in shown.out
    assert "1 row\n" in shown.out
    assert ltw("warehouse", "sql", "--json", statement).document == {
        "rows": [{"seven": 7, "nothing": None}]
    }
    assert "no rows" in ltw("warehouse", "sql", "select 1 where false").out


@pytest.mark.parametrize(
    "statement",
    [
        "delete from analytics.sync.webhook_outbox",
        "/* select */ -- select\n(update a set b = 1)",
        "",
        "execute immediate 'select 1'",
        "selection",
    ],
)
def test_sql_changes_something_only_when_it_is_asked_to(ltw: Command, statement: str) -> None:
    ended = ltw("warehouse", "sql", statement)
    assert ended.code == 2
    assert "--write" in ended.text


def test_sql_writes_with_write(ltw: Command, warehouse: Warehouse) -> None:
    assert (
        ltw("warehouse", "sql", "--write", "create table analytics.public.made (n int)").code == 0
    )
    assert ltw("warehouse", "sql", " (SELECT n FROM analytics.public.made)").code == 0


def test_a_missing_raw_table_is_not_said_to_be_a_mart(ltw: Command, warehouse: Warehouse) -> None:
    asked = ("warehouse", "sql", "select * from {}")
    raw = ltw(*asked[:2], asked[2].format("raw.lms.nowhere")).text
    mart = ltw(*asked[:2], asked[2].format("analytics.marts.nowhere")).text
    assert ("replication of the LMS" in raw, "build the models" in raw) == (True, False)
    assert ("replication of the LMS" in mart, "build the models" in mart) == (False, True)


def test_what_is_no_tracking_log_is_loaded_only_by_force(
    ltw: Command, warehouse: Warehouse, tmp_path: Path
) -> None:
    other = write(tmp_path / "README.md", "# A project\n\nof text\n" + LINE)
    half = write(tmp_path / "half.log.gz", "a traceback\n" + LINE)
    refused = ltw("load-logs", other, half)
    assert refused.code == 1
    assert "1 of its first 3 lines look like tracking events" in refused.text
    assert f"{half}: 2 lines" in refused.text, "half of them is enough"
    assert "1 of its first 2 lines look like tracking events" in refused.text
    assert ltw("load-logs", "--force", other).code == 0
    assert ltw("load-logs", write(tmp_path / "clean.log", LINE * 2)).text.count("look like") == 0


def test_a_refused_statement_ends_with_1_and_the_engine_s_words(
    ltw: Command, warehouse: Warehouse
) -> None:
    ended = ltw("warehouse", "sql", "select * from nowhere[0]")
    assert ended.code == 1
    assert "nowhere" in ended.text.lower()


def test_the_embedded_warehouse_starts_tells_its_parameters_and_stops(
    ltw: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = EmbeddedWarehouse(port=free_port(), home=tmp_path)
    monkeypatch.setenv("LTW_HOME", str(tmp_path))
    monkeypatch.setenv("LTW_WAREHOUSE_PORT", str(settings.port))
    try:
        assert ltw("warehouse", "info", "--json").document["running"] is False
        assert "no embedded warehouse" in ltw("warehouse", "stop").text
        assert str(settings.port) in ltw("warehouse", "start").text
        assert isinstance(status(settings.port), Running)
        info = ltw("warehouse", "info", "--json").document
        assert (info["running"], info["host"], info["port"]) == (True, "127.0.0.1", settings.port)
        assert str(settings.port) in ltw("warehouse", "info").text
        assert "stopped" in ltw("warehouse", "stop").text
        assert isinstance(status(settings.port), Stopped)
        assert "started the embedded warehouse" in ltw("status").err, "it stays when this ends"
        assert "started the embedded warehouse" not in ltw("status").err
    finally:
        stop(settings)


def test_an_interrupted_command_ends_with_130(
    ltw: Command, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sync.operations.status.read_status", interrupted)
    assert ltw("status").code == 130


def test_the_program_tells_its_version(ltw: Command) -> None:
    assert re.fullmatch(r"\d+\.\d+\S*\n", ltw("--version").out)


@pytest.mark.parametrize(
    "program",
    [
        pytest.param([Path(sys.executable).with_name("learning-time-webhooks")], id="installed"),
        pytest.param([sys.executable, "-m", "sync"], id="as a module"),
    ],
)
def test_the_program_responds(program: list[str]) -> None:
    """Run in a separate process."""
    done = subprocess.run(
        [*program, "--help"],
        cwd=PROJECT_ROOT,
        env=os.environ | {"COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "load-logs" in done.stdout


def test_the_report_hands_on_its_days(
    ltw: Command, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = stopped(monkeypatch, "sync.operations.report.figures.read_figures")
    assert ltw("report", "--days", "31").code == 1
    assert double.call_args.kwargs == {"days": 31}


def test_status_looks_into_the_journals_of_this_environment(
    ltw: Command, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LTW_JOURNAL_DIR", str(tmp_path / "journal"))
    double = stopped(monkeypatch, "sync.operations.status.read_status")
    ltw("status")
    assert double.call_args.kwargs["journals"] == tmp_path / "journal"


def test_the_help_of_a_group_names_each_of_its_commands(ltw: Command) -> None:
    told = ltw("--help").text
    for group in ("endpoints", "formats"):
        listed = ltw(group, "--help").out.split("Commands:", 1)[1]
        names = re.findall(r"^  ([a-z]+) ", listed, flags=re.MULTILINE)
        assert "list" in names
        (line,) = re.findall(rf" {group} ([^.]*)\.", told)
        assert set(names) <= set(re.findall(r"[a-z]+", line))


def test_no_help_cuts_a_name_or_a_sentence_at_80_columns(
    ltw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    seen = set()
    waiting: list[tuple[tuple[str, ...], Any]] = [((), typer.main.get_command(cli.app))]
    for words, command in waiting:
        told = ltw(*words, "--help").out
        assert max(map(len, told.splitlines())) <= 80
        _, _, described = told.partition("\n\n")
        assert not re.search(r"…|\.\.\.$", described, flags=re.MULTILINE)
        for option in (one for parameter in command.params for one in parameter.opts):
            if option.startswith("-"):
                assert option in told
                seen.add(option)
        waiting += [((*words, name), one) for name, one in getattr(command, "commands", {}).items()]
    assert "--only-enrollment-modes" in seen
