"""Overrides: a temporary URL or timeout of an endpoint in place of the LMS's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Override:
    """Values that replace the LMS's for an endpoint. Times are naive UTC.

    The URL itself is available only where requests need it: it may contain a token.
    """

    endpoint_id: int
    enterprise_customer_uuid: str | None
    host: str | None
    """The host name in its URL; None where the URL is the LMS's."""
    timeout_seconds: int | None
    """None where the timeout is the LMS's."""
    reason: str
    set_at: datetime
    set_by: str
    until: datetime

    def __str__(self) -> str:
        changed = [
            text
            for value, text in (
                (self.host, f"URL at {self.host}"),
                (self.timeout_seconds, f"timeout ({self.timeout_seconds} s)"),
            )
            if value is not None
        ]
        return (
            f"endpoint {self.endpoint_id} has used another {' and '.join(changed)} instead of the "
            f"LMS's since {self.set_at:%Y-%m-%d %H:%M} UTC by {self.set_by}, until "
            f"{self.until:%Y-%m-%d %H:%M} UTC: {self.reason}. To end it: "
            f"`ltw endpoints override {self.endpoint_id} --clear`"
        )
