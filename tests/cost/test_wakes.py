"""Cost of a busy site's day in warehouse resumes, by the product's decisions and Snowflake's
billing of running warehouses.

A busy site: its replicas change every minute for 14 hours and every half hour at night. The flag is
on, a completion waits for the next build all day, and each of a hundred failed attempts has a
retry. Builds and deliveries share a warehouse.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

import pytest

from orchestration.defs.webhooks.sensor import LOOK_EVERY_SECONDS, NET
from sync.operations.changes import HandOver, LastRun, Poll, Seen, Start, decide
from sync.operations.dial import BUILDS_AT, BUILDS_EVERY, is_build_due, next_slot
from tests.cost.partitions import credits_awake

MIDNIGHT = datetime(2026, 3, 10)
DAY = timedelta(days=1)
LOOK = timedelta(seconds=LOOK_EVERY_SECONDS)
RUN = timedelta(seconds=10)
"""Time that a run with little to do keeps the warehouse busy."""
BUILD = timedelta(seconds=60)
WAIT = timedelta(hours=1)
BUSY_HOURS = range(7, 21)
RETRIES = 100
STEPS = (timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2), timedelta(hours=5))
"""Steps of the retry schedule that outlast a run and mostly end within the day."""
NET_MINUTE = 12


@dataclass
class Site:
    """One day of it."""

    dial: int
    busy: list[tuple[datetime, datetime]] = field(default_factory=list)
    """Times of statements of deliveries and builds together, on one warehouse."""
    runs: list[datetime] = field(default_factory=list)
    builds: list[datetime] = field(default_factory=list)
    late: list[timedelta] = field(default_factory=list)
    """How long each retry waited for a run."""

    def credits(self) -> float:
        return credits_awake(
            ((begin - MIDNIGHT).total_seconds(), (end - MIDNIGHT).total_seconds())
            for begin, end in self.busy
        )


def sources_at(now: datetime) -> str:
    minutes = 1 if now.hour in BUSY_HOURS else 30
    return f"{now:%H}{now.minute // minutes}"


def a_day(dial: int) -> Site:
    """Poll repeatedly, as the daemon does."""
    site = Site(dial)
    random = Random(7)
    day = timedelta(hours=len(BUSY_HOURS))
    retries = sorted(
        MIDNIGHT + timedelta(hours=BUSY_HOURS[0]) + day * random.random() + random.choice(STEPS)
        for _ in range(RETRIES)
    )
    last = LastRun("run-0", MIDNIGHT - timedelta(minutes=61), has_failed=False)
    handled, told, mart = "", HandOver(ledger="l", sendable_at=None, awaiting_since=None), 0
    before = Seen(sources="", ledger="l")
    now = MIDNIGHT
    while now < MIDNIGHT + DAY:
        is_tick = now.second == 0 and now.minute % BUILDS_EVERY == BUILDS_AT.seconds // 60
        if is_tick and is_build_due(now, dial):
            site.builds.append(now)
            site.busy.append((now, now + BUILD))
        mart = sum(one + BUILD <= now for one in site.builds)
        seen = Seen(sources=sources_at(now), ledger="l")
        due_at = told.due_at(WAIT)
        is_due = told.mart not in (None, str(mart)) or (due_at is not None and due_at <= now)
        found = Poll(seen, "due" if is_due else None, due_at)
        decision = decide(
            before, found, is_handled=handled == seen.sources, last=last, now=now, dial=dial
        )
        before = seen
        is_net = now.second == 0 and now.minute == NET_MINUTE and now - last.began_at > NET
        if isinstance(decision, Start) or is_net:
            site.runs.append(now)
            site.busy.append((now, now + RUN))
            site.late += [now - one for one in retries if one <= now]
            retries = [one for one in retries if one > now]
            handled = seen.sources
            last = LastRun(f"run-{len(site.runs)}", now, has_failed=False)
            is_waiting = now.hour in BUSY_HOURS
            told = HandOver(
                ledger="l",
                sendable_at=retries[0] if retries else None,
                awaiting_since=now if is_waiting else None,
                mart=str(mart) if is_waiting else None,
            )
        now += LOOK
    return site


@pytest.fixture(scope="module")
def days() -> dict[int, Site]:
    return {dial: a_day(dial) for dial in (1, 5, 15, 60)}


@pytest.mark.parametrize(("dial", "most"), [(5, 5.0), (60, 1.5)])
def test_a_busy_day_costs_at_most(days: dict[int, Site], dial: int, most: float) -> None:
    assert days[dial].credits() <= most


def test_builds_on_a_warehouse_of_their_own_cost_what_the_pages_say(days: dict[int, Site]) -> None:
    """docs/operations.md and docs/first-day.md: up to 1.6 credits a day."""
    begins = [(one - MIDNIGHT).total_seconds() for one in days[5].builds]
    apart = credits_awake((one, one + BUILD.total_seconds()) for one in begins)
    assert 1.5 < apart <= 1.6


def test_without_the_dial_a_busy_replica_means_a_run_back_to_back(days: dict[int, Site]) -> None:
    """The check above can fail: at one minute, the warehouse never suspends by day."""
    assert days[1].credits() > 13
    assert days[1].credits() > days[5].credits() > days[15].credits() > days[60].credits()


@pytest.mark.parametrize("dial", [1, 5, 15, 60])
def test_no_retry_is_later_than_the_dial_and_a_look(days: dict[int, Site], dial: int) -> None:
    site = days[dial]
    assert len(site.late) > RETRIES * 0.8
    assert max(site.late) <= timedelta(minutes=dial) + LOOK


@pytest.mark.parametrize("dial", [5, 15, 60])
def test_one_run_starts_in_a_slot(days: dict[int, Site], dial: int) -> None:
    slots = [next_slot(one, dial) for one in days[dial].runs]
    assert len(slots) == len(set(slots))
