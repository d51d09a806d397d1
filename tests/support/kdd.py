"""The KDD Cup events as tracking-log lines of an Open edX site, and the expected result.

The data has no open license: it is read in place, beside the repository, and never copied.
"""

from __future__ import annotations

import csv
import gzip
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sync.settings import PROJECT_ROOT

KDD = PROJECT_ROOT.parent / "shared" / "data" / "kdd_xuetang"
ENTERPRISE = "7d3f1c520b6e4a839c415e2a90d7f6b8"

OPEN_EDX_EVENTS = {
    ("browser", "access"): "edx.ui.lms.link_clicked",
    ("browser", "page_close"): "page_close",
    ("browser", "problem"): "problem_check",
    ("browser", "video"): "play_video",
    ("server", "access"): "edx.course.tool.accessed",
    ("server", "discussion"): "edx.forum.thread.viewed",
    ("server", "navigate"): "edx.ui.lms.outline.selected",
    ("server", "problem"): "problem_check",
    ("server", "wiki"): "edx.course.student_notes.viewed",
}
"""By source and kind. The rule ignores kinds: all that matters is that each is a learning event."""

LATER_LINE = (
    '{"name":"/heartbeat","event_type":"/heartbeat","event_source":"server",'
    '"time":"2014-09-01T00:00:00+00:00","username":"","context":{"course_id":"","user_id":null},'
    '"event":"","agent":"","host":"learn.example.com"}'
)
"""Not a learning event, but proof that the log was still written after the last one."""


@dataclass(frozen=True)
class Enrollment:
    """One learner in one course run; the id stands for both."""

    user_id: int
    courserun_key: str
    has_completed: bool
    """Did not drop out. If the outcome is unknown, it counts as not completed."""

    @property
    def username(self) -> str:
        return f"learner_{self.user_id}"


def courserun_key(course_id: str) -> str:
    """A run key in the current format."""
    return f"course-v1:KddX+{course_id}+2014"


def read(name: str) -> Iterator[dict[str, str]]:
    """Rows of one of the files."""
    with gzip.open(KDD / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def enrollments() -> list[Enrollment]:
    """All enrollments."""
    return [
        Enrollment(
            int(row["enrollment_id"]), courserun_key(row["course_id"]), row["dropout"] == "0"
        )
        for row in read("enrollments")
    ]


def write_logs(directory: Path, *, seed: int) -> tuple[list[Path], dict[int, datetime]]:
    """Write all events, shuffled, into two plain and two gzip files; returns the last event times.

    The row number in the payload prevents two rows from becoming duplicates.
    """
    lines: list[str] = []
    last: dict[int, str] = {}
    for number, row in enumerate(read("events")):
        enrollment, time = row["enrollment_id"], row["time"]
        name = OPEN_EDX_EVENTS[row["source"], row["event"]]
        lines.append(
            f'{{"name":"{name}","event_type":"{name}","event_source":"{row["source"]}",'
            f'"time":"{time}+00:00","username":"learner_{enrollment}","context":{{"course_id":'
            f'"{courserun_key(row["course_id"])}","org_id":"KddX","user_id":{enrollment}}},'
            f'"event":"{{\\"id\\": \\"{row["object"]}\\", \\"row\\": {number}}}",'
            '"agent":"Mozilla/5.0","host":"learn.example.com"}\n'
        )
        user_id = int(enrollment)
        if time > last.get(user_id, ""):
            last[user_id] = time
    random.Random(seed).shuffle(lines)
    lines.append(LATER_LINE + "\n")
    paths = []
    for part in range(4):
        path = directory / f"tracking.log-{part}{'.gz' if part % 2 else ''}"
        content = "".join(lines[part::4]).encode()
        path.write_bytes(gzip.compress(content, compresslevel=1) if part % 2 else content)
        paths.append(path)
    return paths, {user_id: datetime.fromisoformat(time) for user_id, time in last.items()}


def replica(learners: list[Enrollment], *, webhook_url: str) -> dict[str, list[dict[str, Any]]]:
    """LMS and enterprise rows: all enrolled by one invented customer, none passed."""
    created = datetime(2013, 1, 1)
    stamps = {"created": created, "modified": created}
    return {
        "auth_user": [
            {
                "id": one.user_id,
                "username": one.username,
                "email": f"{one.username}@example.com",
                "is_active": True,
                "is_staff": False,
                "is_superuser": False,
                "date_joined": created,
            }
            for one in learners
        ],
        "student_courseenrollment": [
            {
                "id": one.user_id,
                "user_id": one.user_id,
                "course_id": one.courserun_key,
                "created": created,
                "is_active": True,
                "mode": "verified",
            }
            for one in learners
        ],
        "enterprise_enterprisecustomer": [
            {
                "uuid": ENTERPRISE,
                **stamps,
                "name": "Example Industries",
                "slug": "example-industries",
                "active": True,
                "country": "US",
                "enable_data_sharing_consent": True,
                "enforce_data_sharing_consent": "at_enrollment",
            }
        ],
        "enterprise_enterprisecustomeruser": [
            {
                "id": one.user_id,
                **stamps,
                "enterprise_customer_id": ENTERPRISE,
                "user_id": one.user_id,
                "active": True,
                "linked": True,
            }
            for one in learners
        ],
        "enterprise_enterprisecourseenrollment": [
            {
                "id": one.user_id,
                **stamps,
                "enterprise_customer_user_id": one.user_id,
                "course_id": one.courserun_key,
                "saved_for_later": False,
                "unenrolled": False,
            }
            for one in learners
        ],
        "consent_datasharingconsent": [
            {
                "id": one.user_id,
                **stamps,
                "enterprise_customer_id": ENTERPRISE,
                "username": one.username,
                "course_id": one.courserun_key,
                "granted": True,
            }
            for one in learners
        ],
        "channel_integration_enterprisewebhookconfiguration": [
            {
                "id": 1,
                **stamps,
                "enterprise_customer_id": ENTERPRISE,
                "region": "OTHER",
                "webhook_url": webhook_url,
                "webhook_timeout_seconds": 30,
                "webhook_retry_attempts": 3,
                "max_requests_per_minute": 1_000_000,
                "active": True,
                "enable_enrollment_events_processing": False,
            }
        ],
    }


def passes(learners: list[Enrollment], last: dict[int, datetime]) -> list[dict[str, Any]]:
    """Grade rows: learners who completed passed at the time of their last event."""
    return [
        {
            "id": one.user_id,
            "created": last[one.user_id],
            "modified": last[one.user_id],
            "user_id": one.user_id,
            "course_id": one.courserun_key,
            "percent_grade": 0.9,
            "letter_grade": "Pass",
            "passed_timestamp": last[one.user_id],
        }
        for one in learners
        if one.has_completed
    ]
