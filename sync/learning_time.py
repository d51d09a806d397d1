"""Learning time of completions, read from the mart in bulk. The outcome is a type, never a zero."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sync.errors import SyncError
from sync.warehouse import Warehouse, json_chunks

LOOKUP_BATCH = 5_000
"""Keys per statement: about 600 kB of binds, below Snowflake's 1 MB of statement text."""


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


@dataclass(frozen=True)
class Unavailable:
    """The mart could not be read; the reason is fit for a log and a ledger."""

    reason: str


LearningTimeOutcome = Found | NoData | NotYet | Unavailable


class LearningTimeClient:
    """Reads ``completion_learning_time``. It never raises: no failure here may stop a webhook."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def get_learning_time(self, key: CompletionKey) -> LearningTimeOutcome:
        """Learning time of one completion."""
        return self.get_many([key])[key]

    def get_many(
        self, keys: Iterable[CompletionKey]
    ) -> Mapping[CompletionKey, LearningTimeOutcome]:
        """Learning time of many completions, one statement per ``LOOKUP_BATCH`` keys."""
        wanted = list(dict.fromkeys(keys))
        found: dict[CompletionKey, LearningTimeOutcome] = {}
        for start in range(0, len(wanted), LOOKUP_BATCH):
            batch = wanted[start : start + LOOKUP_BATCH]
            try:
                found.update(self._look_up(batch))
            except SyncError as error:
                found.update(dict.fromkeys(batch, Unavailable(str(error))))
        return found

    def _look_up(
        self, keys: Sequence[CompletionKey]
    ) -> Mapping[CompletionKey, LearningTimeOutcome]:
        rows = []
        for chunk in json_chunks(
            {"e": key.enterprise_customer_uuid, "u": key.user_id, "c": key.courserun_key}
            for key in keys
        ):
            rows += self._warehouse.rows(
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
                from {self._warehouse.relation("marts", "completion_learning_time")} as mart
                inner join wanted
                    on mart.enterprise_customer_uuid = wanted.enterprise_customer_uuid
                    and mart.user_id = wanted.user_id
                    and mart.courserun_key = wanted.courserun_key
                """,
                chunk,
            )
        outcomes: dict[CompletionKey, LearningTimeOutcome] = dict.fromkeys(keys, NotYet(None))
        for row in rows:
            key = CompletionKey(
                row["enterprise_customer_uuid"], int(row["user_id"]), row["courserun_key"]
            )
            outcomes[key] = _outcome(row)
        return outcomes


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
        return Unavailable("learning_time_seconds is not a number of seconds; see the dbt tests")
    return Found(seconds, through)
