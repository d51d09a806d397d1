"""xAPI 1.0.3: one statement per event, as learning record stores and many learning systems accept.

Its properties are those of the specification: https://github.com/adlnet/xAPI-Spec. What receivers
leave out of our other bodies is also left out here: grade letter, learner's name and enterprise.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from urllib.parse import quote

from pydantic import AfterValidator, Field
from pydantic.json_schema import SkipJsonSchema

from sync.domain.bodies import (
    Body,
    BodyFormat,
    Content,
    IdentityMissing,
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
from sync.domain.facts import AnyText, Facts
from sync.domain.model import Model

if TYPE_CHECKING:
    from sync.domain.endpoint import EndpointSettings

VERSION = "1.0.3"
CONFLICT = 409
"""A statement with this id exists: HiBob sends this status for every repetition, a learning record
store only for one that differs."""
COURSE = "http://adlnet.gov/expapi/activities/course"
VERBS = "http://adlnet.gov/expapi/verbs/"
UPDATE = "http://activitystrea.ms/schema/1.0/update"
"""The verb of a correction. Voiding would remove the completion itself, and a second ``completed``
would count it twice."""
PLACEHOLDER = "{courserun_key}"
LANGUAGE = "en"

_ADDRESS = re.compile(r"https?://[\x21-\x7e]+")
_PARTS = re.compile(r"PT(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+)S)?")
# RFC 3986 allows these in a path, and the LMS's own addresses contain them unencoded.
AS_THEY_ARE = ":+@/"


class Actor(StrEnum):
    """The specification's identifier by which a receiver identifies a learner."""

    MBOX = "mbox"
    """``mailto:`` and the email address."""
    MBOX_SHA1SUM = "mbox_sha1sum"
    """The SHA-1 of ``mbox``, in hexadecimal."""
    ACCOUNT = "account"
    """The user name, in the system that ``xapi_home_page`` names."""


def _course_iri(template: str) -> str:
    if template and (not _ADDRESS.fullmatch(template) or template.count(PLACEHOLDER) != 1):
        raise ValueError(f"must be like https://lms.example.com/courses/{PLACEHOLDER}")
    return template


def _home_page(address: str) -> str:
    if address and not _ADDRESS.fullmatch(address):
        raise ValueError("must be like https://lms.example.com")
    return address


class XapiSettings(Model, frozen=True):
    """Operator settings for an endpoint that takes xAPI statements."""

    xapi_course_iri: Annotated[AnyText, AfterValidator(_course_iri)] = Field(
        default="",
        description="xapi: template of a course run's id, such as https://lms.example.com/{courserun_key}.",
    )
    xapi_actor: Actor = Field(
        default=Actor.MBOX,
        strict=False,
        description="xapi: how it identifies a learner: mbox, mbox_sha1sum or account.",
    )
    xapi_home_page: Annotated[AnyText, AfterValidator(_home_page)] = Field(
        default="",
        description="xapi, actor account: the URL of the system that issued the user names.",
    )


class Account(Part, frozen=True):
    """A user of a system."""

    homePage: str = Field(description="The system.", examples=["https://lms.example.com"])
    name: str = Field(min_length=1, description="The user name.", examples=["learner_90417"])


_Sha1 = Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
_Duration = Annotated[str, Field(pattern="^PT([0-9]+H)?([0-9]+M)?([0-9]+S)?$")]


class Agent(Part, frozen=True):
    """The learner, identified by exactly one of the three properties."""

    objectType: Literal["Agent"]
    mbox: str | SkipJsonSchema[None] = optional(examples=["mailto:learner@example.com"])
    mbox_sha1sum: _Sha1 | SkipJsonSchema[None] = optional()
    account: Account | SkipJsonSchema[None] = optional()


class Verb(Part, frozen=True):
    """What the learner did."""

    id: str = Field(examples=["http://adlnet.gov/expapi/verbs/completed"])
    display: dict[str, str] = Field(examples=[{LANGUAGE: "completed"}])


class Definition(Part, frozen=True):
    """Details of the course run."""

    type: Literal["http://adlnet.gov/expapi/activities/course"]
    name: dict[str, str] = Field(
        description="The course's name, or the run's key if the LMS has no name.",
        examples=[{LANGUAGE: "Data for Everybody"}],
    )


class Activity(Part, frozen=True):
    """The course run."""

    objectType: Literal["Activity"]
    id: str = Field(
        description="A permanent IRI of the run.",
        examples=["https://lms.example.com/courses/course-v1:ExampleX+DATA101+2026_T1"],
    )
    definition: Definition


class Score(Part, frozen=True):
    """The grade."""

    scaled: float = Field(description="From 0 to 1.", ge=0, le=1, examples=[0.88])


class Result(Part, frozen=True):
    """The result of the course run."""

    completion: Literal[True]
    success: Literal[True]
    score: Score
    duration: _Duration | SkipJsonSchema[None] = optional(
        description="Time studied up to the completion, in ISO 8601. Absent when unknown.",
        examples=["PT7H29M24S"],
    )


class CorrectedResult(Part, frozen=True):
    """The corrected part of the result."""

    duration: _Duration = Field(
        description="Time studied up to the completion, in ISO 8601. Replaces the value sent.",
        examples=["PT7H51M9S"],
    )


class StatementRef(Part, frozen=True):
    """Another statement."""

    objectType: Literal["StatementRef"]
    id: str = Field(json_schema_extra={"format": "uuid"})


class CorrectionContext(Part, frozen=True):
    """What is corrected."""

    statement: StatementRef = Field(description="The statement of the completion.")


class _Statement(Body, frozen=True):
    id: str = Field(
        description="The `webhook-id`, same in every attempt; in a test event, without `test-`.",
        json_schema_extra={"format": "uuid"},
    )
    actor: Agent
    verb: Verb
    object: Activity
    timestamp: Timestamp = Field(
        description="When the learner passed or was enrolled, or when the correction was recorded.",
        examples=["2026-03-10T17:42:31Z"],
    )


class XapiCompletion(_Statement, frozen=True):
    """A learner of an enterprise customer has completed a course run."""

    result: Result

    @classmethod
    def of(cls, content: Content) -> Self:
        facts: CompletionFacts = content.facts
        studied = content.learning_time
        return cls(
            **_statement(content, f"{VERBS}completed", facts.passed_at),
            result=Result(
                completion=True,
                success=True,
                score=Score(scaled=facts.percent_grade),
                duration=None if studied is None else iso_duration(studied.total_seconds),
            ),
        )


class XapiCorrection(_Statement, frozen=True):
    """The learning time of a completion that was already sent has changed."""

    result: CorrectedResult
    context: CorrectionContext

    @classmethod
    def of(cls, content: Content) -> Self:
        correction, studied = content.correction, content.learning_time
        if correction is None or studied is None:
            raise PayloadError("a correction needs the number and what it corrects")
        return cls(
            **_statement(content, UPDATE, content.recorded_at),
            result=CorrectedResult(duration=iso_duration(studied.total_seconds)),
            context=CorrectionContext(
                statement=StatementRef(objectType="StatementRef", id=correction.corrects)
            ),
        )


class XapiEnrollment(_Statement, frozen=True):
    """A learner of an enterprise customer was enrolled in a course run."""

    @classmethod
    def of(cls, content: Content) -> Self:
        facts: EnrollmentFacts = content.facts
        return cls(**_statement(content, f"{VERBS}registered", facts.enrolled_at))


def iso_duration(seconds: int) -> str:
    """Seconds as ISO 8601, in hours, minutes and seconds: ``PT1H12M27S``, ``PT0S``.

    Raises:
        PayloadError: they are not a whole number of at least 0.
    """
    if type(seconds) is not int or seconds < 0:
        raise PayloadError("a duration needs a whole number of seconds, from 0 on")
    parts = (seconds // 3600, "H"), (seconds // 60 % 60, "M"), (seconds % 60, "S")
    return f"PT{''.join(f'{count}{unit}' for count, unit in parts if count)}" if seconds else "PT0S"


def seconds_of(duration: object) -> int | None:
    """The seconds of such a duration; None for anything else."""
    found = _PARTS.fullmatch(duration) if isinstance(duration, str) else None
    if found is None:
        return None
    hours, minutes, seconds = (int(one or 0) for one in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def lacking(settings: EndpointSettings) -> str | None:
    """The missing setting without which no statement can be built."""
    if not settings.xapi_course_iri:
        return "xapi_course_iri: format xapi needs it"
    if settings.xapi_actor is Actor.ACCOUNT and not settings.xapi_home_page:
        return "xapi_home_page: xapi_actor account needs it"
    return None


def _statement(content: Content, verb: str, at: datetime) -> dict[str, Any]:
    facts: Facts = content.facts
    key = quote(facts.courserun_key, safe=AS_THEY_ARE)
    return {
        "id": content.webhook_id,
        "actor": _agent(facts, content.settings),
        "verb": Verb(id=verb, display={LANGUAGE: verb.rpartition("/")[2]}),
        "object": Activity(
            objectType="Activity",
            id=content.settings.xapi_course_iri.replace(PLACEHOLDER, key),
            definition=Definition(
                type=COURSE, name={LANGUAGE: facts.course_name or facts.courserun_key}
            ),
        ),
        "timestamp": timestamp(at),
    }


def _agent(facts: Facts, settings: EndpointSettings) -> Agent:
    if settings.xapi_actor is Actor.ACCOUNT:
        account = Account(homePage=settings.xapi_home_page, name=facts.username)
        return Agent(objectType="Agent", account=account)
    if not facts.email:
        raise IdentityMissing("the learner's account lacks an email address")
    mbox = f"mailto:{facts.email}"
    if settings.xapi_actor is Actor.MBOX:
        return Agent(objectType="Agent", mbox=mbox)
    # The specification requires SHA-1; it does not hide an address from anyone who guesses it.
    digest = hashlib.sha1(mbox.encode(), usedforsecurity=False).hexdigest()
    return Agent(objectType="Agent", mbox_sha1sum=digest)


FORMAT = BodyFormat(
    bodies={
        COURSE_COMPLETION: XapiCompletion,
        COURSE_ENROLLMENT: XapiEnrollment,
        COURSE_COMPLETION_CORRECTION: XapiCorrection,
    },
    seconds=("result", "duration"),
    read_seconds=seconds_of,
    headers={"X-Experience-API-Version": VERSION},
    success_statuses=frozenset({CONFLICT}),
    lacking=lacking,
)
