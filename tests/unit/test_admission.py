"""What a run keeps to between an answer and the moment when the ledger knows of it."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest

from sync.delivery.admission import LEASE_MARGIN, REST_AFTER, Admission, Row
from sync.delivery.bulkheads import Standing
from sync.domain.circuit_breaker import Breaker, EndpointState
from sync.domain.endpoint import Endpoint, Region
from sync.domain.pacing import Grant
from sync.domain.responses import Response
from sync.domain.retry import RetryPolicy, decide
from sync.ledger.attempts import Attempt
from sync.ledger.claims import Batch, Claimed

pytestmark = pytest.mark.usefixtures("local_zone")

NOW = datetime(2026, 3, 12, 8, 0)
ENDPOINT = Endpoint(
    endpoint_id=7,
    enterprise_customer_uuid="7d3f1c52-0b6e-4a83-9c41-5e2a90d7f6b8",
    region=Region.OTHER,
    url="https://hooks.example.com/7",
    timeout_seconds=10,
    max_requests_per_minute=60,
    is_active=True,
    is_enrollment_events_enabled=False,
)
CLAIMED = Claimed("id-1", "course_completion", 7, b"{}", attempt_count=0, fence=1)


def admission(*states: EndpointState) -> Admission:
    return Admission({7: ENDPOINT}, states, lambda: NOW)


def board(
    to: Admission, *, first_at: datetime = NOW, rows: int = 1, lease: float = 600.0
) -> list[Row]:
    grant = Grant(7, rows, first_at, timedelta(seconds=1))
    return to.board(Batch([CLAIMED] * rows, {7: grant}), lease_end=time.monotonic() + lease)


def attempt(status: int, retry_after: str | None = None) -> Attempt:
    result = Response(status, retry_after, "")
    decision = decide(result, webhook_id="id-1", attempt_number=1, now=NOW, policy=RetryPolicy())
    return Attempt(
        claimed=CLAIMED, result=result, decision=decision, started_at=NOW, signing_key_ids=""
    )


@pytest.mark.parametrize(
    ("status", "retry_after", "must_rest"),
    [
        pytest.param(410, None, True, id="gone"),
        pytest.param(429, "60", True, id="too many, with a time"),
        pytest.param(503, "60", True, id="unavailable, with a time"),
        pytest.param(429, None, False, id="too many"),
        pytest.param(500, None, False, id="one failure"),
        pytest.param(200, None, False, id="success"),
    ],
)
def test_rows_at_hand_are_given_up_where_the_ledger_would_refuse_them(
    status: int, retry_after: str | None, must_rest: bool
) -> None:
    admits = admission()
    (before,) = board(admits)
    made = attempt(status, retry_after)
    admits.judge(made)
    assert admits.must_rest(made) is must_rest
    (claimed_meanwhile,) = board(admits)
    assert (admits.may_start(before) is None) is must_rest
    assert (admits.may_start(claimed_meanwhile) is None) is must_rest


def test_what_is_claimed_after_the_answer_was_recorded_may_start() -> None:
    admits = admission()
    gone = attempt(410)
    admits.judge(gone)
    assert admits.must_rest(gone)
    admits.arrive(gone)
    admits.collected()
    (row,) = board(admits)
    assert admits.may_start(row) == 0.0


def test_an_answer_that_is_not_on_disk_yet_keeps_back_what_is_claimed_before_it_is_recorded() -> (
    None
):
    """Results were taken for the ledger after the answer had come, and without it."""
    admits = admission()
    gone = attempt(410)
    admits.judge(gone)
    assert admits.must_rest(gone)
    admits.collected()
    (row,) = board(admits)
    assert admits.may_start(row) is None
    admits.arrive(gone)
    assert admits.may_start(row) is None
    admits.collected()
    (later,) = board(admits)
    assert admits.may_start(later) == 0.0


def test_failures_in_a_row_rest_an_endpoint_and_a_success_starts_the_count_anew() -> None:
    admits = admission()
    rests = []
    for status in [500] * (REST_AFTER - 1) + [200] + [500] * REST_AFTER:
        made = attempt(status)
        admits.judge(made)
        rests.append(admits.must_rest(made))
    assert rests == [False] * (2 * REST_AFTER - 1) + [True]


def test_nothing_starts_so_late_that_its_answer_could_come_after_the_lease() -> None:
    margin = ENDPOINT.timeout_seconds + LEASE_MARGIN.total_seconds()
    admits = admission()
    (late,) = board(admits, lease=margin)
    assert admits.may_start(late) is None
    (in_time,) = board(admits, lease=margin + 5)
    assert admits.may_start(in_time) == 0.0


def test_a_pace_that_is_late_goes_on_under_the_next_grant() -> None:
    """Else rows held up under one grant and rows of the next would go at twice the rate."""
    admits = admission()
    for row in board(admits, first_at=NOW - timedelta(seconds=9), rows=12):
        admits.may_start(row)
    (row,) = board(admits, first_at=NOW - timedelta(seconds=9))
    assert admits.may_start(row) == pytest.approx(1.0)
    assert admits.next_slot_at(7, None) == NOW + timedelta(seconds=1)
    assert admits.next_slot_at(7, NOW + timedelta(hours=1)) == NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("state", "standing"),
    [
        pytest.param(EndpointState(endpoint_id=7), Standing.UNPROVEN, id="nothing known"),
        pytest.param(
            EndpointState(endpoint_id=7, consecutive_failures=1), Standing.FAILING, id="failed"
        ),
        pytest.param(
            EndpointState(endpoint_id=7, breaker_state=Breaker.HALF_OPEN),
            Standing.FAILING,
            id="on probation",
        ),
    ],
)
def test_an_endpoint_begins_as_the_ledger_knows_it(
    state: EndpointState, standing: Standing
) -> None:
    assert admission(state).standings == {7: standing}


def test_an_answer_tells_how_far_an_endpoint_is_trusted() -> None:
    admits = admission()
    assert admits.judge(attempt(200)) is Standing.PROVEN
    assert admits.judge(attempt(500)) is Standing.FAILING


def test_answers_count_once_they_can_be_collected() -> None:
    admits = admission()
    made = attempt(500)
    admits.judge(made)
    assert admits.answers == 0
    admits.arrive(made)
    assert admits.answers == 1
    admits.collected()
    assert admits.answers == 0
