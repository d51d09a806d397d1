"""The time that runs use: the warehouse's, so that workers on different machines agree."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sync.warehouse import Warehouse

Clock = Callable[[], datetime]
"""Gives the time as a naive datetime in UTC, the form of a TIMESTAMP_NTZ."""


def warehouse_clock(warehouse: Warehouse) -> Clock:
    """Ask the warehouse once, then count on with the local monotonic clock.

    Leases and schedules are compared between workers; a machine whose own clock is wrong would
    steal or keep rows. One statement a run is enough, since monotonic clocks drift by far less
    than any lease margin.
    """
    started = warehouse.value("select sysdate() as now")
    origin = time.monotonic()
    return lambda: started + timedelta(seconds=time.monotonic() - origin)
