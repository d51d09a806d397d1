"""Which URLs and addresses a webhook may go to: the guard against requests to internal networks.

It has its own tables because the standard library's definition of a global address changes between
releases. A refusal names the rule and never what a name resolved to; otherwise anyone who may enter
a URL could use it to map the internal network.
"""

from __future__ import annotations

import functools
import logging
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

from sync.http.urls import HostPort, InvalidTarget, Rule, Target, parse_url

log = logging.getLogger(__name__)

Address = IPv4Address | IPv6Address
Resolver = Callable[[Target, float], Sequence[str]]
"""Returns all addresses of a target's name, both families, within a number of seconds."""

_REFUSED_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network; reaches localhost on Linux
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier NAT, and one cloud's metadata
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # policy: host agent of one cloud, although a public address
        "169.254.0.0/16",  # link-local, and most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments, and one cloud's metadata
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # policy: AS112 sink hole
        "192.52.193.0/24",  # policy: AMT relays
        "192.88.99.0/24",  # 6to4 relay anycast
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # policy: AS112 sink hole
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and limited broadcast
    )
)
# Everything outside is unallocated, local, or a translation into IPv4.
_ALLOCATED_V6 = IPv6Network("2000::/3")
_REFUSED_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID and the rest
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, with any IPv4 address
        "2620:4f:8000::/48",  # policy: AS112 sink hole
        "3fff::/20",  # documentation
    )
)
MOST_ADDRESSES = 2_048
"""Maximum per lookup; a receiver has a few, and every address adds work to each request."""


class _Ranges:
    """Networks without overlap; thousands of addresses are checked in milliseconds."""

    def __init__(self, networks: Sequence[IPv4Network | IPv6Network]) -> None:
        edges = sorted((int(one.network_address), int(one.broadcast_address)) for one in networks)
        self._first = [first for first, _ in edges]
        self._last = [last for _, last in edges]

    def __contains__(self, address: Address) -> bool:
        number = int(address)
        place = bisect_right(self._first, number) - 1
        return place >= 0 and number <= self._last[place]


_REFUSED_RANGES = {4: _Ranges(_REFUSED_V4), 6: _Ranges(_REFUSED_V6)}


@dataclass(frozen=True)
class VettedTarget:
    """A target with the addresses to connect to, in order; the name must not be resolved again."""

    target: Target
    addresses: tuple[Address, ...]


@dataclass(frozen=True)
class AddressPolicy:
    """The targets that a deployment allows.

    ``development_targets`` are exact host and port pairs that are exempt from the scheme, port and
    address rules.
    """

    ports: frozenset[int] = frozenset({443})
    development_targets: frozenset[HostPort] = frozenset()

    def allows(self, address: Address) -> bool:
        """Whether the address is public."""
        address = canonical(address)
        if address.version == 6 and address not in _ALLOCATED_V6:
            return False
        return address not in _REFUSED_RANGES[address.version]


def vet(
    url: str, *, policy: AddressPolicy, resolver: Resolver, timeout_seconds: float
) -> VettedTarget:
    """Check a URL against all rules, resolving its name once. Every address must pass.

    Raises:
        InvalidTarget: a rule refuses it; nothing was sent.
        Whatever ``resolver`` raises when the name does not resolve.
    """
    target = _parsed(url, policy.development_targets, policy.ports)
    literal = target.literal
    found = [str(literal)] if literal else resolver(target, timeout_seconds)
    if len(found) > MOST_ADDRESSES:
        raise InvalidTarget(Rule.TOO_MANY_ADDRESSES)
    addresses = tuple(dict.fromkeys(_parse_address(text) for text in found))
    if not addresses:
        raise InvalidTarget(Rule.NO_ADDRESS)
    if target.is_development:
        log.debug("development target %s:%d is used without the address rules", *target.host_port)
    elif not all(policy.allows(address) for address in addresses):
        raise InvalidTarget(Rule.ADDRESS)
    return VettedTarget(target, addresses)


_parsed = functools.lru_cache(maxsize=4_096)(parse_url)
"""An endpoint's URL is the same for all its webhooks; its addresses are looked up every time."""


def canonical(address: Address) -> Address:
    """The IPv4 address of an IPv4-mapped IPv6 address; any other address unchanged."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


@functools.lru_cache(maxsize=4_096)
def _parse_address(text: str) -> Address:
    try:
        address = ip_address(text)
    except ValueError:
        raise InvalidTarget(Rule.ADDRESS) from None
    # An address with a zone is valid only inside this machine's network.
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise InvalidTarget(Rule.ADDRESS)
    return canonical(address)
