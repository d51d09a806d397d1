"""Pauses: nothing is sent to an endpoint, to a customer or at all, until the pause ends.

A pause changes no webhook: due webhooks stay pending and are not claimed. So no attempt is counted,
nothing becomes a dead letter, and after the pause the oldest goes first, at the endpoint's usual
pace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Pause:
    """One pause; without enterprise and endpoint it pauses everything. Times are naive UTC."""

    pause_id: str
    reason: str
    paused_at: datetime
    paused_by: str
    enterprise_customer_uuid: str | None = None
    endpoint_id: int | None = None
    ends_at: datetime | None = None
    """When it expires or was ended; None: it lasts until an operator resumes."""

    def covers(self, endpoint_id: int, enterprise_customer_uuid: str) -> bool:
        """Whether it applies to a customer's endpoint."""
        return self.endpoint_id in (None, endpoint_id) and self.enterprise_customer_uuid in (
            None,
            enterprise_customer_uuid,
        )

    def is_on(self, now: datetime) -> bool:
        """Whether it is active at ``now``."""
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
            f"{self.what} has been paused since {self.paused_at:%Y-%m-%d %H:%M} UTC by "
            f"{self.paused_by}{until}: {self.reason}. To end it: `{self.resume}`"
        )


@dataclass(frozen=True)
class Pauses:
    """The pauses that are active at a time, and those that ended shortly before."""

    known: Sequence[Pause]
    now: datetime

    @property
    def on(self) -> Sequence[Pause]:
        """The active pauses, the widest scope first."""
        widest = sorted(
            self.known, key=lambda one: (one.endpoint_id or 0, one.enterprise_customer_uuid or "")
        )
        return [one for one in widest if one.is_on(self.now)]

    def of(self, endpoint_id: int, enterprise_customer_uuid: str) -> Pause | None:
        """The active pause that covers an endpoint; of several, the one that lasts longest.

        None when there is none.
        """
        found = [one for one in self.on if one.covers(endpoint_id, enterprise_customer_uuid)]
        return max(found, key=_lasts, default=None)

    def delayed(
        self, at: datetime, endpoint_id: int, enterprise_customer_uuid: str
    ) -> datetime | None:
        """When a webhook that could be sent at ``at`` is sent; None: when an operator resumes."""
        pause = self.of(endpoint_id, enterprise_customer_uuid)
        if pause is None:
            return at
        return None if pause.ends_at is None else max(at, pause.ends_at)

    def ended_at(self, endpoint_id: int, enterprise_customer_uuid: str) -> datetime | None:
        """When the last pause of an endpoint ended; None if none ended recently."""
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
