"""Percipio Track: the partner's flat format, always with the same seven keys."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field

from sync.domain.bodies import (
    Body,
    BodyFormat,
    Content,
    IdentityMissing,
    PayloadError,
    Timestamp,
    timestamp,
)
from sync.domain.course_runs import course_of
from sync.domain.event_types import (
    COURSE_COMPLETION,
    COURSE_ENROLLMENT,
    CompletionFacts,
    EnrollmentFacts,
)
from sync.domain.facts import Facts
from sync.domain.model import Model

if TYPE_CHECKING:
    from sync.domain.endpoint import EndpointSettings


class Unit(StrEnum):
    """The unit of ``duration_spent``."""

    SECONDS = "seconds"
    MINUTES = "minutes"


class PercipioSettings(Model, frozen=True):
    """Operator settings for an endpoint that takes this format."""

    duration_unit: Unit = Field(
        default=Unit.SECONDS,
        strict=False,
        description="percipio: the unit of duration_spent, seconds or minutes; ask the customer.",
    )


class _Track(Body, frozen=True):
    """A learner's progress in the partner's flat format, always with these seven keys."""

    content_id: str = Field(
        description="The course, without its run.",
        pattern=r"^course:[^+/]+\+[^+/]+$",
        examples=["course:ExampleX+DATA101"],
    )
    user: str = Field(
        description="The partner's id of the learner.",
        min_length=1,
        examples=["3b8e6a90-41d2-4f7c-8a15-c0d9e7f21b64"],
    )
    status: str
    event_date: Timestamp = Field(
        description="When the learner passed, or was enrolled.", examples=["2026-03-10T17:42:31Z"]
    )
    completion_percentage: int
    duration_spent: int | None = Field(
        description="Learning time in seconds, or in minutes if so agreed; null when unknown.",
        ge=0,
        examples=[26964],
    )
    orgid: str = Field(
        description="The partner's id of the organization.",
        min_length=1,
        examples=["e51f07c8-9a2b-4d36-b7e0-1c84d5a3f902"],
    )


class PercipioCompletion(_Track, frozen=True):
    """A learner has passed a course run."""

    status: Literal["completed"]
    completion_percentage: Literal[100]

    @classmethod
    def of(cls, content: Content) -> Self:
        facts: CompletionFacts = content.facts
        return cls(
            **_track(facts, facts.passed_at),
            status="completed",
            completion_percentage=100,
            duration_spent=_duration(content),
        )


class PercipioEnrollment(_Track, frozen=True):
    """A learner was enrolled in a course run."""

    status: Literal["started"]
    completion_percentage: Literal[0]
    duration_spent: None

    @classmethod
    def of(cls, content: Content) -> Self:
        facts: EnrollmentFacts = content.facts
        return cls(
            **_track(facts, facts.enrolled_at),
            status="started",
            completion_percentage=0,
            duration_spent=None,
        )


def content_id(courserun_key: str) -> str:
    """The partner's id of a course: ``course:Org+Course``, the same for all its runs.

    Raises:
        PayloadError: the text is not a course run key.
    """
    course = course_of(courserun_key)
    if course is None:
        raise PayloadError("the course run key names no organization, course and run")
    return f"course:{course.organization}+{course.number}"


def _duration(content: Content) -> int | None:
    if content.learning_time is None:
        return None
    seconds = content.learning_time.total_seconds
    return round(seconds / 60) if content.settings.duration_unit is Unit.MINUTES else seconds


def assumption(settings: EndpointSettings) -> str:
    """The assumed unit: no public source for it was found."""
    return (
        f"duration_spent is sent in {settings.duration_unit}, which the partner does not document: "
        "ask the customer, and set --duration-unit"
    )


def _track(facts: Facts, event_at: datetime) -> dict[str, Any]:
    # Without these ids the partner cannot assign the event.
    lacking = [
        key
        for key, known in (
            ("user", facts.percipio_user_id),
            ("orgid", facts.percipio_organization_id),
        )
        if known is None
    ]
    if lacking:
        raise IdentityMissing(f"the learner's single sign-on account lacks {' and '.join(lacking)}")
    return {
        "content_id": content_id(facts.courserun_key),
        "user": facts.percipio_user_id,
        "event_date": timestamp(event_at),
        "orgid": facts.percipio_organization_id,
    }


FORMAT = BodyFormat(
    bodies={COURSE_COMPLETION: PercipioCompletion, COURSE_ENROLLMENT: PercipioEnrollment},
    seconds=("duration_spent",),
    assumption=assumption,
)
