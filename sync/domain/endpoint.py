"""An endpoint of a customer: what the LMS configures, and what the operator sets beside it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from sync.domain.facts import AnyText, Text
from sync.domain.formats import DEFAULT_FORMAT, FORMATS
from sync.domain.model import Model, known, problems
from sync.errors import SyncError


class EndpointError(SyncError):
    """A row cannot be used; the text names the endpoint and the column, never a value."""


class Region(StrEnum):
    """Where a learner's data belongs."""

    US = "US"
    EU = "EU"
    OTHER = "OTHER"


def _known_format(name: str) -> str:
    if name not in FORMATS:
        raise ValueError(f"must be one of {', '.join(FORMATS)}")
    return name


def _statuses(value: object) -> object:
    """From a list such as ``404, 422``, as it is stored and typed."""
    if not isinstance(value, str):
        return value
    words = value.replace(",", " ").split()
    if not all(word.isascii() and word.isdigit() for word in words):
        raise ValueError("must list statuses such as 404,422")
    return frozenset(int(word) for word in words)


def _within_a_lease(seconds: int) -> int:
    """The LMS's own form takes 5 to 300; a lease leaves room for no more, and 0 for no request."""
    return min(max(seconds, SHORTEST_TIMEOUT_SECONDS), LONGEST_TIMEOUT_SECONDS)


SHORTEST_TIMEOUT_SECONDS = 1
LONGEST_TIMEOUT_SECONDS = 300


class EndpointSettings(Model, frozen=True):
    """What the operator sets for an endpoint by ``ltw endpoints set``; the LMS knows none of it.

    A field is a column of ``sync.endpoint_settings`` and an option of that command.
    """

    payload_format: Annotated[str, AfterValidator(_known_format)] = Field(
        default=DEFAULT_FORMAT,
        description="The format of its bodies; docs/receiving.md shows each.",
        json_schema_extra={"option": "--format"},
    )
    is_learning_time_enabled: bool = Field(
        default=True,
        description="Whether it gets learning time while the feature flag is on.",
        json_schema_extra={"option": "--learning-time/--no-learning-time"},
    )
    is_eu_fallback_allowed: bool = Field(
        default=False,
        description="Whether it gets learners in the EU who have no endpoint of region EU.",
        json_schema_extra={"option": "--eu-fallback/--no-eu-fallback"},
    )
    final_status_codes: Annotated[
        frozenset[Annotated[int, Field(ge=300, le=599)]], BeforeValidator(_statuses)
    ] = Field(
        default=frozenset(),
        description="Responses after which it wants no retry, 300 to 599, such as 404,422.",
        json_schema_extra={"option": "--final-status-codes"},
    )

    @classmethod
    def from_row(cls, row: Mapping[str, object]) -> Self:
        """Read a row, keys in lower case; NULL and an empty text are the same as no column.

        Raises:
            EndpointError: a column is missing or holds a value that no code path knows.
        """
        try:
            return cls.model_validate(known(row))
        except ValidationError as error:
            endpoint_id = row.get("endpoint_id")
            of = f"endpoint {endpoint_id}: " if isinstance(endpoint_id, int) else ""
            raise EndpointError(f"{of}{problems(error)}") from None

    def stored(self) -> dict[str, str | bool]:
        """The settings as the ledger has them, which stores an empty text as NULL."""
        values = self.model_dump(include=set(EndpointSettings.model_fields))
        codes = ",".join(str(code) for code in sorted(self.final_status_codes))
        return values | {"final_status_codes": codes}


class Endpoint(EndpointSettings, frozen=True):
    """An endpoint with its settings. The URLs may hold tokens, so they are not in ``repr``."""

    endpoint_id: int
    enterprise_customer_uuid: Text
    region: Region = Field(strict=False)
    url: Text = Field(repr=False)
    token_url: AnyText | None = Field(default=None, repr=False)
    timeout_seconds: Annotated[int, AfterValidator(_within_a_lease)]
    max_requests_per_minute: int
    is_active: bool
    is_enrollment_events_enabled: bool
    oauth_client_id: AnyText | None = None
