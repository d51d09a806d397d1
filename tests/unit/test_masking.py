"""Excerpts of answers hold no personal data, no token and no half of one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.http.masking import EXCERPT_LENGTH, excerpt

SENT = json.dumps(
    {"learner": {"user_id": 90417, "username": "zoë_90417", "email": "learner@example.com"}}
).encode()


def masked(text: str, *headers: str, sent: bytes = SENT) -> str:
    return excerpt(text.encode(), sent_body=sent, sent_headers=headers)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user zoë_90417 unknown", "user [sent] unknown"),
        ('{"u":"zo\\u00eb_90417"}', '{"u":"[sent]"}'),
        ("id=90417;", "id=[sent];"),
        ("number 904170", "number 904170"),
        ("LEARNER@EXAMPLE.COM", "[sent]"),
        ("other.person@example.com said no", "[email] said no"),
        ("Authorization: Bearer abc", "Authorization: [token]"),
        ("k=" + "Zm9v" * 8, "k=[token]"),
        ("unknown course course-v1:X", "unknown course course-v1:X"),
        ("line\r\n\tbreak\x00", "line break"),
        ("", ""),
    ],
)
def test_what_identifies_is_masked_and_the_reason_stays(text: str, expected: str):
    assert masked(text) == expected


def test_ids_of_the_flat_body_are_masked():
    body = b'{"content_id":"course:ExampleX+DATA101","user":"u-77","orgid":"o-1"}'
    assert masked("u-77 is not in course:ExampleX+DATA101", sent=body) == (
        "[sent] is not in course:ExampleX+DATA101"
    )


def test_our_own_headers_are_masked():
    assert masked("got v1,short", "v1,short") == "got [sent]"
    assert masked("token abc is stale", "Bearer abc") == "token [sent] is stale"
    assert masked("token abcd is stale", "Bearer abc") == "token abcd is stale"


@pytest.mark.parametrize("sent", [b"", b"not json", b"[]", b"\xff"])
def test_a_body_that_is_no_object_is_no_obstacle(sent: bytes):
    assert masked("fine", sent=sent) == "fine"


def test_bytes_that_are_no_text_are_shown_as_such():
    assert excerpt(b"\xff\xfe ok", sent_body=b"", sent_headers=()) == "\ufffd\ufffd ok"


@given(st.integers(0, 1200))
def test_no_half_of_an_address_survives_at_the_border(padding: int):
    text = masked("x " * (padding // 2) + "someone.private@example.com " + "y " * 600)
    assert len(text) <= EXCERPT_LENGTH
    assert "private" not in text
    assert "someone" not in text
