"""The operator's data about the sender is checked before a customer sees it."""

from __future__ import annotations

import pytest

from sync.errors import ConfigurationError
from sync.operations.environment import check_environment
from sync.operations.sender import Sender, sender


def test_addresses_and_contact_are_read_as_they_are_shown() -> None:
    given = "203.0.113.10, 203.0.113.64/26 2001:db8::/48,203.0.113.10/32"
    assert sender(
        {"LTW_SENDING_ADDRESSES": given, "LTW_SUPPORT_CONTACT": " webhooks@example.com "}
    ) == Sender(
        ("203.0.113.10/32", "203.0.113.64/26", "2001:db8::/48"), contact="webhooks@example.com"
    )
    assert sender({}) == Sender()


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("LTW_SENDING_ADDRESSES", "203.0.113.10/24"),
        ("LTW_SENDING_ADDRESSES", "203.0.113.0/33"),
        ("LTW_SENDING_ADDRESSES", "0.0.0.0/0"),
        ("LTW_SENDING_ADDRESSES", "::/0"),
        ("LTW_SENDING_ADDRESSES", "127.0.0.1"),
        ("LTW_SENDING_ADDRESSES", "nat.example.com"),
        ("LTW_SENDING_ADDRESSES", "203.0.113.10-20"),
        ("LTW_SUPPORT_CONTACT", "x" * 201),
        ("LTW_SUPPORT_CONTACT", "two\nlines"),
        ("LTW_SUPPORT_CONTACT", "turned \u202e around"),
    ],
)
def test_what_a_customer_cannot_use_is_refused_by_name(setting: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        check_environment({setting: text})
