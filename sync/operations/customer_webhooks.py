"""The webhooks of one customer and their attempts, in words that are fit for the customer."""

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
    Reason.ENDPOINT_DISABLED: "your endpoint is disabled: tell us once it takes webhooks again",
    Reason.EU_FALLBACK_NOT_ALLOWED: "a learner in the EU, and no endpoint for the EU",
    Reason.IDENTITY_MISSING: "the learner's account lacks an id that the format needs",
    Reason.ENDPOINT_INVALID: "the address is refused: it must be public, with HTTPS",
    Reason.INVALID_TARGET: "the address is refused: its host must have a public address",
    Reason.ATTEMPTS_EXHAUSTED: "every attempt has failed: ask us to send it again",
    Reason.ENDPOINT_GONE: "your endpoint responded with 410: tell us its new URL",
    Reason.FINAL_STATUS: "your endpoint responded with a status that is agreed to be final",
}
"""What a customer can do something about. Any other reason is for us to fix."""
OURS = "kept until we have fixed something on our side"
FAILURES: Mapping[str, str] = {
    ErrorKind.DNS: "the host name did not resolve",
    ErrorKind.CONNECT: "no connection, or it broke before a response",
    ErrorKind.TLS: "TLS failed, or the certificate is not to be trusted",
    ErrorKind.TIMEOUT: "no response in time",
    ErrorKind.HTTP: "not a success",
    ErrorKind.REDIRECT: "a redirect, which is never followed",
    ErrorKind.TOO_SLOW: "the headers did not end in time",
    ErrorKind.INVALID_TARGET: "the address was refused",
}
_LISTED = f"""
    outbox.enterprise_customer_uuid = ?
    and outbox.recorded_at >= cast(? as timestamp_ntz)
    and outbox.state <> '{State.SUPPRESSED}'
    and coalesce(outbox.state_reason, '') <> '{Reason.NO_LONGER_REPORTABLE}'
"""
"""The webhooks that have a row of their own: those that may still be sent, or were."""


def counts_by_day(
    warehouse: Warehouse, enterprise: str, first: date
) -> dict[date | None, dict[str, int]]:
    """Webhooks by day and state; under None those from before that are not finished."""
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
    """Those recorded from a day on that are to be sent or were, what is not delivered first.

    Whose consent is gone is not among them. Learners and bodies are those of delivered ones, which
    the customer has already.
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
    """Not before its own time, that of its endpoint and the end of a pause; None where nothing is
    to be tried, or nobody knows when."""
    endpoint_id = int(row["endpoint_id"] or 0)
    state = health.get(endpoint_id, EndpointState(endpoint_id=endpoint_id))
    if row["state"] != State.PENDING or state.disabled_at is not None:
        return None
    probe = state.next_probe_at if state.breaker_state is Breaker.OPEN else None
    at = max(filter(None, (row["next_attempt_at"], state.paused_until, probe)))
    return pauses.delayed(at, endpoint_id, enterprise)


def _attempt(row: Mapping[str, Any]) -> dict[str, Any]:
    if row["outcome"] == State.DELIVERED:
        result = "taken"
    elif row["attribution"] == Attribution.SENDER:
        result = "an error on our side, which counts for nothing"
    else:
        result = FAILURES.get(row["error_kind"], "not taken")
    inner = ("outcome", "error_kind", "attribution")
    return {name: value for name, value in row.items() if name not in inner} | {
        "result": result,
        "signing_key_ids": (row["signing_key_ids"] or "").replace(",", " ").split(),
    }
