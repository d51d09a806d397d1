"""Progress output of laptop commands: steps of the demo, the output of ``make dev``."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from rich.console import Console

from sync.local.demo import Steps
from sync.local.dev_output import LONGEST, show
from tests.support.waiting import wait_until

RUN = "2026-11-29 03:32:09 +0000 - dagster - {} - learning_time_job - {}"
DAEMON = "\x1b[32m2026-11-29 03:32:09 +0000\x1b[0m - dagster.daemon - \x1b[34m{}\x1b[0m - {}"
SHOWN = (
    RUN.format("INFO", "37 completions recorded"),
    RUN.format("WARNING", "4 completions: no endpoint"),
    DAEMON.format("ERROR", "the code location cannot be loaded"),
    "Traceback (most recent call last):",
    "ImportError: no module named x",
)
KEPT = (
    "12 of 120 START sql view model staging.stg_lms__users ......... [RUN]",
    DAEMON.format("INFO", "Collected 1 runs for monitoring"),
    "Traceback (most recent call last):",
    "sqlglot.errors.ParseError: Expecting )",
)


def test_a_step_says_what_it_does_while_it_does_it_and_then_what_it_has_done() -> None:
    screen = StringIO()
    steps = Steps(Console(file=screen, force_terminal=True, color_system=None, width=80))
    with steps("loading the lines", "lines loaded"):
        wait_until(lambda: "loading the lines" in screen.getvalue())
        assert "lines loaded" not in screen.getvalue()
    assert "done lines loaded" in screen.getvalue()


def test_make_dev_shows_what_happens_and_keeps_the_rest_in_a_file(tmp_path: Path) -> None:
    selection = RUN.format("INFO", f"Running dbt command: `dbt build --select {'model ' * 500}`")
    said = [KEPT[0], *SHOWN, KEPT[1], *KEPT[2:], selection]
    terminal, log = StringIO(), tmp_path / "dev.log"

    show([f"{one}\n" for one in said], log, terminal)

    *lines, cut = terminal.getvalue().splitlines()
    assert [one.split(" - ")[-1] for one in lines] == [one.split(" - ")[-1] for one in SHOWN]
    assert len(cut) == LONGEST + 2
    assert log.read_text("utf-8").splitlines() == said
