"""The commands that change what will be sent: backfill, endpoint settings, preview."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.http.network import DEVELOPMENT_SETTING
from sync.warehouse import Warehouse
from tests.support.command_line import Command, command_line
from tests.support.completions import add_completions, completion
from tests.support.delivery import ACTIVATED_AT, SECRET, enterprise
from tests.support.operator import World, open_world

PERSONAL = ("learner_", "@example.com", "Example Industries")


@pytest.fixture
def world(warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with open_world(warehouse, tmp_path) as opened:
        monkeypatch.setenv(DEVELOPMENT_SETTING, opened.target.host_port)
        monkeypatch.setenv("WEBHOOKS_ACTIVATED_AT", ACTIVATED_AT.isoformat())
        monkeypatch.setenv("LTW_SECRET_WEBHOOK_SIGNING_1", SECRET)
        yield opened


@pytest.fixture
def ltw(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    return command_line(monkeypatch, capfd)


@pytest.fixture
def history(world: World) -> World:
    """Two completions from before the activation, recorded and not sent."""
    add_completions(
        world.warehouse,
        [
            completion(n, "2026-01-15T10:00:00", enterprise_customer_uuid=enterprise(1))
            for n in (10, 12)
        ],
    )
    world.deliver()
    return world


JANUARY = ["--since", "2026-01-01", "--until", "2026-02-01"]


def test_backfill_shows_first_and_sends_with_the_number(history: World, ltw: Command) -> None:
    before = history.everything()
    dry = ltw("backfill", *JANUARY)
    assert dry.code == 0
    assert "2 completions match" in dry.text
    assert "the same command with --confirm-count 2" in dry.text
    assert not any(word in dry.text for word in PERSONAL)
    refused = ltw("backfill", *JANUARY, "--confirm-count", 3)
    assert refused.code == 1
    assert "--confirm-count is 3, but 2 completions match now" in refused.text
    assert history.everything() == before
    real = ltw("backfill", *JANUARY, "--confirm-count", 2, "--json")
    assert (real.document["released"], real.document["dry_run"]) == (2, False)
    history.deliver()
    assert len(history.take()) == 2


def test_endpoints_set_changes_what_is_given_and_says_what_it_was(
    world: World, ltw: Command
) -> None:
    shown = ltw("endpoints", "set", 1)
    assert (shown.code, "nothing was changed" in shown.text) == (0, True)
    said = ltw("endpoints", "set", 1, "--format", "percipio", "--no-learning-time")
    assert "endpoint 1, payload_format: v2 -> percipio" in said.text
    assert "is_learning_time_enabled: on -> off" in said.text
    again = ltw("endpoints", "set", 1, "--final-status-codes", "422, 404", "--json")
    assert again.document["before"]["payload_format"] == "percipio"
    assert again.document["after"] == {
        "payload_format": "percipio",
        "is_learning_time_enabled": False,
        "is_eu_fallback_allowed": False,
        "final_status_codes": "404,422",
    }
    kept = world.warehouse.rows("select count(*) as n from analytics.sync.endpoint_settings")
    assert kept == [{"n": 2}], "the older settings stay, for whoever asks later"


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["endpoints", "set", "77"], "no endpoint 77"),
        (["endpoints", "set", "1", "--format", "xml"], "payload_format: must be one of"),
        (["endpoints", "set", "1", "--final-status-codes", "200"], "final_status_codes"),
        (["endpoints", "set", "1", "--final-status-codes", "many"], "statuses such as 404,422"),
        (["backfill", "--since", "2026-01-01"], "--until"),
        (["backfill", "--since", "2026-02-01", "--until", "2026-01-01"], "since must be before"),
        (["replay", "--state", "dead", "--enterprise", "x"], "enterprise: 'x'"),
        (["preview", "--enterprise", "x"], "--enterprise: 'x'"),
    ],
)
def test_bad_usage_of_the_newer_commands_is_named(
    world: World, ltw: Command, arguments: list[str], names: str
) -> None:
    said = ltw(*arguments)
    assert said.code == 2
    assert names in said.text


def test_preview_goes_by_the_flag_s_environment(
    world: World, ltw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENABLE_WEBHOOK_LEARNING_TIME_ENRICHMENT", "true")
    monkeypatch.setenv("WEBHOOK_LEARNING_TIME_ROLLOUT_PERCENTAGE", "0")
    world.complete(2)
    said = ltw("preview")
    assert "on, for 0 % of learners' course runs" in said.text
    assert "not_in_rollout" in said.text
    assert "learning_time_not_yet" in ltw("preview", "--rollout-percentage", 100).text
    assert "feature flag: off" in ltw("preview", "--no-enrich").text


def test_a_test_event_can_be_had_without_learning_time(world: World, ltw: Command) -> None:
    assert ltw("test-send", 1, "--flavour", "without_learning_time").code == 0
    (sent,) = world.take()
    assert b"learning_time" not in sent.body


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sync", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert "backfill" in done.stdout
