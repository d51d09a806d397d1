"""Keep endpoints apart: each has its own few slots, so one that hangs can only fill its own.

Pure bookkeeping without a thread or a clock of its own; ``sending.workers`` puts threads to it.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Mapping
from enum import IntEnum
from typing import Generic, TypeVar

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


class Standing(IntEnum):
    """How far a key is trusted with slots."""

    FAILING = 0
    """Its last answer was a failure, in this run or by the ledger."""
    UNPROVEN = 1
    """No answer yet: it may hang for all that is known."""
    PROVEN = 2
    """Its last answer in this run was a success."""


MayStart = Callable[[Item], float | None]
"""Seconds until an item may start, 0 for now; None: neither it nor any other of its key."""


class Bulkheads(Generic[Key, Item]):
    """Items that wait, by key, and what may start next. Not thread safe.

    At most ``per_key`` items of a proven key run at a time, and one of any other. All failing
    keys together get a quarter of ``threads``, and with the unproven ones three quarters: however
    many hang, they cannot fill the pool. Keys take turns; within a key, items go in order.
    """

    def __init__(
        self,
        *,
        threads: int,
        per_key: int,
        may_start: MayStart[Item],
        standings: Mapping[Key, Standing] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``standings`` of keys that are known; any other is unproven."""
        self._per_key = per_key
        self._shares = (max(1, threads // 4), max(1, 3 * threads // 4), threads)
        """Slots for the keys of a standing and of those below it."""
        self._may_start = may_start
        self._clock = clock
        self._waiting: dict[Key, deque[Item]] = {}
        self._busy: Counter[Key] = Counter()
        self._standings = defaultdict(lambda: Standing.UNPROVEN, standings or {})
        self._running = [0 for _ in Standing]
        self._turns: tuple[deque[Key], ...] = tuple(deque() for _ in Standing)
        self._later: list[tuple[float, int, Key]] = []
        self._listed: set[Key] = set()
        """Keys in ``_turns`` or ``_later``; others have nothing waiting, or no free slot."""
        self._serial = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._waiting and not any(self._running)

    def waiting(self) -> dict[Key, int]:
        """Items that wait, by key."""
        return {key: len(items) for key, items in self._waiting.items()}

    def add(self, key: Key, item: Item) -> None:
        """An item to start when there is a slot for it."""
        self._waiting.setdefault(key, deque()).append(item)
        self._list(key)

    def take(self) -> tuple[Item | None, list[Item]]:
        """The next item to start, if any may, and items given up: their key may start no more."""
        self._wake()
        given_up: list[Item] = []
        for standing in (Standing.UNPROVEN, Standing.FAILING, Standing.PROVEN):
            turns = self._turns[standing]
            while turns and self._has_room(standing):
                key = turns.popleft()
                self._listed.discard(key)
                if self._standings[key] is not standing:
                    self._list(key)
                    continue
                if not self._is_startable(key):
                    continue
                item = self._waiting[key][0]
                seconds = self._may_start(item)
                if seconds is None:
                    given_up += self.drop(key)
                elif seconds > 0:
                    self._serial += 1
                    heapq.heappush(self._later, (self._clock() + seconds, self._serial, key))
                    self._listed.add(key)
                else:
                    self._start(key, standing)
                    return item, given_up
        return None, given_up

    def finish(self, key: Key, standing: Standing | None = None) -> None:
        """An item of ``key`` has ended; what it says about the key, if anything."""
        self._running[self._standings[key]] -= 1
        self._busy[key] -= 1
        if standing is not None:
            self.judge(key, standing)
        self._list(key)

    def judge(self, key: Key, standing: Standing) -> None:
        """Trust a key more or less from now on."""
        before = self._standings[key]
        self._standings[key] = standing
        self._running[before] -= self._busy[key]
        self._running[standing] += self._busy[key]

    def drop(self, key: Key) -> list[Item]:
        """Forget what waits for a key."""
        return list(self._waiting.pop(key, ()))

    def drop_all(self) -> list[Item]:
        """Forget everything that waits."""
        return [item for key in list(self._waiting) for item in self.drop(key)]

    def has_turn(self) -> bool:
        """Whether ``take`` is likely to find an item now."""
        return any(self._turns[one] and self._has_room(one) for one in Standing)

    def seconds_to_next(self) -> float | None:
        """When the first item that waits for its time may start; None without one."""
        return max(self._later[0][0] - self._clock(), 0.0) if self._later else None

    def _start(self, key: Key, standing: Standing) -> None:
        items = self._waiting[key]
        items.popleft()
        if not items:
            del self._waiting[key]
        self._busy[key] += 1
        self._running[standing] += 1
        self._list(key)

    def _list(self, key: Key) -> None:
        """Give a key its turn, if it can use one and has none yet."""
        if key not in self._listed and self._is_startable(key):
            self._listed.add(key)
            self._turns[self._standings[key]].append(key)

    def _is_startable(self, key: Key) -> bool:
        slots = self._per_key if self._standings[key] is Standing.PROVEN else 1
        return key in self._waiting and self._busy[key] < slots

    def _has_room(self, standing: Standing) -> bool:
        return all(
            sum(self._running[: one + 1]) < self._shares[one] for one in Standing if one >= standing
        )

    def _wake(self) -> None:
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            *_, key = heapq.heappop(self._later)
            self._listed.discard(key)
            self._list(key)
