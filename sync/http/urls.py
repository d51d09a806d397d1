"""Endpoint URLs, parsed once and strictly: a URL that parsers could read differently is refused."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from sync.errors import ConfigurationError, SyncError

HostPort = tuple[str, int]
MAX_URL_LENGTH = 2_048
MAX_NAME_LENGTH = 253
_DEFAULT_PORTS = {"https": 443, "http": 80}

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?]*)([/?].*)?")
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_OCTET = r"(?:0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])"
_DOTTED_DECIMAL = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
# Resolvers interpret such a last label as a number, and the whole name as an address.
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x.*")
_INNER_NAMES = frozenset({"localhost", "local", "internal"})


class Rule(Enum):
    """The rules a URL or an address can break, worded for the person who entered the URL."""

    SYNTAX = "the URL is not of the form https://host/path, or longer than 2048 characters"
    CHARACTERS = (
        "the URL may hold visible ASCII characters only, and no backslash; "
        "an international name is written in its xn-- form"
    )
    CREDENTIALS = "the URL may hold no user name or password"
    FRAGMENT = "the URL may hold no fragment (#)"
    ZONE = "the host may hold no zone id or percent sign"
    SCHEME = "the URL must begin with https://"
    PORT = "the port is not one of those allowed for webhooks"
    HOST = "the host is not a valid name"
    NUMERIC_HOST = "an IPv4 address is written as four decimal numbers without leading zeros"
    INNER_NAME = "the host must be a public name with a dot in it"
    NO_ADDRESS = "the host has no address"
    TOO_MANY_ADDRESSES = "the host has more addresses than any receiver needs"
    ADDRESS = "every address of the host must be public"


class InvalidTarget(SyncError):
    """A URL or an address breaks a rule; the text may be shown to the customer."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule.value)
        self.rule = rule


@dataclass(frozen=True)
class Target:
    """A parsed URL. The path may contain a token, so it is not in ``repr``."""

    scheme: str
    host: str
    """Lower case, without a trailing dot; an IPv6 literal without brackets."""
    port: int
    path: str = field(repr=False)
    """From the first slash on, including the query; at least ``/``."""
    literal: IPv4Address | IPv6Address | None
    """The address, if the host is one."""
    is_development: bool
    """Whether the host and port are exempt from the scheme, port and address rules."""

    @property
    def host_port(self) -> HostPort:
        """Host and port, as in a list of development targets."""
        return (self.host, self.port)

    @property
    def host_header(self) -> str:
        """The ``Host`` header: brackets for IPv6, the port unless it is the scheme's default."""
        host = f"[{self.host}]" if isinstance(self.literal, IPv6Address) else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL in canonical form."""
        return f"{self.scheme}://{self.host_header}{self.path}"


def parse_url(
    url: str, development_targets: Collection[HostPort], ports: Collection[int]
) -> Target:
    """Parse a URL.

    Raises:
        InvalidTarget: names the first rule that the URL breaks.
    """
    if not all("!" <= character <= "~" and character != "\\" for character in url):
        raise InvalidTarget(Rule.CHARACTERS)
    if "#" in url:
        raise InvalidTarget(Rule.FRAGMENT)
    parts = _URL.fullmatch(url)
    if parts is None or len(url) > MAX_URL_LENGTH:
        raise InvalidTarget(Rule.SYNTAX)
    scheme, authority, path = parts[1].lower(), parts[2], parts[3] or "/"
    if "@" in authority:
        raise InvalidTarget(Rule.CREDENTIALS)
    if "%" in authority:
        raise InvalidTarget(Rule.ZONE)
    if scheme not in _DEFAULT_PORTS:
        raise InvalidTarget(Rule.SCHEME)
    host_and_port = _AUTHORITY.fullmatch(authority)
    if host_and_port is None:
        raise InvalidTarget(Rule.HOST)
    host, literal = _parse_host(host_and_port[1].lower())
    port = int(host_and_port[2] or _DEFAULT_PORTS[scheme])
    path = path if path.startswith("/") else f"/{path}"
    is_development = (host, port) in development_targets
    if not is_development:
        if scheme != "https":
            raise InvalidTarget(Rule.SCHEME)
        if port not in ports:
            raise InvalidTarget(Rule.PORT)
        if literal is None:
            _refuse_inner_name(host)
    return Target(scheme, host, port, path, literal, is_development)


def parse_development_targets(text: str) -> frozenset[HostPort]:
    """Read a setting of the form ``localhost:8080, [::1]:8443``; blank means none.

    Raises:
        ConfigurationError: an entry is not an exact host and port.
    """
    targets = set()
    for entry in text.replace(",", " ").split():
        parts = _AUTHORITY.fullmatch(entry)
        if parts is None or not parts[2]:
            raise ConfigurationError(f"development target {entry!r} is not of the form host:port")
        try:
            host, _ = _parse_host(parts[1].lower())
        except InvalidTarget as refusal:
            raise ConfigurationError(f"development target {entry!r}: {refusal}") from refusal
        targets.add((host, int(parts[2])))
    return frozenset(targets)


def _parse_host(host: str) -> tuple[str, IPv4Address | IPv6Address | None]:
    if host.startswith("["):
        try:
            address = IPv6Address(host[1:-1])
        except AddressValueError:
            raise InvalidTarget(Rule.HOST) from None
        return str(address), address
    host = host.removesuffix(".")
    labels = host.split(".")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        if not _DOTTED_DECIMAL.fullmatch(host):
            raise InvalidTarget(Rule.NUMERIC_HOST)
        return host, IPv4Address(host)
    if len(host) > MAX_NAME_LENGTH or not all(_LABEL.fullmatch(label) for label in labels):
        raise InvalidTarget(Rule.HOST)
    return host, None


def _refuse_inner_name(host: str) -> None:
    labels = host.split(".")
    if len(labels) == 1 or labels[-1] in _INNER_NAMES:
        raise InvalidTarget(Rule.INNER_NAME)
