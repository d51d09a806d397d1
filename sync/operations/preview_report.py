"""What a preview found: one line per webhook, and the counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["send", "wait", "hold", "suppress"]
Origin = Literal["new", "recorded", "held", "frozen"]
FROZEN_SHOWN = 1_000
"""Messages frozen before that a preview lists; it counts all of them."""
HELD_BACK = "mass_send_limit"
"""Why a new event would wait when too many are new."""
HELD_BACK_SHOWN = 100
"""Such events that a preview lists, of each source: there may be millions, and none would go."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One webhook and what the next run would make of it. No personal data but in ``body``."""

    webhook_id: str
    origin: Origin
    """``new``: not in the outbox yet. ``frozen``: the message stands, and is due."""
    event_type: str
    enterprise_customer_uuid: str
    courserun_key: str
    verdict: Verdict
    reason: str | None
    """Why it would not be sent."""
    region: str | None
    endpoint_id: int | None
    payload_format: str | None
    enrichment_outcome: str | None
    learning_time_seconds: int | None
    is_replay: bool = False
    body: bytes | None = field(default=None, repr=False)

    def as_dict(self, *, with_body: bool) -> dict[str, object]:
        """The same for JSON; the body, which is personal data, only where it is asked for."""
        document: dict[str, object] = {
            name: value for name, value in vars(self).items() if name != "body"
        }
        if with_body:
            document["body"] = json.loads(self.body) if self.body is not None else None
        return document


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The next run, before it happens."""

    planned: Sequence[Planned]
    due_frozen: int
    """Frozen messages that are due; at most ``FROZEN_SHOWN`` of them are in ``planned``."""
    before_activation: int
    """New events that would be recorded as suppressed, being from before the activation."""
    is_activated: bool
    """False: the next run is the first one and decides for ever which completions are old."""
    held_back: int
    """New events of sources that have more than the limit: none of them would be recorded. At most
    ``HELD_BACK_SHOWN`` of each are in ``planned``.
    """
    mass_send_limit: int
    problems: Counter[str]
    """Texts behind what is held or without learning time."""

    @property
    def guard(self) -> str | None:
        """What the mass-send guard would say; None when it would let everything through."""
        if not self.held_back:
            return None
        return (
            f"{self.held_back} events are new, more than mass_send_limit = {self.mass_send_limit}: "
            "none of them would be recorded. If the number is right, run with allow_mass_send: true"
        )

    @property
    def let_through(self) -> list[Planned]:
        """Those listed that the guard would not hold back."""
        return [one for one in self.planned if one.reason != HELD_BACK]

    def counts(self) -> Counter[tuple[str, str]]:
        """Webhooks by verdict, and by reason or enrichment outcome."""
        counts: Counter[tuple[str, str]] = Counter(
            (one.verdict, one.reason or one.enrichment_outcome or "") for one in self.let_through
        )
        if self.held_back:
            counts["wait", HELD_BACK] = self.held_back
        return counts

    def as_dict(self, *, limit: int, with_bodies: bool) -> dict[str, object]:
        """The same for JSON, with at most ``limit`` webhooks listed."""
        return {
            "counts": [
                {"verdict": verdict, "why": why, "webhooks": count}
                for (verdict, why), count in sorted(self.counts().items())
            ],
            "due_frozen": self.due_frozen,
            "before_activation": self.before_activation,
            "is_activated": self.is_activated,
            "held_back": self.held_back,
            "mass_send_guard": self.guard,
            "problems": dict(self.problems),
            "webhooks": [one.as_dict(with_body=with_bodies) for one in self.planned[:limit]],
        }
