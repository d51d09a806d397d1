"""What counts as a token, and what a refusal may report."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.responses import Attribution, ErrorKind, Failure, Reached, ResponseWithBody
from sync.http.oauth import Grant, read_grant


def read(content: object, status: int = 200) -> Grant | Failure:
    return read_grant(ResponseWithBody(status, json.dumps(content).encode()))


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (36_000, 36_000),
        (3600.0, 3600),
        (59.5, 59.5),
        ("3600", 3600),
        (" 3600 ", 3600),
        ("3600.0", 3600),
        ("3600.", 3600),
        (0, 0),
        ("0", 0),
        (-1, 0),
        ("-1", 0),
        (float("-inf"), 0),
        (3_600_000, 86_400),
        (1_767_225_600, 86_400),
        (10**400, 86_400),
        (float("inf"), 86_400),
        ("9" * 20, 86_400),
        (None, 300),
        (float("nan"), 300),
        (True, 300),
        ("", 300),
        ("soon", 300),
        ("1 hour", 300),
        ("PT1H", 300),
        ("nan", 300),
        ("1_000", 300),
        ("9" * 5000, 300),
        ([3600], 300),
        ({"seconds": 3600}, 300),
    ],
)
def test_a_token_lives_as_long_as_is_said_and_five_minutes_when_nothing_usable_is(
    expires_in: object, seconds: float
):
    """RFC 6749, section 5.1, only recommends ``expires_in``."""
    assert read({"access_token": "abc", "expires_in": expires_in}) == Grant("abc", seconds)


def test_a_token_without_a_word_on_its_life_is_kept_for_five_minutes():
    assert read({"access_token": "abc"}) == Grant("abc", 300)


def test_a_number_of_thousands_of_digits_spoils_nothing():
    body = b'{"access_token":"abc","expires_in":' + b"9" * 5_000 + b"}"
    assert read_grant(ResponseWithBody(200, body)) == Grant("abc", 86_400)


@pytest.mark.parametrize(
    "more",
    [
        {"token_type": "bearer"},
        {"token_type": "Bearer"},
        {"token_type": "BEARER"},
        {"token_type": None},
        {"token_type": 1},
        {"token_type": "JWT"},
        {"scope": "api read"},
        {"scope": None},
        {"scope": ["api"]},
        {"refresh_token": "canary", "id_token": None, "x": {"access_token": "other"}},
        {"error": None},
        {"error": "invalid_client"},
    ],
)
@pytest.mark.parametrize("status", [200, 201])
def test_whatever_else_stands_beside_a_token_is_no_obstacle(more: object, status: int):
    assert isinstance(more, dict)
    content = {"access_token": "abc", "expires_in": 3600} | more
    assert read(content, status) == Grant("abc", 3600)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_no_obstacle(encoding: str):
    body = json.dumps({"access_token": "abc"}).encode(encoding)
    assert read_grant(ResponseWithBody(200, body)) == Grant("abc", 300)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param({"expires_in": 1}, "access_token", id="no token"),
        pytest.param({"access_token": ""}, "access_token", id="empty token"),
        pytest.param({"access_token": " "}, "access_token", id="blank token"),
        pytest.param({"access_token": None}, "access_token", id="token is null"),
        pytest.param({"access_token": 5}, "access_token", id="token is a number"),
        pytest.param({"access_token": ["abc"]}, "access_token", id="token is a list"),
        pytest.param({"access_token": "a\r\nX: y"}, "access_token", id="a header"),
        pytest.param({"access_token": "abc\n"}, "access_token", id="a line break"),
        pytest.param({"access_token": "a b"}, "access_token", id="a blank within"),
        pytest.param({"access_token": "\x00"}, "access_token", id="a control character"),
        pytest.param({"access_token": "ä"}, "access_token", id="not ASCII"),
        pytest.param({"access_token": "a" * 8_193}, "access_token", id="too long"),
        pytest.param({"error": "invalid_client"}, "(invalid_client)", id="an error with a 200"),
        pytest.param(["abc"], "JSON", id="a list"),
        pytest.param(None, "JSON", id="null"),
    ],
)
def test_a_response_without_a_usable_token_is_the_token_endpoints_failure(
    content: object, text: str
):
    result = read(content)
    assert isinstance(result, Failure)
    assert (result.error_kind, result.attribution) == (ErrorKind.HTTP, Attribution.RECEIVER)
    assert text in result.detail


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>", id="a page"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"[" * 60_000, id="too deep"),
        pytest.param(b'{"access_token":"abc","expires_in":3600,"x":"', id="cut"),
    ],
)
def test_a_body_that_is_no_whole_json_object_is_refused(body: bytes):
    result = read_grant(ResponseWithBody(200, body))
    assert isinstance(result, Failure)
    assert "not a complete JSON object" in result.detail


@pytest.mark.parametrize(
    ("status", "kind"), [(302, ErrorKind.REDIRECT), (400, ErrorKind.HTTP), (500, ErrorKind.HTTP)]
)
def test_a_status_that_is_no_success_is_named(status: int, kind: ErrorKind):
    result = read({"access_token": "abc", "expires_in": 3600}, status)
    assert isinstance(result, Failure)
    assert result.error_kind is kind
    assert result.reached is Reached.HOST
    assert str(status) in result.detail


# RFC 6749, sections 5.2 and 4.1.2.1.
CODES = [
    "access_denied",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
]


@pytest.mark.parametrize(
    ("code", "quoted"), [*((code, f" ({code})") for code in CODES), ("canary", "")]
)
def test_a_refusal_quotes_only_known_words(code: str, quoted: str):
    result = read({"error": code}, 401)
    assert isinstance(result, Failure)
    assert result.detail == f"token endpoint: status 401{quoted}"


def test_a_token_may_be_as_long_as_a_header_may():
    assert read({"access_token": "a" * 8_192}) == Grant("a" * 8_192, 300)


@given(st.binary(max_size=200), st.integers(100, 599))
def test_no_body_breaks_the_reader(body: bytes, status: int):
    assert isinstance(read_grant(ResponseWithBody(status, body)), Failure)
