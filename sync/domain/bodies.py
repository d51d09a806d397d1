"""What a body format is made of. A body is built once, stored, and sent unchanged at each attempt,
so equal facts give equal bytes: keys in the order of the fields, compact UTF-8 JSON, each time in
UTC to the second.
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
    """A body cannot be built; the text names the place in it, never a value."""


class IdentityMissing(PayloadError):
    """The format needs an id of the learner's that is not known; the text names it."""


class BodyMissing(PayloadError):
    """The format has no body for the type of event."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """All that a body may say of an event."""

    webhook_id: str
    event_type: str
    facts: Any
    """Of the class that the event type has."""
    recorded_at: datetime
    settings: EndpointSettings
    """Those of the endpoint that gets it."""
    learning_time: LearningTime | None = None
    correction: Correction | None = None
    """Of a correction only, which always has learning time."""


class Part(Model, frozen=True):
    """An object in a body; its JSON Schema is the published one."""

    model_config = ConfigDict(extra="forbid")


class BodyMaker(Protocol):
    """Makes the bodies of one event type in one format: a ``Body`` class, or what was made of a
    file."""

    def bytes_of(self, content: Content, /) -> bytes:
        """The body as it goes over the wire.

        Raises:
            PayloadError: the format cannot carry it.
        """
        ...

    def title(self) -> str:
        """Its name in a document."""
        ...

    def summary(self) -> str:
        """What it says, in a sentence."""
        ...

    def published_schema(self) -> dict[str, Any]:
        """Its JSON Schema, which is open and stands for itself."""
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
    """A field whose key is absent, never null, when there is nothing to say."""
    return Field(
        default=None,
        exclude_if=lambda value: value is None,
        json_schema_extra=_without_default,
        **details,
    )


def _without_default(schema: dict[str, Any]) -> None:
    """The default is an absent key, which JSON Schema cannot say."""
    del schema["default"]


def no_setting(settings: EndpointSettings) -> None:
    """A format that needs no setting."""


def whole_number(value: object) -> int | None:
    """The value if it is one."""
    return value if type(value) is int else None


@dataclass(frozen=True, kw_only=True)
class BodyFormat:
    """What an endpoint can ask for: one file of ``sync.domain.formats``, or a mapping of the
    operator's (``sync.domain.mapping``)."""

    bodies: Mapping[str, BodyMaker]
    """By the name of the event type; a format need not have one for each."""
    seconds: tuple[str, ...]
    """Where in a body the learning time stands."""
    read_seconds: Callable[[object], int | None] = whole_number
    """The seconds that stand there; None for anything else."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those that its requests carry beside ours."""
    success_statuses: frozenset[int] = frozenset()
    """Responses beside 2xx by which its receivers say that they have the event."""
    lacking: Callable[[EndpointSettings], str | None] = no_setting
    """The setting of an endpoint without which it can make no body, and why."""
    assumption: Callable[[EndpointSettings], str | None] = no_setting
    """What its receivers have not documented, with the setting that changes it."""

    def seconds_in(self, body: object) -> int | None:
        """The learning time in a body that was parsed; None when it has none."""
        for key in self.seconds:
            body = body.get(key) if isinstance(body, dict) else None
        return self.read_seconds(body)

    def body(self, content: Content) -> bytes:
        """The bytes to send, for ever. Without learning time they say nothing of it.

        Raises:
            BodyMissing: the format has no such event.
            IdentityMissing: the learner lacks an id that the format needs.
            PayloadError: it cannot carry these facts.
        """
        body = self.bodies.get(content.event_type)
        if body is None:
            raise BodyMissing(f"the endpoint's format has no body for {content.event_type}")
        return body.bytes_of(content)


class PublishedSchema(GenerateJsonSchema):
    """JSON Schema without a title for each field, which would only repeat its key, and open:
    a receiver that generates its code from it must take the keys that come later."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        return False

    def model_schema(self, schema: Any) -> dict[str, Any]:
        made = super().model_schema(schema)
        made.pop("additionalProperties", None)
        return made


def timestamp(time: datetime) -> str:
    """A time as bodies have it."""
    return as_utc(time).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
