"""How long a token serves, who fetches it, and what the configuration must hold."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sync.authorized import post_authorized
from sync.oauth import Bearer, Misconfigured, NoAuth, TokenSource
from sync.results import Answer, AnswerWithBody, Attribution, ErrorKind, Failure
from sync.secrets import SecretStore
from tests.support.oauth_endpoints import CLIENT_SECRET, oauth_endpoint, secrets_for

ENDPOINT = oauth_endpoint()
DOWN = Failure(ErrorKind.CONNECT, Attribution.THEIRS, "connection refused")


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Tokens:
    """Answers token requests without a network; the n-th token is ``token-n``."""

    expires_in: object = 3600
    failure: Failure | None = None
    deadlines: list[float] = field(default_factory=list)

    def post_for_body(
        self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> AnswerWithBody | Failure:
        self.deadlines.append(deadline_seconds)
        if self.failure is not None:
            return self.failure
        content = {"access_token": f"token-{len(self.deadlines)}", "expires_in": self.expires_in}
        return AnswerWithBody(200, json.dumps(content).encode())


def source(tokens: Tokens, clock: Clock | None = None) -> TokenSource:
    return TokenSource(tokens, secrets_for(7), clock or Clock())


def header(authorization: object) -> str:
    assert isinstance(authorization, Bearer), authorization
    return authorization.header


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
    clock = Clock()
    tokens = source(Tokens(), clock)
    tokens.authorization(ENDPOINT)
    clock.now += seconds_later
    assert header(tokens.authorization(ENDPOINT)) == expected


@pytest.mark.parametrize("expires_in", [60, 59.5, 0, -5])
def test_a_token_that_lives_a_minute_or_less_is_used_once_and_not_kept(expires_in: float):
    tokens = source(Tokens(expires_in=expires_in))
    assert header(tokens.authorization(ENDPOINT)) == "Bearer token-1"
    assert header(tokens.authorization(ENDPOINT)) == "Bearer token-2"


def test_a_failed_early_renewal_goes_unnoticed_and_is_not_repeated_at_once():
    clock, poster = Clock(), Tokens()
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
        ErrorKind.CONNECT, Attribution.THEIRS, "token endpoint: connection refused"
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
        ) -> AnswerWithBody | Failure:
            if self.deadlines:
                asked.set()
                gate.wait(30)
            return super().post_for_body(
                url, body=body, headers=headers, deadline_seconds=deadline_seconds
            )

    clock, renewed = Clock(), []
    tokens = source(Slow(), clock)
    tokens.authorization(ENDPOINT)
    clock.now += 3600 - 60 - 30
    renewer = threading.Thread(target=lambda: renewed.append(tokens.authorization(ENDPOINT)))
    renewer.start()
    assert asked.wait(10)
    assert header(tokens.authorization(ENDPOINT)) == "Bearer token-1"
    gate.set()
    renewer.join(10)
    assert [header(one) for one in renewed] == ["Bearer token-2"]
    assert header(tokens.authorization(ENDPOINT)) == "Bearer token-2"


def test_a_token_request_that_breaks_off_leaves_nobody_waiting():
    class Broken(Tokens):
        def post_for_body(
            self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
        ) -> AnswerWithBody | Failure:
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
    tokens = TokenSource(poster, SecretStore({}, tmp_path), Clock())
    other_url = oauth_endpoint(token_url="https://auth.example.com/other")
    other_client = oauth_endpoint(client_id="client-b")
    for number, endpoint in enumerate([ENDPOINT, other_url, other_client], start=1):
        for _ in range(2):
            assert header(tokens.authorization(endpoint)) == f"Bearer token-{number}"
    secret.write_text("new")
    assert header(tokens.authorization(other_client)) == "Bearer token-4"


def test_an_endpoint_without_a_client_id_takes_no_token():
    tokens = source(Tokens())
    endpoint = oauth_endpoint(client_id=None)
    assert tokens.authorization(endpoint) == NoAuth()
    assert tokens.problem_of(endpoint) is None


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
    tokens = TokenSource(poster, secrets_for(*([7] if has_secret else [])), Clock())
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


@dataclass
class Webhooks:
    """Answers webhooks with these statuses in turn, each after some seconds of the clock."""

    statuses: list[int]
    clock: Clock = field(default_factory=Clock)
    seconds: float = 0.0
    sent: list[tuple[str | None, float]] = field(default_factory=list)

    def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> Answer | Failure:
        self.sent.append((headers.get("Authorization"), deadline_seconds))
        self.clock.now += self.seconds
        return Answer(self.statuses[len(self.sent) - 1], None, "")


def send(webhooks: Webhooks, tokens: TokenSource, endpoint=ENDPOINT) -> Answer | Failure:
    return post_authorized(
        webhooks,
        tokens,
        endpoint,
        body=b"{}",
        headers=lambda: {"webhook-id": "1"},
        deadline_seconds=20,
        clock=webhooks.clock,
    )


@pytest.mark.parametrize(
    ("statuses", "sent"),
    [
        pytest.param([200], ["token-1"], id="taken"),
        pytest.param([401, 200], ["token-1", "token-2"], id="refused once"),
        pytest.param([401, 401], ["token-1", "token-2"], id="refused twice"),
        pytest.param([401, 500], ["token-1", "token-2"], id="refused, then another failure"),
        pytest.param([403], ["token-1"], id="another refusal"),
        pytest.param([500], ["token-1"], id="another failure"),
    ],
)
def test_only_a_401_is_answered_with_one_new_token_and_one_more_try(
    statuses: list[int], sent: list[str]
):
    webhooks = Webhooks(statuses)
    result = send(webhooks, source(Tokens()))
    assert isinstance(result, Answer)
    assert result.status == statuses[-1]
    assert [value for value, _ in webhooks.sent] == [f"Bearer {one}" for one in sent]


def test_a_401_to_an_endpoint_without_tokens_is_an_answer_like_others():
    webhooks = Webhooks([401])
    result = send(webhooks, source(Tokens()), oauth_endpoint(client_id=None))
    assert isinstance(result, Answer)
    assert webhooks.sent == [(None, 20)]


def test_the_second_try_has_what_the_first_left_of_the_deadline():
    webhooks = Webhooks([401, 200], seconds=8)
    send(webhooks, source(Tokens()))
    assert [deadline for _, deadline in webhooks.sent] == [20, 12]


def test_a_401_at_the_end_of_the_deadline_leaves_the_new_token_to_the_next_attempt():
    webhooks = Webhooks([401, 200], seconds=19.5)
    tokens = source(Tokens())
    result = send(webhooks, tokens)
    assert isinstance(result, Answer)
    assert result.status == 401
    assert header(tokens.authorization(ENDPOINT)) == "Bearer token-2"


def test_without_a_token_nothing_is_sent():
    webhooks = Webhooks([200])
    assert isinstance(send(webhooks, source(Tokens(failure=DOWN))), Failure)
    assert not webhooks.sent


def test_a_secret_lost_during_a_run_charges_nobody():
    webhooks = Webhooks([200])
    result = send(webhooks, TokenSource(Tokens(), secrets_for()))
    assert isinstance(result, Failure)
    assert (result.error_kind, result.attribution) == (ErrorKind.INTERNAL, Attribution.OURS)
    assert not webhooks.sent


def test_headers_are_made_anew_for_each_request():
    made: list[int] = []

    def headers() -> Mapping[str, str]:
        made.append(1)
        return {"webhook-timestamp": str(len(made))}

    post_authorized(
        Webhooks([401, 200]),
        source(Tokens()),
        ENDPOINT,
        body=b"{}",
        headers=headers,
        deadline_seconds=20,
    )
    assert len(made) == 2


def test_no_repr_shows_a_token_or_a_secret():
    tokens = source(Tokens())
    shown = (
        f"{tokens.authorization(ENDPOINT)!r} {vars(tokens)!r} {AnswerWithBody(200, b'canary')!r}"
    )
    shown += "".join(repr(vars(slot)) for slot in tokens._slots.values())
    assert "token-1" not in shown
    assert "canary" not in shown
    assert CLIENT_SECRET not in shown
