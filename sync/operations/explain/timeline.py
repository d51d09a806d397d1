"""What happened to a completion, in chronological order, from enrollment to each attempt. Pure.

It contains no name, no address and no user id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sync.domain.event_types import COURSE_COMPLETION, COURSE_COMPLETION_CORRECTION
from sync.domain.pauses import Pauses
from sync.domain.responses import Attribution
from sync.domain.states import Reason, State, action_for
from sync.operations.explain.story import Story

FAULTS = {Attribution.SENDER: "sender error", Attribution.RECEIVER: "receiver error"}

WITHOUT_NUMBER = {
    COURSE_COMPLETION: "it is built without it",
    COURSE_COMPLETION_CORRECTION: "nothing is sent",
}
"""What happens to an event that waited for learning time in vain; others do not wait."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing that happened, or is to happen next."""

    at: datetime
    what: str
    details: str
    run_id: str | None = None
    """The Dagster run that did it."""


def timeline(
    story: Story,
    *,
    max_wait: timedelta,
    hosts: Mapping[int, str],
    pauses: Pauses,
) -> list[Entry]:
    """Everything about the completion, as of the time of ``pauses``. ``hosts`` are those of
    endpoints, by id."""
    found = [*_studied(story), *_enrolled(story)]
    for webhook in story.webhooks:
        found += _webhook(story, webhook, max_wait, hosts, pauses)
    if story.passed_at is not None:
        found += _not_recorded(story, pauses.now)
    return sorted(found, key=lambda one: one.at)


def difference(story: Story, webhook: Mapping[str, Any]) -> str:
    """Why the number that was sent differs from the models' current one; empty if it does not."""
    sent, now = webhook["learning_time_seconds"], story.number.seconds
    if sent is None or story.completion is None or int(sent) == now:
        return ""
    told = f"webhook {webhook['webhook_id']} carries {int(sent):,} s, and it is {now:,} s now"
    passed_at = story.completion["passed_at"]
    if passed_at != webhook["occurred_at"]:
        return f"{told}: the completion was at {webhook['occurred_at']}, but is at {passed_at} now"
    late = story.loaded_after(webhook["frozen_at"])
    if late:
        return f"{told}: {late:,} events were loaded after it was built"
    return (
        f"{told}: no event was loaded after it was built, so lines were computed later, deleted, "
        "or counted by another rule"
    )


def _enrolled(story: Story) -> Iterator[Entry]:
    for one in story.enrollments:
        customer = one["enterprise_customer_uuid"]
        if one["enrolled_at"] is not None:
            mode = one["enrollment_mode"] or "unknown"
            state = "" if one["is_enrolled"] else ", no longer enrolled"
            yield Entry(
                at=one["enrolled_at"],
                what="enrolled",
                details=f"through customer {customer}, mode {mode}{state}",
            )
        if one["consent_changed_at"] is not None:
            given = "granted" if one["is_consent_granted"] else "not granted"
            yield Entry(
                at=one["consent_changed_at"],
                what="consent",
                details=f"{given} to customer {customer}; the last change",
            )
        if one["passed_at"] is not None:
            why = one["ineligible_reason"]
            yield Entry(
                at=one["passed_at"],
                what="completed",
                details=(
                    f"eligible for customer {customer}"
                    if why is None
                    else f"not eligible for customer {customer}: {why}"
                ),
            )


def _studied(story: Story) -> Iterator[Entry]:
    sessions = story.number.sessions
    if sessions:
        which = f"the first of {len(sessions):,} sessions" if len(sessions) > 1 else "one session"
        yield Entry(at=sessions[0].started_at, what="studied", details=which)
        if len(sessions) > 1:
            yield Entry(at=sessions[-1].started_at, what="studied", details="the last session")


def _not_recorded(story: Story, now: datetime) -> Iterator[Entry]:
    recorded = {
        one["enterprise_customer_uuid"]
        for one in story.webhooks
        if one["event_type"] == COURSE_COMPLETION
    }
    for one in story.enrollments:
        customer = one["enterprise_customer_uuid"]
        if one["ineligible_reason"] is None and customer not in recorded:
            yield Entry(
                at=now,
                what="not recorded",
                details=f"the next run of completion_webhooks_job checks it; customer {customer}",
            )


def _webhook(
    story: Story,
    webhook: Mapping[str, Any],
    max_wait: timedelta,
    hosts: Mapping[int, str],
    pauses: Pauses,
) -> Iterator[Entry]:
    state, reason = webhook["state"], webhook["state_reason"]
    endpoint = _endpoint(webhook["endpoint_id"], hosts)
    yield Entry(
        at=webhook["recorded_at"],
        what="recorded",
        details=f"webhook {webhook['webhook_id']}, {webhook['event_type']}, for customer "
        f"{webhook['enterprise_customer_uuid']}",
        run_id=webhook["recorded_run_id"],
    )
    if webhook["frozen_at"] is not None:
        yield Entry(at=webhook["frozen_at"], what="built", details=_built(webhook, hosts))
    for one in story.attempts.get(webhook["webhook_id"], ()):
        yield _attempt(one, hosts)
    if state == State.AWAITING and (after := WITHOUT_NUMBER.get(webhook["event_type"])):
        yield Entry(
            at=webhook["recorded_at"] + max_wait,
            what="waits until",
            details=f"for learning time, {_through(story)}; after that {after}",
        )
    elif state == State.AWAITING:
        yield Entry(at=webhook["recorded_at"], what="not built", details="built by the next run")
    elif state == State.PENDING and webhook["next_attempt_at"] is not None:
        pause = pauses.of(webhook["endpoint_id"], webhook["enterprise_customer_uuid"])
        yield Entry(
            at=webhook["next_attempt_at"],
            what="next attempt",
            details=f"number {int(webhook['attempt_count']) + 1}, to {endpoint}, by the next run"
            + (f", but {pause}" if pause else ""),
        )
    elif state == State.DELIVERED:
        again = "; to be sent again with the next run" if webhook["replay_id"] else ""
        yield Entry(
            at=webhook["delivered_at"] or webhook["updated_at"],
            what=state,
            details=f"{endpoint} has it{again}",
        )
    elif state in (State.HELD, State.DEAD, State.SUPPRESSED):
        yield Entry(at=webhook["updated_at"], what=state, details=_stopped(reason))


def _built(webhook: Mapping[str, Any], hosts: Mapping[int, str]) -> str:
    seconds, outcome = webhook["learning_time_seconds"], webhook["enrichment_outcome"]
    through = webhook["learning_time_computed_through"]
    number = f"without learning time ({outcome})" if seconds is None else f"with {int(seconds):,} s"
    if through is not None:
        number += f", computed through {through:%Y-%m-%d %H:%M}"
    return f"{number}; {webhook['payload_format']} for {_endpoint(webhook['endpoint_id'], hosts)}"


def _attempt(attempt: Mapping[str, Any], hosts: Mapping[int, str]) -> Entry:
    said = [str(attempt["outcome"])]
    if attempt["status_code"] is not None:
        said.append(f"status {int(attempt['status_code'])}")
    if attempt["error_kind"] is not None:
        said.append(str(attempt["error_kind"]))
    if attempt["attribution"] is not None:
        said.append(FAULTS[Attribution(attempt["attribution"])])
    replayed = ", a replay" if attempt["replay_id"] else ""
    return Entry(
        at=attempt["started_at"],
        what=f"attempt {int(attempt['attempt_number'])}",
        details=f"{_endpoint(attempt['endpoint_id'], hosts)}: {', '.join(said)}, in "
        f"{int(attempt['duration_ms'] or 0):,} ms{replayed}",
        run_id=attempt["run_id"],
    )


def _stopped(reason: str | None) -> str:
    try:
        meaning = Reason(str(reason)).meaning
    except ValueError:
        meaning = "from another release"
    return f"{reason}: {meaning}. To do: {action_for(str(reason))}"


def _endpoint(endpoint_id: int | None, hosts: Mapping[int, str]) -> str:
    if endpoint_id is None:
        return "no endpoint"
    return f"endpoint {endpoint_id} ({hosts.get(int(endpoint_id), 'deleted')})"


def _through(story: Story) -> str:
    through = story.computed_through
    return "never computed" if through is None else f"computed through {through:%Y-%m-%d %H:%M}"
