"""Keys that share a pool of threads: none takes another's turn."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import pytest

from sync.delivery.bulkheads import Bulkheads, Standing
from sync.delivery.workers import Kept, Workers
from tests.support.waiting import wait_until

WAIT_SECONDS = 10.0
Item = tuple[str, int]


def at_once(item: Item) -> float | None:
    return 0.0


def at_ease(item: Item, kept: Kept) -> None:
    """It is safe at once."""
    kept(None)


def run(
    items: list[Item],
    work: Callable[[Item], object],
    *,
    threads: int = 8,
    per_key: int = 2,
    may_start: Callable[[Item], float | None] = at_once,
    standings: Mapping[str, Standing] | None = None,
    keep: Callable[[Item, Kept], None] = at_ease,
    backlog: int = 2,
) -> tuple[list[Item], list[Item]]:
    """Items done, in the order in which they ended, and items given up; all keys are proven."""
    bulkheads = Bulkheads[str, Item](
        threads=threads,
        per_key=per_key,
        may_start=may_start,
        standings=dict.fromkeys((key for key, _ in items), Standing.PROVEN) | dict(standings or {}),
    )

    def work_on(item: Item) -> Item:
        work(item)
        return item

    def settle(item: Item, done: Item) -> list[Item]:
        bulkheads.finish(item[0])
        return []

    with Workers(
        bulkheads,
        threads=threads,
        work=work_on,
        settle=settle,
        keep=keep,
        backlog=backlog,
    ) as workers:
        workers.add([(item[0], item) for item in items])
        assert workers.wait(lambda results: False, seconds=WAIT_SECONDS)
        return workers.collect(lambda: None)


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

    def may_start(item: Item) -> float | None:
        starts[item[0]] += 1
        return None if item[0] == "resting" and starts[item[0]] > 1 else 0.0

    items = [("resting", n) for n in range(5)] + [("ready", n) for n in range(5)]
    done, given_up = run(items, worked.append, may_start=may_start)
    assert given_up == [("resting", n) for n in range(1, 5)]
    assert sorted(done) == sorted(worked) == [("ready", n) for n in range(5)] + [("resting", 0)]


def test_a_key_that_waits_for_its_time_holds_no_thread() -> None:
    """With one thread: the other key's items all run while the first one is told to wait."""
    worked: list[Item] = []

    def may_start(item: Item) -> float | None:
        ready = item[0] == "quick" or len(worked) == 10
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


def test_a_slot_is_free_at_its_result_while_that_is_being_kept() -> None:
    """One slot: the second item must run before the first one's result is safe."""
    waiting: list[Kept] = []

    def keep(item: Item, kept: Kept) -> None:
        waiting.append(kept)
        if len(waiting) == 2:
            for each in waiting:
                each(None)

    items = [("a", 0), ("a", 1)]
    assert run(items, lambda item: None, threads=1, per_key=1, keep=keep) == (items, [])


@pytest.mark.parametrize("backlog", [1, 3])
def test_no_more_results_than_said_are_unsafe_at_one_time(backlog: int) -> None:
    """The disk does nothing until each thread has a result more than may wait."""
    threads, ended = 2, list[Item]()
    waiting = SimpleQueue[Kept]()
    gauge = Gauge()

    def keep(item: Item, kept: Kept) -> None:
        gauge.enter("unsafe")
        waiting.put(kept)

    def be_disk() -> None:
        wait_until(lambda: len(ended) == threads + backlog, seconds=WAIT_SECONDS)
        for _ in items:
            kept = waiting.get(timeout=WAIT_SECONDS)
            gauge.leave("unsafe")
            kept(None)

    items = [("a", n) for n in range(12)]
    with ThreadPoolExecutor(1) as pool:
        disk = pool.submit(be_disk)
        done, _ = run(items, ended.append, threads=threads, keep=keep, backlog=backlog)
        disk.result()
    assert sorted(done) == items
    assert gauge.most == backlog


def test_an_error_of_keeping_is_raised_and_its_result_does_not_count() -> None:
    def keep(item: Item, kept: Kept) -> None:
        kept(OSError("the disk is full") if item == ("bad", 0) else None)

    with pytest.raises(OSError, match="the disk is full"):
        run([("bad", 0), ("good", 0)], lambda item: None, keep=keep)


def test_a_keeper_that_raises_stops_the_pool() -> None:
    def keep(item: Item, kept: Kept) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run([("a", 0), ("a", 1)], lambda item: None, keep=keep)


def test_nothing_to_do_is_done_at_once() -> None:
    assert run([], lambda item: None) == ([], [])


@pytest.mark.parametrize(
    ("standing", "share"),
    [pytest.param(Standing.FAILING, 2, id="failing"), pytest.param(Standing.UNPROVEN, 6, id="new")],
)
def test_keys_that_hang_cannot_fill_the_pool_however_many_they_are(
    standing: Standing, share: int
) -> None:
    """Of 8 threads, failing keys get a quarter, and keys without an answer yet three quarters."""
    hanging = [(f"hanging-{n}", n) for n in range(20)]
    good = [("good", n) for n in range(20)]
    gauge = Gauge()
    is_good_done = threading.Event()
    left = [len(good)]

    def work(item: Item) -> None:
        kind = "good" if item[0] == "good" else "hanging"
        gauge.enter(kind)
        if kind == "hanging":
            assert is_good_done.wait(WAIT_SECONDS), "the good ones found no thread"
        else:
            left[0] -= 1
            if left[0] == 0:
                is_good_done.set()
        gauge.leave(kind)

    standings = {key: standing for key, _ in hanging}
    done, _ = run(hanging + good, work, standings=standings, per_key=1)
    assert sorted(done) == sorted(hanging + good)
    assert gauge.most_per_key["hanging"] <= share


def test_a_key_that_is_not_proven_has_one_slot() -> None:
    bulkheads = Bulkheads[str, int](threads=8, per_key=3, may_start=lambda item: 0.0)
    for n in range(9):
        bulkheads.add("new", n)
    assert [bulkheads.take()[0] for _ in range(2)] == [0, None]
    bulkheads.finish("new", Standing.PROVEN)
    assert [bulkheads.take()[0] for _ in range(4)] == [1, 2, 3, None]
    bulkheads.finish("new", Standing.FAILING)
    assert bulkheads.take()[0] is None, "two are still running"
    bulkheads.finish("new")
    bulkheads.finish("new")
    assert [bulkheads.take()[0] for _ in range(2)] == [4, None]
    assert bulkheads.waiting() == {"new": 4}
    assert bulkheads.drop_all() == [5, 6, 7, 8]
    bulkheads.finish("new")
    assert bulkheads.is_idle
