"""Nested bodies, version 2.0: the fields of upstream's webhooks, plus learning time."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from sync.domain.bodies import (
    Body,
    BodyFormat,
    Content,
    Part,
    PayloadError,
    Timestamp,
    optional,
    timestamp,
)
from sync.domain.event_types import (
    COURSE_COMPLETION,
    COURSE_COMPLETION_CORRECTION,
    COURSE_ENROLLMENT,
    CompletionFacts,
    EnrollmentFacts,
)
from sync.domain.facts import Facts

SECONDS_PER_HOUR = 3600


class EnterpriseCustomer(Part, frozen=True):
    """The customer the learner belongs to."""

    uuid: str = Field(
        pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        json_schema_extra={"format": "uuid"},
        examples=["7d3f1c52-0b6e-4a83-9c41-5e2a90d7f6b8"],
    )
    name: str = Field(min_length=1, examples=["Example Industries"])


class Learner(Part, frozen=True):
    """The learner's account."""

    user_id: int = Field(examples=[90417])
    username: str = Field(min_length=1, examples=["learner_90417"])
    email: str = Field(
        description="Empty if the account has no address.", examples=["learner@example.com"]
    )


class Course(Part, frozen=True):
    """The course run."""

    course_key: str = Field(
        description="Key of the run, not the course.",
        min_length=1,
        max_length=255,
        examples=["course-v1:ExampleX+DATA101+2026_T1"],
    )


class Completion(Part, frozen=True):
    """The completion."""

    completed: Literal[True]
    completion_date: Timestamp = Field(
        description="When the learner first passed.", examples=["2026-03-10T17:42:31Z"]
    )
    percent_grade: float = Field(description="Grade from 0 to 1.", ge=0, le=1, examples=[0.88])
    letter_grade: str = Field(
        description="Letter grade in the course; may be empty.", examples=["B"]
    )
    is_passing: Literal[True] = Field(
        description="The learner has passed. A lower grade later does not revoke it."
    )


class LearningTime(Part, frozen=True):
    """Time studied up to the completion. Absent, never null, when unknown."""

    total_seconds: int = Field(ge=0, examples=[26964])
    total_hours: float = Field(
        description="total_seconds / 3600, rounded to two decimals.", ge=0, examples=[7.49]
    )
    last_updated: Timestamp = Field(
        description="All activity before this time is counted.",
        examples=["2026-03-12T00:00:00Z"],
    )


class Correction(Part, frozen=True):
    """What is corrected. The completion is unchanged; only its learning time differs."""

    corrects: str = Field(
        description="The `webhook-id` of the completion whose learning time this replaces.",
        json_schema_extra={"format": "uuid"},
        examples=["2f1c8a5e-7c0b-5d7e-9a43-6b1f0e2d4c58"],
    )
    number: int = Field(
        description="The number of this correction among those of that completion. The highest "
        "one counts, regardless of the order of arrival.",
        ge=1,
        examples=[1],
    )


class Enrollment(Part, frozen=True):
    """The enrollment."""

    mode: str = Field(min_length=1, examples=["verified"])
    is_active: bool
    enrollment_date: Timestamp = Field(
        description="When the learner was enrolled.", examples=["2026-01-19T08:59:58Z"]
    )


class Envelope(Body, frozen=True):
    """The fields at the start of every body."""

    event_type: str
    event_version: Literal["2.0"] = Field(
        description="Version of this schema. Only optional keys are ever added."
    )
    event_source: Literal["openedx_events"] = Field(description="The origin of the event.")
    timestamp: Timestamp = Field(
        description="When the event was recorded; the same in every attempt.",
        examples=["2026-03-12T04:10:07Z"],
    )
    enterprise_customer: EnterpriseCustomer
    learner: Learner
    course: Course


class CourseCompletion(Envelope, frozen=True):
    """A learner of an enterprise customer has passed a course run."""

    event_type: Literal["course_completion"] = Field(description="What happened.")
    completion: Completion
    learning_time: LearningTime | SkipJsonSchema[None] = optional()

    @classmethod
    def of(cls, content: Content) -> Self:
        return cls(
            event_type="course_completion",
            **_envelope(content),
            completion=_completion(content.facts),
            learning_time=_learning_time(content),
        )


class CourseCompletionCorrection(Envelope, frozen=True):
    """The learning time of a completion that was already sent has changed."""

    event_type: Literal["course_completion_correction"] = Field(description="What happened.")
    completion: Completion
    correction: Correction
    learning_time: LearningTime

    @classmethod
    def of(cls, content: Content) -> Self:
        correction, learning_time = content.correction, _learning_time(content)
        if correction is None or learning_time is None:
            raise PayloadError("a correction needs the number and what it corrects")
        return cls(
            event_type="course_completion_correction",
            **_envelope(content),
            completion=_completion(content.facts),
            correction=Correction(corrects=correction.corrects, number=correction.number),
            learning_time=learning_time,
        )


class CourseEnrollment(Envelope, frozen=True):
    """A learner of an enterprise customer was enrolled in a course run. Never has learning time."""

    event_type: Literal["course_enrollment"] = Field(description="What happened.")
    enrollment: Enrollment

    @classmethod
    def of(cls, content: Content) -> Self:
        facts: EnrollmentFacts = content.facts
        return cls(
            event_type="course_enrollment",
            **_envelope(content),
            enrollment=Enrollment(
                mode=facts.enrollment_mode,
                is_active=facts.is_enrolled,
                enrollment_date=timestamp(facts.enrolled_at),
            ),
        )


def _completion(facts: CompletionFacts) -> Completion:
    return Completion(
        completed=True,
        completion_date=timestamp(facts.passed_at),
        percent_grade=facts.percent_grade,
        letter_grade=facts.letter_grade,
        is_passing=True,
    )


def _learning_time(content: Content) -> LearningTime | None:
    found = content.learning_time
    return found and LearningTime(
        total_seconds=found.total_seconds,
        total_hours=round(found.total_seconds / SECONDS_PER_HOUR, 2),
        last_updated=timestamp(found.computed_through),
    )


def _envelope(content: Content) -> dict[str, Any]:
    facts: Facts = content.facts
    return {
        "event_version": "2.0",
        "event_source": "openedx_events",
        "timestamp": timestamp(content.recorded_at),
        "enterprise_customer": EnterpriseCustomer(
            uuid=facts.enterprise_customer_uuid, name=facts.enterprise_customer_name
        ),
        "learner": Learner(user_id=facts.user_id, username=facts.username, email=facts.email),
        "course": Course(course_key=facts.courserun_key),
    }


FORMAT = BodyFormat(
    bodies={
        COURSE_COMPLETION: CourseCompletion,
        COURSE_ENROLLMENT: CourseEnrollment,
        COURSE_COMPLETION_CORRECTION: CourseCompletionCorrection,
    },
    seconds=("learning_time", "total_seconds"),
)
