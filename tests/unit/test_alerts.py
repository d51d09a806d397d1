"""Alerts: what is sent where, how often, and that none of it can hide the failure it is about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from sync.alerts import (
    HOOK_SETTING,
    URL_SETTING,
    failures_in_a_row,
    is_worth_an_alert,
    send_alert,
)
from sync.results import Answer, Attribution, ErrorKind, Failure

URL = "https://hooks.example.com/T000/secret-token"


@dataclass
class Poster:
    """Answers as it is told to."""

    answer: Answer | Failure
    bodies: list[bytes] = field(default_factory=list)

    def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> Answer | Failure:
        self.bodies.append(body)
        return self.answer


def answered(status: int) -> Poster:
    return Poster(Answer(status=status, retry_after=None, excerpt="", duration_ms=3))


@pytest.mark.parametrize(
    ("failures", "told"),
    [(0, False), (1, True), (2, True), (3, False), (4, True), (5, False), (8, True), (9, False)],
)
def test_failures_in_a_row_are_told_ever_more_rarely(failures: int, told: bool) -> None:
    assert is_worth_an_alert(failures) is told


def test_a_night_of_failures_is_a_handful_of_alerts() -> None:
    assert sum(is_worth_an_alert(n) for n in range(1, 12 * 12 + 1)) == 8


def test_a_success_starts_the_count_anew() -> None:
    assert failures_in_a_row([False, False, True, False]) == 2
    assert failures_in_a_row([True, False]) == 0
    assert failures_in_a_row([]) == 0


def test_the_text_is_posted_in_the_form_that_chats_take() -> None:
    poster = answered(200)
    assert send_alert("it failed", environ={URL_SETTING: URL}, poster=poster) == "alert sent"
    assert [json.loads(body) for body in poster.bodies] == [{"text": "it failed"}]


@pytest.mark.parametrize(
    ("poster", "said"),
    [
        (answered(404), "alert refused with status 404"),
        (
            Poster(Failure(ErrorKind.CONNECT, Attribution.THEIRS, "no connection")),
            "alert not sent",
        ),
    ],
)
def test_an_alert_that_fails_says_so_and_does_not_show_the_url(poster: Poster, said: str) -> None:
    text = send_alert("it failed", environ={URL_SETTING: URL}, poster=poster)
    assert said in text
    assert URL_SETTING in text
    assert "secret-token" not in text


def test_without_a_setting_nothing_is_sent_and_both_are_named() -> None:
    poster = answered(200)
    text = send_alert("it failed", environ={}, poster=poster)
    assert URL_SETTING in text
    assert HOOK_SETTING in text
    assert poster.bodies == []


@pytest.mark.parametrize("hook", ["no_such_module:page", "json:no_such", "json", "json:loads"])
def test_a_hook_that_fails_is_a_line_and_no_failure(hook: str) -> None:
    text = send_alert("not JSON", environ={HOOK_SETTING: hook}, poster=answered(200))
    assert f"{HOOK_SETTING} {hook!r} failed" in text
