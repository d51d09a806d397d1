"""The cache in memory: how long it keeps, and what it gives up first."""

from __future__ import annotations

import pytest

from sync.delivery.ttl_cache import TtlCache
from tests.support.hand_clock import HandClock


def test_a_value_is_kept_for_its_own_time_and_no_longer():
    clock = HandClock()
    cache: TtlCache[str, int] = TtlCache(max_size=10, clock=clock)
    cache.put("short", 1, seconds=15)
    cache.put("long", 0, seconds=3600)
    clock.now = 14.9
    assert (cache.get("short"), cache.get("long")) == (1, 0)
    clock.now = 15
    assert (cache.get("short"), cache.get("long")) == (None, 0)
    clock.now = 3600
    assert cache.get("long") is None
    assert len(cache) == 0


def test_a_new_value_replaces_the_old_one_and_its_time():
    clock = HandClock()
    cache: TtlCache[str, int] = TtlCache(max_size=10, clock=clock)
    cache.put("a", 1, seconds=3600)
    cache.put("a", 2, seconds=10)
    assert cache.get("a") == 2
    clock.now = 10
    assert cache.get("a") is None


def test_the_longest_unused_entry_goes_first():
    cache: TtlCache[str, int] = TtlCache(max_size=2)
    cache.put("a", 1, seconds=60)
    cache.put("b", 2, seconds=60)
    cache.get("a")
    cache.put("c", 3, seconds=60)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)
    assert len(cache) == 2


def test_a_cache_without_room_is_a_mistake():
    with pytest.raises(ValueError, match="at least one"):
        TtlCache(max_size=0)
