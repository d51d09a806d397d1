"""Keys and mart rows of learning time, for tests of the look-up."""

from __future__ import annotations

from sync.learning_time import CompletionKey
from tests.support.completions import COURSE_RUN, ENTERPRISE


def key(user_id: int, *, courserun_key: str = COURSE_RUN) -> CompletionKey:
    """The completion of one learner."""
    return CompletionKey(ENTERPRISE, user_id, courserun_key)


def mart_row(
    completion: CompletionKey,
    seconds: int | None,
    *,
    event_count: int | None = 3,
    passed_at: str = "2026-03-10T17:42:31",
    computed_through: str | None = "2026-03-12T00:00:00",
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
