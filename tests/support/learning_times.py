"""Keys and mart rows of learning time, for tests of the lookup."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sync.delivery.learning_time import CompletionKey
from sync.warehouse import Warehouse
from tests.support.completions import COURSE_RUN, ENTERPRISE
from tests.support.marts import LEARNING_TIME_COLUMNS, create_table

THROUGH = datetime(2026, 3, 12)
"""Default ``computed_through`` of a mart row; naive UTC."""


def key(user_id: int, *, courserun_key: str = COURSE_RUN) -> CompletionKey:
    """The completion of one learner."""
    return CompletionKey(ENTERPRISE, user_id, courserun_key)


def mart_row(
    completion: CompletionKey,
    seconds: int | None,
    *,
    event_count: int | None = 3,
    passed_at: str = "2026-03-10T17:42:31",
    computed_through: str | None = THROUGH.isoformat(),
) -> dict[str, object]:
    """One row of ``completion_learning_time``."""
    return {
        "enterprise_customer_uuid": completion.enterprise_customer_uuid,
        "user_id": completion.user_id,
        "courserun_key": completion.courserun_key,
        "passed_at": passed_at,
        "learning_time_seconds": seconds,
        "event_count": event_count,
        "computed_through": computed_through,
    }


def fill_mart(warehouse: Warehouse, *rows: Mapping[str, object]) -> None:
    """Recreate the mart with these rows."""
    create_table(warehouse, "completion_learning_time", LEARNING_TIME_COLUMNS, rows)
