"""Pauses: nothing is sent to an endpoint, to a customer or to anybody, until it is taken back.

A pause moves no webhook: what is due stays pending and simply is not claimed. So no attempt is
counted, nothing ages into a dead letter, and on resumption the oldest goes first, at the pace that
the endpoint always has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Pause:
    """One pause; without an enterprise and an endpoint it is of everything. Times are naive UTC."""

    pause_id: str
    reason: str
    paused_at: datetime
    paused_by: str
    enterprise_customer_uuid: str | None = None
    endpoint_id: int | None = None
    ends_at: datetime | None = None
    """When it ends by itself or has been ended; None: when somebody resumes."""

    def covers(self, endpoint_id: int, enterprise_customer_uuid: str) -> bool:
        """Whether it is about an endpoint of a customer."""
        return self.endpoint_id in (None, endpoint_id) and self.enterprise_customer_uuid in (
            None,
            enterprise_customer_uuid,
        )

    def is_on(self, now: datetime) -> bool:
        """Whether it has not ended."""
        return self.ends_at is None or now < self.ends_at

    @property
    def what(self) -> str:
        """What is paused."""
        if self.endpoint_id is not None:
            return f"endpoint {self.endpoint_id}"
        if self.enterprise_customer_uuid is not None:
            return f"enterprise {self.enterprise_customer_uuid}"
        return "everything"

    @property
    def resume(self) -> str:
        """The command that ends it."""
        if self.endpoint_id is not None:
            return f"ltw resume --endpoint {self.endpoint_id}"
        if self.enterprise_customer_uuid is not None:
            return f"ltw resume --enterprise {self.enterprise_customer_uuid}"
        return "ltw resume --all"

    def __str__(self) -> str:
        until = "" if self.ends_at is None else f", until {self.ends_at:%Y-%m-%d %H:%M} UTC"
        return (
            f"{self.what} is paused since {self.paused_at:%Y-%m-%d %H:%M} UTC by {self.paused_by}"
            f"{until}: {self.reason}. To end it: `{self.resume}`"
        )


@dataclass(frozen=True)
class Pauses:
    """The pauses that are on at a time, and those that ended not long before."""

    known: Sequence[Pause]
    now: datetime

    @property
    def on(self) -> Sequence[Pause]:
        """Those that have not ended, the widest first."""
        widest = sorted(
            self.known, key=lambda one: (one.endpoint_id or 0, one.enterprise_customer_uuid or "")
        )
        return [one for one in widest if one.is_on(self.now)]

    def of(self, endpoint_id: int, enterprise_customer_uuid: str) -> Pause | None:
        """The one that keeps an endpoint from being sent to; of several that which lasts longest.

        None when nothing does.
        """
        found = [one for one in self.on if one.covers(endpoint_id, enterprise_customer_uuid)]
        return max(found, key=_lasts, default=None)

    def delayed(
        self, at: datetime, endpoint_id: int, enterprise_customer_uuid: str
    ) -> datetime | None:
        """When something is sent that could be at a time; None: not before somebody resumes."""
        pause = self.of(endpoint_id, enterprise_customer_uuid)
        if pause is None:
            return at
        return None if pause.ends_at is None else max(at, pause.ends_at)

    def ended_at(self, endpoint_id: int, enterprise_customer_uuid: str) -> datetime | None:
        """When the last pause of an endpoint ended; None where none has lately."""
        return max(
            (
                one.ends_at
                for one in self.known
                if one.ends_at is not None
                and one.ends_at <= self.now
                and one.covers(endpoint_id, enterprise_customer_uuid)
            ),
            default=None,
        )


NO_PAUSES = Pauses((), datetime(1970, 1, 1))


def _lasts(pause: Pause) -> tuple[bool, datetime]:
    return pause.ends_at is None, pause.ends_at or pause.paused_at
