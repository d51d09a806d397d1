"""The bytes that go over the wire: nested v2.0 bodies and flat Percipio Track bodies.

A body is built once, stored, and sent unchanged at every attempt, so equal facts must give equal
bytes: fixed key order, compact UTF-8 JSON, every instant in UTC to the second.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator

from sync.domain.facts import CompletionFacts, EnrollmentFacts, EventType, Learner, as_utc
from sync.errors import SyncError

EVENT_VERSION = "2.0"
EVENT_SOURCE = "openedx_events"
SECONDS_PER_HOUR = 3600

_NEW_STYLE_RUN = re.compile(r"(?:course|ccx)-v1:([^+/]+)\+([^+/]+)\+.+")
_OLD_STYLE_RUN = re.compile(r"([^+/:]+)/([^+/:]+)/[^+/:]+")


class PayloadError(SyncError):
    """A body cannot be built; the text names the place in it, never a value."""


class PayloadFormat(StrEnum):
    """What an endpoint wants to receive."""

    V2 = "v2"
    PERCIPIO = "percipio"


@dataclass(frozen=True)
class LearningTime:
    """Time studied up to the pass, in seconds, and the instant up to which it is counted.

    A moment without a zone is taken as UTC. Zero seconds are a real value.

    Raises:
        PayloadError: the seconds are no whole number of at least 0.
    """

    total_seconds: int
    computed_through: datetime

    def __post_init__(self) -> None:
        if type(self.total_seconds) is not int or self.total_seconds < 0:
            raise PayloadError("learning time is not a whole, non-negative number of seconds")


def completion_body(
    facts: CompletionFacts,
    *,
    payload_format: PayloadFormat,
    timestamp: datetime,
    learning_time: LearningTime | None,
) -> bytes:
    """The body of a completion. ``timestamp`` is when the event was recorded.

    Without learning time, v2 has no key for it at all and Percipio's ``duration_spent`` is null.

    Raises:
        PayloadError: the course run key is unreadable or the body breaks its schema.
    """
    match payload_format:
        case PayloadFormat.V2:
            body = _envelope(EventType.COURSE_COMPLETION, facts.learner, timestamp)
            body["completion"] = {
                "completed": True,
                "completion_date": _instant(facts.passed_at),
                "percent_grade": facts.percent_grade,
                "letter_grade": facts.letter_grade,
                # "Has passed": a later, lower grade takes no completion back.
                "is_passing": True,
            }
            if learning_time is not None:
                body["learning_time"] = {
                    "total_seconds": learning_time.total_seconds,
                    "total_hours": round(learning_time.total_seconds / SECONDS_PER_HOUR, 2),
                    "last_updated": _instant(learning_time.computed_through),
                }
            return _encode(body, "course_completion.v2")
        case PayloadFormat.PERCIPIO:
            body = _track(facts.learner, "completed", facts.passed_at)
            if learning_time is not None:
                body["duration_spent"] = learning_time.total_seconds
            return _encode(body, "percipio_track")


def enrollment_body(
    facts: EnrollmentFacts, *, payload_format: PayloadFormat, timestamp: datetime
) -> bytes:
    """The body of an enrollment, which never carries learning time.

    Raises:
        PayloadError: the course run key is unreadable or the body breaks its schema.
    """
    match payload_format:
        case PayloadFormat.V2:
            body = _envelope(EventType.COURSE_ENROLLMENT, facts.learner, timestamp)
            body["enrollment"] = {
                "mode": facts.mode,
                "is_active": facts.is_active,
                "enrollment_date": _instant(facts.enrolled_at),
            }
            return _encode(body, "course_enrollment.v2")
        case PayloadFormat.PERCIPIO:
            return _encode(_track(facts.learner, "started", facts.enrolled_at), "percipio_track")


def content_id(courserun_key: str) -> str:
    """The partner's id of a course: ``course:Org+Course``, the same for all its runs.

    Raises:
        PayloadError: the key is no course run key.
    """
    run = _NEW_STYLE_RUN.fullmatch(courserun_key) or _OLD_STYLE_RUN.fullmatch(courserun_key)
    if run is None:
        raise PayloadError("the course run key names no organization, course and run")
    return f"course:{run[1]}+{run[2]}"


def missing_identity(learner: Learner) -> tuple[str, ...]:
    """The Percipio ids that are unknown; a partner cannot book a body without them."""
    known = {"user": learner.percipio_user_id, "orgid": learner.percipio_organization_id}
    return tuple(name for name, value in known.items() if value is None)


@cache
def schema(name: str) -> Mapping[str, Any]:
    """A JSON Schema (Draft 2020-12) by the name of its file in ``sync/domain/schemas``."""
    text = (
        resources.files("sync.domain").joinpath("schemas", f"{name}.schema.json").read_text("utf-8")
    )
    return json.loads(text)


def _envelope(event_type: EventType, learner: Learner, timestamp: datetime) -> dict[str, Any]:
    return {
        "event_type": event_type.value,
        "event_version": EVENT_VERSION,
        "event_source": EVENT_SOURCE,
        "timestamp": _instant(timestamp),
        "enterprise_customer": {
            "uuid": learner.enterprise_customer_uuid,
            "name": learner.enterprise_customer_name,
        },
        "learner": {
            "user_id": learner.user_id,
            "username": learner.username,
            "email": learner.email,
        },
        "course": {"course_key": learner.courserun_key},
    }


def _track(learner: Learner, status: str, event_at: datetime) -> dict[str, Any]:
    return {
        "content_id": content_id(learner.courserun_key),
        "user": learner.percipio_user_id,
        "status": status,
        "event_date": _instant(event_at),
        "completion_percentage": 100 if status == "completed" else 0,
        "duration_spent": None,
        "orgid": learner.percipio_organization_id,
    }


def _instant(moment: datetime) -> str:
    return as_utc(moment).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _encode(body: Mapping[str, Any], schema_name: str) -> bytes:
    error = next(_validator(schema_name).iter_errors(body), None)
    if error is not None:
        # The library's own message quotes the value, which may be personal.
        raise PayloadError(f"body breaks {schema_name}: {error.json_path} fails {error.validator}")
    text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8")


@cache
def _validator(schema_name: str) -> Draft202012Validator:
    return Draft202012Validator(schema(schema_name))
