"""What commands hand to the library: every option, each to its own place."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sync.delivery.build import EnrichmentPolicy
from sync.domain.event_types import COMPLETIONS, ENROLLMENTS
from sync.domain.rollout import Rollout
from sync.ledger.erasures import person_key
from sync.ledger.tables import ensure_ledger
from sync.operations.backfill import BackfillPlan
from sync.operations.backfill import Window as BackfillWindow
from sync.operations.replay import Plan
from sync.operations.replay_selection import ReplayState, Selection, Window
from sync.operations.reroute import Choice, ReroutePlan
from sync.operations.test_send import Flavour
from sync.warehouse import Warehouse
from tests.support.command_line import Command, command_line
from tests.support.completions import ENTERPRISE
from tests.support.doubles import returning, stopped
from tests.support.marts import create_marts, endpoint

MARCH, APRIL = datetime(2026, 3, 1), datetime(2026, 4, 1)
BETWEEN = ("--since", "2026-03-01", "--until", "2026-04-01T02:00:00+02:00")
BY = ("--requested-by", "ticket 4711")
POLICY = EnrichmentPolicy(
    enabled=True,
    max_wait=timedelta(minutes=11),
    rollout=Rollout(37, frozenset([ENTERPRISE])),
    is_shadow_looked_up=True,
)
SELECTED = Selection(
    state=ReplayState.DEAD,
    reason="attempts_exhausted",
    endpoint_id=1,
    enterprise=ENTERPRISE,
    since=MARCH,
    until=APRIL,
    window=Window.DELIVERED,
)
PREVIEWED = {
    "policy": POLICY,
    "sources": (COMPLETIONS, ENROLLMENTS),
    "activated_at": MARCH,
    "mass_send_limit": 17,
}
COMMANDS: dict[str, tuple[tuple[str, ...], str, tuple[object, ...], dict[str, object]]] = {
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
        (),
        PREVIEWED,
    ),
    "preview with the flag off": (
        ("preview", "--no-enrich"),
        "sync.operations.preview.preview",
        (),
        {"sources": (COMPLETIONS,), "activated_at": None, "mass_send_limit": 5_000},
    ),
    "replay": (
        (
            "replay",
            "--state",
            "dead",
            "--reason",
            "attempts_exhausted",
            "--endpoint",
            "1",
            "--enterprise",
            ENTERPRISE,
            "--by",
            "delivered_at",
            "--yes",
            "--json",
            *BETWEEN,
            *BY,
        ),
        "sync.operations.replay.replay",
        (SELECTED,),
        {"requested_by": "ticket 4711", "at_most": 3},
    ),
    "backfill": (
        (
            "backfill",
            "--enterprise",
            ENTERPRISE,
            "--limit",
            "19",
            "--confirm-count",
            "2",
            "--json",
            *BETWEEN,
            *BY,
        ),
        "sync.operations.backfill.backfill",
        (BackfillWindow(since=MARCH, until=APRIL, enterprise=ENTERPRISE, limit=19),),
        {"requested_by": "ticket 4711", "confirmed": 2, "setting": "--confirm-count"},
    ),
    "reroute": (
        ("reroute", "--endpoint", "1", "--enterprise", ENTERPRISE, "--yes", "--json", *BY),
        "sync.operations.reroute.reroute",
        (Choice(endpoint_id=1, enterprise=ENTERPRISE),),
        {"requested_by": "ticket 4711", "at_most": 3},
    ),
    "erase": (
        ("erase", "--user", "7", "--reason", "ticket 9", "--yes", "--json", *BY),
        "sync.operations.erase.erase",
        (person_key(7),),
        {
            "requested_by": "ticket 4711",
            "reason": "ticket 9",
            "journals": Path("/a/journal/of/ours"),
        },
    ),
    "retention": (
        ("retention", "--days", "31"),
        "sync.ledger.retention.apply_retention",
        (),
        {"days": 31, "dry_run": False},
    ),
    "retention, dry": (
        ("retention", "--days", "31", "--dry-run"),
        "sync.ledger.retention.apply_retention",
        (),
        {"days": 31, "dry_run": True},
    ),
    "report": (
        ("report", "--days", "31"),
        "sync.operations.report.figures.read_figures",
        (),
        {"days": 31},
    ),
    "endpoints disable": (
        ("endpoints", "disable", "1", "--reason", "their request"),
        "sync.operations.endpoint_switch.disable",
        (1,),
        {"reason": "their request"},
    ),
    "endpoints set": (
        (
            "endpoints",
            "set",
            "1",
            "--format",
            "percipio",
            "--no-learning-time",
            "--eu-fallback",
            "--final-status-codes",
            "404,422",
        ),
        "sync.operations.endpoint_settings.change_settings",
        (1,),
        {
            "payload_format": "percipio",
            "is_learning_time_enabled": False,
            "is_eu_fallback_allowed": True,
            "final_status_codes": "404,422",
        },
    ),
    "test-send": (
        ("test-send", "1", "--flavour", "without_learning_time"),
        "sync.operations.test_send.send_sample",
        (),
        {"flavour": Flavour.WITHOUT_LEARNING_TIME},
    ),
}


@pytest.fixture
def ltw(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    ensure_ledger(warehouse)
    create_marts(warehouse, endpoints=[endpoint(1, "https://hooks.example.com/one")])
    monkeypatch.setenv("LTW_SECRET_WEBHOOK_SIGNING_1", "whsec_" + "A" * 43 + "=")
    monkeypatch.setenv("LTW_JOURNAL_DIR", "/a/journal/of/ours")
    returning(monkeypatch, "sync.operations.replay.plan_replay", Plan(3, {}, {}, 0))
    returning(
        monkeypatch,
        "sync.operations.reroute.plan_reroute",
        ReroutePlan(matched=3, moves={}, stays={}, groups=()),
    )
    returning(
        monkeypatch,
        "sync.operations.backfill.plan_backfill",
        BackfillPlan(
            matched=3,
            beyond_limit=0,
            gone=0,
            by_enterprise={},
            first_at=None,
            last_at=None,
            sample=(),
        ),
    )
    return command_line(monkeypatch, capfd)


@pytest.mark.parametrize(
    ("command", "function", "arguments", "expected"), COMMANDS.values(), ids=COMMANDS
)
def test_a_command_hands_on_each_of_its_options(
    ltw: Command,
    warehouse: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    function: str,
    arguments: tuple[object, ...],
    expected: dict[str, Any],
) -> None:
    double = stopped(monkeypatch, function)
    said = ltw(*command)
    assert said.code == 1, said.text
    (call,) = double.call_args_list
    assert {name: call.kwargs[name] for name in expected} == expected
    assert call.args[1:] == arguments
    if "send_sample" in function:
        assert call.args[0].endpoint_id == 1
    else:
        assert call.args[0].settings == warehouse.settings
    if clock := call.kwargs.get("clock"):
        assert abs(clock() - datetime.now()) < timedelta(days=2)  # noqa: DTZ005 - any zone


@pytest.mark.parametrize("name", ["replay", "reroute", "backfill", "erase"])
def test_a_command_that_is_asked_to_look_changes_nothing(
    ltw: Command, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    command, function, _, _ = COMMANDS[name]
    double = stopped(monkeypatch, function)
    without = command[: command.index("--confirm-count")] if name == "backfill" else command
    look = (*without, *BETWEEN) if name == "backfill" else (*command, "--dry-run")
    assert ltw(*look).code == 0
    double.assert_not_called()


def test_status_looks_into_the_journals_of_this_environment(
    ltw: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LTW_JOURNAL_DIR", str(tmp_path / "journal"))
    double = stopped(monkeypatch, "sync.operations.status.read_status")
    ltw("status")
    assert double.call_args.kwargs == {"journals": tmp_path / "journal"}
