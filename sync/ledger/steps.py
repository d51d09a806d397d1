"""The numbered steps of the delivery protocol, so that a test can stop a run between any two.

Production passes ``nothing``. ``docs/delivery.md`` describes the effect of a crash at each step.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Step(StrEnum):
    """A point right after which the process may die."""

    RECORDED = "recorded"
    MESSAGES_WRITTEN = "messages_written"
    BUILT = "built"
    RECOVERED = "recovered"
    RESERVED = "reserved"
    CLAIMED = "claimed"
    RESPONDED = "responded"
    JOURNALED = "journaled"
    ATTEMPTS_LOGGED = "attempts_logged"
    SETTLED = "settled"
    FORGOTTEN = "forgotten"
    RELEASED = "released"


Hook = Callable[[Step], None]


def nothing(step: Step) -> None:
    """The production hook: does nothing."""
