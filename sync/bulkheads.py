"""Keep endpoints apart: each has its own few slots, so one that hangs can only fill its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)
Done = TypeVar("Done")


def run_apart(
    items: Iterable[Item],
    *,
    key: Callable[[Item], Key],
    work: Callable[[Item], Done],
    threads: int,
    per_key: int,
    may_start: Callable[[Key], bool],
) -> Iterator[tuple[Item, Done | None]]:
    """Work on items concurrently, at most ``per_key`` of one key at a time.

    Yields each item with its result as it finishes, in the caller's thread; an item whose key may
    not start any more comes back with None and was not worked on. Items of a full key wait in
    their own queue and hold no thread, so they delay nobody else.

    Raises:
        Exception: whatever ``work`` raises, once the running items have finished.
    """
    queues: dict[Key, deque[Item]] = {}
    for item in items:
        queues.setdefault(key(item), deque()).append(item)
    running: dict[Future[Done], Item] = {}
    busy = dict.fromkeys(queues, 0)
    with ThreadPoolExecutor(threads, thread_name_prefix="delivery") as pool:
        while running or any(queues.values()):
            for name, queue in queues.items():
                while queue and busy[name] < per_key and len(running) < threads:
                    item = queue.popleft()
                    if may_start(name):
                        running[pool.submit(work, item)] = item
                        busy[name] += 1
                    else:
                        yield item, None
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                item = running.pop(future)
                busy[key(item)] -= 1
                yield item, future.result()
