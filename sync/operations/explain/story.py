"""What the models and the ledger hold about one learner in one course run.

Every statement filters by learner, and those on the tables of lines and events also by day, so that
Snowflake prunes micro-partitions. Models are read as they are: nothing is measured again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sync.delivery.learning_time import computed_through
from sync.errors import ConfigurationError
from sync.ledger.erasures import is_erased, person_key, person_key_sql
from sync.ledger.messages import OF_ROW
from sync.ledger.tables import ATTEMPTS, MESSAGES, OUTBOX
from sync.operations.explain.number import Day, Number, Session, reckon
from sync.warehouse import Warehouse

ENROLLMENTS = "int_enterprise_enrollments_screened"
DAYS = "int_learning_time_daily"
GAPS = "int_learning_gaps"
EVENTS = "int_tracking_events"
NEVER = datetime(2999, 1, 1)
"""Stands for no completion; no event is later."""
EARLIER = timedelta(days=1)
"""More than a line can be ahead of its load: its clock may run an hour ahead."""
MOST_TEXTS = 2
"""Lines per reason whose text is shown."""

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Story:
    """Everything about one learner in one course run; times are naive UTC."""

    user_id: int
    courserun_key: str
    enrollments: Rows
    """One for each customer that has enrolled the learner in the course run."""
    completion: Mapping[str, Any] | None
    """The row of ``completion_learning_time``; the same number for each customer."""
    number: Number
    lines: Rows
    """Lines of the learner loaded since ``lines_since``: counts by outcome."""
    lines_since: datetime
    loads: Rows
    """When the events of the number were loaded."""
    mart_seconds: Mapping[str, int]
    """Seconds of all days in the mart ``learning_time``, by customer."""
    webhooks: Rows
    """Rows of the ledger with their messages, in the order in which they were recorded."""
    attempts: Mapping[str, Rows]
    """By webhook."""
    computed_through: datetime | None
    rule: Mapping[str, str]
    """The parameters ``session_timeout_seconds`` and ``long_gap_rule`` that the number follows."""

    @property
    def passed_at(self) -> datetime | None:
        """When the learner completed the course run."""
        return next((one["passed_at"] for one in self.enrollments), None)

    def loaded_after(self, timestamp: datetime) -> int:
        """Events that were loaded after a time."""
        return sum(int(one["events"]) for one in self.loads if one["loaded_at"] > timestamp)


@dataclass(frozen=True)
class Whose:
    """A learner, and the course run if it is already known."""

    user_id: int
    courserun_key: str | None = None


def whose(
    warehouse: Warehouse, *, user_id: int | None, key: str | None, webhook_id: str | None
) -> Whose:
    """The requested learner, by one of the three.

    A key is compared with every enrollment, because no table has it.

    Raises:
        ConfigurationError: nobody was named, or nobody was found; says what to check.
    """
    if sum((user_id is not None, bool(key), bool(webhook_id))) > 1:
        raise ConfigurationError("name the learner by only one of --user, --webhook and --key")
    if user_id is not None:
        return Whose(user_id)
    if webhook_id:
        rows = warehouse.rows(
            f"select user_id, courserun_key from {warehouse.relation('sync', OUTBOX)}"
            " where webhook_id = ?",
            webhook_id,
        )
        if not rows:
            raise ConfigurationError(f"no webhook {webhook_id} in sync.{OUTBOX}")
        if rows[0]["user_id"] < 0:
            raise ConfigurationError(f"the learner of webhook {webhook_id} was erased")
        return Whose(int(rows[0]["user_id"]), rows[0]["courserun_key"])
    if key:
        rows = warehouse.rows(
            f"select user_id from {warehouse.relation('intermediate', ENROLLMENTS)}"
            f" where {person_key_sql('user_id')} = ? limit 1",
            key,
        )
        if not rows:
            raise ConfigurationError("no customer has enrolled a learner with this key")
        return Whose(int(rows[0]["user_id"]))
    raise ConfigurationError("name the learner by --user, --webhook or --key")


def read_story(warehouse: Warehouse, user_id: int, courserun_key: str | None) -> Story:
    """Read the story; a dozen statements.

    Raises:
        ConfigurationError: the learner is unknown or was erased, or has several course runs and
            none is named, or not this one; lists those there are.
        RelationMissing: a model was never built.
        StatementFailed: the role may not read ``intermediate``, or the models are older than this.
    """
    enrollments = warehouse.rows(
        f"""
        select
            enterprise_customer_uuid, courserun_key, enrolled_at, enrollment_mode, is_enrolled,
            is_linked, is_consent_granted, consent_changed_at, is_enrolled_ever, is_course_team,
            passed_at, ineligible_reason
        from {warehouse.relation("intermediate", ENROLLMENTS)}
        where user_id = ?
        order by enterprise_customer_uuid
        """,
        user_id,
    )
    days = warehouse.rows(
        f"""
        select
            courserun_key, activity_date, learning_time_microseconds, learning_time_seconds,
            event_count, session_count
        from {warehouse.relation("intermediate", DAYS)}
        where user_id = ?
        order by activity_date
        """,
        user_id,
    )
    webhooks = _webhooks(warehouse, user_id)
    run = _course_run(warehouse, user_id, courserun_key, (enrollments, days, webhooks))
    enrollments = _of(run, enrollments)
    webhooks = _of(run, webhooks)
    studied = [
        Day(
            date=one["activity_date"],
            microseconds=int(one["learning_time_microseconds"]),
            seconds=int(one["learning_time_seconds"]),
            event_count=int(one["event_count"]),
            session_count=int(one["session_count"]),
        )
        for one in _of(run, days)
    ]
    completion = _completion(warehouse, user_id, run)
    passed_at = completion["passed_at"] if completion else None
    sessions = _sessions(warehouse, user_id, run, studied, passed_at or NEVER)
    since = _since([one["enrolled_at"] for one in enrollments], sessions)
    return Story(
        user_id=user_id,
        courserun_key=run,
        enrollments=enrollments,
        completion=completion,
        number=reckon(
            sessions,
            studied,
            completed_on=completion["completion_date"] if completion else None,
            seconds=int(completion["learning_time_seconds"]) if completion else None,
        ),
        lines=_lines(warehouse, user_id, since),
        lines_since=since,
        loads=_loads(warehouse, user_id, run, studied),
        mart_seconds=_mart(warehouse, user_id, run),
        webhooks=webhooks,
        attempts=_attempts(warehouse, webhooks),
        computed_through=computed_through(warehouse),
        rule=_rule(warehouse),
    )


def texts_of_lines(warehouse: Warehouse, user_id: int) -> Rows:
    """Lines that do not count, as they are in the log, from the newest load that has any.

    It parses that whole load, so it runs only on request. The texts are personal data.
    """
    newest = warehouse.value(
        f"""
        select max(loaded_at) as loaded_at from {warehouse.relation("intermediate", EVENTS)}
        where user_id = ? and outcome <> 'learning'
        """,
        user_id,
    )
    if newest is None:
        return []
    return warehouse.rows(
        f"""
        select screening as reason, raw_line as line
        from {warehouse.relation("intermediate", f"{EVENTS}_screened")}
        where loaded_at = cast(? as timestamp_ntz) and user_id = ? and outcome <> 'learning'
        qualify row_number() over (partition by screening order by raw_line) <= {MOST_TEXTS}
        order by screening, raw_line
        """,
        newest.isoformat(),
        user_id,
    )


def names_of(warehouse: Warehouse, user_id: int) -> Mapping[str, Any]:
    """User name and email address; empty if the replica has lost the account."""
    rows = warehouse.rows(
        f"select username, email from {warehouse.raw_relation('lms', 'auth_user')}"
        " where id::number(38, 0) = ? limit 1",
        user_id,
    )
    return rows[0] if rows else {}


def built_seconds(webhooks: Rows) -> list[int]:
    """The learning times that were built into webhooks; more than one if it has changed."""
    found = {one["learning_time_seconds"] for one in webhooks}
    return sorted(int(one) for one in found if one is not None)


def _course_run(
    warehouse: Warehouse, user_id: int, wanted: str | None, found: Iterable[Rows]
) -> str:
    """The course run to explain.

    Raises:
        ConfigurationError: as for ``read_story``.
    """
    runs = sorted({one["courserun_key"] for rows in found for one in rows})
    if not runs:
        if is_erased(warehouse, person_key(user_id)):
            raise ConfigurationError("this learner was erased, and nothing is left to explain")
        raise ConfigurationError(
            "nothing is known about this learner: no customer has enrolled them, and the log has "
            "no learning event from them. Check the id, which is auth_user.id"
        )
    if wanted is None and len(runs) == 1:
        return runs[0]
    if wanted in runs:
        return str(wanted)
    listed = "\n".join(f"  {one}" for one in runs)
    problem = "several course runs" if wanted is None else f"no course run {wanted}"
    raise ConfigurationError(f"this learner has {problem}. Name one with --course:\n{listed}")


def _of(courserun_key: str, rows: Rows) -> Rows:
    return [one for one in rows if one["courserun_key"] == courserun_key]


def _webhooks(warehouse: Warehouse, user_id: int) -> Rows:
    return warehouse.rows(
        f"""
        select
            outbox.webhook_id, outbox.event_type, outbox.enterprise_customer_uuid,
            outbox.courserun_key, outbox.occurred_at, outbox.recorded_at, outbox.recorded_run_id,
            outbox.state, outbox.state_reason, outbox.region, outbox.endpoint_id,
            outbox.payload_format, outbox.attempt_count, outbox.next_attempt_at,
            outbox.delivered_at, outbox.replay_id, outbox.updated_at, messages.frozen_at,
            messages.enrichment_outcome, messages.learning_time_seconds,
            messages.learning_time_computed_through
        from {warehouse.relation("sync", OUTBOX)} as outbox
        left join {warehouse.relation("sync", MESSAGES)} as messages
            on {OF_ROW.format(row="outbox")}
        where outbox.user_id = ?
        order by outbox.recorded_at, outbox.webhook_id
        """,
        user_id,
    )


def _attempts(warehouse: Warehouse, webhooks: Rows) -> Mapping[str, Rows]:
    if not webhooks:
        return {}
    ids = [str(one["webhook_id"]) for one in webhooks]
    rows = warehouse.rows(
        f"""
        select
            webhook_id, endpoint_id, attempt_number, run_id, started_at, duration_ms, status_code,
            outcome, error_kind, attribution, replay_id
        from {warehouse.relation("sync", ATTEMPTS)}
        where webhook_id in ({", ".join("?" * len(ids))})
            and started_at >= cast(? as timestamp_ntz)
        order by started_at, attempt_number
        """,
        *ids,
        min(one["recorded_at"] for one in webhooks).isoformat(),
    )
    return {one: [row for row in rows if row["webhook_id"] == one] for one in ids}


def _completion(warehouse: Warehouse, user_id: int, run: str) -> Mapping[str, Any] | None:
    rows = warehouse.rows(
        f"""
        select passed_at, completion_date, learning_time_seconds, event_count, computed_through
        from {warehouse.relation("marts", "completion_learning_time")}
        where user_id = ? and courserun_key = ?
        limit 1
        """,
        user_id,
        run,
    )
    return rows[0] if rows else None


def _sessions(
    warehouse: Warehouse, user_id: int, run: str, days: Sequence[Day], passed_at: datetime
) -> list[Session]:
    """The gaps by session. A gap that spans the completion counts up to it."""
    if not days:
        return []
    rows = warehouse.rows(
        f"""
        with events as (
            select
                event_at,
                line_count,
                counted_microseconds,
                dateadd('microsecond', counted_microseconds, event_at) as counted_until,
                sum(iff(is_session_start, 1, 0)) over (
                    order by event_at, event_key rows between unbounded preceding and current row
                ) as session_number,
                cast(? as timestamp_ntz) as passed_at
            from {warehouse.relation("intermediate", GAPS)}
            where user_id = ? and courserun_key = ?
                and activity_date >= cast(? as date) and activity_date <= cast(? as date)
        )
        select
            min(event_at) as started_at,
            max(counted_until) as ended_at,
            count(*) as event_count,
            count_if(event_at > passed_at) as late_event_count,
            sum(line_count)::number(38, 0) as line_count,
            sum(counted_microseconds)::number(38, 0) as microseconds,
            sum(
                case
                    when event_at > passed_at then 0
                    when counted_until > passed_at
                        then datediff('microsecond', event_at, passed_at)
                    else counted_microseconds
                end
            )::number(38, 0) as counted_microseconds
        from events
        group by session_number
        order by session_number
        """,
        passed_at.isoformat(),
        user_id,
        run,
        *_first_and_last(days),
    )
    return [Session(**row) for row in rows]


def _loads(warehouse: Warehouse, user_id: int, run: str, days: Sequence[Day]) -> Rows:
    if not days:
        return []
    return warehouse.rows(
        f"""
        select first_loaded_at as loaded_at, count(*) as events
        from {warehouse.relation("intermediate", GAPS)}
        where user_id = ? and courserun_key = ?
            and activity_date >= cast(? as date) and activity_date <= cast(? as date)
        group by first_loaded_at
        order by first_loaded_at
        """,
        user_id,
        run,
        *_first_and_last(days),
    )


def _first_and_last(days: Sequence[Day]) -> tuple[str, str]:
    return days[0].date.isoformat(), days[-1].date.isoformat()


def _since(enrolled: Iterable[datetime | None], sessions: Sequence[Session]) -> datetime:
    """The time from which lines are counted: a day before the enrollment or the first event."""
    times = [one for one in enrolled if one is not None] + [one.started_at for one in sessions[:1]]
    first = min(times, default=datetime(1970, 1, 2))
    return datetime.combine((first - EARLIER).date(), datetime.min.time())


def _lines(warehouse: Warehouse, user_id: int, since: datetime) -> Rows:
    return warehouse.rows(
        f"""
        select
            outcome, screening as reason, courserun_key, unselected_event_name as event_name,
            count(*) as lines
        from {warehouse.relation("intermediate", EVENTS)}
        where user_id = ? and loaded_at >= cast(? as timestamp_ntz)
        group by outcome, screening, courserun_key, unselected_event_name
        order by lines desc, outcome, screening, courserun_key, unselected_event_name
        """,
        user_id,
        since.isoformat(),
    )


def _mart(warehouse: Warehouse, user_id: int, run: str) -> Mapping[str, int]:
    rows = warehouse.rows(
        f"""
        select enterprise_customer_uuid, sum(learning_time_seconds) as seconds
        from {warehouse.relation("marts", "learning_time")}
        where user_id = ? and courserun_key = ?
        group by enterprise_customer_uuid
        """,
        user_id,
        run,
    )
    return {row["enterprise_customer_uuid"]: int(row["seconds"]) for row in rows}


def _rule(warehouse: Warehouse) -> Mapping[str, str]:
    rows = warehouse.rows(
        f"""
        select parameter, parameter_value
        from {warehouse.relation("marts", "learning_time_parameters")}
        where parameter in ('session_timeout_seconds', 'long_gap_rule')
        """
    )
    return {row["parameter"]: row["parameter_value"] for row in rows}
