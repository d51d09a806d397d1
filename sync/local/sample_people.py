"""Who and what the sample data is about: invented customers, course runs and learners.

Most learners are ordinary. The troubled ones carry one peculiarity each, so that every way a
completion can fail to become a webhook is there at least once, whatever the size.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

FIRST_NAMES = (
    *("ada", "bela", "caro", "dario", "elin", "faro", "gwen", "hanno", "ines", "joris", "kaja"),
    *("lorin", "mira", "nils", "orla", "petro", "quin", "rosa", "sven", "tilda", "umar", "vera"),
)
LAST_NAMES = (
    *("abel", "brook", "carver", "dahl", "ember", "frost", "gable", "holt", "iver", "juniper"),
    *("kestrel", "lark", "marlow", "north", "oakley", "penn", "quill", "rowan", "sable", "wren"),
)
COURSE_NUMBERS = ("DATA101", "SAFE150", "LEAD305", "WRIT210", "MATH120", "CODE230", "LAWS140")
ORG = "ExampleX"

CustomerKind = Literal["working", "no_endpoint", "bad_url", "failing_endpoint", "inactive"]


@dataclass(frozen=True, kw_only=True)
class Customer:
    """An enterprise. ``uuid`` is stored as the replica has it: 32 hex digits."""

    uuid: str
    name: str
    slug: str
    country: str | None
    kind: CustomerKind
    regions: tuple[str, ...]
    """Regions with a webhook configuration."""


@dataclass(frozen=True, kw_only=True)
class Learner:
    """An LMS account."""

    user_id: int
    username: str
    email: str


@dataclass(frozen=True, kw_only=True)
class Study:
    """One learner in one course run, who may be active there and may pass."""

    learner: Learner
    courserun_key: str
    is_active: bool = True
    passed_at: datetime | None = None
    completes_in_wave: int | None = None
    """Index of the wave whose replica rows bring the grade; None when it is never passed."""


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A learner whose completion takes another way than the ordinary one."""

    case: str
    ineligible_reason: str | None = None
    """What the mart ``ineligible_completions`` must say; None when the completion is eligible."""
    customer: CustomerKind = "working"
    mode: str = "verified"
    consent: Literal["granted", "refused", "unset", "missing", "late"] = "granted"
    has_user: bool = True
    is_linked: bool = True
    is_retired: bool = False
    is_active: bool = True
    has_passed: bool = True
    has_enterprise_enrollment: bool = True
    has_second_customer: bool = False
    passed_days_before_start: int = 0
    team_role: Literal["", "run", "org"] = ""


DIRTY = Trouble(case="dirty_lines", has_passed=False, is_active=False)
"""The learner of ``sample_dirty``; active through those lines only."""

TROUBLES = (
    Trouble(case="user_missing", ineligible_reason="user_missing", has_user=False),
    Trouble(case="customer_inactive", ineligible_reason="customer_inactive", customer="inactive"),
    Trouble(case="learner_unlinked", ineligible_reason="learner_unlinked", is_linked=False),
    Trouble(case="consent_missing", ineligible_reason="consent_missing", consent="missing"),
    Trouble(case="consent_refused", ineligible_reason="consent_missing", consent="refused"),
    Trouble(case="consent_unset", ineligible_reason="consent_missing", consent="unset"),
    Trouble(case="audit_mode", ineligible_reason="audit_not_reportable", mode="audit"),
    Trouble(case="account_retired", ineligible_reason="account_retired", is_retired=True),
    Trouble(case="course_team", ineligible_reason="course_team", team_role="run"),
    Trouble(case="organisation_team", ineligible_reason="course_team", team_role="org"),
    Trouble(case="late_consent", consent="late"),
    Trouble(case="before_activation", passed_days_before_start=30, is_active=False),
    Trouble(case="no_endpoint", customer="no_endpoint"),
    Trouble(case="bad_url", customer="bad_url"),
    Trouble(case="failing_endpoint", customer="failing_endpoint"),
    Trouble(case="no_activity", is_active=False),
    Trouble(case="two_customers", has_second_customer=True),
    Trouble(case="never_passed", has_passed=False),
    Trouble(case="private_learner", has_enterprise_enrollment=False),
    DIRTY,
)


def course_runs(count: int) -> list[str]:
    """Run keys; every fourth is a second run of the course before it."""
    keys: list[str] = []
    for index in range(count):
        course, is_second_run = (index - 1, True) if index % 4 == 3 else (index, False)
        number = COURSE_NUMBERS[course % len(COURSE_NUMBERS)]
        suffix = str(course // len(COURSE_NUMBERS)) if course >= len(COURSE_NUMBERS) else ""
        keys.append(f"course-v1:{ORG}+{number}{suffix}+2026_T{2 if is_second_run else 1}")
    return keys


def learner(user_id: int, index: int) -> Learner:
    """An invented account; names repeat with a number when the lists are exhausted."""
    first = FIRST_NAMES[index % len(FIRST_NAMES)]
    last = LAST_NAMES[index // len(FIRST_NAMES) % len(LAST_NAMES)]
    lap = index // (len(FIRST_NAMES) * len(LAST_NAMES))
    username = f"{first}_{last}{lap or ''}"
    return Learner(user_id=user_id, username=username, email=f"{username}@example.com")
