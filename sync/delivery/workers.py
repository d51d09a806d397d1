"""Threads that send. Each takes its next item itself, so none waits for another to be told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from types import TracebackType
from typing import Generic, TypeVar

from sync.delivery.bulkheads import Bulkheads

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)
Done = TypeVar("Done")

Settle = Callable[[Item, Done], Sequence[Item]]
"""Books a result: frees the item's slot, and gives back items that may not start because of it."""
Kept = Callable[[BaseException | None], None]
"""Told that a result is safe, or why it is not."""


class Workers(Generic[Key, Item, Done]):
    """A pool of threads on one set of bulkheads; it ends with the block that it is used in.

    A result counts once ``keep`` has it safe. Meanwhile its slot serves the next item, so that
    nobody waits for a disk; but no more than ``backlog`` results are on their way at a time.

    An error of ``work`` or ``keep`` stops the pool; ``wait`` raises it once what runs has ended.
    """

    def __init__(
        self,
        bulkheads: Bulkheads[Key, Item],
        *,
        threads: int,
        work: Callable[[Item], Done],
        settle: Settle[Item, Done],
        keep: Callable[[Done, Kept], None],
        arrive: Callable[[Done], None] = lambda done: None,
        backlog: int,
    ) -> None:
        """``keep`` makes a result safe, and tells so from any thread, once.

        ``settle``, when a result has come, and ``arrive``, when it is safe, are called by one
        thread at a time, as ``may_start`` of the bulkheads is.
        """
        self._bulkheads = bulkheads
        self._work = work
        self._settle = settle
        self._keep = keep
        self._arrive = arrive
        self._backlog = backlog
        self._lock = threading.Lock()
        self._has_work = threading.Condition(self._lock)
        self._progress = threading.Condition(self._lock)
        self._has_room = threading.Condition(self._lock)
        self._is_awaited: Callable[[], bool] = lambda: False
        self._unsafe = 0
        """Results that ``keep`` is at."""
        self._done: list[Done] = []
        self._given_up: list[Item] = []
        self._idle = 0
        self._has_timekeeper = False
        self._is_closed = False
        self._error: BaseException | None = None
        self._limit = threads
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Workers[Key, Item, Done]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._close()
        self._join()

    def add(self, items: Sequence[tuple[Key, Item]]) -> None:
        """Items to work on, after those of their keys that wait already."""
        with self._lock:
            for key, item in items:
                self._bulkheads.add(key, item)
            self._has_work.notify_all()
        for _ in range(min(self._limit - len(self._threads), len(items))):
            self._threads.append(threading.Thread(target=self._run, name="delivery"))
            self._threads[-1].start()

    def give_up_waiting(self) -> None:
        """Start nothing of what waits; what runs may end."""
        with self._lock:
            self._given_up += self._bulkheads.drop_all()

    def wait(self, condition: Callable[[int], bool], *, seconds: float | None = None) -> bool:
        """Wait until nothing waits or runs, or ``condition`` holds of the number of results.

        False when ``seconds`` have passed before.

        Raises:
            BaseException: whatever ``work`` or ``keep`` raised.
        """
        until = None if seconds is None else time.monotonic() + seconds
        with self._lock:
            # Looked at by the workers after each result: waking this thread for each costs more.
            self._is_awaited = lambda: self._is_idle or condition(len(self._done))
            while not self._is_closed and not self._is_awaited():
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self._progress.wait(left)
        if self._error is not None:
            self._join()
            raise self._error
        return True

    @property
    def is_spent(self) -> bool:
        """Whether nothing waits or runs, and everything has been collected."""
        with self._lock:
            return self._is_idle and not self._done and not self._given_up

    def collect(self, then: Callable[[], None]) -> tuple[list[Done], list[Item]]:
        """Results since the last time, in the order in which they came, and given-up items.

        ``then`` is called before another result can come.
        """
        with self._lock:
            then()
            done, self._done = self._done, []
            given_up, self._given_up = self._given_up, []
        return done, given_up

    def waiting(self) -> dict[Key, int]:
        """How many items of each key wait to be started."""
        with self._lock:
            return self._bulkheads.waiting()

    def _run(self) -> None:
        try:
            while (item := self._next()) is not None:
                done = self._work(item)
                with self._lock:
                    while self._unsafe >= self._backlog:
                        self._has_room.wait()
                    self._given_up += self._settle(item, done)
                    self._unsafe += 1
                self._hand_over(done)
        except BaseException as error:
            with self._lock:
                self._fail(error)

    def _hand_over(self, done: Done) -> None:
        """Have a result kept; it is collected once it is."""

        def kept(error: BaseException | None) -> None:
            with self._lock:
                self._unsafe -= 1
                self._has_room.notify()
                try:
                    if error is None:
                        self._arrive(done)
                        self._done.append(done)
                except BaseException as failure:
                    error = failure
                if error is not None:
                    self._fail(error)
                elif self._is_closed or self._is_awaited():
                    self._progress.notify()

        try:
            self._keep(done, kept)
        except BaseException as error:
            kept(error)

    def _next(self) -> Item | None:
        with self._lock:
            while not self._is_closed:
                item, given_up = self._bulkheads.take()
                self._given_up += given_up
                if self._is_awaited():
                    self._progress.notify()
                if item is not None:
                    self._pass_on()
                    return item
                self._rest()
            return None

    def _rest(self) -> None:
        """Wait for work; one of those who do also waits for the time of the next item."""
        seconds = None if self._has_timekeeper else self._bulkheads.seconds_to_next()
        keeps_time = seconds is not None
        self._has_timekeeper |= keeps_time
        self._idle += 1
        self._has_work.wait(seconds)
        self._idle -= 1
        if keeps_time:
            self._has_timekeeper = False

    def _pass_on(self) -> None:
        """Wake one who rests, if there is something for it: an item, or the time to keep."""
        if self._idle and (
            self._bulkheads.has_turn()
            or (not self._has_timekeeper and self._bulkheads.seconds_to_next() is not None)
        ):
            self._has_work.notify()

    @property
    def _is_idle(self) -> bool:
        return self._bulkheads.is_idle and not self._unsafe

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self._close()

    def _close(self) -> None:
        self._is_closed = True
        self._has_work.notify_all()
        self._progress.notify_all()

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()
        with self._lock:
            while self._unsafe:
                self._progress.wait()
