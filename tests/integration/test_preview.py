"""A preview shows what the next run does, decides with the same code, and writes nothing."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from sync.delivery.build import EnrichmentPolicy
from sync.delivery.events import MartUnreadable
from sync.delivery.flag import FlagSettings
from sync.delivery.record import record
from sync.domain.event_types import EventType
from sync.domain.rollout import Rollout
from sync.http.addresses import AddressPolicy
from sync.http.destination import HttpDestination
from sync.http.secrets import SecretStore
from sync.operations.next_run import NextRun, ReadOnly, WriteRefused, next_run
from sync.operations.preview import Preview, preview_report
from sync.warehouse import RelationMissing, Warehouse
from tests.support.completions import ENTERPRISE
from tests.support.delivery import ACTIVATED_AT, enterprise, secrets
from tests.support.doubles import Reached, stopped
from tests.support.event_types import COMPLETIONS, ENROLLMENTS
from tests.support.marts import (
    ENROLLMENT_COLUMNS,
    LEARNING_TIME_COLUMNS,
    create_table,
    enrollment,
)
from tests.support.operator import OUTBOX, World
from tests.support.pipeline import learning_time
from tests.support.replays import DELIVERED, ask
from tests.support.site import Poster

MART = "analytics.marts.completed_enrollments"
OFF = EnrichmentPolicy(enabled=False)
ON = EnrichmentPolicy(enabled=True, max_wait=timedelta(hours=1))


def look(
    world: World,
    policy: EnrichmentPolicy = OFF,
    *,
    keys: SecretStore | None = None,
    activated_at: datetime | None = ACTIVATED_AT,
    mass_send_limit: int = 5_000,
    sources: tuple[EventType, ...] = (COMPLETIONS,),
) -> NextRun:
    known = keys or secrets([1, 2])
    return next_run(
        world.warehouse,
        policy=policy,
        clock=world.clock,
        readiness_of=HttpDestination(world.run.policy, known, Poster()).readiness,
        sources=sources,
        activated_at=activated_at,
        mass_send_limit=mass_send_limit,
    )


def verdicts(found: NextRun) -> dict[str, tuple[str, str, str | None]]:
    return {one.webhook_id: one.fate[:3] for one in found.lines}


def with_learning_time(world: World, *users: int) -> None:
    create_table(
        world.warehouse,
        "completion_learning_time",
        LEARNING_TIME_COLUMNS,
        [
            learning_time(
                n, enterprise_customer_uuid=enterprise(n % 2 + 1), learning_time_seconds=4200
            )
            for n in users
        ],
    )


def test_what_a_preview_announces_is_what_the_run_sends(world: World) -> None:
    world.complete(2, 3, 4)
    announced = {one.webhook_id: (one.fate.endpoint_id, one.body) for one in look(world).lines}
    assert len(announced) == 3
    world.deliver()
    paths = {"/hooks/one": 1, "/hooks/two": 2}
    sent = {one.webhook_id: (paths[one.path], _undated(one.body)) for one in world.take()}
    assert sent == {key: (one, _undated(body)) for key, (one, body) in announced.items()}


def _undated(body: bytes | None) -> object:
    """A body without its recording time, which is later than the preview."""
    document = json.loads(body or b"{}")
    document.pop("timestamp")
    return document


def test_a_preview_writes_nothing_at_all(world: World) -> None:
    world.already_delivered(2)
    world.complete(4, 5)
    ask(world, DELIVERED)
    before = world.everything()
    found = look(world, ON)
    assert len(found.lines) == 3
    assert world.everything() == before
    assert world.take() == []


def test_its_session_refuses_to_write(world: World) -> None:
    session = ReadOnly(world.warehouse)
    assert session.rows("select 1 as one") == [{"one": 1}]
    for attempt in (
        lambda: session.execute(f"update {OUTBOX} set state = 'dead'"),
        lambda: session.execute("begin"),
        lambda: session.bulk("insert into x select ?", [{}]),
        lambda: session.rows("  delete from analytics.sync.activations"),
    ):
        with pytest.raises(WriteRefused):
            attempt()


def test_the_flag_given_decides_about_learning_time(world: World) -> None:
    world.complete(2, 4)
    with_learning_time(world, 2)
    off = {one.fate.enrichment_outcome for one in look(world, OFF).lines}
    assert off == {"flag_off"}
    by_verdict = {one.fate.verdict: one for one in look(world, ON).lines}
    assert by_verdict["send"].learning_time_seconds == 4200
    assert b'"learning_time":{"total_seconds":4200' in (by_verdict["send"].body or b"")
    assert by_verdict["wait"].fate.reason == "learning_time_not_yet"
    assert by_verdict["wait"].fate.endpoint_id == 1, "it is known already where it will go"


def test_everything_that_stops_a_webhook_is_said(world: World) -> None:
    (held,) = world.complete(2)
    (unkeyed,) = world.complete(3)
    (nowhere,) = world.complete(4)
    world.warehouse.execute(f"update {MART} set percent_grade = null where user_id = 2")
    world.warehouse.execute(f"update {MART} set enterprise_customer_uuid = 'e' where user_id = 4")
    found = look(world, keys=secrets([1]))
    said = verdicts(found)
    assert said[held] == ("new", "hold", "payload_invalid")
    assert said[unkeyed] == ("new", "hold", "signing_key_missing")
    assert ("suppress", "no_endpoint") in found.counts()
    assert nowhere not in said, "another enterprise means another id"
    assert any("LTW_SECRET_WEBHOOK_SIGNING_2" in problem for problem in found.problems)


def test_a_held_row_is_previewed_as_the_marts_have_it_now(world: World) -> None:
    (held,) = world.complete(2)
    world.warehouse.execute(f"update {MART} set percent_grade = null")
    world.deliver()
    assert verdicts(look(world)) == {held: ("held", "hold", "payload_invalid")}
    world.warehouse.execute(f"update {MART} set percent_grade = 0.9")
    assert verdicts(look(world)) == {held: ("held", "send", None)}
    world.warehouse.execute(f"delete from {MART}")
    assert verdicts(look(world)) == {held: ("held", "hold", "no_longer_reportable")}


def test_a_waiting_row_is_previewed_as_the_marts_have_it_now_and_so_it_is_sent(
    world: World,
) -> None:
    (gone,) = world.complete(2)
    (renamed,) = world.complete(4)
    record(world.warehouse, run_id="run-1", clock=world.clock, activated_at=ACTIVATED_AT)
    world.warehouse.execute(f"delete from {MART} where user_id = 2")
    world.warehouse.execute(f"update {MART} set email = 'new@example.com' where user_id = 4")
    found = look(world)
    assert verdicts(found) == {
        gone: ("recorded", "hold", "no_longer_reportable"),
        renamed: ("recorded", "send", None),
    }
    (announced,) = [one.body for one in found.lines if one.body is not None]
    world.deliver()
    assert [one.body for one in world.take()] == [announced]
    assert b"new@example.com" in announced


def test_a_preview_fails_as_the_run_does_where_a_mart_cannot_be_read(world: World) -> None:
    world.complete(2)
    record(world.warehouse, run_id="run-1", clock=world.clock, activated_at=ACTIVATED_AT)
    world.warehouse.execute(f"alter table {MART} rename column email to mail")
    world.warehouse.execute(f"delete from {MART}")
    with pytest.raises(MartUnreadable, match="completed_enrollments"):
        look(world)
    with pytest.raises(MartUnreadable, match="completed_enrollments"):
        world.run.record_and_build(world.warehouse)


def test_a_built_row_that_the_marts_no_longer_hold_would_stay_too(world: World) -> None:
    (built,) = world.complete(2)
    world.run.record_and_build(world.warehouse)
    world.warehouse.execute(f"update {OUTBOX} set state = 'held', state_reason = 'endpoint_gone'")
    assert verdicts(look(world))[built] == ("built", "send", None)
    world.warehouse.execute(f"delete from {MART}")
    assert verdicts(look(world))[built] == ("built", "hold", "no_longer_reportable")
    world.run.record_and_build(world.warehouse)
    assert verdicts(look(world))[built] == ("built", "hold", "no_longer_reportable")


def test_due_retries_and_replays_are_announced_and_later_ones_are_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock stands still, or the retry would come due meanwhile."""
    now = world.clock()
    monkeypatch.setattr("tests.support.delivery._clock_of", lambda warehouse: lambda: now)
    world.target.answers["/hooks/two"] = (500, {})
    (delivered,) = world.complete(2)
    (failed,) = world.delivered(3)
    assert verdicts(look(world)) == {}
    ask(world, DELIVERED)
    assert verdicts(look(world)) == {delivered: ("built", "send", None)}
    world.run = world.run.later(timedelta(seconds=10))
    found = look(world)
    assert verdicts(found)[failed] == ("built", "send", None)
    assert [one.is_replay for one in found.lines if one.webhook_id == delivered] == [True]


def test_an_endpoint_that_is_off_or_paused_is_told_apart(world: World) -> None:
    (one,) = world.already_delivered(2)
    (two,) = world.complete(4)
    change = "update analytics.sync.endpoint_state set"
    world.warehouse.execute(f"{change} paused_until = dateadd(hour, 1, sysdate())")
    assert verdicts(look(world)) == {two: ("new", "wait", "endpoint_blocked")}
    world.warehouse.execute(f"{change} disabled_at = sysdate(), disabled_reason = 'by hand'")
    assert verdicts(look(world)) == {two: ("new", "hold", "endpoint_disabled")}
    assert one not in verdicts(look(world))


def test_enrollments_are_looked_for_when_asked_for(world: World) -> None:
    create_table(
        world.warehouse,
        "enterprise_enrollments",
        ENROLLMENT_COLUMNS,
        [enrollment(2, enterprise_customer_uuid=enterprise(1))],
    )
    world.warehouse.execute(
        "update analytics.marts.webhook_endpoints set is_enrollment_events_enabled = true"
    )
    assert look(world).lines == []
    first = look(world, sources=(COMPLETIONS, ENROLLMENTS))
    assert (first.lines, first.before_activation) == ([], 1), "its first run sends none"
    world.warehouse.execute(
        "insert into analytics.sync.activations (event_type, activated_at, recorded_at)"
        " select 'course_enrollment', '2020-01-01'::timestamp_ntz, sysdate()"
    )
    (found,) = look(world, sources=(COMPLETIONS, ENROLLMENTS)).lines
    assert (found.event_type, found.fate.verdict, found.fate.endpoint_id) == (
        "course_enrollment",
        "send",
        1,
    )


def test_the_activation_and_the_mass_send_guard_are_shown(world: World) -> None:
    world.complete(2, 3)
    before = look(world, activated_at=None)
    assert (before.is_activated, before.before_activation, before.lines) == (False, 2, [])
    guarded = look(world, mass_send_limit=1)
    assert (guarded.held_back, guarded.fates) == (2, {})
    assert guarded.counts() == {("wait", "mass_send_limit"): 2}
    assert "2 events are new, more than mass_send_limit = 1" in (guarded.guard or "")
    assert look(world).guard is None


def test_of_a_mass_only_a_sample_is_read_and_all_are_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken replica may yield millions of events; deciding all would take hours and memory."""
    monkeypatch.setattr("sync.operations.next_run.OVER_LIMIT_LISTED", 2)
    world.already_delivered(2)
    world.complete(3, 4, 5)
    guarded = look(world, mass_send_limit=2)
    assert [one.fate.reason for one in guarded.lines] == ["mass_send_limit"] * 2
    assert (guarded.held_back, guarded.counts().total()) == (3, 3)
    assert len(look(world, mass_send_limit=3).lines) == 3


def test_bodies_stay_out_unless_they_are_asked_for(world: World) -> None:
    world.complete(2)
    found = look(world)
    assert "learner_2" not in f"{found} {preview_report(found, flag=FlagSettings(), show=20)}"
    bodies = preview_report(found, flag=FlagSettings(), show=20, with_bodies=True)
    for shown in (bodies.document, bodies.lines):
        assert "learner_2@example.com" in str(shown)


def test_without_a_ledger_it_says_what_creates_one(warehouse: Warehouse) -> None:
    with pytest.raises(RelationMissing, match="status"):
        next_run(
            warehouse,
            policy=OFF,
            clock=lambda: datetime(2026, 3, 10),
            readiness_of=HttpDestination(AddressPolicy(), secrets([]), Poster()).readiness,
        )


def test_the_request_goes_by_each_of_its_settings(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = stopped(monkeypatch, "sync.operations.preview.next_run")
    asked = Preview.read(
        {
            "enable_webhook_learning_time_enrichment": True,
            "rollout_percentage": 37,
            "enterprise_allowlist": [ENTERPRISE.upper()],
            "max_enrichment_wait_minutes": 11,
            "activated_at": "2026-03-01T02:00:00+02:00",
            "mass_send_limit": 17,
            "event_types": ["course_completion", "course_enrollment"],
        }
    )
    clock = lambda: datetime(2026, 3, 10)  # noqa: E731 - compared below
    with pytest.raises(Reached):
        asked.run(warehouse, clock)
    assert double.call_args.args == (warehouse,)
    assert {**double.call_args.kwargs, "readiness_of": None} == {
        "policy": EnrichmentPolicy(
            enabled=True,
            max_wait=timedelta(minutes=11),
            rollout=Rollout(37, frozenset([ENTERPRISE])),
            is_shadow_looked_up=True,
        ),
        "clock": clock,
        "readiness_of": None,
        "sources": [COMPLETIONS, ENROLLMENTS],
        "activated_at": datetime(2026, 3, 1),
        "mass_send_limit": 17,
    }


def test_what_it_is_not_given_is_as_the_environment_says(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = stopped(monkeypatch, "sync.operations.preview.next_run")
    monkeypatch.setenv("WEBHOOK_LEARNING_TIME_ROLLOUT_PERCENTAGE", "7")
    with pytest.raises(Reached):
        Preview().run(warehouse, lambda: datetime(2026, 3, 10))
    found = double.call_args.kwargs
    assert found["policy"].rollout == Rollout(7)
    assert (found["sources"], found["activated_at"]) == ([COMPLETIONS], None)
    assert found["mass_send_limit"] == 5_000
