"""How long a token is used, who fetches it, and what the configuration must contain."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from sync.domain.responses import Attribution, ErrorKind, Failure, ResponseWithBody
from sync.http.oauth import Bearer, Misconfigured, TokenSource
from sync.http.secrets import SecretStore
from tests.support.hand_clock import HandClock
from tests.support.oauth_endpoints import CLIENT_SECRET, oauth_endpoint, secrets_for
from tests.support.tokens import DOWN, ENDPOINT, Tokens, header, source


@pytest.mark.parametrize(
    ("seconds_later", "expected"),
    [
        pytest.param(0, "Bearer token-1", id="at once"),
        pytest.param(3600 - 60 - 120 - 1, "Bearer token-1", id="just before early renewal"),
        pytest.param(3600 - 60 - 120, "Bearer token-2", id="early renewal"),
        pytest.param(3600 - 60, "Bearer token-2", id="its last minute"),
        pytest.param(100_000, "Bearer token-2", id="long expired"),
    ],
)
def test_a_token_serves_until_two_minutes_before_its_last(seconds_later: int, expected: str):
    clock = HandClock()
    tokens = source(Tokens(), clock)
    tokens.authorization(ENDPOINT)
    clock.now += seconds_later
    assert header(tokens.authorization(ENDPOINT)) == expected


@pytest.mark.parametrize("expires_in", [60, 59.5, 0, -5])
def test_a_token_that_lives_a_minute_or_less_is_used_once_and_not_kept(expires_in: float):
    tokens = source(Tokens(expires_in=expires_in))
    assert header(tokens.authorization(ENDPOINT)) == "Bearer token-1"
    assert header(tokens.authorization(ENDPOINT)) == "Bearer token-2"


@pytest.mark.parametrize("expires_in", [None, "soon", "300"])
def test_a_token_of_unknown_life_serves_for_some_minutes(expires_in: object):
    clock, poster = HandClock(), Tokens(expires_in=expires_in)
    tokens = source(poster, clock)
    for seconds in (0, 100, 215):
        clock.now = seconds
        assert header(tokens.authorization(ENDPOINT)) == "Bearer token-1"
    clock.now = 216
    assert header(tokens.authorization(ENDPOINT)) == "Bearer token-2"


def test_a_failed_early_renewal_goes_unnoticed_and_is_not_repeated_at_once():
    clock, poster = HandClock(), Tokens()
    tokens = source(poster, clock)
    tokens.authorization(ENDPOINT)
    poster.failure = DOWN
    clock.now += 3600 - 60 - 30
    for _ in range(3):
        assert header(tokens.authorization(ENDPOINT)) == "Bearer token-1"
    assert len(poster.deadlines) == 2
    clock.now += 15
    assert header(tokens.authorization(ENDPOINT)) == "Bearer token-1"
    assert len(poster.deadlines) == 3
    clock.now += 20
    failure = tokens.authorization(ENDPOINT)
    assert failure == Failure(
        ErrorKind.CONNECT, Attribution.RECEIVER, "token endpoint: connection refused"
    )


def test_a_failure_is_not_kept():
    poster = Tokens(failure=DOWN)
    tokens = source(poster)
    assert isinstance(tokens.authorization(ENDPOINT), Failure)
    poster.failure = None
    assert header(tokens.authorization(ENDPOINT)) == "Bearer token-2"


@pytest.mark.parametrize(("allowed", "expected"), [(3.0, 3.0), (300.0, 10.0)])
def test_a_token_request_takes_ten_seconds_at_most(allowed: float, expected: float):
    poster = Tokens()
    source(poster).authorization(ENDPOINT, allowed)
    assert poster.deadlines == [expected]


def test_an_early_renewal_lets_the_others_go_on_with_the_old_token():
    asked, gate = threading.Event(), threading.Event()

    class Slow(Tokens):
        def post_for_body(
            self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
        ) -> ResponseWithBody | Failure:
            if self.deadlines:
                asked.set()
                gate.wait(60)
            return super().post_for_body(
                url, body=body, headers=headers, deadline_seconds=deadline_seconds
            )

    clock, renewed = HandClock(), []
    tokens = source(Slow(), clock)
    tokens.authorization(ENDPOINT)
    clock.now += 3600 - 60 - 30
    renewer = threading.Thread(target=lambda: renewed.append(tokens.authorization(ENDPOINT)))
    renewer.start()
    assert asked.wait(60)
    assert header(tokens.authorization(ENDPOINT)) == "Bearer token-1"
    gate.set()
    renewer.join(60)
    assert [header(one) for one in renewed] == ["Bearer token-2"]
    assert header(tokens.authorization(ENDPOINT)) == "Bearer token-2"


def test_a_token_request_that_breaks_off_leaves_nobody_waiting():
    class Broken(Tokens):
        def post_for_body(
            self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
        ) -> ResponseWithBody | Failure:
            raise KeyboardInterrupt

    tokens = source(Broken())
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            tokens.authorization(ENDPOINT)


def test_a_refused_token_is_dropped_but_not_its_successor():
    tokens = source(Tokens())
    first = tokens.authorization(ENDPOINT)
    assert isinstance(first, Bearer)
    tokens.invalidate(ENDPOINT, first)
    assert header(tokens.authorization(ENDPOINT)) == "Bearer token-2"
    tokens.invalidate(ENDPOINT, first)
    assert header(tokens.authorization(ENDPOINT)) == "Bearer token-2"


def test_every_part_of_the_configuration_has_its_own_token(tmp_path: Path):
    secret = tmp_path / "oauth-client-7"
    secret.write_text("old")
    poster = Tokens()
    tokens = TokenSource(poster, SecretStore({}, tmp_path), HandClock())
    other_url = oauth_endpoint(token_url="https://auth.example.com/other")
    other_client = oauth_endpoint(client_id="client-b")
    for number, endpoint in enumerate([ENDPOINT, other_url, other_client], start=1):
        for _ in range(2):
            assert header(tokens.authorization(endpoint)) == f"Bearer token-{number}"
    secret.write_text("new")
    assert header(tokens.authorization(other_client)) == "Bearer token-4"


@pytest.mark.parametrize(
    ("token_url", "has_secret", "named"),
    [
        pytest.param(None, True, ["webhook_token_url"], id="no token URL"),
        pytest.param("https://auth.example.com", False, ["LTW_SECRET_OAUTH_CLIENT_7"], id="secret"),
        pytest.param(None, False, ["webhook_token_url", "LTW_SECRET_OAUTH_CLIENT_7"], id="neither"),
    ],
)
def test_a_client_id_without_the_rest_is_held_and_names_what_is_missing(
    token_url: str | None, has_secret: bool, named: list[str]
):
    poster = Tokens()
    tokens = TokenSource(poster, secrets_for(*([7] if has_secret else [])), HandClock())
    endpoint = oauth_endpoint(token_url=token_url)
    problem = tokens.problem_of(endpoint)
    assert isinstance(problem, Misconfigured)
    assert tokens.authorization(endpoint) == problem
    assert [name for name in named if name in problem.problem] == named
    assert not poster.deadlines


def test_an_unreadable_secret_is_held_as_well(tmp_path: Path):
    (tmp_path / "oauth-client-7").mkdir()
    problem = TokenSource(Tokens(), SecretStore({}, tmp_path)).problem_of(ENDPOINT)
    assert isinstance(problem, Misconfigured)
    assert "cannot read" in problem.problem


def test_a_complete_configuration_has_no_problem():
    assert source(Tokens()).problem_of(ENDPOINT) is None


def test_no_repr_shows_a_token_or_a_secret():
    tokens = source(Tokens())
    shown = (
        f"{tokens.authorization(ENDPOINT)!r} {vars(tokens)!r} {ResponseWithBody(200, b'canary')!r}"
    )
    shown += "".join(repr(vars(slot)) for slot in tokens._slots.values())
    assert "token-1" not in shown
    assert "canary" not in shown
    assert CLIENT_SECRET not in shown


@pytest.mark.parametrize(
    ("settings", "content_type", "body"),
    [
        (
            {},
            "application/json",
            b'{"client_id": "client-a", "client_secret": "canary-client-secret", '
            b'"grant_type": "client_credentials", "scope": "api"}',
        ),
        (
            {"is_oauth_form": True, "oauth_scope": "a b", "oauth_audience": "https://lrs.example"},
            "application/x-www-form-urlencoded",
            b"client_id=client-a&client_secret=canary-client-secret&grant_type=client_credentials"
            b"&scope=a+b&audience=https%3A%2F%2Flrs.example",
        ),
    ],
)
def test_a_token_is_asked_for_as_the_endpoint_s_server_takes_it(
    settings: dict[str, object], content_type: str, body: bytes
):
    tokens = Tokens()
    endpoint = ENDPOINT.model_copy(update=settings)
    source(tokens).authorization(endpoint)
    assert tokens.asked == [(content_type, body)]


def test_another_scope_is_another_token():
    tokens = source(Tokens())
    wider = ENDPOINT.model_copy(update={"oauth_scope": "api.write"})
    assert header(tokens.authorization(ENDPOINT)) == "Bearer token-1"
    assert header(tokens.authorization(wider)) == "Bearer token-2"
