"""What a customer may know about the sender: its addresses, and whom to ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network

from sync.errors import ConfigurationError

ADDRESSES_SETTING = "LTW_SENDING_ADDRESSES"
CONTACT_SETTING = "LTW_SUPPORT_CONTACT"
LONGEST_CONTACT = 200


@dataclass(frozen=True)
class Sender:
    """What the operator has set; empty if nothing is set."""

    addresses: tuple[str, ...] = ()
    """Networks as CIDRs, in the order of the setting; requests come from nowhere else."""
    contact: str = ""


NOBODY = Sender()


def sender(environ: Mapping[str, str]) -> Sender:
    """Both settings of an environment.

    Raises:
        ConfigurationError: one cannot be shown to a customer; names it and what it accepts.
    """
    contact = environ.get(CONTACT_SETTING, "").strip()
    if len(contact) > LONGEST_CONTACT or not contact.isprintable():
        raise ConfigurationError(
            f"{CONTACT_SETTING} must be one line of at most {LONGEST_CONTACT} characters, such as "
            "webhooks@example.com or https://support.example.com"
        )
    texts = environ.get(ADDRESSES_SETTING, "").replace(",", " ").split()
    return Sender(tuple(dict.fromkeys(map(_network, texts))), contact)


def _network(text: str) -> str:
    try:
        found = ip_network(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{ADDRESSES_SETTING}: {error}; it must list addresses and networks such as "
            "203.0.113.10, 203.0.113.64/26"
        ) from None
    if found.is_loopback or found.is_unspecified or not found.prefixlen:
        raise ConfigurationError(
            f"{ADDRESSES_SETTING}: no receiver sees requests from {text}; name the public "
            "addresses of your network"
        )
    return str(found)
