"""The address policy: every range at its bounds, and every result of a lookup."""

from __future__ import annotations

import logging
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.http.addresses import AddressPolicy, canonical, vet
from sync.http.urls import HostPort, InvalidTarget, Rule, Target

POLICY = AddressPolicy()
URL = "https://hooks.example.com/in"
# By hand, from the IANA special-purpose registries and the rules of the guard. Comments mark what
# the guard refuses although a registry may call it reachable.
REFUSED = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",  # host agent of one cloud
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",  # AS112 sink hole
    "192.52.193.0/24",  # AMT relays
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",  # AS112 sink hole
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/8",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",  # including the globally reachable parts
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",  # AS112 sink hole
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
]
NETWORKS = [ip_network(text) for text in REFUSED]


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """By the list above, not by the code."""
    if isinstance(address, IPv6Address) and address not in IPv6Network("2000::/3"):
        return False
    return not any(address in network for network in NETWORKS if network.version == address.version)


def vetted(*answers: str, policy: AddressPolicy = POLICY, url: str = URL) -> list[str]:
    def resolver(target: Target, timeout_seconds: float) -> list[str]:
        return list(answers)

    target = vet(url, policy=policy, resolver=resolver, timeout_seconds=1)
    return [str(address) for address in target.addresses]


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_a_range_is_refused_from_its_first_to_its_last_address_and_no_further(
    network: IPv4Network | IPv6Network,
):
    first, last = network.network_address, network.broadcast_address
    middle = first + (int(last) - int(first)) // 2
    inside = [one for one in (first, middle, last) if canonical(one) == one]
    assert inside
    assert not any(POLICY.allows(one) for one in inside)
    outside = [first - 1] if int(first) > 0 else []
    outside += [last + 1] if int(last) < 2**network.max_prefixlen - 1 else []
    for one in outside:
        if canonical(one) == one:
            assert POLICY.allows(one) == is_public(one), one


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6, network="2000::/3"))
def test_the_verdict_on_any_address_is_that_of_the_list(address: IPv4Address | IPv6Address):
    assert POLICY.allows(address) == is_public(canonical(address))


@pytest.mark.parametrize(
    "text",
    [
        "1.1.1.1",
        "11.0.0.0",
        "9.255.255.255",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::1",
        "2001:db9::",
        "2003::1",
        "2606:4700:4700::1111",
        "3ffe:ffff::1",
        "3fff:1000::",
    ],
)
def test_public_neighbors_of_the_ranges_stay_reachable(text: str):
    assert POLICY.allows(ip_address(text))


@given(st.ip_addresses(v=4))
def test_an_address_gets_one_verdict_in_both_its_forms(address: IPv4Address):
    mapped = IPv6Address(f"::ffff:{address}")
    assert POLICY.allows(mapped) == POLICY.allows(address)
    assert canonical(mapped) == address


@given(st.ip_addresses(v=6))
def test_no_address_outside_the_allocated_space_passes(address: IPv6Address):
    if canonical(address) == address and address not in IPv6Network("2000::/3"):
        assert not POLICY.allows(address)


@given(st.ip_addresses(v=4, network="10.0.0.0/8"))
def test_no_translation_of_a_private_address_passes(address: IPv4Address):
    number = int(address)
    for prefix in ("::", "::ffff:0:0:0", "64:ff9b::", "64:ff9b:1::"):
        assert not POLICY.allows(IPv6Address(int(IPv6Address(prefix)) | number))
    assert not POLICY.allows(IPv6Address(int(IPv6Address("2002::")) | number << 80))


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(["93.184.216.34", "127.0.0.1"], id="one bad answer of two"),
        pytest.param(["127.0.0.1", "93.184.216.34"], id="the bad one first"),
        pytest.param(["1.1.1.1", "::ffff:10.0.0.1"], id="mapped private"),
        pytest.param(["fe80::1%eth0"], id="zone"),
        pytest.param(["2606:4700:4700::1111%eth0"], id="zone on a public address"),
        pytest.param(["nonsense"], id="no address"),
    ],
)
def test_one_bad_address_refuses_the_whole_name_without_naming_it(answers: list[str]):
    with pytest.raises(InvalidTarget) as caught:
        vetted(*answers)
    assert caught.value.rule is Rule.ADDRESS
    assert not any(answer in str(caught.value) for answer in answers)


def test_a_name_without_addresses_is_refused():
    with pytest.raises(InvalidTarget) as caught:
        vetted()
    assert caught.value.rule is Rule.NO_ADDRESS


def test_addresses_keep_their_order_and_lose_their_doubles():
    answers = ["93.184.216.34", "2606:4700:4700::1111", "::ffff:93.184.216.34"]
    assert vetted(*answers) == ["93.184.216.34", "2606:4700:4700::1111"]


def test_each_of_thousands_of_addresses_must_pass_and_a_name_with_more_is_refused():
    answers = [f"93.184.{n // 250}.{n % 250 + 1}" for n in range(2_048)]
    assert vetted(*answers) == answers
    with pytest.raises(InvalidTarget) as caught:
        vetted(*answers[:-1], "10.0.0.1")
    assert caught.value.rule is Rule.ADDRESS
    looked_at: list[str] = []

    class Noting(list[str]):
        def __iter__(self):
            looked_at.append("all")
            return super().__iter__()

    with pytest.raises(InvalidTarget) as caught:
        vet(
            URL,
            policy=POLICY,
            resolver=lambda target, seconds: Noting([*answers, "93.184.216.34"]),
            timeout_seconds=1,
        )
    assert caught.value.rule is Rule.TOO_MANY_ADDRESSES
    assert looked_at == []


def test_a_literal_address_is_checked_without_a_lookup():
    assert vetted("127.0.0.1", url="https://93.184.216.34/") == ["93.184.216.34"]
    with pytest.raises(InvalidTarget):
        vetted("93.184.216.34", url="https://[::1]/")


@pytest.mark.parametrize(
    ("url", "pair"),
    [
        ("http://127.0.0.1:8080/in", ("127.0.0.1", 8080)),
        ("http://localhost:8080/in", ("localhost", 8080)),
        ("https://[::1]:8443/", ("::1", 8443)),
    ],
)
def test_a_development_target_is_freed_and_noted_at_each_use(
    url: str, pair: HostPort, caplog: pytest.LogCaptureFixture
):
    policy = AddressPolicy(development_targets=frozenset({pair}))
    with caplog.at_level(logging.DEBUG):
        assert vetted("127.0.0.1", policy=policy, url=url)
    assert pair[0] in caplog.text
    with pytest.raises(InvalidTarget):
        vetted("127.0.0.1", url=url)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8081/",
        "http://127.0.0.2:8080/",
        "http://localhost:8080/",
        "http://user@127.0.0.1:8080/",
        "ftp://127.0.0.1:8080/",
        "http://127.1:8080/",
    ],
)
def test_a_development_target_frees_nothing_else(url: str):
    policy = AddressPolicy(development_targets=frozenset({("127.0.0.1", 8080)}))
    with pytest.raises(InvalidTarget):
        vetted("127.0.0.1", policy=policy, url=url)
