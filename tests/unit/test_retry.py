"""What follows an attempt: the whole table, and the schedule under a simulated clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.responses import Attribution, ErrorKind, Failure, Response
from sync.domain.retry import LONGEST_WAIT, STEPS, FollowUp, follow_up
from sync.domain.states import Reason, State

pytestmark = pytest.mark.usefixtures("local_zone")

NOW = datetime(2026, 3, 12, 4, 10, 7, tzinfo=UTC)
WEBHOOK_ID = "0f9d3c5e-1b60-5d0e-8f6e-2d1c7a4b9e10"


def after(
    result: Response | Failure,
    attempt_number: int = 1,
    *,
    success_statuses: frozenset[int] = frozenset(),
    final_statuses: frozenset[int] = frozenset(),
    now: datetime = NOW,
    webhook_id: str = WEBHOOK_ID,
) -> FollowUp:
    return follow_up(
        result,
        webhook_id=webhook_id,
        attempt_number=attempt_number,
        now=now,
        success_statuses=success_statuses,
        final_statuses=final_statuses,
    )


def response(status: int, retry_after: str | None = None) -> Response:
    return Response(status, retry_after, "", 5)


def failed(kind: ErrorKind, attribution: Attribution = Attribution.RECEIVER) -> Failure:
    return Failure(kind, attribution, "detail")


def next_of(found: FollowUp) -> datetime:
    assert found.state is State.PENDING, found
    assert found.next_attempt_at is not None
    return found.next_attempt_at


def wait_of(found: FollowUp) -> timedelta:
    assert found.is_charged
    return next_of(found) - NOW


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_a_delivery(status: int):
    assert after(response(status)) == FollowUp(state=State.DELIVERED)


@pytest.mark.parametrize("status", [101, 103, 300, 301, 304, 307, 308, 400, 401, 403, 404, 408])
def test_other_responses_are_retried_and_leave_the_endpoint_alone(status: int):
    found = after(response(status))
    assert timedelta(seconds=4) <= wait_of(found) <= timedelta(seconds=6)
    assert (found.is_overloaded, found.pause_until, found.is_endpoint_gone) == (False, None, False)
    assert (found.is_failure, found.attribution) == (True, Attribution.RECEIVER)
    expected = ErrorKind.REDIRECT if 300 <= status < 400 else ErrorKind.HTTP
    assert found.error_kind is expected


@pytest.mark.parametrize("status", [413, 422, 425, 500, 501, 503, 505, 599, 700])
def test_broken_receivers_get_repaired_so_they_are_tried_again(status: int):
    assert wait_of(after(response(status))) >= timedelta(seconds=4)


def test_a_410_kills_the_row_at_once_and_disables_the_endpoint():
    found = after(response(410))
    assert (found.state, found.reason) == (State.DEAD, Reason.ENDPOINT_GONE)
    assert found.is_endpoint_gone


def test_a_final_status_kills_the_row_only_where_the_endpoint_lists_it():
    final = frozenset({422})
    found = after(response(422), final_statuses=final)
    assert (found.state, found.reason) == (State.DEAD, Reason.FINAL_STATUS)
    assert not found.is_endpoint_gone
    assert after(response(422)).state is State.PENDING
    assert after(response(400), final_statuses=final).state is State.PENDING


def test_a_409_delivers_only_where_the_endpoint_says_so():
    conflict = frozenset({409})
    assert after(response(409), success_statuses=conflict).state is State.DELIVERED
    assert after(response(409)).state is State.PENDING
    assert after(response(408), success_statuses=conflict).state is State.PENDING
    both = after(response(409), success_statuses=conflict, final_statuses=conflict)
    assert both.state is State.DELIVERED, "it has the event, so nothing is given up"


@pytest.mark.parametrize("status", [429, 502, 504])
def test_an_overloaded_endpoint_is_slowed_down_and_paused_as_long_as_it_asks(status: int):
    plain, asking = after(response(status)), after(response(status, "60"))
    assert (plain.is_overloaded, plain.pause_until) == (True, None)
    assert (asking.is_overloaded, asking.pause_until) == (True, NOW + timedelta(seconds=60))


def test_a_503_pauses_the_endpoint_only_if_it_asks():
    assert after(response(503)).pause_until is None
    assert after(response(503, "60")).pause_until == NOW + timedelta(seconds=60)
    assert not after(response(503, "60")).is_overloaded
    assert after(response(500, "60")).pause_until is None


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_retry_after_moves_the_event_on_any_failure_and_never_forward(status: int):
    assert timedelta(minutes=10) <= wait_of(after(response(status, "600"))) <= timedelta(minutes=12)
    assert wait_of(after(response(status, "1"))) == wait_of(after(response(status)))


def test_retry_after_is_capped_at_the_longest_step():
    asked = after(response(503, "9999999999"))
    assert timedelta(hours=10) <= wait_of(asked) <= timedelta(hours=12)
    assert asked.pause_until == NOW + timedelta(hours=10)


def test_a_date_in_retry_after_counts_from_the_end_of_the_attempt():
    date = format_datetime(NOW + timedelta(minutes=10), usegmt=True)
    for now in (NOW, NOW.replace(tzinfo=None)):
        assert after(response(503, date), now=now).pause_until == now + timedelta(minutes=10)


def test_a_senseless_retry_after_is_ignored_and_reported():
    found = after(response(503, "soon"))
    assert found.is_retry_after_unreadable
    assert found.pause_until is None
    assert wait_of(found) == wait_of(after(response(503)))
    assert not after(response(503, "5")).is_retry_after_unreadable
    assert not after(response(503)).is_retry_after_unreadable


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
def test_a_failure_of_the_receiver_is_charged_and_a_sender_error_is_not(kind: ErrorKind):
    theirs = after(failed(kind))
    assert wait_of(theirs) <= timedelta(seconds=6)
    assert (theirs.is_failure, theirs.error_kind) == (True, kind)
    ours = after(failed(kind, Attribution.SENDER))
    assert timedelta(seconds=30) <= next_of(ours) - NOW <= timedelta(seconds=36)
    assert not ours.is_charged
    assert (ours.is_success, ours.is_failure, ours.error_kind) == (False, False, kind)


def test_a_sender_error_never_ends_an_event():
    last = len(STEPS)
    ours = after(failed(ErrorKind.INTERNAL, Attribution.SENDER), attempt_number=last)
    assert ours.state is State.PENDING
    theirs = after(failed(ErrorKind.CONNECT), attempt_number=last)
    assert (theirs.state, theirs.reason) == (State.DEAD, Reason.ATTEMPTS_EXHAUSTED)


def test_an_invalid_target_is_held_and_says_nothing_about_health():
    found = after(failed(ErrorKind.INVALID_TARGET), attempt_number=8)
    assert (found.state, found.reason) == (State.HELD, Reason.INVALID_TARGET)
    assert (found.is_success, found.is_failure, found.is_charged) == (False, False, False)


def test_the_window_is_as_long_as_documented():
    """A window documented as 24 h was once 8.5 minutes in another system: simulate it."""
    total = timedelta(hours=27, minutes=35, seconds=5)
    for number in range(50):
        now, count, found = NOW, 0, None
        while found is None or found.state is State.PENDING:
            if found is not None:
                assert STEPS[count] * 0.8 <= next_of(found) - now <= STEPS[count] * 1.2
                now = next_of(found)
            count += 1
            found = after(response(500), count, now=now, webhook_id=f"id-{number}")
        assert (found.reason, count) == (Reason.ATTEMPTS_EXHAUSTED, 8)
        assert total * 0.8 <= now - NOW <= total * 1.2


def test_sender_errors_in_the_middle_cost_no_attempt():
    now, charged = NOW, 0
    for tick in range(100):
        result = failed(ErrorKind.INTERNAL, Attribution.SENDER) if tick % 5 else response(500)
        found = after(result, charged + 1, now=now)
        if found.state is State.DEAD:
            break
        charged += found.is_charged
        now = next_of(found)
    assert charged == len(STEPS) - 1


def test_jitter_is_the_same_for_one_attempt_and_spreads_many_events():
    waits = [wait_of(after(response(500), 3, webhook_id=f"id-{n}")) for n in range(200)]
    assert waits == [wait_of(after(response(500), 3, webhook_id=f"id-{n}")) for n in range(200)]
    assert min(waits) < STEPS[3] * 0.85
    assert max(waits) > STEPS[3] * 1.15
    assert len(set(waits)) == 200


@given(
    st.integers(100, 999),
    st.one_of(st.none(), st.text(), st.integers().map(str)),
    st.integers(1, 20),
    st.uuids().map(str),
)
def test_no_response_raises_and_no_retry_lies_in_the_past_or_beyond_the_cap(
    status: int, retry_after: str | None, attempt_number: int, webhook_id: str
):
    found = after(response(status, retry_after), attempt_number, webhook_id=webhook_id)
    if found.state is State.PENDING:
        assert timedelta(0) <= wait_of(found) <= LONGEST_WAIT * 1.2
        assert attempt_number < len(STEPS)
    assert (found.error_kind is None) == found.is_success
