"""A customer's endpoint: the LMS's configuration and the operator's additional settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from sync.domain.bodies import BodyFormat
from sync.domain.course_runs import organization_of
from sync.domain.facts import AnyText, Text
from sync.domain.formats import DEFAULT_FORMAT, Formats
from sync.domain.formats.percipio import PercipioSettings
from sync.domain.formats.xapi import XapiSettings
from sync.domain.model import Model, known, problems
from sync.errors import SyncError


class EndpointError(SyncError):
    """A row cannot be used; the text names the endpoint and the column, never a value."""


class Region(StrEnum):
    """The region where a learner's data belongs."""

    US = "US"
    EU = "EU"
    OTHER = "OTHER"


class Authentication(StrEnum):
    """How a request authenticates its sender, in addition to its signature."""

    AUTO = "auto"
    """``oauth`` where the LMS has a client id, else ``none``."""
    NONE = "none"
    OAUTH = "oauth"
    """A bearer token from OAuth client credentials."""
    BASIC = "basic"
    """HTTP Basic; the secret ``webhook-basic-<endpoint id>`` is ``user:password``."""
    HEADER = "header"
    """A fixed header; the secret ``webhook-header-<endpoint id>`` is its value."""


def _known_format(name: str, info: ValidationInfo) -> str:
    problem = _formats(info.context).problem_of(name)
    if problem is not None:
        raise ValueError(problem)
    return name


def _formats(context: object) -> Formats:
    """The formats that a model is read with."""
    return context if isinstance(context, Formats) else Formats()


def _statuses(value: object) -> object:
    """Parse a list such as ``404, 422``, as it is stored and typed."""
    if not isinstance(value, str):
        return value
    words = value.replace(",", " ").split()
    if not all(word.isascii() and word.isdigit() for word in words):
        raise ValueError("must list statuses such as 404,422")
    return frozenset(int(word) for word in words)


def _words(value: object) -> object:
    """Parse a list such as ``audit, verified``, as it is stored and typed."""
    if not isinstance(value, str):
        return value
    return frozenset(word.strip() for word in value.split(",") if word.strip())


def _free_header(name: str) -> str:
    """Refuse HTTP's own headers and those that we set: they would change the request."""
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("a header's name is 1 to 64 letters, digits and hyphens")
    if name.lower() in _OUR_HEADERS or name.lower().startswith("webhook-"):
        raise ValueError(f"the header {name} is set by the sender")
    return name


def _auth_header(name: str) -> str:
    return name if name.lower() == "authorization" else _free_header(name)


def _headers(value: object) -> object:
    """Parse ``X-Tenant: acme | X-Source: lms``, as it is stored and typed."""
    if not isinstance(value, str):
        return value
    found: list[tuple[str, str]] = []
    for text in value.split("|"):
        name, _, content = text.partition(":")
        name, content = name.strip(), content.strip()
        fixed_header(name, content)
        if any(name.lower() == other.lower() for other, _ in found):
            raise ValueError(f"the header {name} is given twice")
        found.append((name, content))
    return tuple(found)


def fixed_header(name: str, content: str) -> None:
    """Refuse a header that is malformed, may hold a secret or is one that we set.

    Raises:
        ValueError: gives the reason.
    """
    if not _HEADER_VALUE.fullmatch(content):
        raise ValueError("must look like 'X-Tenant: acme', in ASCII")
    _free_header(name)
    if _SOUNDS_SECRET.search(name):
        raise ValueError(
            f"the header {name} looks like a secret, and a fixed header is stored in plain text: "
            "use --authentication header"
        )


def _within_a_lease(seconds: int) -> int:
    """Clamp the timeout: the LMS's form takes 5 to 300, a lease has no room for more, and 0 would
    send nothing."""
    return min(max(seconds, SHORTEST_TIMEOUT_SECONDS), LONGEST_TIMEOUT_SECONDS)


_HEADER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,510}[\x21-\x7e])?")
_SOUNDS_SECRET = re.compile(r"auth|cookie|key|passw|secret|token", re.IGNORECASE)
_OUR_HEADERS = frozenset(
    {
        "accept-encoding", "authorization", "connection", "content-encoding", "content-length",
        "content-type", "expect", "host", "keep-alive", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "user-agent",
    }
)  # fmt: skip
DEFAULT_AUTH_HEADER = "X-API-Key"
SHORTEST_TIMEOUT_SECONDS = 1
LONGEST_TIMEOUT_SECONDS = 300


class GeneralSettings(Model, frozen=True):
    """Operator settings for an endpoint of any format."""

    payload_format: Annotated[str, AfterValidator(_known_format)] = Field(
        default=DEFAULT_FORMAT,
        description="Body format; `ltw formats list` shows the choices.",
        json_schema_extra={"option": "--format"},
    )
    is_learning_time_enabled: bool = Field(
        default=True,
        description="Send learning time while the feature flag is on.",
        json_schema_extra={"option": "--learning-time/--no-learning-time"},
    )
    is_eu_fallback_allowed: bool = Field(
        default=False,
        description="Also send events of EU learners whose customer has no active EU endpoint.",
        json_schema_extra={"option": "--eu-fallback/--no-eu-fallback"},
    )
    final_status_codes: Annotated[
        frozenset[Annotated[int, Field(ge=300, le=599)]], BeforeValidator(_statuses)
    ] = Field(
        default=frozenset(),
        description="Response statuses that are not retried, 300 to 599, such as 404,422.",
    )
    success_status_codes: Annotated[
        frozenset[Annotated[int, Field(ge=300, le=599)]], BeforeValidator(_statuses)
    ] = Field(
        default=frozenset(),
        description="Statuses other than 2xx that count as success, 300 to 599, such as 409.",
    )
    authentication: Authentication = Field(
        default=Authentication.AUTO,
        strict=False,
        description="auto, none, oauth, basic or header; auto: oauth if the LMS has a client id.",
    )
    oauth_scope: AnyText = Field(
        default="api",
        description="Scope of its token requests.",
    )
    oauth_audience: AnyText = Field(
        default="",
        description="Audience of its token requests, if any.",
    )
    is_oauth_form: bool = Field(
        default=False,
        description="Send token requests as a form, as in RFC 6749, instead of JSON.",
        json_schema_extra={"option": "--oauth-form/--oauth-json"},
    )
    event_types: Annotated[frozenset[AnyText], BeforeValidator(_words)] = Field(
        default=frozenset(),
        description="Event types sent only if asked for here, such as certificate_awarded.",
    )
    auth_header: Annotated[AnyText, AfterValidator(_auth_header)] = Field(
        default=DEFAULT_AUTH_HEADER,
        description="With authentication header: the header that carries the secret.",
    )
    extra_headers: Annotated[tuple[tuple[str, str], ...], BeforeValidator(_headers)] = Field(
        default=(),
        description="Headers without secrets, such as X-Tenant: acme; separated by vertical bars.",
    )


class CompletionFilters(Model, frozen=True):
    """Which completions an endpoint gets; without a filter, all of its customer's."""

    only_organizations: Annotated[frozenset[AnyText], BeforeValidator(_words)] = Field(
        default=frozenset(),
        description="Only completions of courses of these organizations, such as ExampleX.",
    )
    only_courserun_keys: Annotated[frozenset[AnyText], BeforeValidator(_words)] = Field(
        default=frozenset(),
        description="Only completions of these course runs; * matches any text.",
    )
    only_enrollment_modes: Annotated[frozenset[AnyText], BeforeValidator(_words)] = Field(
        default=frozenset(),
        description="Only completions of enrollments in these modes, such as verified.",
    )

    def takes(self, courserun_key: str, enrollment_mode: str | None) -> bool:
        """Whether a completion passes every filter that is set."""
        organization = organization_of(courserun_key)
        modes, keys = self.only_enrollment_modes, self.only_courserun_keys
        return (
            (not self.only_organizations or organization in self.only_organizations)
            and (not modes or enrollment_mode in modes)
            and (not keys or any(_matches(courserun_key, one) for one in keys))
        )


def _matches(text: str, pattern: str) -> bool:
    """``*`` matches any text; brackets and question marks, which keys may contain, are literal."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None


class EndpointSettings(
    XapiSettings, PercipioSettings, CompletionFilters, GeneralSettings, frozen=True
):
    """The operator's settings for an endpoint, set by ``ltw endpoints set``; none are in the LMS.

    Each field is a column of ``sync.endpoint_settings`` and an option of that command.
    """

    _formats: Formats = PrivateAttr(default_factory=Formats)

    @model_validator(mode="after")
    def _has_what_its_format_needs(self, info: ValidationInfo) -> Self:
        # Private, so it is not frozen.
        self._formats = _formats(info.context)  # pyright: ignore[reportAttributeAccessIssue]
        problem = self.format.lacking(self)
        if problem is not None:
            raise ValueError(problem)
        return self

    @classmethod
    def from_row(cls, row: Mapping[str, object], formats: Formats | None = None) -> Self:
        """Read a row, keys in lower case; NULL and an empty text are the same as no column.

        ``formats`` are the available formats; the default is the built-in ones.

        Raises:
            EndpointError: a column is missing or has an invalid value.
        """
        try:
            return cls.model_validate(known(row), context=formats)
        except ValidationError as error:
            endpoint_id = row.get("endpoint_id")
            of = f"endpoint {endpoint_id}: " if isinstance(endpoint_id, int) else ""
            raise EndpointError(f"{of}{problems(error)}") from None

    @property
    def formats(self) -> Formats:
        """The formats that were available when it was read."""
        return self._formats

    @property
    def format(self) -> BodyFormat:
        """The format of the bodies it gets from now on."""
        return self._formats.known[self.payload_format]

    def stored(self) -> dict[str, str | bool]:
        """The settings as the ledger stores them; it stores an empty text as NULL."""
        return {name: _stored(getattr(self, name)) for name in EndpointSettings.model_fields}


def _stored(value: object) -> str | bool:
    match value:
        case bool():
            return value
        case frozenset():
            return ",".join(str(one) for one in sorted(value))
        case tuple():
            return " | ".join(f"{name}: {content}" for name, content in value)
    return str(value)


class Endpoint(EndpointSettings, frozen=True):
    """An endpoint with its settings. The URLs may contain tokens, so they are not in ``repr``."""

    endpoint_id: int
    enterprise_customer_uuid: Text
    enterprise_customer_name: AnyText | None = None
    region: Region = Field(strict=False)
    url: Text = Field(repr=False)
    token_url: AnyText | None = Field(default=None, repr=False)
    timeout_seconds: Annotated[int, AfterValidator(_within_a_lease)]
    max_requests_per_minute: int
    is_active: bool
    is_enrollment_events_enabled: bool
    oauth_client_id: AnyText | None = None

    @property
    def scheme(self) -> Authentication:
        """How its requests are authenticated; never ``auto``."""
        if self.authentication is not Authentication.AUTO:
            return self.authentication
        return Authentication.OAUTH if self.oauth_client_id else Authentication.NONE

    def headers_with(self, payload_format: str) -> Mapping[str, str]:
        """The fixed headers of a message that was built in this format: the endpoint's and the
        format's."""
        made = self._formats.known.get(payload_format)
        return dict(self.extra_headers) | dict(made.headers if made else {})

    def successes_with(self, payload_format: str) -> frozenset[int]:
        """The statuses besides 2xx with which it confirms a message in this format."""
        made = self._formats.known.get(payload_format)
        return self.success_status_codes | (made.success_statuses if made else frozenset())
