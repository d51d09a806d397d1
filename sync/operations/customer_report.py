"""What an operator can hand to a customer: their deliveries, endpoints, keys and samples.

Nothing of another customer and nothing that is for operators only: every statement asks for one
enterprise, the states are said in a customer's words, and a URL is its host, as everywhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from sync.clock import Clock
from sync.delivery.endpoints import load_endpoints
from sync.domain.circuit_breaker import Breaker, EndpointState
from sync.domain.endpoint import Endpoint
from sync.domain.pauses import Pauses
from sync.domain.responses import Attribution, ErrorKind
from sync.domain.retry import STEPS
from sync.domain.states import UNFINISHED, Reason, State, sql_list
from sync.errors import ConfigurationError
from sync.http.secrets import SecretError, SecretStore
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.pauses import read_pauses
from sync.ledger.tables import ATTEMPTS, MESSAGES, OUTBOX
from sync.operations.endpoints import host_of
from sync.operations.operation import Action, CommandLine, Enterprise, Report
from sync.operations.report.customer import render
from sync.operations.report.figures import DEFAULT_DAYS
from sync.operations.report.look import write_whole
from sync.operations.samples import samples
from sync.operations.sender import sender
from sync.settings import report_path
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


def _is_page(path: str) -> str:
    if path and not path.endswith(".html"):
        raise ValueError("must end with .html; the JSON goes beside it")
    return path


class CustomerReport(Action):
    """Write a report for a customer: their deliveries, attempts, keys by id and samples.

    One HTML file and the same as JSON, with nothing of another customer and no secret.
    """

    name: ClassVar[str] = "customer-report"
    is_read_only: ClassVar[bool] = True

    enterprise: Enterprise = Field(description="The customer's UUID.")
    days: int = Field(default=DEFAULT_DAYS, ge=1, le=90, description="Days back, today included.")
    to: Annotated[str, AfterValidator(_is_page), CommandLine(is_only=True)] = Field(
        default="",
        description="The HTML file to write. Default: customer-<UUID>.html in LTW_REPORTS_DIR.",
    )
    personal: Annotated[bool, CommandLine(is_only=True)] = Field(
        default=False,
        description="With the learner and the body of what was delivered. They are personal data.",
    )

    def run(self, warehouse: Warehouse, clock: Clock) -> Report:
        """Read, write both files, and say where they are.

        Raises:
            ConfigurationError: nothing is known of the customer, or a file cannot be written.
            RelationMissing, StatementFailed: the ledger or a mart cannot be read.
        """
        document = read_customer(
            warehouse,
            os.environ,
            enterprise=self.enterprise,
            days=self.days,
            now=clock(),
            is_personal=self.personal,
        )
        reports = report_path(os.environ).parent
        path = Path(self.to or reports / f"customer-{self.enterprise}.html")
        try:
            page = write_whole(render(document), path)
            data = write_whole(
                json.dumps(document, indent=2, default=str) + "\n", path.with_suffix(".json")
            )
        except OSError as error:
            raise ConfigurationError(f"--to: cannot write {path}: {error.strerror}") from error
        return Report(
            document={
                "html": str(page),
                "json": str(data),
                "days": self.days,
                "states": document["states"],
                "endpoints": len(document["endpoints"]),
                "personal": self.personal,
            },
            outcome=f"written: {page} and {data}",
        )


def read_customer(
    warehouse: Warehouse,
    environ: Mapping[str, str],
    *,
    enterprise: str,
    days: int,
    now: datetime,
    is_personal: bool = False,
) -> dict[str, Any]:
    """All that the report says, for JSON; times are naive UTC. Six statements, whatever their rows.

    Raises:
        ConfigurationError: nothing is known of the customer, or a setting cannot be read.
    """
    first = (now - timedelta(days=days - 1)).date()
    endpoints = load_endpoints(warehouse).by_enterprise.get(enterprise, [])
    health = EndpointStates(warehouse).load(one.endpoint_id for one in endpoints)
    pauses = read_pauses(warehouse, now)
    counts = _counts(warehouse, enterprise, first)
    if not endpoints and not counts:
        raise ConfigurationError(
            f"--enterprise: there is neither an endpoint nor a webhook of {enterprise}"
        )
    earlier = counts.pop(None, {})
    by_day = [
        {"day": day, **{one.value: counts.get(day, {}).get(one, 0) for one in State}}
        for day in (first + timedelta(days=n) for n in range(days))
    ]
    secrets, us = SecretStore.from_environment(environ), sender(environ)
    return {
        "customer": {
            "uuid": enterprise,
            "name": next((one.enterprise_customer_name for one in endpoints), None),
        },
        "made_at": now,
        "is_personal": is_personal,
        "sender": {"addresses": list(us.addresses), "support_contact": us.contact or None},
        "retry_seconds": [int(step.total_seconds()) for step in STEPS],
        "states": {one.value: sum(day[one.value] for day in by_day) for one in State},
        "unfinished_from_before": sum(earlier.values()),
        "by_day": by_day,
        "endpoints": [
            _endpoint(one, _condition(one, health[one.endpoint_id], pauses), secrets)
            for one in endpoints
        ],
        "webhooks": [
            _webhook(row, enterprise, health, pauses, is_personal=is_personal)
            for row in _webhooks(warehouse, enterprise, first, is_personal=is_personal)
        ],
        "attempts": [_attempt(row) for row in _attempts(warehouse, enterprise, first)],
        "samples": [
            {
                "endpoint_id": one.endpoint_id,
                "format": one.payload_format,
                "event_type": name,
                "body": json.loads(body),
            }
            for one in endpoints
            for name, body in samples(one, at=now).items()
        ],
    }


def _counts(
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


def _endpoint(endpoint: Endpoint, condition: str, secrets: SecretStore) -> dict[str, Any]:
    try:
        keys = [one.key_id for one in secrets.signing_keys(endpoint.endpoint_id)]
    except SecretError:
        # The text is for operators, who read it in `ltw endpoints list`.
        keys = []
    return {
        "endpoint_id": endpoint.endpoint_id,
        "host": host_of(endpoint.url),
        "region": endpoint.region,
        "condition": condition,
        "format": endpoint.payload_format,
        "signing_key_ids": keys,
        "authentication": endpoint.scheme,
        "is_learning_time_enabled": endpoint.is_learning_time_enabled,
        "timeout_seconds": endpoint.timeout_seconds,
        "max_requests_per_minute": endpoint.max_requests_per_minute,
        "success_status_codes": sorted(endpoint.successes_with(endpoint.payload_format)),
        "final_status_codes": sorted(endpoint.final_status_codes),
    }


def _condition(endpoint: Endpoint, health: EndpointState, pauses: Pauses) -> str:
    if not endpoint.is_active:
        return "off"
    if health.disabled_at is not None:
        return "disabled"
    if pauses.of(endpoint.endpoint_id, endpoint.enterprise_customer_uuid) is not None:
        return "paused"
    if health.is_blocked_at(pauses.now):
        return "waiting"
    return "failing" if health.is_failing else "good"


def _webhooks(
    warehouse: Warehouse, enterprise: str, first: date, *, is_personal: bool
) -> list[dict[str, Any]]:
    """Those to be sent, what is not delivered first. Whose consent is gone is counted only.

    Learners and bodies are those of delivered ones, which the customer has already.
    """
    person, messages = "", ""
    if is_personal:
        # Erased learners have a negative number.
        is_theirs = f"outbox.state = '{State.DELIVERED}' and outbox.user_id >= 0"
        person = f"""
            iff({is_theirs}, outbox.user_id, null) as user_id,
            iff({is_theirs}, messages.body, null) as body,"""
        messages = f"""
        left join {warehouse.relation("sync", MESSAGES)} as messages
            on outbox.webhook_id = messages.webhook_id and outbox.build_id = messages.build_id"""
    return warehouse.rows(
        f"""
        select{person}
            outbox.webhook_id,
            outbox.event_type,
            outbox.courserun_key,
            outbox.occurred_at,
            outbox.recorded_at,
            outbox.state,
            outbox.state_reason,
            outbox.endpoint_id,
            outbox.attempt_count,
            outbox.next_attempt_at,
            outbox.delivered_at
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


def _webhook(
    row: Mapping[str, Any],
    enterprise: str,
    health: Mapping[int, EndpointState],
    pauses: Pauses,
    *,
    is_personal: bool,
) -> dict[str, Any]:
    state, reason = row["state"], row["state_reason"]
    is_kept = state in (State.HELD, State.DEAD)
    found = {
        "webhook_id": row["webhook_id"],
        "event_type": row["event_type"],
        "courserun_key": row["courserun_key"],
        "occurred_at": row["occurred_at"],
        "recorded_at": row["recorded_at"],
        "endpoint_id": None if row["endpoint_id"] is None else int(row["endpoint_id"]),
        "state": state,
        "why": REASONS.get(reason, OURS) if is_kept else None,
        "attempts": int(row["attempt_count"]),
        "next_try_at": _next_try(row, enterprise, health, pauses),
        "delivered_at": row["delivered_at"] if state == State.DELIVERED else None,
    }
    if is_personal:
        found["user_id"] = None if row["user_id"] is None else int(row["user_id"])
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


def _attempts(warehouse: Warehouse, enterprise: str, first: date) -> list[dict[str, Any]]:
    """The newest attempts of the webhooks that are listed."""
    return warehouse.rows(
        f"""
        select
            attempts.webhook_id,
            attempts.attempt_number,
            attempts.started_at,
            attempts.duration_ms,
            attempts.outcome,
            attempts.status_code,
            attempts.error_kind,
            attempts.attribution,
            attempts.signing_key_ids,
            attempts.replay_id
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


def _attempt(row: Mapping[str, Any]) -> dict[str, Any]:
    if row["outcome"] == State.DELIVERED:
        result = "taken"
    elif row["attribution"] == Attribution.SENDER:
        result = "an error on our side, which counts for nothing"
    else:
        result = FAILURES.get(row["error_kind"], "not taken")
    return {
        "webhook_id": row["webhook_id"],
        "attempt": int(row["attempt_number"]),
        "started_at": row["started_at"],
        "result": result,
        "status": None if row["status_code"] is None else int(row["status_code"]),
        "duration_ms": None if row["duration_ms"] is None else int(row["duration_ms"]),
        "signing_key_ids": (row["signing_key_ids"] or "").replace(",", " ").split(),
        "is_replay": row["replay_id"] is not None,
    }
