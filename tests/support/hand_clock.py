"""A clock that stands still until a test moves it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class HandClock:
    """A monotonic clock in seconds."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now
