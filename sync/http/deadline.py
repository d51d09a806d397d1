"""One time limit over a whole exchange, kept by a watchdog that shuts the socket.

A socket's own timeout starts anew with every read, so a server that drips one byte at a time can
hold a request for ever. Shutting the socket from another thread ends any wait on it.
"""

from __future__ import annotations

import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

IDLE_SECONDS = 5.0
"""The watchdog's thread ends after so long with nothing to watch."""


class Wire:
    """A second handle on a connection's socket, so that it can be cut while another thread reads.

    The handle is a duplicate: TLS takes the first one over, and a closed connection may still be
    read from. The connection itself ends when both have been let go.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock.dup()
        self._lock = threading.Lock()
        self._holder: Deadline | None = None
        self._is_cut = False
        weakref.finalize(self, self._socket.close)

    def claim(self, deadline: Deadline) -> bool:
        """Let this deadline cut the wire, and no longer the last one; False if it is cut."""
        with self._lock:
            self._holder = deadline
            return not self._is_cut

    def cut(self, deadline: Deadline) -> None:
        """Shut the socket, unless the connection has gone on to another exchange."""
        with self._lock:
            if self._holder is deadline:
                self._is_cut = True
                with suppress(OSError):  # the peer was faster
                    self._socket.shutdown(socket.SHUT_RDWR)


class Deadline:
    """The time limit of one exchange."""

    def __init__(self, expires_at: float, clock: Callable[[], float]) -> None:
        self.expires_at = expires_at
        self._clock = clock
        self._lock = threading.Lock()
        self._wire: Wire | None = None
        self._is_finished = False
        self._was_enforced = False
        self.has_reached_host = False
        """Whether under it a new connection came about or a byte of a response came; a connection
        that is used again proves nothing."""

    @property
    def is_over(self) -> bool:
        """Whether the time is up, by the watchdog or by the clock."""
        return self._was_enforced or self.remaining() <= 0

    def remaining(self) -> float:
        """Seconds left; never negative."""
        return max(self.expires_at - self._clock(), 0.0)

    def hold(self, wire: Wire) -> bool:
        """Put a connection under this limit; False if the connection or the time is gone."""
        with self._lock:
            self._wire = wire
            return wire.claim(self) and not self._was_enforced

    def enforce(self) -> None:
        """Cut the connection in use, unless the exchange has finished."""
        with self._lock:
            if not self._is_finished:
                self._was_enforced = True
                if self._wire is not None:
                    self._wire.cut(self)

    def finish(self) -> None:
        """The exchange is over; what happens to its connection is no longer this limit's affair."""
        with self._lock:
            self._is_finished = True
            self._wire = None


class Watchdog:
    """Enforces any number of deadlines from one thread, which lives only while it is needed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._watched: set[Deadline] = set()
        self._wakes_at = 0.0
        self._is_running = False

    @contextmanager
    def watch(self, seconds: float) -> Iterator[Deadline]:
        """A deadline so many seconds from now, enforced until the block is left."""
        deadline = Deadline(self._clock() + seconds, self._clock)
        with self._changed:
            self._watched.add(deadline)
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="watchdog", daemon=True).start()
            elif deadline.expires_at < self._wakes_at:
                self._changed.notify()
        try:
            yield deadline
        finally:
            deadline.finish()
            with self._changed:
                self._watched.discard(deadline)

    def _run(self) -> None:
        is_idle = False
        while True:
            with self._changed:
                now = self._clock()
                due = [deadline for deadline in self._watched if deadline.expires_at <= now]
                self._watched.difference_update(due)
                if not due:
                    if not self._watched and is_idle:
                        self._is_running = False
                        return
                    is_idle = not self._watched
                    self._wakes_at = min(
                        (deadline.expires_at for deadline in self._watched),
                        default=now + IDLE_SECONDS,
                    )
                    self._changed.wait(self._wakes_at - now)
            for deadline in due:
                deadline.enforce()
