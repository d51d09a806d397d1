"""Overrides: another URL or timeout of an endpoint than the LMS has, for a while."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Override:
    """What stands in for the LMS's values of an endpoint. Times are naive UTC.

    The URL itself is where requests need it and nowhere else: it may hold a token.
    """

    endpoint_id: int
    enterprise_customer_uuid: str | None
    host: str | None
    """The name in its URL; None where the URL is the LMS's."""
    timeout_seconds: int | None
    """None where it is the LMS's."""
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
            f"endpoint {self.endpoint_id} has another {' and '.join(changed)} than the LMS since "
            f"{self.set_at:%Y-%m-%d %H:%M} UTC by {self.set_by}, until "
            f"{self.until:%Y-%m-%d %H:%M} UTC: {self.reason}. To end it: "
            f"`ltw endpoints override {self.endpoint_id} --clear`"
        )
