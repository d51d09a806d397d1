"""Lookups within a time limit, and who is to blame when there is no response."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from sync.domain.responses import Attribution, Reached
from sync.http.resolver import ResolutionFailed, SystemResolver, _Threads, parse_canary
from sync.http.urls import Target
from tests.support.waiting import wait_until

TARGET = Target("https", "hooks.example.com", 443, "/", None, is_development=False)
DEVELOPMENT = Target("http", "receiver", 8080, "/", None, is_development=True)
CANARY = "warehouse.example.com"


def entry(address: str) -> Any:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))


def failing_with(number: int, *, for_all: bool):
    def lookup(name: str, port: int) -> list[Any]:
        if name.startswith(CANARY) and not for_all:
            return [entry("1.1.1.1")]
        raise socket.gaierror(number, "inner-resolver.example.com says no")

    return lookup


def test_names_are_asked_as_absolute_ones_but_for_development():
    asked: list[str] = []

    def lookup(name: str, port: int) -> list[Any]:
        asked.append(name)
        return [entry("1.1.1.1"), entry("1.0.0.1")]

    resolver = SystemResolver(lookup=lookup)
    assert resolver(TARGET, 5) == ["1.1.1.1", "1.0.0.1"]
    resolver(DEVELOPMENT, 5)
    assert asked == ["hooks.example.com.", "receiver"]


@pytest.mark.parametrize("canary", [None, CANARY])
@pytest.mark.parametrize("code", ["EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY"])
def test_a_name_that_does_not_exist_is_theirs(code: str, canary: str | None):
    if not hasattr(socket, code):
        pytest.skip("not on this system")
    lookup = failing_with(getattr(socket, code), for_all=True)
    with pytest.raises(ResolutionFailed, match="does not exist") as caught:
        SystemResolver(canary=canary, lookup=lookup)(TARGET, 5)
    assert caught.value.attribution is Attribution.RECEIVER
    assert caught.value.reached is Reached.NAME_SERVER, "which proves that our network works"


@pytest.mark.parametrize(
    ("text", "name", "port"),
    [
        ("a.example.com", "a.example.com.", 443),
        ("a.example.com.", "a.example.com.", 443),
        ("a.example.com:8443", "a.example.com.", 8_443),
        ("192.0.2.1", "192.0.2.1", 443),
    ],
)
def test_a_canary_is_an_absolute_name_or_an_address(text: str, name: str, port: int):
    assert parse_canary(text) == (name, port)


@pytest.mark.parametrize(
    ("canary", "for_all", "attribution"),
    [
        (CANARY, True, Attribution.SENDER),
        (CANARY, False, Attribution.RECEIVER),
        (None, True, Attribution.RECEIVER),
    ],
)
def test_no_response_is_a_sender_error_only_when_the_canary_has_none_either(
    canary: str | None, *, for_all: bool, attribution: Attribution
):
    lookup = failing_with(socket.EAI_AGAIN, for_all=for_all)
    with pytest.raises(ResolutionFailed) as caught:
        SystemResolver(canary=canary, lookup=lookup)(TARGET, 5)
    assert caught.value.attribution is attribution
    assert caught.value.reached is Reached.NOTHING, "silence proves nothing"
    assert "inner-resolver" not in str(caught.value)


def test_a_lookup_that_hangs_ends_in_time():
    release = threading.Event()

    def lookup(name: str, port: int) -> list[Any]:
        release.wait(30)
        return [entry("1.1.1.1")]

    started = time.monotonic()
    with pytest.raises(ResolutionFailed, match="no response"):
        SystemResolver(lookup=lookup)(TARGET, 0.1)
    assert time.monotonic() - started < 15, "it would hang for 30 s"
    release.set()


def test_lookups_that_hang_do_not_pile_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sync.http.resolver.MAX_LOOKUPS", 2)
    release = threading.Event()
    started: list[str] = []

    def lookup(name: str, port: int) -> list[Any]:
        started.append(name)
        release.wait(30)
        return [entry("1.1.1.1")]

    resolver = SystemResolver(lookup=lookup)
    attributions = []
    for _ in range(4):
        with pytest.raises(ResolutionFailed) as caught:
            resolver(TARGET, 0.05)
        attributions.append(caught.value.attribution)
    # Their threads may begin late.
    wait_until(lambda: len(started) == 2)
    assert attributions == [Attribution.RECEIVER] * 2 + [Attribution.SENDER] * 2
    release.set()


def test_a_thread_is_used_again_and_one_that_hangs_keeps_back_no_other_lookup(
    monkeypatch: pytest.MonkeyPatch,
):
    kept = _Threads()
    monkeypatch.setattr("sync.http.resolver._threads", kept)
    release = threading.Event()
    threads: list[threading.Thread] = []

    def lookup(name: str, port: int) -> list[Any]:
        threads.append(threading.current_thread())
        if len(threads) == 2:
            release.wait(30)
        return [entry("1.1.1.1")]

    resolver = SystemResolver(lookup=lookup)
    assert resolver(TARGET, 60) == ["1.1.1.1"]
    # Its thread becomes free shortly after the result.
    wait_until(lambda: kept._idle == 1)
    with pytest.raises(ResolutionFailed, match="no response"):
        resolver(TARGET, 0.05)
    wait_until(lambda: len(threads) == 2)
    assert threads[1] is threads[0]
    assert resolver(TARGET, 60) == ["1.1.1.1"]
    assert threads[2] is not threads[1]
    release.set()


def test_a_name_that_cannot_be_encoded_does_not_exist():
    def lookup(name: str, port: int) -> list[Any]:
        raise UnicodeError("label too long")

    with pytest.raises(ResolutionFailed, match="does not exist"):
        SystemResolver(lookup=lookup)(TARGET, 5)


def test_the_operating_system_is_asked_by_default():
    assert "127.0.0.1" in SystemResolver()(
        Target("http", "127.0.0.1", 80, "/", None, is_development=True), 5
    )
