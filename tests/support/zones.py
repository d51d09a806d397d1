"""Runs the process in another time zone, as on machines of other companies."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

ZONES = ("UTC", "America/St_Johns", "Asia/Kathmandu")
"""Besides UTC: one zone on each side of it, both with a fractional-hour offset, and one with
daylight saving time."""


@contextmanager
def living_in(zone: str) -> Iterator[None]:
    """Sets the local time zone, for this process and those that it starts."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()
