"""All address, URL and lookup cases of the shared vectors."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from sync.http.addresses import AddressPolicy, vet
from sync.http.urls import InvalidTarget, Target
from tests.support.vectors import load_vectors

VECTORS = load_vectors("ssrf.json")
PUBLIC = ["93.184.216.34"]


class Lookups:
    """Gives one prepared response per lookup, in order."""

    def __init__(self, answers: list[list[str]]) -> None:
        self.waiting = list(answers)

    def __call__(self, target: Target, timeout_seconds: float) -> list[str]:
        return self.waiting.pop(0) if self.waiting else PUBLIC


def cases(section: str) -> list[Any]:
    return [pytest.param(case, id=f"{case['addr']}-{case['why']}") for case in VECTORS[section]]


def is_allowed(url: str, lookups: Lookups) -> bool:
    try:
        vet(url, policy=AddressPolicy(), resolver=lookups, timeout_seconds=1)
    except InvalidTarget:
        return False
    return True


@pytest.mark.parametrize("case", cases("addresses"))
def test_addresses_are_checked_alike_from_dns_and_as_literals(case: dict[str, Any]):
    address = ip_address(case["addr"])
    literal = f"[{address}]" if address.version == 6 else str(address)
    expected = case["want"] == "allow"
    assert AddressPolicy().allows(address) is expected
    assert is_allowed("https://hooks.example.com/", Lookups([[case["addr"]]])) is expected
    assert is_allowed(f"https://{literal}/", Lookups([])) is expected


@pytest.mark.parametrize("case", cases("urls"))
def test_urls_are_checked(case: dict[str, Any]):
    lookups = Lookups(case.get("lookups", []))
    assert is_allowed(case["addr"], lookups) is (case["want"] == "allow")


@pytest.mark.parametrize("case", cases("dns"))
def test_lookups_are_checked(case: dict[str, Any]):
    lookups = Lookups(case["lookups"])
    url = f"https://{case['addr']}/"
    if case["want"] == "block":
        assert not is_allowed(url, lookups)
        return
    target = vet(url, policy=AddressPolicy(), resolver=lookups, timeout_seconds=1)
    assert [str(address) for address in target.addresses] == case["lookups"][0]
    assert len(lookups.waiting) == len(case["lookups"]) - 1
