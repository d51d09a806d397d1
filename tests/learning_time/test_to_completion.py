"""Time up to a completion follows the lines that determine it, whenever they arrive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.dbt.scenario import Batch, enroll, pass_course
from tests.learning_time.models import INCREMENTAL, Models
from tests.learning_time.timelines import SECOND, Unit, at
from tests.reference import learning_time

MINUTE = 60 * SECOND
HOUR = timedelta(hours=1)
DAY = 24 * 60 * MINUTE
LOADED_AT = datetime(2026, 3, 9, 6, tzinfo=UTC)
TO_COMPLETION = "int_learning_time_to_completion"
PASSED = at(DAY - 5 * MINUTE)
TIMES = (
    # Two days before, a gap across the completion and midnight, and a day later.
    *(-DAY, 20 * MINUTE - DAY),
    *(DAY - 10 * MINUTE, DAY + 10 * MINUTE),
    *(2 * DAY, 2 * DAY + MINUTE),
)


def test_lines_before_across_and_after_a_completion_end_in_the_full_refresh(
    models: Models,
) -> None:
    """The completion is first, then the event before it, the end of its gap, an earlier and a later
    day; a second learner passes after all lines were loaded."""
    enroll(models.warehouse, [1, 2])
    models.forget()
    pass_course(models.warehouse, 1, PASSED)
    unit = Unit(1, TIMES)
    seen = []
    for number, indexes in enumerate([(), (2,), (3,), (0, 1), (4, 5)]):
        lines = tuple(unit.lines()[one] for one in indexes)
        loaded_at = LOADED_AT + number * HOUR
        models.load(Batch(f"part-{number}", loaded_at, lines))
        if number == 4:
            other = tuple(unit.renamed(2).lines())
            models.load(Batch("other", loaded_at, other))
        seen.append(build(models)[1])
    assert [one[0] for one in seen] == [0, 0, 300, 1500, 1500]
    hours = [one[-1] and (one[-1].replace(tzinfo=UTC) - LOADED_AT) // HOUR for one in seen]
    assert hours == [None, 1, 2, 3, 3], "a day past the completion decides about nothing"
    expected = learning_time.seconds_to_completion(iter(unit.events()), PASSED)
    assert seen[-1][0] == expected
    pass_course(models.warehouse, 2, PASSED)
    found = build(models)
    assert found[2][:-1] == found[1][:-1]

    assert build(models, "--full-refresh") == found


def build(models: Models, *flags: str) -> dict[int, tuple[Any, ...]]:
    """A completion's columns by learner, without processing times."""
    models.invoke("run", "--select", *INCREMENTAL, TO_COMPLETION, *flags)
    rows = models.warehouse.rows(f"select * from analytics.intermediate.{TO_COMPLETION}")
    return {
        int(row["user_id"]): (
            int(row["learning_time_seconds"]),
            int(row["event_count"]),
            row["first_activity_at"],
            row["last_activity_at"],
            row["last_loaded_at"],
        )
        for row in rows
    }
