"""What counts as a token, and what a refusal may say."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.authentication.token_answers import Grant, read_grant
from sync.http.results import AnswerWithBody, Attribution, ErrorKind, Failure


def read(content: object, status: int = 200) -> Grant | Failure:
    return read_grant(AnswerWithBody(status, json.dumps(content).encode()))


@pytest.mark.parametrize("expires_in", [36_000, 0, -1, 59.5])
def test_a_token_with_a_numeric_life_is_granted(expires_in: float):
    assert read({"access_token": "abc", "expires_in": expires_in}) == Grant("abc", expires_in)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param({"expires_in": 1}, "access_token", id="no token"),
        pytest.param({"access_token": "", "expires_in": 1}, "access_token", id="empty token"),
        pytest.param({"access_token": 5, "expires_in": 1}, "access_token", id="token is a number"),
        pytest.param({"access_token": "a\r\nX: y", "expires_in": 1}, "access_token", id="a header"),
        pytest.param({"access_token": "ä", "expires_in": 1}, "access_token", id="not ASCII"),
        pytest.param({"access_token": "a" * 9000, "expires_in": 1}, "access_token", id="too long"),
        pytest.param({"access_token": "abc"}, "expires_in", id="no life"),
        pytest.param(
            {"access_token": "abc", "expires_in": "3600"}, "expires_in", id="life is text"
        ),
        pytest.param({"access_token": "abc", "expires_in": True}, "expires_in", id="life is true"),
        pytest.param({"access_token": "abc", "expires_in": None}, "expires_in", id="life is null"),
        pytest.param({"access_token": "abc", "expires_in": float("inf")}, "range", id="infinite"),
        pytest.param({"access_token": "abc", "expires_in": float("nan")}, "range", id="no number"),
        pytest.param({"access_token": "abc", "expires_in": 10**400}, "range", id="enormous"),
        pytest.param(["abc"], "JSON", id="a list"),
        pytest.param(None, "JSON", id="null"),
    ],
)
def test_anything_else_is_the_token_endpoints_failure(content: object, text: str):
    result = read(content)
    assert isinstance(result, Failure)
    assert (result.error_kind, result.attribution) == (ErrorKind.HTTP, Attribution.THEIRS)
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
    result = read_grant(AnswerWithBody(200, body))
    assert isinstance(result, Failure)
    assert "no whole JSON object" in result.detail


@pytest.mark.parametrize(
    ("status", "kind"), [(302, ErrorKind.REDIRECT), (400, ErrorKind.HTTP), (500, ErrorKind.HTTP)]
)
def test_a_status_that_is_no_success_is_named(status: int, kind: ErrorKind):
    result = read({"access_token": "abc", "expires_in": 3600}, status)
    assert isinstance(result, Failure)
    assert result.error_kind is kind
    assert str(status) in result.detail


def test_a_refusal_quotes_only_known_words():
    known, unknown = read({"error": "invalid_client"}, 401), read({"error": "canary"}, 401)
    assert isinstance(known, Failure)
    assert isinstance(unknown, Failure)
    assert known.detail == "token endpoint: status 401 (invalid_client)"
    assert unknown.detail == "token endpoint: status 401"


@given(st.binary(max_size=200), st.integers(100, 599))
def test_no_body_breaks_the_reader(body: bytes, status: int):
    assert isinstance(read_grant(AnswerWithBody(status, body)), Failure)
