"""A small cache in memory: each entry has its own life, and the longest unused one goes first."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class TtlCache(Generic[_Key, _Value]):
    """Safe to share between threads. Holds at most ``max_size`` entries, dead ones included."""

    def __init__(self, *, max_size: int, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` gives seconds that never go back.

        Raises:
            ValueError: ``max_size`` is not positive.
        """
        if max_size < 1:
            raise ValueError("a cache holds at least one entry")
        self._max_size = max_size
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[_Key, tuple[float, _Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: _Key) -> _Value | None:
        """The value, or None when it was never put, has outlived its time or was pushed out."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            expires_at, value = entry
            if self._clock() >= expires_at:
                del self._entries[key]
                return None
            self._entries.move_to_end(key)
            return value

    def put(self, key: _Key, value: _Value, *, seconds: float) -> None:
        """Keep a value for so many seconds, in place of the one before."""
        with self._lock:
            self._entries[key] = (self._clock() + seconds, value)
            self._entries.move_to_end(key)
            if len(self._entries) > self._max_size:
                self._entries.popitem(last=False)
