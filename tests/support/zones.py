"""The process lives in another time zone, as machines of other companies do."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

ZONES = ("UTC", "America/St_Johns", "Asia/Kathmandu")
"""None of the other two is whole hours away from UTC, they lie on both sides of it, and one has
summer time."""


@contextmanager
def living_in(zone: str) -> Iterator[None]:
    """Local time is that of the zone, for this process and those that it starts."""
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
