"""A stop that somebody asks for: Ctrl-C, *Terminate* in Dagster, the end of a pod.

The signal is noted when it comes and obeyed between two steps, so that what was claimed can be
given back and what came back recorded. Then it has the effect that it had without this.
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
"""How often somebody who waits looks whether a stop was asked for."""
SAME_REQUEST_SECONDS = 5.0
"""A signal to a whole process group often comes twice, from the terminal and from the parent."""


class Stop:
    """Whether somebody has asked for a stop."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._asked_at = 0.0

    @property
    def is_asked(self) -> bool:
        """Whether a signal has come."""
        return self.signal is not None

    def note(self, number: int) -> bool:
        """A signal has come; whether it is another request, by somebody who cannot wait."""
        if self.signal is None:
            self.signal, self._asked_at = number, time.monotonic()
            return False
        return time.monotonic() - self._asked_at >= SAME_REQUEST_SECONDS

    def sleep(self, seconds: float) -> None:
        """Sleep, but not beyond the request for a stop."""
        until = time.monotonic() + seconds
        while not self.is_asked and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_SECONDS))


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Note signals within the block, and let the first one have its effect at the end of it.

    A second request takes effect at once. Signals that are ignored stay ignored. Only the main
    thread hears signals; in another one nothing is changed.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    noted = {
        number: handler
        for number, handler in before.items()
        # None: one that was not set by Python, and could not be set again.
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
