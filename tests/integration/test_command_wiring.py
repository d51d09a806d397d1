"""What the commands that change nothing hand to the library: every option, in its place.

Those of operations are in ``tests/orchestration/test_operation_faces.py``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from sync.warehouse import Warehouse
from tests.support.command_line import Command, command_line
from tests.support.doubles import stopped


@pytest.fixture
def ltw(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    return command_line(monkeypatch, capfd)


def test_the_report_hands_on_its_days(ltw: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    double = stopped(monkeypatch, "sync.operations.report.figures.read_figures")
    assert ltw("report", "--days", "31").code == 1
    assert double.call_args.kwargs == {"days": 31}


def test_status_looks_into_the_journals_of_this_environment(
    ltw: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LTW_JOURNAL_DIR", str(tmp_path / "journal"))
    double = stopped(monkeypatch, "sync.operations.status.read_status")
    ltw("status")
    assert double.call_args.kwargs == {"journals": tmp_path / "journal"}
