"""Regions of learners, and the endpoint that an event goes to."""

from __future__ import annotations

from itertools import permutations
from string import ascii_uppercase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.endpoint import Endpoint, EndpointError, EndpointSettings, Region
from sync.domain.routing import NotRouted, Routed, choose_endpoint, region_of
from sync.domain.states import Reason
from tests.support.event_types import ENROLLMENTS

ROW: dict[str, Any] = {
    "endpoint_id": 1,
    "enterprise_customer_uuid": "7d3f1c52-0b6e-4a83-9c41-5e2a90d7f6b8",
    "region": "US",
    "url": "https://hooks.example.com/in?token=canary",
    "token_url": None,
    "timeout_seconds": 30,
    "max_requests_per_minute": 100,
    "is_active": True,
    "is_enrollment_events_enabled": True,
    "oauth_client_id": None,
    "payload_format": "v2",
    "is_learning_time_enabled": True,
    "is_eu_fallback_allowed": False,
}


def endpoint(endpoint_id: int, region: Region, **changes: Any) -> Endpoint:
    return Endpoint.from_row(ROW | {"endpoint_id": endpoint_id, "region": region} | changes)


@pytest.mark.parametrize(
    ("learner", "enterprise", "region"),
    [
        ("US", "DE", Region.US),
        ("de", "US", Region.EU),
        (" EU ", None, Region.EU),
        ("GB", "DE", Region.OTHER),
        ("NO", None, Region.OTHER),
        (None, "FR", Region.EU),
        ("", "US", Region.US),
        ("  ", "US", Region.US),
        (None, None, Region.OTHER),
        ("UNKNOWN", "US", Region.OTHER),
    ],
)
def test_the_learners_country_decides_and_the_enterprises_stands_in(
    learner: str | None, enterprise: str | None, region: Region
):
    assert region_of(learner, enterprise) is region


MEMBERS_OF_THE_UNION = {
    "Austria": "AT",
    "Belgium": "BE",
    "Bulgaria": "BG",
    "Croatia": "HR",
    "Cyprus": "CY",
    "Czechia": "CZ",
    "Denmark": "DK",
    "Estonia": "EE",
    "Finland": "FI",
    "France": "FR",
    "Germany": "DE",
    "Greece": "GR",
    "Hungary": "HU",
    "Ireland": "IE",
    "Italy": "IT",
    "Latvia": "LV",
    "Lithuania": "LT",
    "Luxembourg": "LU",
    "Malta": "MT",
    "Netherlands": "NL",
    "Poland": "PL",
    "Portugal": "PT",
    "Romania": "RO",
    "Slovakia": "SK",
    "Slovenia": "SI",
    "Spain": "ES",
    "Sweden": "SE",
}
"""ISO 3166-1, listed independently of the code. Greece is GR; EL is in no ISO list."""


def test_the_union_has_its_27_members_and_of_all_other_codes_none():
    codes = {a + b for a in ascii_uppercase for b in ascii_uppercase}
    assert len(MEMBERS_OF_THE_UNION) == 27
    in_the_union = {code for code in codes if region_of(code, "US") is Region.EU}
    assert in_the_union == {*MEMBERS_OF_THE_UNION.values(), "EU"}
    assert {code for code in codes if region_of(code, "DE") is Region.US} == {"US"}


def test_the_endpoint_of_the_region_is_taken():
    us, other = endpoint(1, Region.US), endpoint(2, Region.OTHER)
    routed = choose_endpoint(Region.US, [other, us])
    assert routed == Routed(us, Region.US)
    assert isinstance(routed, Routed)
    assert not routed.is_fallback


@pytest.mark.parametrize("exact", [[], [endpoint(1, Region.US, is_active=False)]])
def test_without_an_active_endpoint_of_the_region_other_stands_in(exact: list[Endpoint]):
    other = endpoint(2, Region.OTHER)
    routed = choose_endpoint(Region.US, [*exact, other])
    assert routed == Routed(other, Region.US)
    assert isinstance(routed, Routed)
    assert routed.is_fallback


def test_a_learner_of_the_union_goes_to_other_only_where_that_is_allowed():
    refused, allowed = (
        endpoint(1, Region.OTHER),
        endpoint(2, Region.OTHER, is_eu_fallback_allowed=True),
    )
    assert choose_endpoint(Region.EU, [refused]) == NotRouted(
        Reason.EU_FALLBACK_NOT_ALLOWED, Region.EU
    )
    assert choose_endpoint(Region.EU, [refused, allowed]) == Routed(allowed, Region.EU)
    assert choose_endpoint(Region.US, [refused]) == Routed(refused, Region.US)


def test_an_inactive_endpoint_and_none_at_all_are_told_apart():
    inactive = endpoint(1, Region.US, is_active=False)
    eu = endpoint(2, Region.EU)
    assert choose_endpoint(Region.US, [inactive]) == NotRouted(Reason.NO_ACTIVE_ENDPOINT, Region.US)
    for endpoints in ([], [eu]):
        assert choose_endpoint(Region.US, endpoints) == NotRouted(Reason.NO_ENDPOINT, Region.US)


def test_the_switch_for_enrollments_stops_enrollments_only_and_has_no_fallback():
    off = endpoint(1, Region.US, is_enrollment_events_enabled=False)
    endpoints = [off, endpoint(2, Region.OTHER)]
    assert choose_endpoint(Region.US, endpoints) == Routed(off, Region.US)
    assert choose_endpoint(Region.US, endpoints, event_type=ENROLLMENTS) == NotRouted(
        Reason.ENROLLMENT_EVENTS_OFF, Region.US
    )


@given(
    st.lists(
        st.tuples(st.sampled_from(Region), st.booleans(), st.booleans()), min_size=1, max_size=4
    ),
    st.sampled_from(Region),
)
def test_the_choice_does_not_depend_on_the_order_and_never_crosses_regions(
    kinds: list[tuple[Region, bool, bool]], region: Region
):
    endpoints = [
        endpoint(number, its_region, is_active=active, is_eu_fallback_allowed=allowed)
        for number, (its_region, active, allowed) in enumerate(kinds)
    ]
    choices = {choose_endpoint(region, order) for order in permutations(endpoints)}
    assert len(choices) == 1
    choice = choices.pop()
    if isinstance(choice, Routed):
        assert choice.endpoint.is_active
        assert choice.endpoint.region in (region, Region.OTHER)
        if region is Region.EU and choice.is_fallback:
            assert choice.endpoint.is_eu_fallback_allowed


def test_endpoints_of_two_enterprises_are_refused():
    mixed = [endpoint(1, Region.US), endpoint(2, Region.US, enterprise_customer_uuid="other")]
    with pytest.raises(ValueError, match="several enterprises"):
        choose_endpoint(Region.US, mixed)


def test_a_row_is_read_and_its_urls_do_not_show():
    read = Endpoint.from_row(ROW)
    assert (read.region, read.payload_format) == (Region.US, "v2")
    assert "canary" not in repr(read)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("region", "UK"),
        ("payload_format", "xml"),
        ("url", ""),
        ("url", None),
        ("is_active", 1),
        ("timeout_seconds", "30"),
        ("token_url", 5),
        ("final_status_codes", "200"),
        ("final_status_codes", "gone"),
        ("success_status_codes", "200"),
        ("authentication", "digest"),
        ("auth_header", "Webhook-Signature"),
        ("auth_header", "X Key"),
        ("auth_header", "Host"),
        ("extra_headers", "X-Tenant"),
        ("extra_headers", "X-Tenant: a\r\nX-Other: b"),
        ("extra_headers", "X-Tenant: a | x-tenant: b"),
        ("extra_headers", "X-Tenant: \u00fc"),
        ("extra_headers", "Content-Length: 3"),
        ("extra_headers", "webhook-id: 3"),
        ("extra_headers", "X-API-Key: canary"),
        ("extra_headers", "Authorization: canary"),
    ],
)
def test_an_unusable_row_is_refused_by_endpoint_and_column(column: str, value: object):
    with pytest.raises(EndpointError, match=f"^endpoint 1: {column}") as refused:
        Endpoint.from_row(ROW | {column: value})
    assert "canary" not in str(refused.value)


def test_headers_and_statuses_are_read_as_they_are_stored():
    settings = Endpoint.from_row(
        ROW
        | {"success_status_codes": "409", "extra_headers": "X-Tenant: acme|X-Source: a:b; c"}
        | {"authentication": "header", "auth_header": "Authorization"}
    )
    assert settings.extra_headers == (("X-Tenant", "acme"), ("X-Source", "a:b; c"))
    assert settings.stored()["extra_headers"] == "X-Tenant: acme | X-Source: a:b; c"
    assert Endpoint.from_row(ROW | settings.stored()) == settings


@pytest.mark.parametrize("name", EndpointSettings.model_fields)
def test_each_setting_is_read_from_what_the_ledger_stores_of_it(name: str):
    default = EndpointSettings()
    assert getattr(EndpointSettings.from_row({name: default.stored()[name]}), name) == getattr(
        default, name
    )


def test_a_row_without_a_column_is_refused():
    row = {column: value for column, value in ROW.items() if column != "region"}
    with pytest.raises(EndpointError, match="region: Field required"):
        Endpoint.from_row(row)


@pytest.mark.parametrize(("set_to", "used"), [(-1, 1), (0, 1), (30, 30), (300, 300), (3_000, 300)])
def test_a_timeout_that_no_request_could_keep_counts_as_the_nearest_that_one_can(
    set_to: int, used: int
) -> None:
    assert Endpoint.from_row(ROW | {"timeout_seconds": set_to}).timeout_seconds == used
