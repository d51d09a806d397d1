"""Whose fault a silence is."""

from __future__ import annotations

from datetime import datetime, timedelta

from sync.http.results import Answer, Attribution, ErrorKind, Failure
from sync.ledger.attempts import Attempt
from sync.ledger.claims import Claimed
from sync.policies.retry import RetryPolicy, decide
from sync.sending.faults import SUSPICIOUS_ENDPOINTS, uncharge_own_network_fault

NOW = datetime(2026, 3, 12, 8, 0)
SILENCE = Failure(ErrorKind.TIMEOUT, Attribution.THEIRS, "no answer in time")
OK = Answer(200, None, "")


def attempt(endpoint_id: int, result: Answer | Failure, *, started_at: datetime = NOW) -> Attempt:
    claimed = Claimed(f"id-{endpoint_id}", "course_completion", endpoint_id, b"{}", 0, 1)
    decision = decide(result, webhook_id="id", attempt_number=1, now=NOW, policy=RetryPolicy())
    return Attempt(
        claimed=claimed,
        result=result,
        decision=decision,
        started_at=started_at,
        signing_key_ids="",
    )


def silent(*endpoint_ids: int, started_at: datetime = NOW) -> list[Attempt]:
    return [attempt(one, SILENCE, started_at=started_at) for one in endpoint_ids]


def test_when_nobody_answers_nothing_is_charged() -> None:
    judged = uncharge_own_network_fault(silent(1, 2, 3), now=NOW, last_answer_at=None)
    assert judged is not None
    assert [one.is_charged for one in judged] == [False] * 3
    assert {one.decision.attribution for one in judged} == {Attribution.OURS}


def test_a_few_silent_endpoints_or_one_answer_among_them_are_no_outage() -> None:
    few = silent(*range(1, SUSPICIOUS_ENDPOINTS))
    assert uncharge_own_network_fault(few, now=NOW, last_answer_at=None) is None
    mixed = [*silent(1, 2, 3), attempt(4, OK)]
    assert uncharge_own_network_fault(mixed, now=NOW, last_answer_at=None) is None


def test_requests_that_hung_while_others_were_answered_are_charged() -> None:
    """The last to end of a large run are those that time out; their silence began long before."""
    late = silent(1, 2, 3)
    answered = NOW + timedelta(seconds=1)
    assert uncharge_own_network_fault(late, now=NOW, last_answer_at=answered) is None


def test_of_an_outage_that_began_in_mid_run_only_what_came_after_it_is_not_charged() -> None:
    after = NOW + timedelta(seconds=1)
    attempts = silent(1, 2) + silent(3, 4, 5, started_at=after)
    judged = uncharge_own_network_fault(
        attempts, now=after, last_answer_at=NOW + timedelta(milliseconds=500)
    )
    assert judged is not None
    assert [one.is_charged for one in judged] == [True, True, False, False, False]
