"""The operator's commands on the command line: output, exit code and effects."""

from __future__ import annotations

import re
import shlex
from datetime import datetime, timedelta

import pytest

from sync.domain.endpoint import EndpointSettings
from sync.http.network import DEVELOPMENT_SETTING
from sync.operations.replay import Replay
from tests.support.command_line import Command
from tests.support.completions import add_completions, completion
from tests.support.delivery import ACTIVATED_AT, SECRET, enterprise
from tests.support.operator import OUTBOX, World

JANUARY = ["--since", "2026-01-01", "--until", "2026-02-01"]
LEARNERS = ("learner_", "@example.com")
PERSONAL = (*LEARNERS, "Example Industries")


@pytest.fixture
def world(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv(DEVELOPMENT_SETTING, world.target.host_port)
    monkeypatch.setenv("WEBHOOKS_ACTIVATED_AT", ACTIVATED_AT.isoformat())
    for n in (1, 2):
        monkeypatch.setenv(f"LTW_SECRET_WEBHOOK_SIGNING_{n}", SECRET)
    return world


def test_replay_shows_first_and_sends_with_the_next_run(world: World, ltw: Command) -> None:
    (delivered,) = world.already_delivered(2)
    before = world.everything()
    dry = ltw("replay", delivered, "--dry-run")
    assert (dry.code, "1 webhooks match" in dry.text, delivered in dry.text) == (0, True, True)
    assert world.everything() == before
    real = ltw("replay", "--json", "--requested-by", "an operator", delivered)
    assert real.code == 0
    assert real.document["matched"] == 1
    assert real.document["replay_id"] is not None
    assert ltw("status", "--json").document["replays_waiting"] == 1
    world.send()
    assert [one.webhook_id for one in world.take()] == [delivered]
    assert ltw("status", "--json").document["replays_waiting"] == 0


def test_a_large_replay_needs_a_yes(
    world: World, ltw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Replay, "ask_above", 1)
    world.already_delivered(2, 4)
    before = world.everything()
    refused = ltw("replay", "--state", "delivered")
    assert refused.code == 2
    assert "repeat with --yes or --confirm-count 2" in refused.text
    assert world.everything() == before
    wrong = ltw("replay", "--state", "delivered", "--confirm-count", 1)
    assert (wrong.code, "--confirm-count is 1, but 2 webhooks match now" in wrong.text) == (1, True)
    assert world.everything() == before
    looked = ltw("replay", "--state", "delivered", "--dry-run").text
    assert "repeat the command without --dry-run and with --confirm-count 2" in looked
    agreed = ltw("replay", "--state", "delivered", "--yes", "--json")
    assert (agreed.document["matched"], agreed.document["replayed"]) == (2, 2)
    assert len(world.rows(where="replay_id is not null")) == 2


def test_what_is_refused_is_said_and_ends_with_1(world: World, ltw: Command) -> None:
    (one,) = world.already_delivered(2)
    world.warehouse.execute(f"update {OUTBOX} set body_removed_at = sysdate()")
    said = ltw("replay", one, "no-such-id")
    assert said.code == 1
    assert "retention has removed the body" in said.text
    assert "1 ids are not in the outbox" in said.text


def test_the_list_of_endpoints_says_what_holds_everything(
    world: World, ltw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listed() -> tuple[str, bool]:
        first, *_ = ltw("endpoints", "list", "--json").document["endpoints"]
        return first["condition"], bool(first["why"])

    assert listed() == ("ready", False)
    ltw("endpoints", "set", 1, "--authentication", "basic")
    assert listed() == ("no credentials", True)
    monkeypatch.delenv("LTW_SECRET_WEBHOOK_SIGNING_1")
    assert listed() == ("no key", True)
    monkeypatch.delenv(DEVELOPMENT_SETTING)
    assert listed() == ("invalid", True)
    said = ltw("endpoints", "disable", 1, "--reason", "certificate expired", "--requested-by", "me")
    assert "Next: `ltw endpoints enable 1`" in said.text
    assert listed() == ("disabled", True)
    for command in (("endpoints", "list"), ("status",)):
        text = ltw(*command).text
        assert (
            "by me: certificate expired. To do: fix the cause, then `ltw endpoints enable" in text
        )
    world.warehouse.execute(
        "update analytics.marts.webhook_endpoints set region = 'UK' where endpoint_id = 1"
    )
    assert "endpoint 1: region" in ltw("endpoints", "list").text


def test_after_a_410_each_answer_names_the_next_step_until_all_is_sent(
    world: World, ltw: Command
) -> None:
    world.target.answers["/hooks/one"] = (410, {})
    world.complete(2, 4)
    world.deliver()
    said = ltw("status").text
    assert "endpoint 1 gets nothing now: disabled since" in said
    assert "after its own 410. To do: ask the customer for the new URL" in said
    assert "held, endpoint_disabled: 1. To do: ask the customer, then `ltw endpoints" in said
    assert "Next: `ltw endpoints check 1`" in ltw("endpoints", "enable", 1).text
    world.target.answers.clear()
    ltw("pause", "--endpoint", 1, "--reason", "they ask us to wait")
    assert "is enabled; endpoint 1 has been paused since" in ltw("endpoints", "enable", 1).text
    ltw("resume", "--endpoint", 1)
    enabled = ltw("endpoints", "enable", 1).text
    assert "the next run sends what was held for it; 1 were given up before: `ltw replay" in enabled
    (command,) = re.findall(r"`ltw ([^`]+)`", enabled)
    assert ltw(*command.split()).code == 0
    world.take()
    world.send()
    assert len(world.take()) == 2


def test_a_pause_stands_first_in_the_status_and_in_the_list_with_what_ends_it(
    world: World, ltw: Command
) -> None:
    (delivered,) = world.already_delivered(2)
    world.complete(4)
    world.run.record_and_build(world.warehouse)
    assert ltw("status", "--json").document["due_now"] == 1
    said = ltw("pause", "--endpoint", 1, "--reason", "they asked", "--requested-by", "me")
    assert "recording and building continue" in said.text
    document = ltw("status", "--json").document
    assert (document["due_now"], document["oldest_due_at"]) == (0, None)
    assert "due: none due when resumed: 1 " in ltw("status").text
    assert [one["resume"] for one in document["pauses"]] == ["ltw resume --endpoint 1"]
    assert ltw("status").text.startswith("PAUSED: endpoint 1 has been paused since")
    first, second = ltw("endpoints", "list", "--json").document["endpoints"]
    assert (first["condition"], first["due"], second["condition"]) == ("paused", 0, "ready")
    assert "by me: they asked. To end it: `ltw resume --endpoint 1`" in first["why"]
    assert "Not before the pause ends" in ltw("replay", delivered).text
    world.send()
    assert world.take() == []
    assert "endpoint 1 is no longer paused" in ltw("resume", "--endpoint", 1).text
    assert "there was no such pause" in ltw("resume", "--endpoint", 1).text
    world.send()
    assert len(world.take()) == 2


def test_the_status_says_until_when_a_completion_waits_for_its_learning_time(
    world: World, ltw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.complete(2)
    world.run.record_and_build(world.warehouse)
    world.warehouse.execute(
        f"update {OUTBOX} set state = 'awaiting', build_id = null,"
        " recorded_at = '2026-03-12 17:48:00'"
    )
    now = datetime(2026, 3, 12, 18)
    monkeypatch.setattr("sync.operations.status.warehouse_clock", lambda _: lambda: now)
    assert "awaiting: the oldest for 12 min; it is built by the next run" in ltw("status").text
    monkeypatch.setenv("ENABLE_WEBHOOK_LEARNING_TIME_ENRICHMENT", "true")
    monkeypatch.setenv("WEBHOOK_LEARNING_TIME_MAX_WAIT_MINUTES", "90")
    assert (
        "awaiting: the oldest for 12 min; it waits for learning time until 2026-03-12 19:18 UTC"
        " at the latest, for 1 h 18 min more"
    ) in ltw("status").text


def test_bad_usage_ends_with_2_and_names_the_option(world: World, ltw: Command) -> None:
    for command, names in (
        ("replay", "needs a state"),
        ("replay --state dead --since x", "--since"),
        ("replay --state held", "--state"),
        ("replay --state dead --enterprise x", "enterprise: 'x'"),
        ("retention --days 0", "--days"),
        ("test-send 77", "no endpoint 77"),
        ("endpoints check 77", "it has 1, 2"),
        ("endpoints disable 1", "--reason"),
        ("endpoints disable 1 --reason ' '", "--reason: String should have at least 1 character"),
        ("endpoints set 77", "no endpoint 77"),
        ("endpoints set 1 --format xml", "payload_format: must be one of"),
        ("endpoints set 1 --final-status-codes 200", "final_status_codes"),
        ("endpoints set 1 --final-status-codes many", "statuses such as 404,422"),
        ("endpoints set 1 --extra-headers 'X-Token: a'", "--authentication header"),
        ("pause --reason x", "name one: everything (--all)"),
        ("pause --all", "--reason"),
        ("pause --endpoint 77 --reason x", "no endpoint 77"),
        ("resume --endpoint 77", "no endpoint 77"),
        ("backfill --since 2026-01-01", "--until"),
        ("backfill --since 2026-02-01 --until 2026-01-01", "since must be before"),
        ("preview --activated-at x", "--activated-at"),
        ("preview --enterprise x", "--enterprise: 'x'"),
    ):
        said = ltw(*shlex.split(command))
        assert (said.code, names in said.text) == (2, True), f"{command}: {said}"


def test_preview_lists_counts_and_writes_nothing(world: World, ltw: Command) -> None:
    world.complete(2, 3)
    before = world.everything()
    said = ltw("preview")
    assert said.code == 0
    assert "feature flag: off" in said.text
    assert "course-v1:ExampleX+DATA101+2026_T1" in said.out
    document = ltw("preview", "--enrich", "--json").document
    assert document["counts"] == [
        {"verdict": "wait", "why": "learning_time_not_yet", "webhooks": 2}
    ]
    assert len(document["webhooks"]) == 2
    assert "1 more are not listed" in ltw("preview", "--limit", "1").text
    assert len(ltw("preview", "--limit", "1", "--json").document["webhooks"]) == 1
    assert world.everything() == before


def test_personal_data_shows_only_when_asked_for(world: World, ltw: Command) -> None:
    world.complete(2)
    shown = [ltw("preview"), ltw("preview", "--json")]
    world.deliver()
    shown += [
        ltw("status"),
        ltw("replay", "--state", "delivered", "--dry-run"),
        ltw("endpoints", "check"),
        ltw("test-send", "1"),
    ]
    assert not [one for one in (*LEARNERS, SECRET) if one in ltw("endpoints", "list").text]
    for said in shown:
        assert said.code == 0, said.text
        assert not [one for one in (*PERSONAL, SECRET) if one in said.text]
    world.complete(4)
    assert "learner_4@example.com" in ltw("preview", "--bodies").text


def test_test_send_reports_and_never_enters_the_ledger(world: World, ltw: Command) -> None:
    before = world.everything()
    good = ltw("test-send", "1")
    assert (good.code, "endpoint 1 accepted the test event: status 200" in good.text) == (0, True)
    assert "signed with v1-" in good.text
    world.target.answers["/hooks/two"] = (503, {})
    bad = ltw("test-send", "2", "--json")
    assert (bad.code, bad.document["status"], bad.document["passed"]) == (1, 503, False)
    assert len(world.take()) == 2
    assert world.everything() == before


def test_endpoints_check_has_a_verdict_for_each(world: World, ltw: Command) -> None:
    world.target.answers["/hooks/two"] = (404, {})
    said = ltw("endpoints", "check")
    assert said.code == 1
    assert "ping failed" in said.text
    assert "correct the path of webhook_url" in said.text
    document = ltw("endpoints", "check", "--json", "1").document
    assert [one["verdict"] for one in document["endpoints"]] == ["good"]
    assert ltw("endpoints", "check", "1").code == 0


def test_disable_holds_and_enable_releases_after_a_passing_test(world: World, ltw: Command) -> None:
    (held,) = world.complete(2)
    assert ltw("endpoints", "disable", "1", "--reason", "customer is migrating").code == 0
    assert "was already disabled" in ltw("endpoints", "disable", "1", "--reason", "again").text
    world.deliver()
    assert world.row(held)["state_reason"] == "endpoint_disabled"
    listed = ltw("endpoints", "list", "--json").document["endpoints"]
    assert [(one["condition"], one["disabled_reason"], one["held"]) for one in listed] == [
        ("disabled", "customer is migrating", 1),
        ("ready", None, 0),
    ]
    assert "endpoint 1 gets nothing now: disabled" in ltw("status").text
    assert ltw("status", "--json").document["held_by_reason"] == {"endpoint_disabled": 1}
    world.target.answers["/hooks/one"] = (500, {})
    refused = ltw("endpoints", "enable", "1")
    assert (refused.code, "stays as it was" in refused.text) == (1, True)
    world.send()
    assert world.row(held)["state"] == "held"
    world.target.answers.clear()
    assert ltw("endpoints", "enable", "1").code == 0
    world.take()
    world.send()
    assert [one.webhook_id for one in world.take()] == [held]


def test_an_endpoint_that_the_lms_switched_off_is_not_enabled_here(
    world: World, ltw: Command
) -> None:
    world.warehouse.execute("update analytics.marts.webhook_endpoints set is_active = false")
    said = ltw("endpoints", "enable", "1")
    assert (said.code, "set 'active' there" in said.text) == (2, True)
    assert world.take() == []


def test_status_says_what_is_due_and_for_how_long(
    world: World, ltw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.already_delivered(2)
    now = world.clock()
    world.warehouse.execute(
        f"update {OUTBOX} set state = 'pending', delivered_at = null, next_attempt_at = ?",
        (now - timedelta(seconds=3_870)).isoformat(),
    )
    monkeypatch.setattr("sync.operations.status.warehouse_clock", lambda _: lambda: now)
    document = ltw("status", "--json").document
    assert (document["due_now"], document["dead"]) == (1, 0)
    assert document["oldest_due_age_seconds"] == 3_870
    assert "due now: 1, the oldest for 1 h 4 min" in ltw("status").text


def test_backfill_shows_first_and_sends_with_the_number(world: World, ltw: Command) -> None:
    old = {"passed_at": "2026-01-15T10:00:00", "enterprise_customer_uuid": enterprise(1)}
    add_completions(world.warehouse, [completion(n, **old) for n in (10, 12)])
    world.run.record_and_build(world.warehouse)
    before = world.everything()
    dry = ltw("backfill", *JANUARY)
    assert dry.code == 0
    assert "2 completions match" in dry.text
    assert "repeat the command with --confirm-count 2" in dry.text
    assert not any(word in dry.text for word in PERSONAL)
    refused = ltw("backfill", *JANUARY, "--confirm-count", 3)
    assert refused.code == 1
    assert "--confirm-count is 3, but 2 completions match now" in refused.text
    assert world.everything() == before
    real = ltw("backfill", *JANUARY, "--confirm-count", 2, "--json")
    assert (real.document["released"], real.document["dry_run"]) == (2, False)
    world.deliver()
    assert len(world.take()) == 2


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
    changed = {"payload_format": "percipio", "is_learning_time_enabled": False}
    changed["final_status_codes"] = "404,422"
    assert again.document["after"] == EndpointSettings().stored() | changed
    kept = world.warehouse.rows("select count(*) as n from analytics.sync.endpoint_settings")
    assert kept == [{"n": 2}], "the older settings stay, for whoever asks later"


def test_preview_goes_by_the_flag_s_environment(
    world: World, ltw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENABLE_WEBHOOK_LEARNING_TIME_ENRICHMENT", "true")
    monkeypatch.setenv("WEBHOOK_LEARNING_TIME_ROLLOUT_PERCENTAGE", "0")
    world.complete(2)
    said = ltw("preview")
    assert "on, for 0% of learners' course runs" in said.text
    assert "not_in_rollout" in said.text
    assert "learning_time_not_yet" in ltw("preview", "--rollout-percentage", 100).text
    assert "feature flag: off" in ltw("preview", "--no-enrich").text
