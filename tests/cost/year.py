"""The tables of learning time at the end of a year of ten million lines a day.

Assumptions about their rows; ``partitions`` has those about their partitions.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from tests.cost.partitions import Account, Partition, Table, in_order_of_arrival

LINES_A_DAY = 10_000_000
LEARNING_SHARE = 0.3
"""Share of the lines; the rest is dropped or quarantined."""
EVENTS_A_DAY_OF_A_LEARNER = 20
DAYS = 365
END = datetime(2026, 12, 31, 21)
"""Time of the year's last increment, naive UTC."""
INCREMENT = timedelta(minutes=30)
LATE = timedelta(days=200)
"""Delay of one line that is far later than usual."""
RAW, LINES, GAPS, DAILY = (
    "tracking_logs",
    "int_tracking_events",
    "int_learning_gaps",
    "int_learning_time_daily",
)
BYTES_PER_ROW = {RAW: 120, LINES: 25, GAPS: 60, DAILY: 80}
"""Compressed. A raw line has about 1 kB of JSON; a line that is not a learning event keeps only its
reason; digests and times of gaps hardly compress."""
ROWS_A_DAY = {
    RAW: LINES_A_DAY,
    LINES: LINES_A_DAY,
    GAPS: LINES_A_DAY * LEARNING_SHARE,
    DAILY: LINES_A_DAY * LEARNING_SHARE / EVENTS_A_DAY_OF_A_LEARNER,
}
LATENESS = timedelta(days=30)
"""Each partition may contain a line with the maximum delay of a mobile device."""
NONE = timedelta()
VIEWS = {
    # They pass loaded_at through unchanged.
    "stg_tracking__lines": RAW,
    "stg_tracking__events": RAW,
    "int_tracking_events_screened": RAW,
}
FOLLOW: Mapping[str, Mapping[str, timedelta]] = {
    RAW: {"loaded_at": NONE},
    LINES: {"loaded_at": NONE, "processed_at": NONE, "event_at": LATENESS},
    GAPS: {"processed_at": LATENESS, "event_at": LATENESS},
    DAILY: {"processed_at": LATENESS},
}
DATES: Mapping[str, Mapping[str, timedelta]] = {
    GAPS: {"activity_date": LATENESS},
    DAILY: {"activity_date": LATENESS},
}


def with_new_rows(account: Account, name: str) -> Account:
    """The same after the increment wrote to one of the tables."""
    table = account.tables[name]
    new = Partition(dict.fromkeys(FOLLOW[name], (END, END)))
    grown = Table(name, (*table.partitions, new))
    return Account([*(one for one in account.tables.values() if one is not table), grown], VIEWS)


def _table(name: str) -> Table:
    last = END if name == RAW else END - INCREMENT
    return in_order_of_arrival(
        name,
        rows=int(ROWS_A_DAY[name] * DAYS),
        bytes_per_row=BYTES_PER_ROW[name],
        first=last - timedelta(days=DAYS),
        last=last,
        follow=FOLLOW[name],
        days=DATES.get(name),
    )


YEAR = Account([_table(name) for name in ROWS_A_DAY], VIEWS)
"""Everything up to ``END`` is built, except the raw lines of the last half hour."""
