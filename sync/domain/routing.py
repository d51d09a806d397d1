"""Where an event goes: the learner's region, and the customer's endpoint for that region."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from sync.domain.facts import EventType
from sync.domain.payloads import PayloadFormat
from sync.domain.states import Reason
from sync.errors import SyncError

# fmt: off
EU_COUNTRIES = frozenset({
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU",
    "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
})
# fmt: on
"""The 27 members, ISO 3166-1 alpha-2. Neighbours in the single market are not members."""


SHORTEST_TIMEOUT_SECONDS = 1
LONGEST_TIMEOUT_SECONDS = 300
"""The longest that the LMS's own form takes; a lease leaves room for no more."""
_Choice = TypeVar("_Choice", bound=StrEnum)


class EndpointError(SyncError):
    """A row of ``webhook_endpoints`` cannot be used; the text names the endpoint and the column."""


class Region(StrEnum):
    """Where a learner's data belongs."""

    US = "US"
    EU = "EU"
    OTHER = "OTHER"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One row of the mart ``webhook_endpoints``. The URLs may hold tokens: not in ``repr``."""

    endpoint_id: int
    enterprise_customer_uuid: str
    region: Region
    url: str = field(repr=False)
    token_url: str | None = field(repr=False)
    timeout_seconds: int
    """Between 1 and 300: whatever lies outside could never be answered, or never be started."""
    retry_attempts: int
    max_requests_per_minute: int
    is_active: bool
    is_enrollment_events_enabled: bool
    oauth_client_id: str | None
    payload_format: PayloadFormat
    is_learning_time_enabled: bool
    is_eu_fallback_allowed: bool
    final_status_codes: frozenset[int] = frozenset()
    """Statuses after which the endpoint wants no retry."""

    @classmethod
    def from_row(cls, row: Mapping[str, object]) -> Endpoint:
        """Read a row of the mart, keys in lower case.

        Raises:
            EndpointError: a column is missing or holds a value that no code path knows.
        """
        reader = _Row(row)
        return cls(
            endpoint_id=reader.whole("endpoint_id"),
            enterprise_customer_uuid=reader.text("enterprise_customer_uuid"),
            region=reader.choice("region", Region),
            url=reader.text("url"),
            token_url=reader.optional_text("token_url"),
            timeout_seconds=min(
                max(reader.whole("timeout_seconds"), SHORTEST_TIMEOUT_SECONDS),
                LONGEST_TIMEOUT_SECONDS,
            ),
            retry_attempts=reader.whole("retry_attempts"),
            max_requests_per_minute=reader.whole("max_requests_per_minute"),
            is_active=reader.flag("is_active"),
            is_enrollment_events_enabled=reader.flag("is_enrollment_events_enabled"),
            oauth_client_id=reader.optional_text("oauth_client_id"),
            payload_format=reader.choice("payload_format", PayloadFormat),
            is_learning_time_enabled=reader.flag("is_learning_time_enabled"),
            is_eu_fallback_allowed=reader.flag("is_eu_fallback_allowed"),
            final_status_codes=reader.statuses("final_status_codes"),
        )


@dataclass(frozen=True)
class Routed:
    """The event goes to this endpoint. ``region`` is the learner's, whatever the endpoint's."""

    endpoint: Endpoint
    region: Region

    @property
    def is_fallback(self) -> bool:
        """Whether the endpoint is of another region than the learner."""
        return self.endpoint.region is not self.region


@dataclass(frozen=True)
class NotRouted:
    """The event goes nowhere."""

    reason: Reason
    region: Region


def region_of(learner_country: str | None, enterprise_country: str | None) -> Region:
    """The learner's region. The learner's own country decides; the enterprise's stands in for it.

    Countries are ISO 3166-1 alpha-2 in any case, or the literal ``EU`` that some identity
    providers send. Unknown means OTHER.
    """
    for country in (learner_country, enterprise_country):
        code = (country or "").strip().upper()
        if code:
            return _region_of_code(code)
    return Region.OTHER


def choose_endpoint(
    region: Region,
    endpoints: Iterable[Endpoint],
    *,
    event_type: EventType = EventType.COURSE_COMPLETION,
) -> Routed | NotRouted:
    """The endpoint for a region among those of one enterprise.

    The active endpoint of the region itself, else the active one of OTHER; a learner of the EU
    goes to OTHER only where that endpoint allows it. Of several alike, the lowest id wins. An
    enrollment whose endpoint has enrollment events off goes nowhere: no fallback.

    Raises:
        ValueError: the endpoints belong to more than one enterprise.
    """
    ordered = sorted(endpoints, key=lambda endpoint: endpoint.endpoint_id)
    if len({endpoint.enterprise_customer_uuid for endpoint in ordered}) > 1:
        raise ValueError("endpoints of several enterprises: events would reach the wrong customer")
    usable = [one for one in ordered if one.region in (region, Region.OTHER)]
    active = [one for one in usable if one.is_active]
    exact = [one for one in active if one.region is region]
    allowed = [one for one in active if region is not Region.EU or one.is_eu_fallback_allowed]
    chosen = next(iter(exact or allowed), None)
    if chosen is None:
        if active:
            return NotRouted(Reason.EU_FALLBACK_NOT_ALLOWED, region)
        if usable:
            return NotRouted(Reason.NO_ACTIVE_ENDPOINT, region)
        return NotRouted(Reason.NO_ENDPOINT, region)
    if event_type is EventType.COURSE_ENROLLMENT and not chosen.is_enrollment_events_enabled:
        return NotRouted(Reason.ENROLLMENT_EVENTS_OFF, region)
    return Routed(chosen, region)


def _region_of_code(code: str) -> Region:
    if code == Region.US:
        return Region.US
    if code == Region.EU or code in EU_COUNTRIES:
        return Region.EU
    return Region.OTHER


class _Row:
    """Reads columns of one row and says which one of which endpoint is wrong."""

    def __init__(self, row: Mapping[str, object]) -> None:
        self._row = row

    def text(self, column: str) -> str:
        value = self.optional_text(column)
        if value is None:
            raise self._error(column, "is empty")
        return value

    def optional_text(self, column: str) -> str | None:
        value = self._value(column)
        if value is not None and not isinstance(value, str):
            raise self._error(column, "is not text")
        return value or None

    def whole(self, column: str) -> int:
        value = self._value(column)
        if type(value) is not int:
            raise self._error(column, "is not a whole number")
        return value

    def flag(self, column: str) -> bool:
        value = self._value(column)
        if not isinstance(value, bool):
            raise self._error(column, "is not true or false")
        return value

    def statuses(self, column: str) -> frozenset[int]:
        # A mart that was built before the column existed has none.
        text = self.optional_text(column) if column in self._row else None
        entries = (text or "").replace(",", " ").split()
        if not all(re.fullmatch(r"[345][0-9]{2}", entry) for entry in entries):
            raise self._error(column, "is no list of statuses from 300 to 599, such as 400,422")
        return frozenset(int(entry) for entry in entries)

    def choice(self, column: str, choices: type[_Choice]) -> _Choice:
        value = self._value(column)
        try:
            return choices(str(value))
        except ValueError:
            known = ", ".join(choices)
            raise self._error(column, f"is none of {known}") from None

    def _value(self, column: str) -> object:
        if column not in self._row:
            raise self._error(column, "is missing")
        return self._row[column]

    def _error(self, column: str, problem: str) -> EndpointError:
        return EndpointError(f"endpoint {self._row.get('endpoint_id')}: {column} {problem}")
