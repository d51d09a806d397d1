"""What the commands that change nothing hand to the library: every option, in its place.

Those of operations are in ``tests/orchestration/test_operation_faces.py``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sync.delivery.build import EnrichmentPolicy
from sync.domain.event_types import COMPLETIONS, ENROLLMENTS
from sync.domain.rollout import Rollout
from sync.warehouse import Warehouse
from tests.support.command_line import Command, command_line
from tests.support.completions import ENTERPRISE
from tests.support.doubles import stopped

MARCH, APRIL = datetime(2026, 3, 1), datetime(2026, 4, 1)
BETWEEN = ("--since", "2026-03-01", "--until", "2026-04-01T02:00:00+02:00")
BY = ("--requested-by", "ticket 4711")
POLICY = EnrichmentPolicy(
    enabled=True,
    max_wait=timedelta(minutes=11),
    rollout=Rollout(37, frozenset([ENTERPRISE])),
    is_shadow_looked_up=True,
)
PREVIEWED = {
    "policy": POLICY,
    "sources": (COMPLETIONS, ENROLLMENTS),
    "activated_at": MARCH,
    "mass_send_limit": 17,
}
COMMANDS: dict[str, tuple[tuple[str, ...], str, dict[str, object]]] = {
    "preview": (
        (
            "preview",
            "--enrich",
            "--rollout-percentage",
            "37",
            "--enterprise",
            ENTERPRISE,
            "--max-wait-minutes",
            "11",
            "--activated-at",
            "2026-03-01",
            "--mass-send-limit",
            "17",
            "--enrollments",
        ),
        "sync.operations.preview.preview",
        PREVIEWED,
    ),
    "preview with the flag off": (
        ("preview", "--no-enrich"),
        "sync.operations.preview.preview",
        {"sources": (COMPLETIONS,), "activated_at": None, "mass_send_limit": 5_000},
    ),
    "report": (
        ("report", "--days", "31"),
        "sync.operations.report.figures.read_figures",
        {"days": 31},
    ),
}


@pytest.fixture
def ltw(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    return command_line(monkeypatch, capfd)


@pytest.mark.parametrize(("command", "function", "expected"), COMMANDS.values(), ids=COMMANDS)
def test_a_command_hands_on_each_of_its_options(
    ltw: Command,
    warehouse: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    function: str,
    expected: dict[str, Any],
) -> None:
    double = stopped(monkeypatch, function)
    said = ltw(*command)
    assert said.code == 1, said.text
    (call,) = double.call_args_list
    assert {name: call.kwargs[name] for name in expected} == expected
    assert call.args[0].settings == warehouse.settings
    if clock := call.kwargs.get("clock"):
        assert abs(clock() - datetime.now()) < timedelta(days=2)  # noqa: DTZ005 - any zone


def test_status_looks_into_the_journals_of_this_environment(
    ltw: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LTW_JOURNAL_DIR", str(tmp_path / "journal"))
    double = stopped(monkeypatch, "sync.operations.status.read_status")
    ltw("status")
    assert double.call_args.kwargs == {"journals": tmp_path / "journal"}
