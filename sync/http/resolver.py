"""Name resolution by the operating system, with the time limit that ``getaddrinfo`` lacks."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import ip_address
from queue import SimpleQueue
from selectors import EVENT_WRITE, PollSelector
from typing import Any

from sync.domain.responses import Attribution, Reached
from sync.errors import SyncError
from sync.http.urls import Target

MAX_LOOKUPS = 64
"""Maximum concurrent lookups: a resolver that hangs must not pile up threads forever."""
CANARY_SECONDS = 2.0
CANARY_PORT = 443
CANARY_ADDRESSES = 16
"""How many of the canary's addresses are tried at the same time; one response is enough."""
_RESPONSES = frozenset({0, errno.ECONNREFUSED})
NAME_SERVER_RESPONDED = frozenset(
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, name)
)
"""Codes for a name server's response that there is no such name, or no address for it."""

Lookup = Callable[[str, int], list[Any]]


class ResolutionFailed(SyncError):
    """A name does not resolve; ``attribution`` is whose error that is."""

    def __init__(
        self,
        text: str,
        attribution: Attribution,
        reached: Reached = Reached.NOTHING,
        hosts: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(text)
        self.attribution = attribution
        self.reached = reached
        self.hosts = hosts


def _getaddrinfo(name: str, port: int) -> list[Any]:
    return socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)


class _Threads:
    """Reusable lookup threads: starting a thread costs more than most lookups.

    They are daemons: a lookup that never ends must not keep the process alive. There are as many
    threads as there have been concurrent lookups.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs = SimpleQueue[Callable[[], None]]()
        self._idle = 0
        """Waiting threads for which there is no job in the queue."""

    def run(self, job: Callable[[], None]) -> None:
        """Start a job immediately, regardless of other jobs."""
        self._jobs.put(job)
        with self._lock:
            is_one_idle = self._idle > 0
            self._idle -= int(is_one_idle)
        if not is_one_idle:
            threading.Thread(target=self._work, name="resolve", daemon=True).start()

    def _work(self) -> None:
        while True:
            self._jobs.get()()
            with self._lock:
                self._idle += 1


_threads = _Threads()


@dataclass
class SystemResolver:
    """Resolves absolute names, both families, each on a thread that may be abandoned.

    A name that does not exist is a receiver error. A lookup without a response may be anyone's
    error: then ``canary``, a name that must resolve from here (such as the warehouse's host), is
    looked up. If that fails too, it is a sender error. Without a canary it counts as a receiver
    error, so that a customer's broken name server is not retried forever.
    """

    canary: str | None = None
    """A name or an address, with ``:port`` unless it is 443."""
    lookup: Lookup = _getaddrinfo
    _slots: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(MAX_LOOKUPS), repr=False
    )

    def __call__(self, target: Target, timeout_seconds: float) -> list[str]:
        """All addresses of the target's name.

        Raises:
            ResolutionFailed: no result, or none in time.
        """
        # The final dot disables search domains; names in a developer's hosts file need them.
        name = target.host if target.is_development else f"{target.host}."
        found = self._within(name, target.port, timeout_seconds)
        if isinstance(found, list):
            return [str(entry[4][0]) for entry in found]
        hosts = frozenset({target.host})
        if isinstance(found, UnicodeError):
            text = "the host name does not exist"
            raise ResolutionFailed(text, Attribution.RECEIVER, Reached.NOT_TRIED, hosts)
        if isinstance(found, socket.gaierror) and found.errno in NAME_SERVER_RESPONDED:
            text = "the host name does not exist"
            raise ResolutionFailed(text, Attribution.RECEIVER, Reached.NAME_SERVER, hosts)
        ours = self.canary is not None and not isinstance(self._find_canary(), list)
        raise ResolutionFailed(
            "no host name can be resolved from here" if ours else "the host name gets no response",
            Attribution.SENDER if ours else Attribution.RECEIVER,
            Reached.NOTHING,
            hosts,
        )

    def reaches_canary(self) -> bool | None:
        """Whether the canary accepts or refuses a connection; None without a canary.

        It takes at most ``CANARY_SECONDS`` for the name and the same for the connections.
        """
        if self.canary is None:
            return None
        try:
            found = self._find_canary()
        except ResolutionFailed:
            return False
        return _does_one_respond((found or [])[:CANARY_ADDRESSES])

    def _find_canary(self) -> list[Any] | None:
        """The canary's addresses; None when it has none, or none arrive in time."""
        host, port = parse_canary(self.canary or "")
        found = self._within(host, port, CANARY_SECONDS)
        return found if isinstance(found, list) else None

    def _within(self, name: str, port: int, seconds: float) -> list[Any] | Exception | None:
        """The result, the error, or None when neither arrived in time."""
        if not self._slots.acquire(timeout=max(seconds, 0)):
            raise ResolutionFailed(
                "too many lookups are waiting", Attribution.SENDER, Reached.NOT_TRIED
            )
        box: list[list[Any] | Exception] = []
        done = threading.Event()

        def look_up() -> None:
            try:
                box.append(self.lookup(name, port))
            except (OSError, UnicodeError) as error:
                box.append(error)
            finally:
                self._slots.release()
                done.set()

        _threads.run(look_up)
        done.wait(seconds)
        return box[0] if box else None


def _does_one_respond(found: list[Any]) -> bool:
    """Whether one of the addresses of a lookup accepts or refuses a connection in time.

    They are tried concurrently, so that dead addresses, such as IPv6 ones where only IPv6 is
    broken, take no time from the others.
    """
    until = time.monotonic() + CANARY_SECONDS
    with ExitStack() as opened, PollSelector() as connecting:
        for family, kind, proto, _, address in found:
            try:
                sock = opened.enter_context(socket.socket(family, kind, proto))
                sock.setblocking(False)
                error = sock.connect_ex(address)
            except OSError:  # no such socket on this machine
                continue
            if error in _RESPONSES:
                return True
            if error == errno.EINPROGRESS:
                connecting.register(sock, EVENT_WRITE, sock)
        while connecting.get_map() and (left := until - time.monotonic()) > 0:
            for key, _ in connecting.select(left):
                if key.data.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in _RESPONSES:
                    return True
                connecting.unregister(key.data)
    return False


def parse_canary(text: str) -> tuple[str, int]:
    """Host and port of a canary; a name is made absolute, which disables search domains.

    Raises:
        ValueError: it is neither ``host`` nor ``host:port``.
    """
    host, separator, port = text.partition(":")
    is_port = port.isascii() and port.isdigit() and 0 < int(port) < 65_536
    if not host or (separator and not is_port):
        raise ValueError(f"{text!r} is neither a host nor host:port")
    try:
        ip_address(host)
    except ValueError:
        host = f"{host.removesuffix('.')}."
    return host, int(port or CANARY_PORT)
