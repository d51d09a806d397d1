"""The deadline of an exchange, whatever a connection waits for."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from sync.http.connections import Deadline

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
    deadline.limit(pair[0])
    with pytest.raises(TimeoutError):
        pair[0].recv(1)
    assert deadline.is_over
    assert 0.05 < time.monotonic() - started < 5


def test_after_the_deadline_nothing_waits_any_more(pair: Pair):
    deadline = Deadline(0)
    assert deadline.is_over
    assert deadline.remaining() == 0
    with pytest.raises(TimeoutError):
        deadline.limit(pair[0])
