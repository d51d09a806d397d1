"""Unresponsive hosts for tests, on loopback, so that no packet leaves the machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

QUEUE = 8
"""More connections than an idle listener's queue accepts."""


@contextmanager
def black_hole(address: str) -> Iterator[int]:
    """A port that neither accepts nor refuses connections, because its queue is full."""
    with ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.socket())
        listener.bind((address, 0))
        listener.listen(0)
        for _ in range(QUEUE):
            filler = open_sockets.enter_context(socket.socket())
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield listener.getsockname()[1]


@contextmanager
def closed_port(address: str) -> Iterator[int]:
    """A port that refuses connections, reserved for the duration of the block."""
    with socket.socket() as bound:
        bound.bind((address, 0))
        yield bound.getsockname()[1]
