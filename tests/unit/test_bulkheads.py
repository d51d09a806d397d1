"""Keys that share a pool of threads: none takes another's turn."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pytest

from sync.bulkheads import run_apart

WAIT_SECONDS = 10.0
Item = tuple[str, int]


def at_once(key: str) -> float | None:
    return 0.0


def run(
    items: list[Item],
    work: Callable[[Item], object],
    *,
    threads: int = 8,
    per_key: int = 2,
    may_start: Callable[[str], float | None] = at_once,
) -> tuple[list[Item], list[Item]]:
    """Items done, in the order in which they ended, and items given up."""
    done: list[Item] = []
    given_up: list[Item] = []
    for finished, dropped in run_apart(
        items,
        key=lambda item: item[0],
        work=work,
        threads=threads,
        per_key=per_key,
        may_start=may_start,
    ):
        done += [item for item, _ in finished]
        given_up += dropped
    return done, given_up


class Gauge:
    """Counts what runs at one time, per key and in all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()
        self.most_per_key: Counter[str] = Counter()
        self.most = 0

    def enter(self, key: str) -> None:
        with self._lock:
            self._running[key] += 1
            self.most_per_key[key] = max(self.most_per_key[key], self._running[key])
            self.most = max(self.most, self._running.total())

    def leave(self, key: str) -> None:
        with self._lock:
            self._running[key] -= 1


def test_a_hanging_key_delays_nobody_else() -> None:
    """The hanging items end only when every item of the others has ended."""
    others = [("quick", n) for n in range(20)]
    all_others_done = threading.Event()
    left = [len(others)]
    lock = threading.Lock()

    def work(item: Item) -> None:
        if item[0] == "hanging":
            assert all_others_done.wait(WAIT_SECONDS), "the quick ones waited for the hanging ones"
            return
        with lock:
            left[0] -= 1
            if left[0] == 0:
                all_others_done.set()

    done, given_up = run([("hanging", n) for n in range(6)] + others, work)
    assert sorted(done) == sorted([("hanging", n) for n in range(6)] + others)
    assert given_up == []


@pytest.mark.parametrize(("threads", "per_key"), [(3, 2), (8, 1), (4, 8)])
def test_neither_limit_is_ever_exceeded_and_both_are_used(threads: int, per_key: int) -> None:
    gauge = Gauge()
    # Each item stays until as many run as the limits allow, so that none is too quick to be seen.
    possible = min(threads, 4 * per_key)
    together = threading.Barrier(possible)

    def work(item: Item) -> None:
        gauge.enter(item[0])
        together.wait(WAIT_SECONDS)
        gauge.leave(item[0])

    items = [(key, n) for n in range(possible) for key in "abcd"]
    done, _ = run(items, work, threads=threads, per_key=per_key)
    assert sorted(done) == sorted(items)
    assert gauge.most == possible
    assert max(gauge.most_per_key.values()) <= per_key


def test_items_of_one_key_start_in_order() -> None:
    started: list[Item] = []
    items = [(key, n) for n in range(30) for key in "ab"]
    run(items, started.append, per_key=1)
    for key in "ab":
        assert [item for item in started if item[0] == key] == [(key, n) for n in range(30)]


def test_a_key_that_may_not_start_any_more_gives_up_its_items_unworked() -> None:
    worked: list[Item] = []
    starts = Counter[str]()

    def may_start(key: str) -> float | None:
        starts[key] += 1
        return None if key == "resting" and starts[key] > 1 else 0.0

    items = [("resting", n) for n in range(5)] + [("ready", n) for n in range(5)]
    done, given_up = run(items, worked.append, may_start=may_start)
    assert given_up == [("resting", n) for n in range(1, 5)]
    assert sorted(done) == sorted(worked) == [("ready", n) for n in range(5)] + [("resting", 0)]


def test_a_key_that_waits_for_its_time_holds_no_thread() -> None:
    """With one thread: the other key's items all run while the first one is told to wait."""
    worked: list[Item] = []

    def may_start(key: str) -> float | None:
        ready = key == "quick" or len(worked) == 10
        return 0.0 if ready else 0.001

    run(
        [("slow", 0)] + [("quick", n) for n in range(10)],
        worked.append,
        threads=1,
        may_start=may_start,
    )
    assert worked == [*(("quick", n) for n in range(10)), ("slow", 0)]


def test_an_error_of_the_work_is_raised_after_the_running_items_have_ended() -> None:
    ended = threading.Event()
    has_failed = threading.Event()

    def work(item: Item) -> None:
        if item[0] == "bad":
            has_failed.set()
            raise ZeroDivisionError
        has_failed.wait(WAIT_SECONDS)
        ended.set()

    with pytest.raises(ZeroDivisionError):
        run([("good", 0), ("bad", 0)], work)
    assert ended.is_set()


def test_nothing_to_do_is_done_at_once() -> None:
    assert run([], lambda item: None) == ([], [])
