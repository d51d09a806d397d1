"""Alerts: what is sent where and how often, and that an alert never hides the failure itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from sync.domain.responses import Attribution, ErrorKind, Failure, Response
from sync.operations.alerts import (
    HOOK_SETTING,
    URL_SETTING,
    failures_in_a_row,
    is_worth_an_alert,
    send_alert,
    team_setting,
)

URL = "https://hooks.example.com/T000/secret-token"


@dataclass
class Poster:
    """Responds as configured."""

    answer: Response | Failure
    urls: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> Response | Failure:
        self.urls.append(url)
        self.bodies.append(body)
        return self.answer


def answered(status: int) -> Poster:
    return Poster(Response(status=status, retry_after=None, excerpt="", duration_ms=3))


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
    said = send_alert("it failed", teams=[], environ={URL_SETTING: URL}, poster=poster)
    assert said == "alert sent"
    assert [json.loads(body) for body in poster.bodies] == [{"text": "it failed"}]


@pytest.mark.parametrize(
    ("poster", "said"),
    [
        (answered(404), "alert refused with status 404"),
        (
            Poster(Failure(ErrorKind.CONNECT, Attribution.RECEIVER, "no connection")),
            "alert not sent",
        ),
    ],
)
def test_an_alert_that_fails_says_so_and_does_not_show_the_url(poster: Poster, said: str) -> None:
    text = send_alert("it failed", teams=[], environ={URL_SETTING: URL}, poster=poster)
    assert said in text
    assert URL_SETTING in text
    assert "secret-token" not in text


OWN = "https://hooks.example.com/integrations"
SETTINGS = {URL_SETTING: URL, "LTW_ALERT_URL_INTEGRATIONS": OWN}


@pytest.mark.parametrize(
    ("teams", "told"),
    [
        pytest.param([], [URL], id="nobody's: everybody's"),
        pytest.param(["Integrations"], [OWN], id="a team with a URL of its own"),
        pytest.param(["Learning data"], [URL], id="a team without one"),
        pytest.param(["Learning data", "Integrations"], [OWN, URL], id="two teams"),
        pytest.param(["Learning data", "Operations"], [URL], id="two without: once"),
    ],
)
def test_a_team_is_told_at_its_own_url_or_at_that_of_all(teams: list[str], told: list[str]) -> None:
    poster = answered(200)
    send_alert("it failed", teams=teams, environ=SETTINGS, poster=poster)
    assert poster.urls == told


def test_a_team_can_be_the_only_one_that_is_told() -> None:
    own = {"LTW_ALERT_URL_INTEGRATIONS": OWN}
    poster = answered(200)
    send_alert("it failed", teams=["Integrations"], environ=own, poster=poster)
    assert poster.urls == [OWN]
    said = send_alert("it failed", teams=["Learning data"], environ=own, poster=poster)
    assert said.startswith("no alert sent")


def test_a_refused_alert_names_the_setting_of_its_team() -> None:
    said = send_alert("x", teams=["Integrations"], environ=SETTINGS, poster=answered(404))
    assert said == "alert refused with status 404: check LTW_ALERT_URL_INTEGRATIONS"


def test_the_setting_of_a_team_is_its_name_in_capitals() -> None:
    assert team_setting("Learning data") == "LTW_ALERT_URL_LEARNING_DATA"
    assert team_setting("R&D, on call") == "LTW_ALERT_URL_R_D_ON_CALL"


def test_without_a_setting_nothing_is_sent_and_both_are_named() -> None:
    poster = answered(200)
    text = send_alert("it failed", teams=["Integrations"], environ={}, poster=poster)
    assert URL_SETTING in text
    assert HOOK_SETTING in text
    assert poster.bodies == []


@pytest.mark.parametrize("hook", ["no_such_module:page", "json:no_such", "json", "json:loads"])
def test_a_hook_that_fails_is_a_line_and_no_failure(hook: str) -> None:
    environ = {HOOK_SETTING: hook}
    text = send_alert("not JSON", teams=[], environ=environ, poster=answered(200))
    assert f"{HOOK_SETTING} {hook!r} failed" in text
