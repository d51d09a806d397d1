"""The typed facts of an event, read from a row of its mart when its message is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from sync.domain.model import Model, known, problems
from sync.errors import SyncError

LEARNING_TIME = "learning_time_seconds"
OF_EVERY_EVENT: Mapping[str, type] = {
    "webhook_id": str,
    "event_type": str,
    "recorded_at": datetime,
    "course": str,
}
"""Facts of every event, in addition to those of its type. ``course`` is organization and number,
``ExampleX+DATA101``, the same for all runs of the course."""
OF_LEARNING_TIME: Mapping[str, type] = {
    LEARNING_TIME: int,
    "learning_time_computed_through": datetime,
}
OF_CORRECTION: Mapping[str, type] = {"corrects_webhook_id": str, "correction_number": int}


class FactsError(SyncError):
    """A fact is missing or unusable; the text names the field, never its value."""


@dataclass(frozen=True)
class LearningTime:
    """Learning time up to the completion, and the time up to which it is counted.

    A time without a zone is UTC. Zero seconds are a real value.
    """

    total_seconds: int
    computed_through: datetime


@dataclass(frozen=True)
class Correction:
    """Which completion's learning time is corrected, and the number last sent to its customer."""

    corrects: str
    """Webhook id of the completion."""
    number: int
    """Number of the correction among those of that completion, from 1."""
    told_seconds: int | None = None
    """The last number sent; None if there is none to compare with, as after passing again."""
    tolerance_seconds: float = 0

    def is_needed(self, seconds: int) -> bool:
        """Whether the current number differs from the last one sent by more than the tolerance."""
        return (
            self.told_seconds is not None
            and abs(seconds - self.told_seconds) > self.tolerance_seconds
        )


def as_utc(time: datetime) -> datetime:
    """The time in UTC; one without a zone is UTC already, as in a TIMESTAMP_NTZ."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _time(value: object) -> datetime:
    try:
        if isinstance(value, str) and len(value) > len("YYYY-MM-DD"):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return as_utc(value)
    except (ValueError, OverflowError):
        pass
    raise ValueError("not a date and time in ISO 8601")


def _encodable(text: str) -> str:
    """Refuse half a surrogate pair: JSON can escape one, but UTF-8 cannot encode it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("not valid Unicode text") from None
    return text


def _unwrapped(value: object) -> object:
    """Unwrap a value that single sign-on put into a list of one."""
    if isinstance(value, list) and len(value) <= 1:
        return value[0] if value else None
    return value


AnyText = Annotated[str, AfterValidator(_encodable)]
Text = Annotated[AnyText, Field(min_length=1)]
OptionalText = Annotated[AnyText | None, BeforeValidator(_unwrapped)]
Time = Annotated[datetime, BeforeValidator(_time)]
"""ISO 8601 text with at least a date and a time, or a datetime; without a zone it is UTC."""


class Facts(Model, frozen=True):
    """Who, for which enterprise, in which course run. Personal fields are not in ``repr``.

    The fields are columns of the event type's mart; a field that may be NULL has a default.
    """

    enterprise_customer_uuid: str = Field(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
    enterprise_customer_name: Text
    user_id: int
    username: Text = Field(repr=False)
    email: AnyText = Field(default="", repr=False)
    """Empty for an account without an address; its completions are sent like any other."""
    courserun_key: Text
    course_name: AnyText = ""
    learner_country: OptionalText = None
    enterprise_country: OptionalText = None
    percipio_user_id: OptionalText = Field(default=None, repr=False)
    percipio_organization_id: OptionalText = Field(default=None, repr=False)

    @classmethod
    def read(cls, row: Mapping[str, object]) -> Self:
        """Read the fields from a mapping; None and an empty text are the same as a missing key.

        Raises:
            FactsError: a fact is missing or has the wrong form.
        """
        try:
            return cls.model_validate(known(row))
        except ValidationError as error:
            raise FactsError(f"unusable facts: {problems(error)}") from None
