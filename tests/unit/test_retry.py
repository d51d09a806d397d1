"""What follows an attempt: the whole table, and the schedule under a simulated clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.responses import Attribution, ErrorKind, Failure, Response
from sync.domain.retry import (
    LONG_STEPS,
    STANDARD_STEPS,
    Dead,
    Decision,
    Delivered,
    Disable,
    Held,
    Jitter,
    NoEffect,
    PauseUntil,
    RetryAt,
    RetryPolicy,
    Signal,
    SlowDown,
    decide,
)
from sync.domain.states import Reason

pytestmark = pytest.mark.usefixtures("local_zone")

NOW = datetime(2026, 3, 12, 4, 10, 7, tzinfo=UTC)
WEBHOOK_ID = "0f9d3c5e-1b60-5d0e-8f6e-2d1c7a4b9e10"
POLICY = RetryPolicy()


def after(
    result: Response | Failure,
    attempt_number: int = 1,
    policy: RetryPolicy = POLICY,
    now: datetime = NOW,
    webhook_id: str = WEBHOOK_ID,
) -> Decision:
    return decide(
        result, webhook_id=webhook_id, attempt_number=attempt_number, now=now, policy=policy
    )


def answer(status: int, retry_after: str | None = None) -> Response:
    return Response(status, retry_after, "", 5)


def failed(kind: ErrorKind, attribution: Attribution = Attribution.RECEIVER) -> Failure:
    return Failure(kind, attribution, "detail")


def wait_of(decision: Decision) -> timedelta:
    assert isinstance(decision.outcome, RetryAt), decision
    assert decision.outcome.charged
    return decision.outcome.at - NOW


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_a_delivery(status: int):
    assert after(answer(status)) == Decision(Delivered(), NoEffect(), Signal.SUCCESS, None, None)


@pytest.mark.parametrize("status", [101, 103, 300, 301, 304, 307, 308, 400, 401, 403, 404, 408])
def test_other_answers_are_retried_and_leave_the_endpoint_alone(status: int):
    decision = after(answer(status))
    assert timedelta(seconds=4) <= wait_of(decision) <= timedelta(seconds=6)
    assert decision.effect == NoEffect()
    assert (decision.signal, decision.attribution) == (Signal.FAILURE, Attribution.RECEIVER)
    expected = ErrorKind.REDIRECT if 300 <= status < 400 else ErrorKind.HTTP
    assert decision.error_kind is expected


@pytest.mark.parametrize("status", [413, 422, 425, 500, 501, 503, 505, 599, 700])
def test_broken_receivers_get_repaired_so_they_are_tried_again(status: int):
    assert wait_of(after(answer(status))) >= timedelta(seconds=4)


def test_a_410_kills_the_row_at_once_and_disables_the_endpoint():
    decision = after(answer(410))
    assert decision.outcome == Dead(Reason.ENDPOINT_GONE)
    assert decision.effect == Disable(Reason.ENDPOINT_GONE)


def test_a_final_status_kills_the_row_only_where_the_endpoint_lists_it():
    policy = RetryPolicy(final_statuses=frozenset({422}))
    assert after(answer(422), policy=policy).outcome == Dead(Reason.FINAL_STATUS)
    assert after(answer(422), policy=policy).effect == NoEffect()
    assert isinstance(after(answer(422)).outcome, RetryAt)
    assert isinstance(after(answer(400), policy=policy).outcome, RetryAt)


@pytest.mark.parametrize("status", [429, 502, 504])
def test_an_overloaded_endpoint_is_slowed_down_and_paused_as_long_as_it_asks(status: int):
    assert after(answer(status)).effect == SlowDown(None)
    assert after(answer(status, "60")).effect == SlowDown(NOW + timedelta(seconds=60))


def test_a_503_pauses_the_endpoint_only_if_it_asks():
    assert after(answer(503)).effect == NoEffect()
    assert after(answer(503, "60")).effect == PauseUntil(NOW + timedelta(seconds=60))
    assert after(answer(500, "60")).effect == NoEffect()


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_retry_after_moves_the_event_on_any_failure_and_never_forward(status: int):
    assert timedelta(minutes=10) <= wait_of(after(answer(status, "600"))) <= timedelta(minutes=12)
    assert wait_of(after(answer(status, "1"))) == wait_of(after(answer(status)))


def test_retry_after_is_capped_at_the_longest_step():
    asked = after(answer(503, "9999999999"))
    assert timedelta(hours=10) <= wait_of(asked) <= timedelta(hours=12)
    assert asked.effect == PauseUntil(NOW + timedelta(hours=10))


def test_a_date_in_retry_after_counts_from_the_moment_of_judging():
    date = format_datetime(NOW + timedelta(minutes=10), usegmt=True)
    for now in (NOW, NOW.replace(tzinfo=None)):
        decision = after(answer(503, date), now=now)
        assert isinstance(decision.effect, PauseUntil)
        assert decision.effect.at == now + timedelta(minutes=10)


def test_a_senseless_retry_after_is_ignored_and_reported():
    decision = after(answer(503, "soon"))
    assert decision.is_retry_after_unreadable
    assert decision.effect == NoEffect()
    assert wait_of(decision) == wait_of(after(answer(503)))
    assert not after(answer(503, "5")).is_retry_after_unreadable
    assert not after(answer(503)).is_retry_after_unreadable


@pytest.mark.parametrize(
    "kind",
    [
        ErrorKind.DNS,
        ErrorKind.CONNECT,
        ErrorKind.TLS,
        ErrorKind.TIMEOUT,
        ErrorKind.TOO_SLOW,
        ErrorKind.HTTP,
    ],
)
def test_a_fault_of_theirs_is_charged_and_one_of_ours_is_not(kind: ErrorKind):
    theirs = after(failed(kind))
    assert wait_of(theirs) <= timedelta(seconds=6)
    assert (theirs.signal, theirs.error_kind) == (Signal.FAILURE, kind)
    ours = after(failed(kind, Attribution.SENDER))
    assert isinstance(ours.outcome, RetryAt)
    assert not ours.outcome.charged
    assert timedelta(seconds=30) <= ours.outcome.at - NOW <= timedelta(seconds=36)
    assert (ours.signal, ours.effect, ours.error_kind) == (Signal.NOTHING, NoEffect(), kind)


def test_a_fault_of_ours_never_ends_an_event():
    last = len(STANDARD_STEPS)
    ours = after(failed(ErrorKind.INTERNAL, Attribution.SENDER), attempt_number=last)
    assert isinstance(ours.outcome, RetryAt)
    theirs = after(failed(ErrorKind.CONNECT), attempt_number=last)
    assert theirs.outcome == Dead(Reason.ATTEMPTS_EXHAUSTED)


def test_an_invalid_target_is_held_and_says_nothing_about_health():
    decision = after(failed(ErrorKind.INVALID_TARGET), attempt_number=8)
    assert decision.outcome == Held(Reason.INVALID_TARGET)
    assert (decision.signal, decision.effect) == (Signal.NOTHING, NoEffect())


@pytest.mark.parametrize(
    ("steps", "attempts", "total"),
    [
        (STANDARD_STEPS, 8, timedelta(hours=27, minutes=35, seconds=5)),
        (LONG_STEPS, 10, timedelta(hours=75, minutes=35, seconds=5)),
    ],
)
def test_the_window_is_as_long_as_documented(
    steps: tuple[timedelta, ...], attempts: int, total: timedelta
):
    """A window documented as 24 h was once 8.5 minutes in another system: simulate it."""
    policy = RetryPolicy(steps=steps)
    for number in range(50):
        now, count = NOW, 0
        while True:
            count += 1
            outcome = after(answer(500), count, policy, now, f"id-{number}").outcome
            if isinstance(outcome, Dead):
                break
            assert isinstance(outcome, RetryAt)
            step = steps[count]
            assert step * 0.8 <= outcome.at - now <= step * 1.2
            now = outcome.at
        assert outcome == Dead(Reason.ATTEMPTS_EXHAUSTED)
        assert count == attempts
        assert total * 0.8 <= now - NOW <= total * 1.2


def test_an_outage_of_ours_in_the_middle_costs_no_attempt():
    now, charged = NOW, 0
    for tick in range(100):
        result = failed(ErrorKind.INTERNAL, Attribution.SENDER) if tick % 5 else answer(500)
        outcome = after(result, charged + 1, now=now).outcome
        if isinstance(outcome, Dead):
            break
        assert isinstance(outcome, RetryAt)
        charged += outcome.charged
        now = outcome.at
    assert charged == len(STANDARD_STEPS) - 1


def test_jitter_is_the_same_for_one_attempt_and_spreads_many_events():
    waits = [wait_of(after(answer(500), 3, webhook_id=f"id-{n}")) for n in range(200)]
    assert waits == [wait_of(after(answer(500), 3, webhook_id=f"id-{n}")) for n in range(200)]
    step = STANDARD_STEPS[3]
    assert min(waits) < step * 0.85
    assert max(waits) > step * 1.15
    assert len(set(waits)) == 200


def test_full_jitter_spreads_from_now_to_the_step():
    policy = RetryPolicy(jitter=Jitter.FULL)
    waits = [wait_of(after(answer(500), 3, policy, webhook_id=f"id-{n}")) for n in range(200)]
    step = STANDARD_STEPS[3]
    assert min(waits) < step * 0.1
    assert step * 0.9 < max(waits) < step


@given(
    st.integers(100, 999),
    st.one_of(st.none(), st.text(), st.integers().map(str)),
    st.integers(1, 20),
    st.uuids().map(str),
)
def test_no_answer_raises_and_no_retry_lies_in_the_past_or_beyond_the_cap(
    status: int, retry_after: str | None, attempt_number: int, webhook_id: str
):
    decision = after(answer(status, retry_after), attempt_number, webhook_id=webhook_id)
    if isinstance(decision.outcome, RetryAt):
        assert timedelta(0) <= decision.outcome.at - NOW <= POLICY.cap * 1.2
        assert attempt_number < len(STANDARD_STEPS)
    assert (decision.error_kind is None) == isinstance(decision.outcome, Delivered)
