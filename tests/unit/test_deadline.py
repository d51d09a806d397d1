"""The deadline of an exchange, whatever a connection waits for."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from sync.http.connections import LATE_SECONDS, Deadline
from tests.support.hand_clock import HandClock

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_read_that_waits_ends_at_the_deadline(pair: Pair):
    started = time.monotonic()
    deadline = Deadline(0.1)

    def read() -> bytes:
        # It raises here already if the machine has let the deadline pass.
        deadline.limit(pair[0])
        return pair[0].recv(1)

    with pytest.raises(TimeoutError):
        read()
    assert deadline.is_over
    assert 0.05 < time.monotonic() - started < 60


def test_after_the_deadline_nothing_waits_any_more(pair: Pair):
    deadline = Deadline(0)
    assert deadline.is_over
    assert deadline.remaining() == 0
    with pytest.raises(TimeoutError):
        deadline.limit(pair[0])


@pytest.mark.parametrize("before", [None, 0.0, 0.2, 0.99, 1.0, 1.02, 1.2, 30.0])
def test_a_wait_ends_never_sooner_and_hardly_later_than_the_deadline(
    pair: Pair, before: float | None, monkeypatch: pytest.MonkeyPatch
):
    """Regardless of the socket timeout from the last exchange; if sooner, it would be resent."""
    clock = SimpleNamespace(monotonic=HandClock())
    monkeypatch.setattr("sync.http.connections.time", clock)
    pair[0].settimeout(before)
    deadline = Deadline(1.0)
    deadline.limit(pair[0])
    timeout = pair[0].gettimeout()
    assert timeout is not None
    assert deadline.remaining() <= timeout
    assert timeout <= 1.0 + LATE_SECONDS
