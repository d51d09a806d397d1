"""Basic, a fixed header or nothing: the request's header, and how to change a credential."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sync.domain.endpoint import Endpoint
from sync.domain.responses import Failure, Reached, Response
from sync.http.authorization import Authorizer, post_authorized
from sync.http.oauth import Misconfigured, TokenSource
from sync.http.secrets import SecretStore
from tests.support.marts import endpoint as row
from tests.support.tokens import Tokens

URL = "https://hooks.example.com/in"


def an_endpoint(**settings: object) -> Endpoint:
    return Endpoint.from_row(row(7, URL, oauth_client_id=None, token_url=None) | settings)


def basic(credential: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(credential.encode()).decode()}"}


@dataclass
class Receiver:
    """Accepts requests with one of these headers, and responds to others with 401."""

    taken: Mapping[str, str]
    seen: list[Mapping[str, str]] = field(default_factory=list)

    def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> Response | Failure:
        self.seen.append(headers)
        return Response(200 if self.taken.items() <= headers.items() else 401, None, "")


@dataclass
class Sender:
    """Sends to an endpoint with the secrets of a folder."""

    folder: Path

    def __post_init__(self) -> None:
        store = SecretStore({}, self.folder)
        self.authorizer = Authorizer(TokenSource(Tokens(), store), store)

    def send(self, endpoint: Endpoint, receiver: Receiver) -> int:
        """The status of the attempt."""
        found = post_authorized(
            receiver,
            self.authorizer,
            endpoint,
            body=b"{}",
            headers=lambda: {"webhook-id": "1"},
            deadline_seconds=20,
        )
        assert isinstance(found, Response), found
        return found.status


@pytest.fixture
def sender(tmp_path: Path) -> Sender:
    return Sender(tmp_path)


@pytest.mark.parametrize(
    ("settings", "secret", "sent"),
    [
        ({"authentication": "basic"}, "webhook-basic-7", basic("lrs:pa:ss")),
        ({"authentication": "header"}, "webhook-header-7", {"X-API-Key": "lrs:pa:ss"}),
        (
            {"authentication": "header", "auth_header": "Authorization"},
            "webhook-header-7",
            {"Authorization": "lrs:pa:ss"},
        ),
    ],
)
def test_the_secret_goes_where_the_endpoint_wants_it(
    sender: Sender, settings: dict[str, str], secret: str, sent: dict[str, str]
):
    (sender.folder / secret).write_text("lrs:pa:ss\n")
    receiver = Receiver(sent)
    assert sender.send(an_endpoint(**settings), receiver) == 200
    assert receiver.seen == [{"webhook-id": "1"} | sent]


@pytest.mark.parametrize("scheme", ["auto", "none"])
def test_an_endpoint_without_credentials_gets_none(sender: Sender, scheme: str):
    receiver = Receiver({"never": "taken"})
    assert sender.send(an_endpoint(authentication=scheme), receiver) == 401
    assert receiver.seen == [{"webhook-id": "1"}]


def test_none_is_none_though_the_lms_still_has_a_client_id(sender: Sender):
    endpoint = an_endpoint(authentication="none", oauth_client_id="client-a")
    assert sender.authorizer.problem_of(endpoint) is None
    receiver = Receiver({})
    sender.send(endpoint, receiver)
    assert receiver.seen == [{"webhook-id": "1"}]


@pytest.mark.parametrize("scheme", ["basic", "header"])
def test_while_two_lines_are_live_neither_side_has_to_change_first(sender: Sender, scheme: str):
    endpoint = an_endpoint(authentication=scheme)
    secret = sender.folder / f"webhook-{scheme}-7"

    def taking(credential: str) -> Receiver:
        is_basic = scheme == "basic"
        return Receiver(basic(credential) if is_basic else {"X-API-Key": credential})

    secret.write_text("user:old")
    before = taking("user:old")
    assert sender.send(endpoint, before) == 200
    secret.write_text("user:new\nuser:old\n")
    assert [sender.send(endpoint, before) for _ in range(3)] == [200] * 3
    assert len(before.seen) == 1 + 2 + 1 + 1, "what was refused is not tried first again"
    after = taking("user:new")
    assert [sender.send(endpoint, after) for _ in range(3)] == [200] * 3
    assert len(after.seen) == 2 + 1 + 1
    secret.write_text("user:new")
    assert sender.send(endpoint, after) == 200


def test_a_credential_that_is_refused_and_has_no_other_costs_one_request(sender: Sender):
    (sender.folder / "webhook-basic-7").write_text("user:wrong")
    receiver = Receiver(basic("user:right"))
    assert sender.send(an_endpoint(authentication="basic"), receiver) == 401
    assert len(receiver.seen) == 1


@pytest.mark.parametrize(
    ("scheme", "content", "named"),
    [
        ("basic", None, "webhook-basic-7"),
        ("header", None, "webhook-header-7"),
        ("basic", "no colon", "user:password"),
        ("basic", "a:1\nb:2\nc:3", "3 lines, 2 at most"),
        ("header", "one\n\ntwo", "3 lines"),
        ("header", "one\n\n", "webhook-header-7"),
        ("header", "\u00fcber", "not ASCII"),
        ("header", "with\x00byte", "not ASCII"),
        ("oauth", None, "client_id is empty"),
    ],
)
def test_what_is_missing_or_unusable_is_held_and_named_and_never_shown(
    sender: Sender, scheme: str, content: str | None, named: str
):
    if content is not None:
        (sender.folder / f"webhook-{scheme}-7").write_text(content, encoding="utf-8")
    endpoint = an_endpoint(authentication=scheme)
    found = sender.authorizer.problem_of(endpoint)
    if content == "one\n\n":
        assert found is None, "editors add line breaks"
        return
    assert isinstance(found, Misconfigured)
    assert named in found.problem
    assert content is None or content not in found.problem
    receiver = Receiver({})
    result = post_authorized(
        receiver,
        sender.authorizer,
        endpoint,
        body=b"{}",
        headers=dict,
        deadline_seconds=20,
    )
    assert isinstance(result, Failure)
    assert (result.reached, receiver.seen) == (Reached.NOT_CONFIGURED, [])


def test_no_credential_shows_in_a_repr(sender: Sender):
    (sender.folder / "webhook-basic-7").write_text("user:canary")
    found = sender.authorizer.authorization(an_endpoint(authentication="basic"))
    assert "canary" not in repr(found)
    assert basic("user:canary")["Authorization"] not in repr(found)
