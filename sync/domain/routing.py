"""Where an event goes: the learner's region, and the customer's endpoint for that region."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sync.domain.endpoint import Endpoint, Region
from sync.domain.event_types import COURSE_COMPLETION, COURSE_COMPLETION_CORRECTION, EventType
from sync.domain.states import Reason

# fmt: off
EU_COUNTRIES = frozenset({
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU",
    "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
})
# fmt: on
"""The 27 members, ISO 3166-1 alpha-2. Other countries of the single market are not included."""


@dataclass(frozen=True)
class Routed:
    """The event goes to this endpoint. ``region`` is the learner's, not the endpoint's."""

    endpoint: Endpoint
    region: Region

    @property
    def is_fallback(self) -> bool:
        """Whether the endpoint's region differs from the learner's."""
        return self.endpoint.region is not self.region


@dataclass(frozen=True)
class NotRouted:
    """The event goes nowhere."""

    reason: Reason
    region: Region


def region_of(learner_country: str | None, enterprise_country: str | None) -> Region:
    """The learner's region, by the learner's country, or the enterprise's if that is missing.

    Countries are ISO 3166-1 alpha-2 in upper or lower case, or the literal ``EU`` that some
    identity providers send. Unknown means OTHER.
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
    event_type: EventType | None = None,
    courserun_key: str = "",
    enrollment_mode: str | None = None,
) -> Routed | NotRouted:
    """The endpoint for a region among those of one enterprise.

    The active endpoint of the region itself, else the active one of OTHER; a learner in the EU goes
    to OTHER only where that endpoint allows it. Of several candidates, the lowest id wins. If the
    endpoint has the event type switched off, has not asked for it or filters the event out, the
    event goes nowhere: there is no fallback. Without ``event_type`` only the region counts.

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
    reason = event_type and _unwanted(event_type, chosen, courserun_key, enrollment_mode)
    return NotRouted(reason, region) if reason else Routed(chosen, region)


def _unwanted(
    event_type: EventType, endpoint: Endpoint, courserun_key: str, enrollment_mode: str | None
) -> Reason | None:
    match event_type.endpoints:
        case "enrollment_events_on" if not endpoint.is_enrollment_events_enabled:
            return Reason.ENROLLMENT_EVENTS_OFF
        case "asked" if event_type.name not in endpoint.event_types:
            return Reason.NOT_ASKED_FOR
    is_completion = event_type.name in (COURSE_COMPLETION, COURSE_COMPLETION_CORRECTION)
    if is_completion and not endpoint.takes(courserun_key, enrollment_mode):
        return Reason.FILTERED
    return None


def _region_of_code(code: str) -> Region:
    if code == Region.US:
        return Region.US
    if code == Region.EU or code in EU_COUNTRIES:
        return Region.EU
    return Region.OTHER
