"""What is known of an event, typed: read from the JSON object ``facts`` of an outbox row."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from sync.errors import SyncError

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class FactsError(SyncError):
    """A fact is missing or unusable; the text names the field, never its value."""


class EventType(StrEnum):
    """Kinds of event that reach a customer."""

    COURSE_COMPLETION = "course_completion"
    COURSE_ENROLLMENT = "course_enrollment"


@dataclass(frozen=True, kw_only=True)
class Learner:
    """Who, for which enterprise, in which course run. Personal fields stay out of ``repr``."""

    enterprise_customer_uuid: str
    enterprise_customer_name: str
    user_id: int
    username: str = field(repr=False)
    email: str = field(repr=False)
    courserun_key: str
    learner_country: str | None
    enterprise_country: str | None
    percipio_user_id: str | None = field(repr=False)
    percipio_organization_id: str | None = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class CompletionFacts:
    """A learner has passed a course run. ``percent_grade`` runs from 0 to 1."""

    learner: Learner
    passed_at: datetime
    percent_grade: float
    letter_grade: str

    @classmethod
    def from_mapping(cls, facts: Mapping[str, object]) -> CompletionFacts:
        """Read a completion; a key may be absent where its value may be unknown.

        Raises:
            FactsError: a field is missing or has the wrong form.
        """
        return cls(
            learner=_learner(facts),
            passed_at=_instant(facts, "passed_at"),
            percent_grade=_share(facts, "percent_grade"),
            letter_grade=_optional_text(facts, "letter_grade") or "",
        )


@dataclass(frozen=True, kw_only=True)
class EnrollmentFacts:
    """A learner was enrolled in a course run."""

    learner: Learner
    mode: str
    is_active: bool
    enrolled_at: datetime

    @classmethod
    def from_mapping(cls, facts: Mapping[str, object]) -> EnrollmentFacts:
        """Read an enrollment; a key may be absent where its value may be unknown.

        Raises:
            FactsError: a field is missing or has the wrong form.
        """
        is_active = facts.get("is_active")
        if not isinstance(is_active, bool):
            raise FactsError("fact 'is_active' is not true or false")
        return cls(
            learner=_learner(facts),
            mode=_text(facts, "mode"),
            is_active=is_active,
            enrolled_at=_instant(facts, "enrolled_at"),
        )


def as_utc(moment: datetime) -> datetime:
    """The moment in UTC; one without a zone is UTC already, as in a TIMESTAMP_NTZ."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _learner(facts: Mapping[str, object]) -> Learner:
    enterprise = _text(facts, "enterprise_customer_uuid")
    if not _UUID.fullmatch(enterprise):
        raise FactsError("fact 'enterprise_customer_uuid' is not a lower-case UUID with hyphens")
    user_id = facts.get("user_id")
    if type(user_id) is not int:
        raise FactsError("fact 'user_id' is not a whole number")
    email = facts.get("email")
    if not isinstance(email, str):
        raise FactsError("fact 'email' is missing")
    return Learner(
        enterprise_customer_uuid=enterprise,
        enterprise_customer_name=_text(facts, "enterprise_customer_name"),
        user_id=user_id,
        username=_text(facts, "username"),
        # The LMS stores an account without an address as an empty one.
        email=_encodable("email", email),
        courserun_key=_text(facts, "courserun_key"),
        learner_country=_optional_text(facts, "learner_country"),
        enterprise_country=_optional_text(facts, "enterprise_country"),
        percipio_user_id=_optional_text(facts, "percipio_user_id"),
        percipio_organization_id=_optional_text(facts, "percipio_organization_id"),
    )


def _text(facts: Mapping[str, object], name: str) -> str:
    value = _optional_text(facts, name)
    if value is None:
        raise FactsError(f"fact {name!r} is missing or empty")
    return value


def _optional_text(facts: Mapping[str, object], name: str) -> str | None:
    """A text, or None when unknown; single sign-on wraps some values in a one-element list."""
    value = facts.get(name)
    if isinstance(value, list):
        if len(value) > 1:
            raise FactsError(f"fact {name!r} has several values")
        value = value[0] if value else None
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise FactsError(f"fact {name!r} is not text")
    return _encodable(name, value)


def _encodable(name: str, value: str) -> str:
    """JSON can spell half a surrogate pair, UTF-8 cannot carry it."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise FactsError(f"fact {name!r} is not valid Unicode text") from None
    return value


def _share(facts: Mapping[str, object], name: str) -> float:
    value = facts.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FactsError(f"fact {name!r} is not a number")
    if not math.isfinite(value) or not 0 <= value <= 1:
        raise FactsError(f"fact {name!r} does not lie between 0 and 1")
    return float(value)


def _instant(facts: Mapping[str, object], name: str) -> datetime:
    """A moment from ISO 8601 text of at least a date and a time; without a zone it is UTC."""
    value = facts.get(name)
    if isinstance(value, datetime):
        return as_utc(value)
    if not isinstance(value, str) or len(value) <= len("YYYY-MM-DD"):
        raise FactsError(f"fact {name!r} is not a date and time")
    try:
        return as_utc(datetime.fromisoformat(value))
    except (ValueError, OverflowError):
        raise FactsError(f"fact {name!r} is not a date and time in ISO 8601") from None
