"""Graceful shutdown on request: Ctrl-C, *Terminate* in Dagster, the shutdown of a pod.

The signal is noted on arrival and obeyed between two steps, so claims can be given back and
responses recorded. Then the signal has its usual effect.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LOOK_SECONDS = 0.25
"""How often a waiting thread checks for a stop request."""
SAME_REQUEST_SECONDS = 5.0
"""A signal to a whole process group often arrives twice, from the terminal and from the parent."""


class Stop:
    """Whether a stop was requested."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._asked_at = 0.0

    @property
    def is_asked(self) -> bool:
        """Whether a signal has arrived."""
        return self.signal is not None

    def note(self, number: int) -> bool:
        """Note a signal; returns whether it is a second request, by someone who cannot wait."""
        if self.signal is None:
            self.signal, self._asked_at = number, time.monotonic()
            return False
        return time.monotonic() - self._asked_at >= SAME_REQUEST_SECONDS

    def sleep(self, seconds: float) -> None:
        """Sleep, but wake at a stop request."""
        until = time.monotonic() + seconds
        while not self.is_asked and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_SECONDS))


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Note signals within the block, and let the first one take effect when the block ends.

    A second request takes effect immediately. Ignored signals stay ignored. Only the main thread
    can handle signals; in any other thread nothing is changed.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    noted = {
        number: handler
        for number, handler in before.items()
        # None: a handler that Python did not set and could not restore.
        if handler is not None and handler is not signal.SIG_IGN
    }

    def restore() -> None:
        for number, handler in noted.items():
            signal.signal(number, handler)

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if stop.note(number):
            restore()
            signal.raise_signal(number)

    for number in noted:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        restore()
        if stop.signal is not None:
            signal.raise_signal(stop.signal)
