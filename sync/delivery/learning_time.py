"""Learning time of completions, read from the mart in bulk. The outcome is a type, never a zero."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sync.delivery.sessions import OwnSession, Session, SharedSession
from sync.delivery.ttl_cache import TtlCache
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
)

log = logging.getLogger(__name__)

MART = "completion_learning_time"
LOOKUP_BATCH = 5_000
"""Keys per statement: about 600 kB of binds, below Snowflake's 1 MB of statement text."""
LOOKUP_TIMEOUT_SECONDS = 5
FOUND_SECONDS = 3_600.0
ABSENT_SECONDS = 60.0
"""What is not there yet may be there after the next build."""
ERROR_SECONDS = 15.0
REST_SECONDS = 30.0
"""After a failed batch nothing is asked for so long: one timeout a run, not one a batch."""
CACHE_SIZE = 50_000
"""Entries of about 400 bytes: 20 MB at most."""


@dataclass(frozen=True, order=True)
class CompletionKey:
    """One learner's course run at one enterprise."""

    enterprise_customer_uuid: str
    user_id: int
    courserun_key: str


@dataclass(frozen=True)
class Found:
    """The learner studied this long up to the pass; 0 s is a real answer."""

    seconds: int
    computed_through: datetime


@dataclass(frozen=True)
class NoData:
    """Everything up to the pass is loaded and no learning event is among it."""

    computed_through: datetime


@dataclass(frozen=True)
class NotYet:
    """The mart does not reach the moment of passing yet; None: it does not know the completion."""

    computed_through: datetime | None


class UnavailableKind(StrEnum):
    """Why there is no answer; short and stable, for a ledger and for alerts."""

    UNREACHABLE = "unreachable"
    """No connection, a refused login, or silence."""
    TIMED_OUT = "timed_out"
    """The warehouse stopped the look-up at its time limit."""
    MART_MISSING = "mart_missing"
    """The mart was never built, or the role may not read it."""
    REFUSED = "refused"
    """The warehouse refused the statement."""
    BAD_VALUE = "bad_value"
    """The mart holds what cannot be a learning time."""
    UNEXPECTED = "unexpected"
    """A fault of this program."""


@dataclass(frozen=True)
class Unavailable:
    """There is no answer. ``reason`` is a short text for people, without data of a learner."""

    reason: str
    kind: UnavailableKind


LearningTimeOutcome = Found | NoData | NotYet | Unavailable
LearningTimeCache = TtlCache[CompletionKey, LearningTimeOutcome]


class LearningTimeClient:
    """Reads ``completion_learning_time``. It never raises: no failure here may stop a webhook.

    Not thread safe, as the session below it; a cache may be shared between clients.
    """

    def __init__(
        self,
        warehouse: Warehouse | Session,
        *,
        cache: LearningTimeCache | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask over a session that is open already, within that session's own time limits.

        ``clock`` times the rest after a failure, and the cache unless one is given.
        """
        is_open = isinstance(warehouse, Warehouse)
        self._session = SharedSession(warehouse) if is_open else warehouse
        self._clock = clock
        self._cache = (
            cache if cache is not None else LearningTimeCache(max_size=CACHE_SIZE, clock=clock)
        )
        self._failure: Unavailable | None = None
        self._rests_until = 0.0
        self.statements = 0
        """Statements sent so far."""
        self.problems: Counter[str] = Counter()
        """Answers that were ``Unavailable``, by reason; the log has one line for each reason."""

    @classmethod
    @contextmanager
    def connect(
        cls,
        settings: WarehouseSettings,
        *,
        cache: LearningTimeCache | None = None,
        clock: Callable[[], float] = time.monotonic,
        timeout_seconds: int = LOOKUP_TIMEOUT_SECONDS,
    ) -> Iterator[LearningTimeClient]:
        """A client with a connection of its own, whose every statement ends in time.

        It connects when first asked for what the cache lacks, so a run without enrichment logs in
        nowhere, and a warehouse that is away is an outcome and no error.
        """
        session = OwnSession(
            settings, purpose="learning-time", statement_timeout_seconds=timeout_seconds
        )
        try:
            yield cls(session, cache=cache, clock=clock)
        finally:
            session.close()

    def get_learning_time(self, key: CompletionKey) -> LearningTimeOutcome:
        """Learning time of one completion; far below 1 ms when the cache has it."""
        return self.get_many([key])[key]

    def get_many(
        self, keys: Iterable[CompletionKey]
    ) -> Mapping[CompletionKey, LearningTimeOutcome]:
        """An outcome for every key; one statement per ``LOOKUP_BATCH`` keys not in the cache."""
        outcomes: dict[CompletionKey, LearningTimeOutcome] = {}
        missing: list[CompletionKey] = []
        for key in dict.fromkeys(keys):
            known = self._cache.get(key)
            if known is None:
                missing.append(key)
            else:
                outcomes[key] = known
        for start in range(0, len(missing), LOOKUP_BATCH):
            outcomes.update(self._answers(missing[start : start + LOOKUP_BATCH]))
        self._count(outcomes.values())
        return outcomes

    def _answers(
        self, keys: Sequence[CompletionKey]
    ) -> Mapping[CompletionKey, LearningTimeOutcome]:
        if self._failure is not None and self._clock() < self._rests_until:
            return dict.fromkeys(keys, self._failure)
        try:
            with timed(LOOKUP_DURATION):
                answers = self._look_up(self._session.warehouse(), keys)
        # Whatever the libraries below raise, a webhook without learning time is still a webhook.
        except Exception as error:
            failure = _unavailable(error)
            if failure.reason not in self.problems:
                log.warning("look-up failed: %s", error, exc_info=not isinstance(error, SyncError))
            self._failure = failure
            self._rests_until = self._clock() + REST_SECONDS
            self._session.discard()
            answers = dict.fromkeys(keys, failure)
        else:
            self._failure = None
        for key, answer in answers.items():
            self._cache.put(key, answer, seconds=_kept_seconds(answer))
        return answers

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
                with wanted as (
                    select
                        value:e::varchar as enterprise_customer_uuid,
                        value:u::number(38, 0) as user_id,
                        value:c::varchar as courserun_key
                    from table(flatten(input => parse_json(?)))
                )
                select
                    mart.enterprise_customer_uuid,
                    mart.user_id,
                    mart.courserun_key,
                    mart.passed_at,
                    mart.learning_time_seconds,
                    mart.event_count,
                    mart.computed_through
                from {warehouse.relation("marts", MART)} as mart
                inner join wanted
                    on mart.enterprise_customer_uuid = wanted.enterprise_customer_uuid
                    and mart.user_id = wanted.user_id
                    and mart.courserun_key = wanted.courserun_key
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
        return _bad("learning_time_seconds is no number of seconds")
    return Found(seconds, through)


def _bad(problem: str) -> Unavailable:
    return Unavailable(f"{MART}: {problem}; see its dbt tests", UnavailableKind.BAD_VALUE)


def _kept_seconds(outcome: LearningTimeOutcome) -> float:
    match outcome:
        case Found():
            return FOUND_SECONDS
        case NoData() | NotYet():
            return ABSENT_SECONDS
        case Unavailable():
            return ERROR_SECONDS


def _unavailable(error: Exception) -> Unavailable:
    """The outcome behind an error. Engines quote values in their texts, so none is passed on."""
    match error:
        case NoResponse() | WarehouseUnavailable():
            return Unavailable("the warehouse does not answer", UnavailableKind.UNREACHABLE)
        case ConfigurationError():
            return Unavailable(
                "the settings of the warehouse are wrong", UnavailableKind.UNREACHABLE
            )
        case StatementTimedOut():
            return Unavailable("the look-up ran into its time limit", UnavailableKind.TIMED_OUT)
        case RelationMissing():
            return Unavailable(
                f"the mart {MART.upper()} is missing: run learning_time_job",
                UnavailableKind.MART_MISSING,
            )
        case SyncError():
            return Unavailable("the warehouse refused the look-up", UnavailableKind.REFUSED)
        case _:
            return Unavailable(
                f"unexpected {type(error).__name__} in the look-up", UnavailableKind.UNEXPECTED
            )
