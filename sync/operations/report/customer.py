"""The page of a customer: the report's style, and nothing that is not in the document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sync.domain.states import State
from sync.operations.report.charts import Series, columns, day_and_time, duration, minute
from sync.operations.report.look import html
from sync.operations.report.page import STATES, Chart

MEANINGS: Mapping[State, str] = {
    State.DELIVERED: "your endpoint accepted it",
    State.PENDING: "to be sent at the next try",
    State.AWAITING: "found but not built yet: it may wait for learning time",
    State.HELD: "held until something is fixed or switched on; no attempt is lost",
    State.DEAD: "given up until you ask us to send it again",
}
"""The states in a customer's words."""
ENDPOINTS_HEAD = (
    "state", "endpoint", "host", "region", "format", "signing keys", "authentication", "timeout",
    "per minute",
)  # fmt: skip
WEBHOOKS_HEAD = (
    "state", "event", "course run", "webhook-id", "why", "endpoint", "recorded", "attempts",
    "next try or delivery",
)  # fmt: skip
ATTEMPTS_HEAD = ("at", "webhook-id", "result", "signed with", "status", "attempt", "ms")
RETRIES_HEAD = ("attempt", "after the previous one", "since the first, h:mm:ss")


def render(document: Mapping[str, Any]) -> str:
    """The page of what ``customer_report.read_customer`` found."""
    customer, states = document["customer"], document["states"]
    return html(
        "customer.html.j2",
        name=customer["name"] or customer["uuid"],
        uuid=customer["uuid"],
        made_at=minute(document["made_at"]),
        days=len(document["by_day"]),
        sender=document["sender"],
        unfinished=document["unfinished_from_before"],
        counts=[(one, f"{states[one]:,}") for one in STATES],
        meanings=MEANINGS.items(),
        chart=_by_day(document),
        endpoints_head=ENDPOINTS_HEAD,
        endpoints=[_endpoint(one) for one in document["endpoints"]],
        webhooks_head=WEBHOOKS_HEAD,
        webhooks=[_webhook(one) for one in document["webhooks"]],
        recorded=sum(states[one] for one in STATES),
        attempts_head=ATTEMPTS_HEAD,
        attempts=[_attempt(one) for one in document["attempts"]],
        retries_head=RETRIES_HEAD,
        retries=_retries(document["retry_seconds"]),
        samples=[one | {"body": _shown(one["body"])} for one in document["samples"]],
        bodies=[
            one | {"body": _shown(one["body"])} for one in document["webhooks"] if one.get("body")
        ],
        is_personal=document["is_personal"],
    )


def _by_day(document: Mapping[str, Any]) -> Chart:
    days, title = document["by_day"], "Day by day"
    text = "By the day on which we recorded them, in UTC."
    series = [Series(one, one, [day[one] for day in days]) for one in STATES]
    labels = [f"{day['day'].day} {day['day']:%b}" for day in days]
    svg = columns(series, labels, title=title, text=text)
    return Chart(
        name="day_by_day",
        title=title,
        text=text if svg else "Nothing to draw: there was nothing to send on these days.",
        svg=svg,
        head=["day", *STATES],
        rows=[[f"{day['day']}", *(f"{day[one]:,}" for one in STATES)] for day in reversed(days)],
    )


def _endpoint(one: Mapping[str, Any]) -> list[str]:
    return [
        one["condition"],
        f"{one['endpoint_id']}",
        one["host"],
        one["region"],
        one["format"],
        ", ".join(one["signing_key_ids"]) or "none",
        one["authentication"],
        f"{one['timeout_seconds']} s",
        f"{one['max_requests_per_minute']:,}",
    ]


def _webhook(one: Mapping[str, Any]) -> list[str]:
    return [
        one["state"],
        f"{one['event_type']} of {one['corrects']}" if one["corrects"] else one["event_type"],
        one["courserun_key"],
        one["webhook_id"],
        one["why"] or "",
        "–" if one["endpoint_id"] is None else f"{one['endpoint_id']}",
        day_and_time(one["recorded_at"]),
        f"{one['attempts']}",
        day_and_time(one["next_try_at"] or one["delivered_at"]),
    ]


def _attempt(one: Mapping[str, Any]) -> list[str]:
    return [
        f"{one['started_at']:%Y-%m-%d %H:%M:%S}",
        one["webhook_id"],
        f"{one['result']}{', a replay' if one['is_replay'] else ''}",
        ", ".join(one["signing_key_ids"]) or "–",
        "–" if one["status"] is None else f"{one['status']}",
        f"{one['attempt']}",
        "–" if one["duration_ms"] is None else f"{one['duration_ms']:,}",
    ]


def _retries(steps: list[int]) -> list[list[str]]:
    return [
        [f"{n}", duration(step) if step else "immediately", _clock(sum(steps[:n]))]
        for n, step in enumerate(steps, start=1)
    ]


def _clock(seconds: int) -> str:
    """Hours, minutes and seconds."""
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _shown(body: Mapping[str, Any]) -> str:
    return json.dumps(body, indent=2, ensure_ascii=False)
