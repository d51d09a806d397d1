"""A webhook with its token: what follows a 401, and what is sent without a token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from sync.domain.responses import Attribution, ErrorKind, Failure, Reached, Response
from sync.http.authorization import Authorization, Authorizer, post_authorized
from sync.http.oauth import TokenSource
from tests.support.hand_clock import HandClock
from tests.support.oauth_endpoints import oauth_endpoint, secrets_for
from tests.support.tokens import DOWN, ENDPOINT, Tokens, authorizer


@dataclass
class Webhooks:
    """Responds to webhooks with these statuses in turn, each after some seconds of the clock."""

    statuses: list[int]
    clock: HandClock = field(default_factory=HandClock)
    seconds: float = 0.0
    sent: list[tuple[str | None, float]] = field(default_factory=list)

    def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> Response | Failure:
        self.sent.append((headers.get("Authorization"), deadline_seconds))
        self.clock.now += self.seconds
        return Response(self.statuses[len(self.sent) - 1], None, "")


def send(webhooks: Webhooks, credentials: Authorizer, endpoint=ENDPOINT) -> Response | Failure:
    return post_authorized(
        webhooks,
        credentials,
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
def test_only_a_401_brings_one_new_token_and_one_more_try(statuses: list[int], sent: list[str]):
    webhooks = Webhooks(statuses)
    result = send(webhooks, authorizer(Tokens()))
    assert isinstance(result, Response)
    assert result.status == statuses[-1]
    assert [value for value, _ in webhooks.sent] == [f"Bearer {one}" for one in sent]


def test_a_401_to_an_endpoint_without_tokens_is_a_response_like_others():
    webhooks = Webhooks([401])
    result = send(webhooks, authorizer(Tokens()), oauth_endpoint(client_id=None))
    assert isinstance(result, Response)
    assert webhooks.sent == [(None, 20)]


def test_the_second_try_has_what_the_first_left_of_the_deadline():
    webhooks = Webhooks([401, 200], seconds=8)
    send(webhooks, authorizer(Tokens()))
    assert [deadline for _, deadline in webhooks.sent] == [20, 12]


def test_a_401_at_the_end_of_the_deadline_leaves_the_new_token_to_the_next_attempt():
    webhooks = Webhooks([401, 200], seconds=19.5)
    tokens = authorizer(Tokens())
    result = send(webhooks, tokens)
    assert isinstance(result, Response)
    assert result.status == 401
    found = tokens.authorization(ENDPOINT)
    assert isinstance(found, Authorization)
    assert found.headers == {"Authorization": "Bearer token-2"}


def test_without_a_token_nothing_is_sent():
    webhooks = Webhooks([200])
    assert isinstance(send(webhooks, authorizer(Tokens(failure=DOWN))), Failure)
    assert not webhooks.sent


def test_a_secret_lost_during_a_run_charges_nobody():
    webhooks = Webhooks([200])
    result = send(webhooks, Authorizer(TokenSource(Tokens(), secrets_for()), secrets_for()))
    assert isinstance(result, Failure)
    assert (result.error_kind, result.attribution) == (ErrorKind.INTERNAL, Attribution.SENDER)
    assert result.reached is Reached.NOT_CONFIGURED, "no attempt, so none is logged"
    assert not webhooks.sent


def test_headers_are_made_anew_for_each_request():
    made: list[int] = []

    def headers() -> Mapping[str, str]:
        made.append(1)
        return {"webhook-timestamp": str(len(made))}

    post_authorized(
        Webhooks([401, 200]),
        authorizer(Tokens()),
        ENDPOINT,
        body=b"{}",
        headers=headers,
        deadline_seconds=20,
    )
    assert len(made) == 2
