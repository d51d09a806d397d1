"""Which webhooks a replay is about: conditions for people, and the same as SQL."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sync.domain.rollout import enterprise_uuids
from sync.domain.states import State
from sync.errors import ConfigurationError

MAX_IDS = 10_000
"""Ids in one request: about 400 kB of binds."""


class ReplayState(StrEnum):
    """States that can be replayed. Rows in any other are about to be sent anyway, or wait."""

    DEAD = State.DEAD.value
    DELIVERED = State.DELIVERED.value
    SUPPRESSED = State.SUPPRESSED.value


class Window(StrEnum):
    """The moment that ``since`` and ``until`` look at."""

    RECORDED = "recorded_at"
    DELIVERED = "delivered_at"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which webhooks; every condition given must hold. Moments are naive UTC.

    Raises:
        ConfigurationError: the conditions select nothing in particular, or contradict each other.
    """

    webhook_ids: tuple[str, ...] = ()
    endpoint_id: int | None = None
    enterprise: str | None = None
    """A customer's UUID, in any spelling."""
    state: ReplayState | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    window: Window = Window.RECORDED

    def __post_init__(self) -> None:
        if not self.webhook_ids and self.state is None:
            raise ConfigurationError(
                f"a replay without webhook ids needs a state: {', '.join(ReplayState)}"
            )
        if len(self.webhook_ids) > MAX_IDS:
            raise ConfigurationError(f"at most {MAX_IDS} webhook ids go into one replay")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ConfigurationError("since must lie before until")
        if self.enterprise is not None:
            (spelled,) = enterprise_uuids([self.enterprise], setting="enterprise")
            object.__setattr__(self, "enterprise", spelled)

    def as_json(self) -> str:
        """The conditions given, for the audit row."""
        given: dict[str, object] = {
            "webhook_ids": list(self.webhook_ids) or None,
            "endpoint_id": self.endpoint_id,
            "enterprise": self.enterprise,
            "state": self.state,
            "reason": self.reason,
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
            "window": self.window if self.since or self.until else None,
        }
        return json.dumps({name: value for name, value in given.items() if value is not None})

    def condition(self) -> tuple[str, tuple[object, ...]]:
        """The conditions as SQL on a table called ``outbox``, and its binds."""
        parts, binds = ["true"], []
        if self.webhook_ids:
            parts.append(
                "outbox.webhook_id in"
                " (select value::varchar from table(flatten(input => parse_json(?))))"
            )
            binds.append(json.dumps(self.webhook_ids))
        for column, operator, value in (
            ("endpoint_id", "=", self.endpoint_id),
            ("enterprise_customer_uuid", "=", self.enterprise),
            ("state", "=", self.state and self.state.value),
            ("state_reason", "=", self.reason),
        ):
            if value is not None:
                parts.append(f"outbox.{column} {operator} ?")
                binds.append(value)
        for operator, moment in ((">=", self.since), ("<", self.until)):
            if moment is not None:
                parts.append(f"outbox.{self.window.value} {operator} cast(? as timestamp_ntz)")
                binds.append(moment.isoformat())
        return " and ".join(parts), tuple(binds)
