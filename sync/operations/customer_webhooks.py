"""One customer's webhooks and their attempts, in wording meant for the customer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sync.domain.circuit_breaker import Breaker, EndpointState
from sync.domain.pauses import Pauses
from sync.domain.responses import Attribution, ErrorKind
from sync.domain.states import UNFINISHED, Reason, State, sql_list
from sync.ledger.tables import ATTEMPTS, MESSAGES, OUTBOX
from sync.warehouse import Warehouse

MOST_WEBHOOKS = 500
MOST_ATTEMPTS = 500
REASONS: Mapping[str, str] = {
    Reason.NO_ACTIVE_ENDPOINT: "your endpoint is switched off",
    Reason.ENDPOINT_INACTIVE: "your endpoint is switched off",
    Reason.ENDPOINT_DISABLED: "your endpoint is disabled: tell us when it accepts webhooks again",
    Reason.EU_FALLBACK_NOT_ALLOWED: "the learner is in the EU, and you have no endpoint for the EU",
    Reason.IDENTITY_MISSING: "the learner's account lacks an id that the format needs",
    Reason.ENDPOINT_INVALID: "the address is refused: it must be public and use HTTPS",
    Reason.INVALID_TARGET: "the address is refused: its host must have a public address",
    Reason.ATTEMPTS_EXHAUSTED: "every attempt failed: ask us to send it again",
    Reason.ENDPOINT_GONE: "your endpoint responded with 410: tell us its new URL",
    Reason.FINAL_STATUS: "your endpoint responded with a status agreed to be final",
}
"""Reasons that a customer can act on. Any other reason is ours to fix."""
OURS = "held until we fix something on our side"
FAILURES: Mapping[str, str] = {
    ErrorKind.DNS: "the host name did not resolve",
    ErrorKind.CONNECT: "no connection, or it closed before a response",
    ErrorKind.TLS: "TLS failed, or the certificate is not trusted",
    ErrorKind.TIMEOUT: "no response in time",
    ErrorKind.HTTP: "not a success status",
    ErrorKind.REDIRECT: "a redirect, which is never followed",
    ErrorKind.TOO_SLOW: "the response headers were not complete in time",
    ErrorKind.INVALID_TARGET: "the address was refused",
}
_LISTED = f"""
    outbox.enterprise_customer_uuid = ?
    and outbox.recorded_at >= cast(? as timestamp_ntz)
    and outbox.state <> '{State.SUPPRESSED}'
    and coalesce(outbox.state_reason, '') <> '{Reason.NO_LONGER_REPORTABLE}'
"""
"""The webhooks listed individually: those that were sent or may still be."""


def counts_by_day(
    warehouse: Warehouse, enterprise: str, first: date
) -> dict[date | None, dict[str, int]]:
    """Webhooks by day and state; under None, earlier ones that are unfinished."""
    rows = warehouse.rows(
        f"""
        select
            iff(recorded_at >= cast(? as timestamp_ntz), recorded_at::date, null) as recorded_on,
            state,
            count(*) as n
        from {warehouse.relation("sync", OUTBOX)}
        where enterprise_customer_uuid = ?
            and (
                recorded_at >= cast(? as timestamp_ntz) or state in {sql_list(UNFINISHED)}
            )
        group by recorded_on, state
        """,
        first.isoformat(),
        enterprise,
        first.isoformat(),
    )
    found: dict[date | None, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row["recorded_on"], {})[row["state"]] = int(row["n"])
    return found


def webhooks_of(
    warehouse: Warehouse,
    enterprise: str,
    first: date,
    health: Mapping[int, EndpointState],
    pauses: Pauses,
    *,
    is_personal: bool,
) -> list[dict[str, Any]]:
    """Webhooks recorded since a day that were sent or will be, undelivered ones first.

    Those that are no longer reportable are left out. Learners and bodies are included for delivered
    ones only, which the customer already has.
    """
    person, messages = "", ""
    if is_personal:
        # Erased learners have a negative number.
        is_theirs = f"outbox.state = '{State.DELIVERED}' and outbox.user_id >= 0"
        person = f""",
            iff({is_theirs}, outbox.user_id, null) as user_id,
            iff({is_theirs}, messages.body, null) as body"""
        messages = f"""
        left join {warehouse.relation("sync", MESSAGES)} as messages
            on outbox.webhook_id = messages.webhook_id and outbox.build_id = messages.build_id"""
    rows = warehouse.rows(
        f"""
        select
            outbox.webhook_id,
            outbox.event_type,
            outbox.courserun_key,
            outbox.corrects_webhook_id as corrects,
            outbox.occurred_at,
            outbox.recorded_at,
            outbox.state,
            outbox.state_reason,
            outbox.endpoint_id,
            outbox.attempt_count as attempts,
            outbox.next_attempt_at,
            outbox.delivered_at{person}
        from {warehouse.relation("sync", OUTBOX)} as outbox{messages}
        where {_LISTED}
        order by
            iff(outbox.state = '{State.DELIVERED}', 1, 0),
            outbox.recorded_at desc,
            outbox.webhook_id
        limit {MOST_WEBHOOKS}
        """,
        enterprise,
        first.isoformat(),
    )
    return [_webhook(row, enterprise, health, pauses) for row in rows]


def attempts_of(warehouse: Warehouse, enterprise: str, first: date) -> list[dict[str, Any]]:
    """The newest attempts of these webhooks."""
    rows = warehouse.rows(
        f"""
        select
            attempts.webhook_id,
            attempts.attempt_number as attempt,
            attempts.started_at,
            attempts.duration_ms,
            attempts.outcome,
            attempts.status_code as status,
            attempts.error_kind,
            attempts.attribution,
            attempts.signing_key_ids,
            attempts.replay_id is not null as is_replay
        from {warehouse.relation("sync", ATTEMPTS)} as attempts
        where exists (
            select 1 from {warehouse.relation("sync", OUTBOX)} as outbox
            where outbox.webhook_id = attempts.webhook_id and {_LISTED}
        )
            and attempts.started_at >= cast(? as timestamp_ntz)
        order by attempts.started_at desc, attempts.webhook_id, attempts.attempt_number desc
        limit {MOST_ATTEMPTS}
        """,
        enterprise,
        first.isoformat(),
        first.isoformat(),
    )
    return [_attempt(row) for row in rows]


def _webhook(
    row: Mapping[str, Any], enterprise: str, health: Mapping[int, EndpointState], pauses: Pauses
) -> dict[str, Any]:
    state, reason = row["state"], row["state_reason"]
    is_kept = state in (State.HELD, State.DEAD)
    found = dict(row) | {
        "why": REASONS.get(reason, OURS) if is_kept else None,
        "next_try_at": _next_try(row, enterprise, health, pauses),
        "delivered_at": row["delivered_at"] if state == State.DELIVERED else None,
    }
    del found["state_reason"], found["next_attempt_at"]
    if "body" in row:
        found["body"] = None if row["body"] is None else json.loads(row["body"])
    return found


def _next_try(
    row: Mapping[str, Any], enterprise: str, health: Mapping[int, EndpointState], pauses: Pauses
) -> datetime | None:
    """The latest of its own time, its endpoint's and the end of a pause; None if no attempt is
    planned, or its time is unknown."""
    endpoint_id = int(row["endpoint_id"] or 0)
    state = health.get(endpoint_id, EndpointState(endpoint_id=endpoint_id))
    if row["state"] != State.PENDING or state.disabled_at is not None:
        return None
    probe = state.next_probe_at if state.breaker_state is Breaker.OPEN else None
    at = max(filter(None, (row["next_attempt_at"], state.paused_until, probe)))
    return pauses.delayed(at, endpoint_id, enterprise)


def _attempt(row: Mapping[str, Any]) -> dict[str, Any]:
    if row["outcome"] == State.DELIVERED:
        result = "accepted"
    elif row["attribution"] == Attribution.SENDER:
        result = "an error on our side, which does not count"
    else:
        result = FAILURES.get(row["error_kind"], "not accepted")
    inner = ("outcome", "error_kind", "attribution")
    return {name: value for name, value in row.items() if name not in inner} | {
        "result": result,
        "signing_key_ids": (row["signing_key_ids"] or "").replace(",", " ").split(),
    }
