"""Where webhooks may go: the public internet over TLS, plus development targets on a laptop."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from sync.errors import ConfigurationError
from sync.http.addresses import AddressPolicy
from sync.http.resolver import parse_canary
from sync.http.urls import InvalidTarget, Rule, parse_development_targets, parse_url
from sync.settings import EmbeddedWarehouse, SnowflakeWarehouse, WarehouseSettings

PORTS_SETTING = "LTW_WEBHOOK_PORTS"
DEVELOPMENT_SETTING = "LTW_DEVELOPMENT_TARGETS"
DEFAULT_PORTS = "443"
CANARY_SETTING = "LTW_NETWORK_CANARY"

log = logging.getLogger(__name__)


def network_policy(environ: Mapping[str, str], settings: WarehouseSettings) -> AddressPolicy:
    """The allowed ports and, on a laptop, the allowed exact ``host:port`` pairs.

    Raises:
        ConfigurationError: a setting is malformed, or development targets are set with Snowflake.
    """
    try:
        development = parse_development_targets(environ.get(DEVELOPMENT_SETTING, ""))
    except ConfigurationError as error:
        raise ConfigurationError(f"{DEVELOPMENT_SETTING}: {error}") from error
    if development and isinstance(settings, SnowflakeWarehouse):
        raise ConfigurationError(
            f"{DEVELOPMENT_SETTING} lifts the address rules and is refused with a Snowflake "
            "warehouse; unset it"
        )
    if development:
        targets = ", ".join(f"{host}:{port}" for host, port in sorted(development))
        log.info("sent to without the address rules, by %s: %s", DEVELOPMENT_SETTING, targets)
    return AddressPolicy(
        ports=_ports(environ.get(PORTS_SETTING) or DEFAULT_PORTS), development_targets=development
    )


def canary(settings: WarehouseSettings, environ: Mapping[str, str] | None = None) -> str | None:
    """A host that is reachable from here as long as our own network works.

    It is ``LTW_NETWORK_CANARY`` (``host`` or ``host:port``), else the warehouse's host. Without one
    (the embedded warehouse has no host name), an outage of our own network would be charged to
    customers.

    Raises:
        ConfigurationError: the setting is malformed.
    """
    given = (environ or {}).get(CANARY_SETTING, "").strip()
    if given:
        try:
            parse_canary(given)
        except ValueError as error:
            raise ConfigurationError(f"{CANARY_SETTING}: {error}") from None
        return given
    match settings:
        case SnowflakeWarehouse(account=account, host=host):
            return host or f"{account}.snowflakecomputing.com"
        case EmbeddedWarehouse():
            return None


def refusal_of(url: str, policy: AddressPolicy) -> str | None:
    """Why a URL is always refused as written; None when that depends on its addresses."""
    try:
        target = parse_url(url, policy.development_targets, policy.ports)
    except InvalidTarget as refusal:
        return str(refusal)
    if target.literal is None or target.is_development or policy.allows(target.literal):
        return None
    return str(InvalidTarget(Rule.ADDRESS))


def _ports(text: str) -> frozenset[int]:
    entries = text.replace(",", " ").split()
    if not entries or not all(
        entry.isascii() and entry.isdigit() and 0 < int(entry) < 65_536 for entry in entries
    ):
        raise ConfigurationError(
            f"{PORTS_SETTING} is {text!r}; it must list ports such as 443,8443"
        )
    return frozenset(int(entry) for entry in entries)
