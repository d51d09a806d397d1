"""Learning time of completions, read from the mart in bulk. The outcome is a type, never a zero."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime

from sync.errors import ConfigurationError, SyncError
from sync.settings import WarehouseSettings
from sync.telemetry import LOOKUP_DURATION, timed
from sync.warehouse import (
    NoResponse,
    RelationMissing,
    StatementTimedOut,
    Warehouse,
    WarehouseUnavailable,
    json_chunks,
    json_rows,
    open_warehouse,
)

log = logging.getLogger(__name__)

MART = "completion_learning_time"
LOOKUP_BATCH = 5_000
"""Keys per statement: about 600 kB of binds, below Snowflake's 1 MB of statement text."""
LOOKUP_TIMEOUT_SECONDS = 5
PAUSE_SECONDS = 30.0
"""After a failed batch no statement is sent for this long: one timeout per run, not per batch."""
MOST_KEPT = 50_000
"""Found learning times that a client caches, at about 400 bytes each: at most 20 MB."""


@dataclass(frozen=True, order=True)
class CompletionKey:
    """One learner's course run at one enterprise."""

    enterprise_customer_uuid: str
    user_id: int
    courserun_key: str


@dataclass(frozen=True)
class Found:
    """Learning time up to the completion; 0 s is a real value."""

    seconds: int
    computed_through: datetime


@dataclass(frozen=True)
class NoData:
    """Everything up to the completion is loaded and contains no learning event."""

    computed_through: datetime


@dataclass(frozen=True)
class NotYet:
    """The mart is not computed up to the time of passing yet; None: it lacks the completion."""

    computed_through: datetime | None


@dataclass(frozen=True)
class Unavailable:
    """There is no number. ``reason`` is a short text for people, without learner data."""

    reason: str


LearningTimeOutcome = Found | NoData | NotYet | Unavailable
Connect = Callable[[], AbstractContextManager[Warehouse]]


def computed_through(warehouse: Warehouse) -> datetime | None:
    """The time up to which learning time is computed; None where no line was loaded.

    Raises:
        RelationMissing: the models were never built.
    """
    watermark = warehouse.relation("marts", "learning_time_watermark")
    return warehouse.value(f"select max(computed_through) as through from {watermark}")


class LearningTimeClient:
    """Reads ``completion_learning_time``. It never raises: no failure here may stop a webhook.

    Not thread-safe, because its session is not. Made for one run: it caches what it has found, and
    looks up again what was not there yet.
    """

    def __init__(
        self,
        warehouse: Warehouse | Connect,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Use a session that is already open, with its own time limits, or one that ``warehouse``
        opens when it is first needed and again after a failure.

        ``clock`` times the pause after a failure.
        """
        if isinstance(warehouse, Warehouse):
            self._connect: Connect = lambda: nullcontext(warehouse)
        else:
            self._connect = warehouse
        self._session: tuple[Warehouse, ExitStack] | None = None
        self._clock = clock
        self._found: dict[CompletionKey, Found] = {}
        self._failure: Unavailable | None = None
        self._asks_again_at = 0.0
        self.statements = 0
        """Statements sent so far."""
        self.problems: Counter[str] = Counter()
        """``Unavailable`` outcomes by reason; the log has one line per reason."""

    @classmethod
    @contextmanager
    def connect(
        cls,
        settings: WarehouseSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        timeout_seconds: int = LOOKUP_TIMEOUT_SECONDS,
    ) -> Iterator[LearningTimeClient]:
        """A client with its own connection, where every statement has a time limit.

        It connects at the first lookup, so a run without enrichment opens no session, and an
        unreachable warehouse is an outcome, not an error.
        """
        client = cls(
            lambda: open_warehouse(
                settings, purpose="learning-time", statement_timeout_seconds=timeout_seconds
            ),
            clock=clock,
        )
        try:
            yield client
        finally:
            if client._session is not None:
                client._session[1].close()

    def get_learning_time(self, key: CompletionKey) -> LearningTimeOutcome:
        """Learning time of one completion; far below 1 ms from the cache."""
        return self.get_many([key])[key]

    def get_many(
        self, keys: Iterable[CompletionKey]
    ) -> Mapping[CompletionKey, LearningTimeOutcome]:
        """An outcome for every key; one statement per ``LOOKUP_BATCH`` keys not in the cache."""
        wanted = dict.fromkeys(keys)
        outcomes: dict[CompletionKey, LearningTimeOutcome] = {
            key: self._found[key] for key in wanted if key in self._found
        }
        missing = [key for key in wanted if key not in outcomes]
        for start in range(0, len(missing), LOOKUP_BATCH):
            outcomes.update(self._ask(missing[start : start + LOOKUP_BATCH]))
        self._count(outcomes.values())
        return outcomes

    def _ask(self, keys: Sequence[CompletionKey]) -> Mapping[CompletionKey, LearningTimeOutcome]:
        if self._failure is not None and self._clock() < self._asks_again_at:
            return dict.fromkeys(keys, self._failure)
        try:
            with timed(LOOKUP_DURATION):
                outcomes = self._look_up(self._warehouse(), keys)
        # Whatever the libraries raise, the webhook can still be sent without learning time.
        except Exception as error:
            failure = Unavailable(_reason(error))
            if failure.reason not in self.problems:
                log.warning("lookup failed: %s", error, exc_info=not isinstance(error, SyncError))
            self._failure = failure
            self._asks_again_at = self._clock() + PAUSE_SECONDS
            self._discard_session()
            return dict.fromkeys(keys, failure)
        self._failure = None
        for key, outcome in outcomes.items():
            if isinstance(outcome, Found) and len(self._found) < MOST_KEPT:
                self._found[key] = outcome
        return outcomes

    def _warehouse(self) -> Warehouse:
        if self._session is None:
            stack = ExitStack()
            self._session = stack.enter_context(self._connect()), stack
        return self._session[0]

    def _discard_session(self) -> None:
        """Drop a session that may be dead, without waiting for it to close."""
        if self._session is not None:
            threading.Thread(target=self._session[1].close, daemon=True).start()
            self._session = None

    def _look_up(
        self, warehouse: Warehouse, keys: Sequence[CompletionKey]
    ) -> Mapping[CompletionKey, LearningTimeOutcome]:
        outcomes: dict[CompletionKey, LearningTimeOutcome] = dict.fromkeys(keys, NotYet(None))
        seen: set[CompletionKey] = set()
        for chunk in json_chunks(
            {"e": key.enterprise_customer_uuid, "u": key.user_id, "c": key.courserun_key}
            for key in keys
        ):
            self.statements += 1
            for row in warehouse.rows(
                f"""
                select
                    mart.enterprise_customer_uuid,
                    mart.user_id,
                    mart.courserun_key,
                    mart.passed_at,
                    mart.learning_time_seconds,
                    mart.event_count,
                    mart.computed_through
                from {warehouse.relation("marts", MART)} as mart
                inner join {json_rows(text="e c", number="u")} as wanted
                    on mart.enterprise_customer_uuid = wanted.e
                    and mart.user_id = wanted.u
                    and mart.courserun_key = wanted.c
                """,
                chunk,
            ):
                key = CompletionKey(
                    row["enterprise_customer_uuid"], int(row["user_id"]), row["courserun_key"]
                )
                outcomes[key] = _bad("several rows for one key") if key in seen else _outcome(row)
                seen.add(key)
        return outcomes

    def _count(self, outcomes: Iterable[LearningTimeOutcome]) -> None:
        reasons = Counter(one.reason for one in outcomes if isinstance(one, Unavailable))
        for reason in reasons.keys() - self.problems.keys():
            log.warning("no learning time for %d completions: %s", reasons[reason], reason)
        self.problems.update(reasons)


def _outcome(row: Mapping[str, object]) -> LearningTimeOutcome:
    through, passed_at = row["computed_through"], row["passed_at"]
    if not isinstance(through, datetime) or not isinstance(passed_at, datetime):
        return NotYet(None)
    if through < passed_at:
        return NotYet(through)
    if not row["event_count"]:
        return NoData(through)
    seconds = row["learning_time_seconds"]
    if not isinstance(seconds, int) or seconds < 0:
        return _bad("learning_time_seconds is not a number of seconds")
    return Found(seconds, through)


def _bad(problem: str) -> Unavailable:
    return Unavailable(f"{MART}: {problem}; see its dbt tests")


def _reason(error: Exception) -> str:
    """A text for an error. Engines quote values in their messages, so none is passed on."""
    match error:
        case NoResponse() | WarehouseUnavailable():
            return "the warehouse does not respond"
        case ConfigurationError():
            return "the settings of the warehouse are wrong"
        case StatementTimedOut():
            return "the lookup exceeded its time limit"
        case RelationMissing():
            return f"the mart {MART.upper()} is missing: run learning_time_job"
        case SyncError():
            return "the warehouse refused the lookup"
    return f"unexpected {type(error).__name__} in the lookup"
