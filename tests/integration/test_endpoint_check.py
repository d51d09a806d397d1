"""Test events and endpoint checks against real sockets: one result each, and what to fix."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from sync.domain.destination import Stage
from sync.domain.responses import Attribution
from sync.domain.routing import Endpoint as Configured
from sync.http.addresses import AddressPolicy
from sync.http.destination import HttpDestination
from sync.http.resolver import ResolutionFailed
from sync.http.secrets import SecretStore
from sync.http.transport import Transport
from sync.http.urls import HostPort, Target
from sync.operations.endpoint_check import Check
from sync.operations.endpoint_check import check as check_endpoint
from sync.operations.endpoints import host_of
from sync.operations.samples import sample_body
from sync.operations.send_test import ID_PREFIX, Sample, send_sample
from tests.support.dead_hosts import closed_port
from tests.support.delivery import SECRET
from tests.support.hostile import Endpoint, answering, response
from tests.support.marts import ENDPOINT_COLUMNS
from tests.support.marts import endpoint as row
from tests.support.receiver import Receiver, receiver
from tests.support.sending import NAME, to_loopback
from tests.support.tls import Authority
from tests.support.token_server import TokenServer, token_server

KEY = {"LTW_SECRET_WEBHOOK_SIGNING_1": SECRET}
CLIENT_SECRET = "canary-client-secret"


def now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def configured(url: str, **changes: object) -> Configured:
    return Configured.from_row(dict.fromkeys(ENDPOINT_COLUMNS) | row(1, url, **changes))


def check(
    endpoint: Configured,
    *pairs: HostPort,
    secrets: dict[str, str] | None = None,
    ca_file: Path | None = None,
    resolver: object = to_loopback,
    ping: bool = True,
) -> Check:
    policy = AddressPolicy(development_targets=frozenset(pairs))
    store = SecretStore(KEY if secrets is None else secrets, None)
    with Transport(policy=policy, resolver=resolver, ca_file=ca_file) as transport:  # pyright: ignore[reportArgumentType]
        tools = HttpDestination(policy, store, transport, resolver)  # pyright: ignore[reportArgumentType]
        return check_endpoint(endpoint, tools, now, is_ping_sent=ping)


def failed(found: Check) -> tuple[Stage, str, str]:
    assert found.problem is not None
    return found.problem.stage, found.problem.what, found.problem.fix


@pytest.fixture
def target() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with token_server() as running:
        yield running


def local(target: Receiver) -> HostPort:
    host, port = target.host_port.split(":")
    return host, int(port)


@pytest.mark.parametrize("payload_format", ["v2", "percipio"])
def test_a_test_event_is_signed_and_marked_in_three_places(
    target: Receiver, payload_format: str
) -> None:
    endpoint = configured(f"{target.url}/hooks/x", payload_format=payload_format)
    found = check(endpoint, local(target))
    assert found.problem is None
    (got,) = target.received
    Webhook(SECRET).verify(got.body.decode(), got.headers)
    assert got.headers["webhook-test"] == "true"
    assert got.webhook_id.startswith(ID_PREFIX)
    body = json.loads(got.body)
    if payload_format == "v2":
        assert body["learner"]["user_id"] == 0
        assert body["enterprise_customer"]["name"] == "Test event"
    else:
        assert body["user"] == "00000000-0000-4000-8000-000000000000"


def test_what_nobody_has_documented_of_a_format_is_said(target: Receiver) -> None:
    settings = {"payload_format": "percipio", "duration_unit": "minutes"}
    found = check(configured(f"{target.url}/hooks/x", **settings), local(target))
    assert found.assumption is not None
    assert "duration_spent is sent in minutes" in found.assumption
    assert "--duration-unit" in found.assumption
    assert check(configured(f"{target.url}/hooks/x"), local(target)).assumption is None


def test_a_test_event_carries_learning_time_only_where_the_endpoint_wants_it() -> None:
    now = datetime(2026, 3, 10)
    wanted = sample_body(configured("https://x.example.com"), "1", at=now)
    unwanted = sample_body(
        configured("https://x.example.com", is_learning_time_enabled=False), "1", at=now
    )
    assert "learning_time" in json.loads(wanted)
    assert "learning_time" not in json.loads(unwanted)


def test_a_test_event_reports_status_duration_and_keys(target: Receiver) -> None:
    target.answers["/hooks"] = (422, {})
    policy = AddressPolicy(development_targets=frozenset([local(target)]))
    store = SecretStore(KEY, None)
    with Transport(policy=policy) as transport:
        sample: Sample = send_sample(
            configured(f"{target.url}/hooks/x"),
            HttpDestination(policy, store, transport),
            now,
        )
    said = sample.as_dict()
    assert (said["passed"], said["status"]) == (False, 422)
    assert said["excerpt"] == "no media type, 2 bytes"
    assert isinstance(said["duration_ms"], int)
    assert said["signing_key_ids"] == [store.signing_keys(1)[0].key_id]
    assert SECRET not in repr(sample)


def test_a_good_endpoint_passes_every_stage_that_applies(target: Receiver) -> None:
    found = check(configured(f"{target.url}/hooks/secret-token"), local(target))
    assert found.passed == [
        Stage.ADDRESS,
        Stage.DNS,
        Stage.SIGNING_KEY,
        Stage.CONNECT,
        Stage.PING,
    ]
    assert found.skipped.keys() == {Stage.AUTH, Stage.TLS}
    assert "secret-token" not in json.dumps(found.as_dict(), default=str)


def test_a_url_against_the_address_rules_is_not_even_resolved() -> None:
    def never(target: Target, seconds: float) -> list[str]:
        raise AssertionError("resolved")

    stage, what, fix = failed(check(configured("http://hooks.example.com/x"), resolver=never))
    assert (stage, "https://" in what, "webhook_url" in fix) == (Stage.ADDRESS, True, True)


def test_a_name_that_leads_inside_is_refused_without_saying_where(target: Receiver) -> None:
    def inside(name: Target, seconds: float) -> list[str]:
        return ["10.1.2.3"]

    stage, what, _ = failed(check(configured("https://hooks.example.com/x"), resolver=inside))
    assert stage is Stage.ADDRESS
    assert "10.1.2.3" not in what


@pytest.mark.parametrize(
    ("attribution", "fix"),
    [
        pytest.param(Attribution.RECEIVER, "correct the host in webhook_url", id="theirs"),
        pytest.param(Attribution.SENDER, "name servers of this machine", id="ours"),
    ],
)
def test_a_name_without_a_response_says_whose_fault_it_is(
    attribution: Attribution, fix: str
) -> None:
    def silent(target: Target, seconds: float) -> list[str]:
        raise ResolutionFailed("the host name does not exist", attribution)

    stage, what, said = failed(check(configured("https://hooks.example.com/x"), resolver=silent))
    assert (stage, what) == (Stage.DNS, "the host name does not exist")
    assert fix in said


def test_a_missing_key_is_named_by_its_setting(target: Receiver) -> None:
    found = check(configured(f"{target.url}/hooks/x"), local(target), secrets={})
    stage, what, _ = failed(found)
    assert stage is Stage.SIGNING_KEY
    assert "LTW_SECRET_WEBHOOK_SIGNING_1" in what
    assert target.received == [], "nothing is sent unsigned"


def test_oauth_is_tried_with_the_token_endpoint(target: Receiver, tokens: TokenServer) -> None:
    endpoint = configured(f"{target.url}/hooks/x", token_url=tokens.url, oauth_client_id="client-a")
    pairs = (local(target), ("127.0.0.1", tokens.port))
    keys = KEY | {"LTW_SECRET_OAUTH_CLIENT_1": CLIENT_SECRET}
    good = check(endpoint, *pairs, secrets=keys)
    assert Stage.AUTH in good.passed
    assert target.received[0].headers["authorization"] == "Bearer token-1"
    assert tokens.asked == 1, "the ping uses the token that was fetched"
    tokens.answer = response("401 Unauthorized", b'{"error":"invalid_client"}')
    stage, what, fix = failed(check(endpoint, *pairs, secrets=keys))
    assert (stage, what) == (Stage.AUTH, "token endpoint: status 401 (invalid_client)")
    assert "client_id" in fix
    stage, what, _ = failed(check(endpoint, *pairs))
    assert stage is Stage.AUTH
    assert "LTW_SECRET_OAUTH_CLIENT_1" in what


@pytest.mark.parametrize(
    ("status", "what", "fix"),
    [
        pytest.param(404, "responds with 404", "path", id="wrong path"),
        pytest.param(302, "redirects are never followed", "points to", id="redirect"),
        pytest.param(401, "responds with 401", "signing key", id="refused"),
        pytest.param(500, "responds with 500", "check its log", id="broken"),
    ],
)
def test_a_response_that_is_no_2xx_fails_the_ping(
    target: Receiver, status: int, what: str, fix: str
) -> None:
    target.answers["/hooks"] = (status, {"Location": "http://10.0.0.1/"})
    stage, said, advice = failed(check(configured(f"{target.url}/hooks/x"), local(target)))
    assert stage is Stage.PING
    assert what in said
    assert fix in advice


def test_a_closed_port_fails_the_connection() -> None:
    with closed_port("127.0.0.1") as port:
        found = check(configured(f"http://127.0.0.1:{port}/x"), ("127.0.0.1", port))
    stage, what, _ = failed(found)
    assert stage is Stage.CONNECT
    assert "refused" in what


def test_tls_is_reported_apart(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    for names, expected in (((NAME,), None), (("other.example.com",), Stage.TLS)):
        context = authority.server_context(*names)
        with Endpoint(answering(response("200 OK")), tls=context) as server:
            found = check(
                configured(server.url(NAME)), (NAME, server.port), ca_file=authority.ca_file
            )
        if expected is None:
            assert found.problem is None
            assert Stage.TLS in found.passed
        else:
            stage, _, fix = failed(found)
            assert stage is expected
            assert "certificate" in fix
            assert Stage.CONNECT in found.passed


def test_a_ping_that_is_not_wanted_is_not_sent(target: Receiver) -> None:
    found = check(configured(f"{target.url}/hooks/x"), local(target), ping=False)
    assert found.problem is None
    assert target.received == []
    assert found.skipped.keys() >= {Stage.TLS, Stage.PING}


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://hooks.example.com/token-in-path", "hooks.example.com"),
        ("https://user:password@hooks.example.com/x", "hooks.example.com"),
        ("nonsense", "nonsense"),
        ("https:///x", "?"),
        ("http://hooks.example.com?token=t0ken", "hooks.example.com"),
        ("ftp://user:t0k@en@hooks.example.com#t0ken", "hooks.example.com"),
        ("https://hooks.example.com:443000?t0ken", "hooks.example.com"),
        ("https://hooks.example.com\\t0ken", "?"),
        ("https://hooks example.com;t0ken/x", "?"),
    ],
)
def test_only_the_host_of_a_url_is_shown(url: str, host: str) -> None:
    assert host_of(url) == host
