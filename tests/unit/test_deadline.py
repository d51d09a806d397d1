"""The watchdog: it cuts in time, never too late into another exchange, and costs one thread."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from sync.http.deadline import Deadline, Watchdog, Wire

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    yield ours, theirs
    ours.close()
    theirs.close()


def far() -> Deadline:
    return Deadline(time.monotonic() + 60, time.monotonic)


def test_a_read_that_waits_ends_at_the_deadline(pair: Pair):
    started = time.monotonic()
    with Watchdog().watch(0.1) as deadline:
        assert deadline.hold(Wire(pair[0]))
        assert pair[0].recv(1) == b""
        assert deadline.is_over
    assert 0.05 < time.monotonic() - started < 5


def test_an_earlier_deadline_is_not_kept_waiting_by_a_later_one(pair: Pair):
    watchdog = Watchdog()
    started = time.monotonic()
    with watchdog.watch(60), watchdog.watch(0.1) as deadline:
        deadline.hold(Wire(pair[0]))
        pair[0].recv(1)
    assert time.monotonic() - started < 5


def test_a_finished_exchange_is_not_cut(pair: Pair):
    deadline, wire = far(), Wire(pair[0])
    deadline.hold(wire)
    deadline.finish()
    deadline.enforce()
    pair[1].send(b"x")
    assert pair[0].recv(1) == b"x"
    assert not deadline.is_over


def test_a_late_cut_spares_the_next_exchange_on_the_same_connection(pair: Pair):
    wire, first, second = Wire(pair[0]), far(), far()
    first.hold(wire)
    second.hold(wire)
    first.enforce()
    pair[1].send(b"x")
    assert pair[0].recv(1) == b"x"
    second.enforce()
    assert pair[0].recv(1) == b""


def test_a_cut_connection_is_refused_to_the_next_exchange(pair: Pair):
    wire, first = Wire(pair[0]), far()
    first.hold(wire)
    first.enforce()
    assert not far().hold(wire)


def test_a_connection_made_after_the_deadline_is_refused(pair: Pair):
    deadline = far()
    deadline.enforce()
    assert not deadline.hold(Wire(pair[0]))


def test_remaining_time_never_turns_negative():
    now = 100.0
    deadline = Deadline(101.0, lambda: now)
    assert deadline.remaining() == 1.0
    now = 200.0
    assert deadline.remaining() == 0.0
    assert deadline.is_over


def test_many_deadlines_share_one_thread_that_ends_when_idle(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sync.http.deadline.IDLE_SECONDS", 0.05)
    before = {thread for thread in threading.enumerate() if thread.name == "watchdog"}

    def started() -> set[threading.Thread]:
        return {t for t in threading.enumerate() if t.name == "watchdog"} - before

    watchdog = Watchdog()
    for _ in range(3):
        with watchdog.watch(60), watchdog.watch(60), watchdog.watch(60):
            assert len(started()) == 1
    (thread,) = started()
    # It sleeps until the deadlines it saw last; a shorter one wakes it, and then it finds nothing.
    with watchdog.watch(0.01) as deadline:
        while not deadline.is_over:
            threading.Event().wait(0.005)
    thread.join(10)
    assert not thread.is_alive()
    with watchdog.watch(60):
        assert started()
