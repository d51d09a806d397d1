"""Know when a run in this process has noticed a signal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sync.delivery.stop import Stop


@contextmanager
def noticed() -> Iterator[threading.Event]:
    """Yields an event that is set as soon as a run has noted a signal.

    The main thread may be slow to get it, and other threads would continue in the meantime.
    """
    is_noted = threading.Event()
    note = Stop.note

    def noting(self: Stop, number: int) -> bool:
        is_another = note(self, number)
        is_noted.set()
        return is_another

    Stop.note = noting
    try:
        yield is_noted
    finally:
        Stop.note = note
