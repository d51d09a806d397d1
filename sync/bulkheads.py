"""Keep endpoints apart: each has its own few slots, so one that hangs can only fill its own."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)
Done = TypeVar("Done")

MayStart = Callable[[Key], float | None]
"""Seconds until the next item of a key may start, 0 for now; None: none of them any more."""


def run_apart(
    items: Iterable[Item],
    *,
    key: Callable[[Item], Key],
    work: Callable[[Item], Done],
    threads: int,
    per_key: int,
    may_start: MayStart[Key],
    is_proven: Callable[[Key], bool] = lambda key: True,
) -> Iterator[tuple[list[tuple[Item, Done]], list[Item]]]:
    """Work on items concurrently, at most ``per_key`` of one key at a time, in order within a key.

    Yields what has finished since the last time, and the items that were given up because their
    key may not start any more. Items that wait, for a slot or for their time, stay in a queue of
    their own key and hold no thread, so they delay nobody else. ``may_start`` is asked in the
    caller's thread, once for each start that it allows. A key that is not proven gets one slot:
    many that hang would else fill the pool before it is known that they do.

    Raises:
        Exception: whatever ``work`` raises, once the running items have finished.
    """
    queues: dict[Key, deque[Item]] = {}
    for item in items:
        queues.setdefault(key(item), deque()).append(item)
    busy = dict.fromkeys(queues, 0)
    running: dict[Future[Done], Item] = {}
    ended: SimpleQueue[Future[Done]] = SimpleQueue()
    with ThreadPoolExecutor(threads, thread_name_prefix="delivery") as pool:
        while queues or running:
            given_up: list[Item] = []
            soonest: float | None = None
            for name in list(queues):
                queue = queues[name]
                slots = per_key if is_proven(name) else 1
                while queue and busy[name] < slots and len(running) < threads:
                    seconds = may_start(name)
                    if seconds is None:
                        given_up += queue
                        queue.clear()
                    elif seconds > 0:
                        soonest = seconds if soonest is None else min(soonest, seconds)
                        break
                    else:
                        item = queue.popleft()
                        future = pool.submit(work, item)
                        running[future] = item
                        future.add_done_callback(ended.put)
                        busy[name] += 1
                if not queue:
                    del queues[name]
            finished: list[Future[Done]] = []
            if running:
                # Not concurrent.futures.wait: it locks every running future at each call.
                with suppress(Empty):
                    finished.append(ended.get(timeout=soonest))
                    while True:
                        finished.append(ended.get_nowait())
            elif soonest is not None and not given_up:
                time.sleep(soonest)
            done: list[tuple[Item, Done]] = []
            for future in finished:
                item = running.pop(future)
                busy[key(item)] -= 1
                done.append((item, future.result()))
            if done or given_up:
                yield done, given_up
