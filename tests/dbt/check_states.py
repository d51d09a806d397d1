"""States of one warehouse for the checks that people are told of: good, bad and worse rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from sync.loading.raw import insert_rows
from sync.warehouse import Warehouse
from tests.dbt.scenario import ENTERPRISE, Batch, line, load
from tests.support.ledger_rows import attempt, endpoint_state, webhook, write_ledger

MARTS = "analytics.marts"


def healthy(warehouse: Warehouse) -> None:
    """Close to every limit from within: a queue that moves, a resting endpoint, an old dead row."""
    insert_rows(
        warehouse,
        "channel_integration_enterprisewebhookconfiguration",
        (
            {
                "id": number,
                "enterprise_customer_id": ENTERPRISE,
                "region": "OTHER",
                "webhook_url": "https://hooks.example.com/",
                "active": number != 3,
            }
            for number in (1, 2, 3)
        ),
    )
    insert_rows(
        warehouse,
        "grades_persistentcoursegrade",
        [{"id": 1, "user_id": 1, "course_id": "course-v1:ExampleX+D1+T1", "modified": recent()}],
    )
    load(warehouse, Batch("today", recent(), (line(1, "2026-03-09T05:00:00+00:00"),)))
    warehouse.execute(
        f"update {MARTS}.learning_time_watermark set computed_through = ?, "
        "newest_line_at = ?, newest_loaded_at = ?",
        *(moment(ago(hours=hours)) for hours in (5, 5, 1)),
    )
    old, new = ago(days=40), ago(days=1)
    names = (("long known", 5_000, old), ("new and rare", 99, new))
    write_names(warehouse, names)
    delivered = [enriched(number, 1_000) for number in range(100, 140)]
    write_ledger(
        warehouse,
        webhooks=[
            *delivered,
            # Due for an hour, and the endpoint was tried a moment ago: a queue that moves.
            pending(1, ago(hours=1)),
            # Due for an hour, and the endpoint rests until its probe.
            pending(2, ago(hours=1), endpoint_id=2),
            webhook(3, ago(days=3), state="dead", delivered_at=None),
            webhook(4, ago(hours=20), state="held", state_reason="signing_key_missing"),
        ],
        attempts=[
            *map(attempt, delivered),
            attempt(
                webhook(3, ago(days=3)),
                outcome="dead",
                status_code=500,
                endpoint_id=2,
            ),
        ],
        endpoint_states=[
            endpoint_state(
                2,
                now(),
                breaker_state="open",
                next_probe_at=moment(later(minutes=5)),
                failing_since=moment(ago(hours=20)),
            ),
            # Off here and off in the LMS: the customer is gone.
            endpoint_state(3, now(), disabled_at=moment(now()), disabled_reason="endpoint_gone"),
        ],
    )
    write_numbers(warehouse, [(number, 1_050) for number in range(100, 140)])


def bad(warehouse: Warehouse) -> None:
    """Beyond every limit of a warning."""
    long_ago = ago(days=4)
    warehouse.execute("update raw.lms.grades_persistentcoursegrade set modified = ?", long_ago)
    warehouse.execute("update raw.tracking.tracking_logs set loaded_at = ?", long_ago)
    warehouse.execute(
        f"update {MARTS}.learning_time_watermark set computed_through = ?",
        moment(ago(hours=7)),
    )
    old, new = ago(days=40), ago(days=1)
    write_names(warehouse, (("long known", 5_000, old), ("new and frequent", 100, new)))
    delivered = [enriched(number, 1_000) for number in range(100, 140)]
    dead = webhook(3, recent(), state="dead", delivered_at=None)
    twice = webhook(5, recent())
    write_ledger(
        warehouse,
        webhooks=[
            *delivered,
            pending(1, ago(hours=1), endpoint_id=2),
            dead,
            webhook(4, ago(hours=30), state="held", state_reason="signing_key_missing"),
            twice,
            twice,
            webhook(6, recent(), state="lost"),
        ],
        attempts=[*map(attempt, delivered), attempt(dead, outcome="dead", status_code=500)],
        endpoint_states=[
            endpoint_state(1, now(), disabled_at=moment(now()), disabled_reason="endpoint_gone"),
            endpoint_state(2, now(), failing_since=moment(ago(hours=30))),
        ],
    )
    write_numbers(warehouse, [(number, 1_050 + 200 * (number < 110)) for number in range(100, 140)])


def worse(warehouse: Warehouse) -> None:
    """Beyond the limits of an error; and a completion that nobody has found."""
    dead = [webhook(n, recent(), state="dead", delivered_at=None) for n in range(10)]
    delivered = [webhook(n, recent()) for n in range(10, 40)]
    write_ledger(
        warehouse,
        webhooks=[*dead, *delivered, pending(50, ago(hours=5), endpoint_id=2)],
        attempts=[
            *(attempt(one, outcome="dead", status_code=500) for one in dead),
            *map(attempt, delivered),
        ],
    )
    warehouse.execute(
        f"create or replace view {MARTS}.delivery_reconciliation as "
        f"select '{ENTERPRISE}' as enterprise_customer_uuid, 1 as undetected, "
        f"true as is_balanced, '{ago(days=3):%Y-%m-%d}'::date as passed_date"
    )


@cache
def now() -> datetime:
    """The moment of the first test here; the suite may have read this file long before."""
    return datetime.now(UTC).replace(tzinfo=None)


def ago(**span: float) -> datetime:
    return now() - timedelta(**span)


def recent() -> datetime:
    return ago(minutes=10)


def pending(user_id: int, due: datetime, **changes: object) -> dict[str, object]:
    return webhook(
        user_id,
        due,
        state="pending",
        delivered_at=None,
        attempt_count=0,
        next_attempt_at=moment(due),
        **changes,
    )


def enriched(user_id: int, seconds: int) -> dict[str, object]:
    return webhook(user_id, recent(), enrichment_outcome="found", learning_time_seconds=seconds)


def later(**span: float) -> datetime:
    return now() + timedelta(**span)


def moment(at: datetime) -> str:
    return at.isoformat(sep=" ")


def write_names(warehouse: Warehouse, names: tuple[tuple[str, int, datetime], ...]) -> None:
    warehouse.execute(f"delete from {MARTS}.unknown_event_types")
    for name, count, first in names:
        warehouse.execute(
            f"insert into {MARTS}.unknown_event_types "
            "select ?, ?, cast(? as timestamp_ntz), cast(? as timestamp_ntz)",
            name,
            count,
            moment(first),
            moment(now()),
        )


def write_numbers(warehouse: Warehouse, numbers: list[tuple[int, int]]) -> None:
    """What the mart says of the learners' completions today."""
    warehouse.execute(f"delete from {MARTS}.completion_learning_time")
    rows = (enriched(user_id, seconds) for user_id, seconds in numbers)
    warehouse.bulk(
        f"""
        insert into {MARTS}.completion_learning_time (
            enterprise_customer_uuid, user_id, courserun_key, passed_at, learning_time_seconds,
            event_count
        )
        select
            value:enterprise_customer_uuid::varchar, value:user_id::number(38, 0),
            value:courserun_key::varchar, value:occurred_at::varchar::timestamp_ntz,
            value:learning_time_seconds::number(38, 0), 1
        from table(flatten(input => parse_json(?)))
        """,
        rows,
    )
