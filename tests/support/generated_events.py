"""Events that marts could contain: any text, any grade, any optional fact unknown."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sync.domain.bodies import Content
from sync.domain.event_types import CompletionFacts, EnrollmentFacts
from sync.domain.facts import LearningTime
from tests.support.events import COMPLETION, ENROLLMENT, content

LETTERS = "aZ09 '\"\\/+:@%?#&<>{}\t\n\x00\x7f\x85äßİı你𝄞\u2028\ufeff\ufffd🙂"
"""Characters that can break JSON, URLs and changes of case."""
OPTIONAL = ("email", "course_name", "letter_grade", "percipio_user_id", "percipio_organization_id")
KEYS = (
    "course-v1:{}+{}+{}",
    "ccx-v1:{}+{}+{}+ccx@3",
    "{}/{}/{}",
    "{}{}{}",
)
SETTINGS: tuple[dict[str, Any], ...] = tuple(
    {"xapi_actor": actor, "xapi_home_page": "https://lms.example.com", "duration_unit": unit}
    for actor in ("mbox", "mbox_sha1sum", "account")
    for unit in ("seconds", "minutes")
)
FIRST = datetime(1, 1, 2, tzinfo=UTC)


def contents(number: int, *, seed: int = 1) -> Iterator[Content]:
    """This many events, the same for the same seed: completions and enrollments, with and without
    learning time, for endpoints that cycle through all settings."""
    dice = random.Random(seed)
    for n in range(number):
        made = content(_facts(dice), _learning_time(dice), **SETTINGS[n % len(SETTINGS)])
        is_enrollment = isinstance(made.facts, EnrollmentFacts)
        yield replace(
            made,
            recorded_at=_time(dice),
            learning_time=None if is_enrollment else made.learning_time,
        )


def _facts(dice: random.Random) -> CompletionFacts | EnrollmentFacts:
    is_completion = dice.random() < 0.7
    row = dict(COMPLETION if is_completion else ENROLLMENT)
    for name in ("enterprise_customer_name", "username", "enrollment_mode", *OPTIONAL):
        row[name] = _text(dice)
    for name in OPTIONAL:
        if dice.random() < 0.2:
            row[name] = dice.choice([None, ""])
    row["courserun_key"] = dice.choice(KEYS).format(*(_text(dice) for _ in range(3)))
    row["user_id"] = dice.choice([0, -1, 90417, 2**63])
    at = _time(dice).isoformat()
    if is_completion:
        grade = dice.choice([0, 1, 0.1 + 0.2, 5e-324, 1e-7, round(dice.random(), 2)])
        return CompletionFacts.read(row | {"passed_at": at, "percent_grade": grade})
    return EnrollmentFacts.read(row | {"enrolled_at": at, "is_enrolled": dice.random() < 0.5})


def _text(dice: random.Random) -> str:
    return "".join(dice.choice(LETTERS) for _ in range(dice.randint(1, 12)))


def _time(dice: random.Random) -> datetime:
    return FIRST + timedelta(microseconds=dice.randrange(3_000 * 365 * 86_400 * 10**6))


def _learning_time(dice: random.Random) -> LearningTime | None:
    if dice.random() < 0.3:
        return None
    seconds = dice.choice([0, 29, 30, 90, 150, 3_600, dice.randrange(10**9)])
    return LearningTime(seconds, _time(dice).replace(tzinfo=None))
