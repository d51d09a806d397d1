"""The model of partitions skips only what Snowflake documents as skipped."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.cost.partitions import Account, credits_awake, in_order_of_arrival

TEN_DAYS = in_order_of_arrival(
    "events",
    rows=10,
    bytes_per_row=16_000_000,
    first=datetime(2026, 3, 1),
    last=datetime(2026, 3, 11),
    follow={"event_at": timedelta(days=1), "loaded_at": timedelta()},
    days={"event_date": timedelta()},
    constant={"rule": "a", "gone_at": None},
)
ACCOUNT = Account([TEN_DAYS], {"all_events": "events", "v": "select event_at as t from events"})
LATE = "'2026-03-10 12:00:00'::timestamp_ntz"
NEW = f"loaded_at > {LATE}"
MATCHED = "when matched then update set n = 1"


@pytest.mark.parametrize(
    ("condition", "scanned"),
    [
        (f"loaded_at > {LATE}", 1),
        (f"{LATE} < loaded_at", 1),
        (f"loaded_at > dateadd(day, -3, {LATE})", 4),
        (f"loaded_at > dateadd('day', -3, {LATE})", 4),
        ("loaded_at >= '2026-03-10 12:00:00'", 1),
        (f"not loaded_at > {LATE}", 10),
        ("event_at between '2026-03-05'::timestamp_ntz and '2026-03-05 01:00'::timestamp_ntz", 3),
        ("event_date in ('2026-03-05'::date, '2026-03-09'::date)", 4),
        ("(event_date = '2026-03-01' or event_date = '2026-03-11')", 2),
        ("rule = 'b'", 0),
        ("rule in ('a', 'b')", 10),
        ("rule <> 'a'", 10),
        ("false", 0),
        ("gone_at is not null", 0),
        ("gone_at is null", 10),
        ("rule is not null", 10),
        (f"gone_at <= {LATE}", 0),
        ("user_id = 7", 10),
        ("year(loaded_at) = 2027", 10),
        (f"loaded_at > (select max(t) from small) and event_at < {LATE}", 10),
        (f"loaded_at::timestamp_ntz > {LATE}", 1),
    ],
)
def test_literals_skip_partitions_and_nothing_else_does(condition: str, scanned: int) -> None:
    touched = ACCOUNT.run(f"select * from db.schema.events where {condition}")
    assert len(touched.scanned["events"]) == scanned


@pytest.mark.parametrize(
    ("sql", "scanned"),
    [
        (f"with e as (select * from events) select * from e where loaded_at > {LATE}", 1),
        (f"with events as (select * from events) select * from events where loaded_at > {LATE}", 1),
        (f"select * from v where t > {LATE}", 1),
        (f"select * from all_events where loaded_at > {LATE}", 1),
        (f"with e as (select * from events limit 5) select * from e where loaded_at > {LATE}", 1),
        (
            "with e as (select *, lag(event_at) over (order by event_at) as p from events) "
            f"select * from e where loaded_at > {LATE}",
            10,
        ),
        (
            "select * from (select event_date, count(*) as n from events group by event_date) "
            "where event_date = '2026-03-05' and n > 1",
            2,
        ),
        (f"select * from small join events as e on e.id = small.id where e.loaded_at > {LATE}", 1),
        ("select * from small join events as e on e.loaded_at = small.loaded_at", 10),
        (f"select * from small where exists (select 1 from events where loaded_at > {LATE})", 1),
        (f"create table x as (select * from events where loaded_at > {LATE})", 1),
        (f"select * from events where loaded_at > {LATE} union all select * from events", 10),
        ("select rule from events limit 1", 1),
        ("select rule from events order by rule limit 1", 10),
        ("select to_varchar(max(loaded_at)), count(*) from events", 0),
        ("select max(rule || 'x') from events", 10),
    ],
)
def test_conditions_reach_the_table_below(sql: str, scanned: int) -> None:
    assert len(ACCOUNT.run(sql).scanned.get("events", ())) == scanned


@pytest.mark.parametrize(
    ("sql", "binds", "rows", "rewritten"),
    [
        (f"delete from events as e where (id) in (select id from x) and {NEW}", (), None, 1),
        ("delete from events where id in (select id from x)", (), None, 10),
        ("update events as e set n = n + 1 where e.id = ?", ("a",), 3, 3),
        (f"update events set n = 1 where {NEW}", (), None, 1),
        (
            "update events set n = 1 where loaded_at > cast(? as timestamp_ntz)",
            ("2026-03-10T12:00:00",),
            None,
            1,
        ),
        (f"merge into events using x on events.id = x.id and {NEW} {MATCHED}", (), None, 1),
        (f"merge into events as e using x on e.id = x.id {MATCHED}", (), None, 10),
        ("insert into events select * from x", (), None, 0),
    ],
)
def test_what_changes_rows_writes_their_partitions_anew(
    sql: str, binds: tuple[object, ...], rows: int | None, rewritten: int
) -> None:
    assert ACCOUNT.run(sql, binds, rows=rows).rewritten.get("events", 0) == rewritten


def test_a_warehouse_is_paid_from_its_wake_to_its_suspension() -> None:
    assert credits_awake([(0, 1)]) == pytest.approx(61 / 3600)
    assert credits_awake([(0, 1), (30, 40)]) == pytest.approx(100 / 3600)
    assert credits_awake([(0, 1), (600, 601)]) == pytest.approx(122 / 3600)
    assert credits_awake([(0, 1)], auto_suspend_seconds=0) == pytest.approx(60 / 3600)
