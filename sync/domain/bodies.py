"""The parts of a body format. A body is built once, stored, and sent unchanged at each attempt, so
equal facts give equal bytes: keys in field order, compact UTF-8 JSON, times in UTC to the second.
"""

from __future__ import annotations

import inspect
import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Self

from pydantic import ConfigDict, Field, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from sync.domain.facts import Correction, LearningTime, as_utc
from sync.domain.model import Model, problems
from sync.errors import SyncError

if TYPE_CHECKING:
    from sync.domain.endpoint import EndpointSettings

TIMESTAMP_PATTERN = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"
Timestamp = Annotated[
    str,
    Field(
        pattern=TIMESTAMP_PATTERN,
        json_schema_extra={"format": "date-time"},
    ),
]


class PayloadError(SyncError):
    """A body cannot be built; the text names the place in the body, never a value."""


class IdentityMissing(PayloadError):
    """The format needs a learner id that is unknown; the text names it."""


class BodyMissing(PayloadError):
    """The format has no body for the type of event."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """Everything that a body may contain about an event."""

    webhook_id: str
    event_type: str
    facts: Any
    """An instance of the event type's facts class."""
    recorded_at: datetime
    settings: EndpointSettings
    """The settings of the endpoint that gets the body."""
    learning_time: LearningTime | None = None
    correction: Correction | None = None
    """Set only for a correction, which always has learning time."""


class Part(Model, frozen=True):
    """An object in a body; its JSON Schema is the published one."""

    model_config = ConfigDict(extra="forbid")


class BodyMaker(Protocol):
    """Makes the bodies of one event type in one format: a ``Body`` class, or compiled from a
    file."""

    def bytes_of(self, content: Content, /) -> bytes:
        """The body as it goes over the wire.

        Raises:
            PayloadError: the format cannot carry it.
        """
        ...

    def title(self) -> str:
        """Its name in the documents."""
        ...

    def summary(self) -> str:
        """What it reports, in one sentence."""
        ...

    def published_schema(self) -> dict[str, Any]:
        """Its JSON Schema, open and self-contained."""
        ...


class Body(Part, frozen=True):
    """The body of one event type in one format, written in Python."""

    @classmethod
    @abstractmethod
    def of(cls, content: Content) -> Self:
        """The body of an event.

        Raises:
            PayloadError: the format cannot carry it.
        """

    @classmethod
    def bytes_of(cls, content: Content, /) -> bytes:
        """As in ``BodyMaker``."""
        try:
            return to_bytes(cls.of(content).model_dump())
        except ValidationError as error:
            raise PayloadError(f"{error.title}: {problems(error)}") from None

    @classmethod
    def title(cls) -> str:
        """As in ``BodyMaker``."""
        return cls.__name__

    @classmethod
    def summary(cls) -> str:
        """As in ``BodyMaker``."""
        return inspect.getdoc(cls) or ""

    @classmethod
    def published_schema(cls) -> dict[str, Any]:
        """As in ``BodyMaker``."""
        return cls.model_json_schema(schema_generator=PublishedSchema)


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
)


def to_bytes(document: object) -> bytes:
    """JSON as it goes over the wire."""
    return _ENCODER.encode(document).encode()


def optional(**details: Any) -> Any:
    """A field whose key is absent, never null, when it has no value."""
    return Field(
        default=None,
        exclude_if=lambda value: value is None,
        json_schema_extra=_without_default,
        **details,
    )


def _without_default(schema: dict[str, Any]) -> None:
    """Remove the default: it is an absent key, which JSON Schema cannot express."""
    del schema["default"]


def no_setting(settings: EndpointSettings) -> None:
    """A format that needs no setting."""


def whole_number(value: object) -> int | None:
    """The value if it is a whole number, else None."""
    return value if type(value) is int else None


@dataclass(frozen=True, kw_only=True)
class BodyFormat:
    """A format that an endpoint can choose: a file of ``sync.domain.formats``, or an operator's
    mapping (``sync.domain.mapping``)."""

    bodies: Mapping[str, BodyMaker]
    """By event type name; a format need not have a body for every type."""
    seconds: tuple[str, ...]
    """The path of the learning time in a body."""
    read_seconds: Callable[[object], int | None] = whole_number
    """Reads the seconds from the value at that path; None for anything else."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers that its requests carry in addition to ours."""
    success_statuses: frozenset[int] = frozenset()
    """Statuses besides 2xx with which its receivers confirm that they have the event."""
    lacking: Callable[[EndpointSettings], str | None] = no_setting
    """The endpoint setting that is missing and without which no body can be built, and why."""
    assumption: Callable[[EndpointSettings], str | None] = no_setting
    """What its receivers have not documented, with the setting that changes it."""

    def seconds_in(self, body: object) -> int | None:
        """The learning time in a parsed body; None when it has none."""
        for key in self.seconds:
            body = body.get(key) if isinstance(body, dict) else None
        return self.read_seconds(body)

    def body(self, content: Content) -> bytes:
        """The bytes to send at every attempt. Without learning time they do not mention it.

        Raises:
            BodyMissing: the format has no body for the event type.
            IdentityMissing: the learner lacks an id that the format needs.
            PayloadError: the format cannot carry these facts.
        """
        body = self.bodies.get(content.event_type)
        if body is None:
            raise BodyMissing(f"the endpoint's format has no body for {content.event_type}")
        return body.bytes_of(content)


class PublishedSchema(GenerateJsonSchema):
    """JSON Schema without a title for each field, which would only repeat its key; and open: code
    that a receiver generates from it must accept keys added later."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        return False

    def model_schema(self, schema: Any) -> dict[str, Any]:
        made = super().model_schema(schema)
        made.pop("additionalProperties", None)
        return made


def timestamp(time: datetime) -> str:
    """A time in the format used in bodies."""
    return as_utc(time).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
