"""What a body format is made of. A body is built once, stored, and sent unchanged at each attempt,
so equal facts give equal bytes: keys in the order of the fields, compact UTF-8 JSON, each time in
UTC to the second.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from sync.domain.facts import Facts, LearningTime, as_utc
from sync.domain.model import Model, problems
from sync.errors import SyncError

Timestamp = Annotated[
    str, Field(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")
]


class PayloadError(SyncError):
    """A body cannot be built; the text names the place in it, never a value."""


class Part(Model, frozen=True):
    """An object in a body; its JSON Schema is the published one."""

    model_config = ConfigDict(extra="forbid")


class Body(Part, frozen=True):
    """The body of one event type in one format."""

    @classmethod
    def of(cls, facts: Any, recorded_at: datetime, learning_time: LearningTime | None) -> Self:
        """The body of an event with these facts; ``recorded_at`` is when the event was recorded."""
        raise NotImplementedError

    def to_bytes(self) -> bytes:
        """As it goes over the wire."""
        return json.dumps(
            self.model_dump(), ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()


@dataclass(frozen=True, kw_only=True)
class BodyFormat:
    """What an endpoint can ask for. A format is one file of ``sync.domain.formats``."""

    bodies: Mapping[type[Facts], type[Body]]
    """By the facts of the event type; a format need not have one for each."""
    seconds: tuple[str, ...]
    """Where in a body the learning time stands, in seconds."""
    identity: Mapping[str, str] = field(default_factory=dict)
    """Keys of the body that must not be unknown, each with its fact."""

    def missing_identity(self, facts: Facts) -> tuple[str, ...]:
        """The keys that a receiver needs to book the event, and that are unknown."""
        return tuple(key for key, fact in self.identity.items() if getattr(facts, fact) is None)

    def seconds_in(self, body: object) -> int | None:
        """The learning time in a body that was parsed; None when it has none."""
        for key in self.seconds:
            body = body.get(key) if isinstance(body, dict) else None
        return body if isinstance(body, int) else None

    def body(
        self, facts: Facts, *, recorded_at: datetime, learning_time: LearningTime | None = None
    ) -> bytes:
        """The bytes to send, for ever. Without learning time they say nothing of it.

        Raises:
            PayloadError: the format has no such event, or cannot carry these facts.
        """
        body = self.bodies.get(type(facts))
        if body is None:
            raise PayloadError(f"the endpoint's format has no body for {type(facts).__name__}")
        try:
            return body.of(facts, recorded_at, learning_time).to_bytes()
        except ValidationError as error:
            raise PayloadError(f"{error.title}: {problems(error)}") from None


class PublishedSchema(GenerateJsonSchema):
    """JSON Schema without a title for each field, which would only repeat its key."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        return False


def timestamp(time: datetime) -> str:
    """A time as bodies have it."""
    return as_utc(time).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
