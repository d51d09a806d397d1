"""The receiver's memory: the newest webhooks in full, and counts of all webhooks."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sync.delivery.formats import known_formats

KEPT_WEBHOOKS = 2_000
"""Bodies kept; at about 1 kB each a few MB, and more than a person scrolls through."""
KEPT_IDS = 200_000
"""Webhook ids whose attempts are counted; beyond that, the least recently seen is dropped."""

MASKED_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})


@dataclass(frozen=True, kw_only=True)
class Received:
    """One request, as received."""

    sequence: int
    """1 for the first request since the start or since the store was last cleared."""
    received_at: datetime
    endpoint: str
    status: int
    """The status of the response."""
    webhook_id: str
    """Empty when the request had no such header."""
    attempt: int
    """Number of this request among those with the same id and endpoint, from 1."""
    verification: str
    """``verified``, ``no_secret``, or a ``sync.http.signing.Reason``."""
    headers: Mapping[str, str]
    body: bytes

    def as_json(self) -> dict[str, Any]:
        """JSON-serializable; ``event`` and ``learning_time`` are read from either body format."""
        content = _content(self.body)
        return {
            "sequence": self.sequence,
            "received_at": self.received_at.isoformat(timespec="milliseconds"),
            "endpoint": self.endpoint,
            "status": self.status,
            "webhook_id": self.webhook_id,
            "attempt": self.attempt,
            "is_verified": self.verification == "verified",
            "verification": self.verification,
            "event": _event(content),
            "learning_time": _learning_time(content),
            "headers": dict(self.headers),
            "body": self.body.decode("utf-8", errors="replace"),
            "body_sha256": hashlib.sha256(self.body).hexdigest(),
        }


@dataclass(kw_only=True)
class WebhookStore:
    """Bounded memory of requests; used from one thread at a time."""

    kept: int = KEPT_WEBHOOKS
    _webhooks: deque[Received] = field(init=False)
    _attempts: OrderedDict[tuple[str, str], int] = field(default_factory=OrderedDict)
    _counts: Counter[str] = field(default_factory=Counter)
    _total: int = 0

    def __post_init__(self) -> None:
        self._webhooks = deque(maxlen=self.kept)

    def record(
        self,
        *,
        received_at: datetime,
        endpoint: str,
        status: int,
        webhook_id: str,
        verification: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> Received:
        """Keep a request; credentials in its headers are masked."""
        self._total += 1
        received = Received(
            sequence=self._total,
            received_at=received_at.astimezone(UTC),
            endpoint=endpoint,
            status=status,
            webhook_id=webhook_id,
            attempt=self._count_attempt(endpoint, webhook_id),
            verification=verification,
            headers={
                name: "***" if name.lower() in MASKED_HEADERS else value
                for name, value in headers.items()
            },
            body=body,
        )
        self._webhooks.append(received)
        self._counts["verified" if verification == "verified" else "not_verified"] += 1
        self._counts["repeated"] += received.attempt > 1
        self._counts["refused"] += status >= 300
        return received

    def newest(
        self, *, limit: int, after: int = 0, webhook_id: str = "", endpoint: str = ""
    ) -> list[Received]:
        """Requests still kept, newest first; empty filters match everything."""
        found: list[Received] = []
        for received in reversed(self._webhooks):
            if received.sequence <= after or len(found) == limit:
                break
            if webhook_id in ("", received.webhook_id) and endpoint in ("", received.endpoint):
                found.append(received)
        return found

    def counts(self) -> dict[str, int]:
        """Counts over all requests, including dropped ones."""
        names = ("verified", "not_verified", "repeated", "refused")
        return {"received": self._total} | {name: self._counts[name] for name in names}

    def clear(self) -> int:
        """Clear the store; returns how many requests had been counted."""
        total = self._total
        self._webhooks.clear()
        self._attempts.clear()
        self._counts.clear()
        self._total = 0
        return total

    def _count_attempt(self, endpoint: str, webhook_id: str) -> int:
        if not webhook_id:
            return 1
        key = endpoint, webhook_id
        attempt = self._attempts.pop(key, 0) + 1
        self._attempts[key] = attempt
        if len(self._attempts) > KEPT_IDS:
            self._attempts.popitem(last=False)
        return attempt


def _content(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _event(content: Mapping[str, Any]) -> str:
    event = content.get("event_type") or content.get("status") or ""
    return event if isinstance(event, str) else ""


def _learning_time(content: Mapping[str, Any]) -> int | None:
    """Learning time in seconds, or None when the body has none."""
    found = (one.seconds_in(content) for one in known_formats(os.environ).known.values())
    return next((seconds for seconds in found if seconds is not None), None)
