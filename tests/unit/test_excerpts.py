"""Only facts about a response's body are kept, so personal data in any encoding is excluded."""

from __future__ import annotations

import base64
import gc
import html
import json
import quopri
import re
import sys
from collections.abc import Callable
from itertools import product
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.http.excerpts import EXAMINED_BYTES, MEDIA_TYPES, VOCABULARY, excerpt

KEPT = re.compile(
    r"(?P<type>[a-z/+. -]+), \d+ bytes(?: or more)?(?:, encoded)?(?:: (?P<words>.*))?"
)
OTHER_TYPES = {"no media type", "other media type"}


def words_of(kept: str) -> list[str]:
    """The words of an excerpt, which contains only words from a list."""
    if kept == "no body":
        return []
    parts = KEPT.fullmatch(kept)
    assert parts is not None, kept
    assert parts["type"] in MEDIA_TYPES | OTHER_TYPES
    words = (parts["words"] or "").split(" ") if parts["words"] else []
    assert set(words) <= VOCABULARY | {"..."}
    assert len(kept) <= 1000
    return words


@pytest.mark.parametrize(
    ("media_type", "body", "kept"),
    [
        ("", "", "no body"),
        (
            "application/json; charset=utf-8",
            '{"error":"Invalid signature: token has expired"}',
            "application/json, 48 bytes: error invalid signature token has expired",
        ),
        (
            "TEXT/HTML",
            "<html><h1>403 Forbidden</h1>You don't have permission to see this.</html>",
            "text/html, 73 bytes: html ... forbidden ... permission ... html",
        ),
        (
            "application/problem+json",
            '{"code":"RATE_LIMIT_EXCEEDED","detail":"Too many requests,\\ntry again later"}',
            "application/problem+json, 77 bytes: rate limit exceeded ... "
            "too many requests try again later",
        ),
        (
            "text/plain",
            "com.example.InvalidSignatureException: HTTPTimeout, learner 90417 not found",
            "text/plain, 75 bytes: invalid signature exception http timeout learner ... not found",
        ),
        ("text/plain", "Unauthorized", "text/plain, 12 bytes: unauthorized"),
        # Typical messages of gateways and services.
        (
            "application/json",
            '{"statusCode":401,"message":"Access denied due to missing subscription key."}',
            "application/json, 77 bytes: status ... message access denied ... "
            "missing subscription key",
        ),
        ("text/plain", "action_prohibited", "text/plain, 17 bytes: prohibited"),
        ("text/plain", "channel_is_archived", "text/plain, 19 bytes: channel ... archived"),
        (
            "text/plain",
            "IP address not whitelisted",
            "text/plain, 26 bytes: address not whitelisted",
        ),
        (
            "application/json",
            '{"error":{"message":{"value":"Mandatory parameter duration_spent missing"}}}',
            "application/json, 76 bytes: error message value mandatory parameter duration ... "
            "missing",
        ),
        (
            "application/json",
            '{"code":"INVALID_ORG","message":"Organization not found"}',
            "application/json, 57 bytes: invalid ... message organization not found",
        ),
        ("image/jane.oneil@example.com", "x", "other media type, 1 bytes"),
        ("", "upstream request timeout", "no media type, 24 bytes: upstream request timeout"),
    ],
)
def test_an_operator_can_tell_why_a_receiver_refused(media_type: str, body: str, kept: str):
    assert excerpt(body.encode(), media_type=media_type) == kept
    words_of(kept)


def test_a_compressed_body_is_not_looked_into_and_a_cut_one_says_so():
    assert excerpt(b"error", media_type="", is_encoded=True) == "no media type, 5 bytes, encoded"
    assert excerpt(b"error", media_type="", is_cut=True) == "no media type, 5 bytes or more: error"


def _utf_16(text: str) -> bytes:
    return text.encode("utf-16")


def _escaped(text: str) -> bytes:
    return "".join(f"\\u{ord(one):04x}" for one in text).encode()


def _entities(text: str) -> bytes:
    return "".join(f"&#{ord(one)};" for one in text).encode()


ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "upper case": lambda text: text.upper().encode(),
    "percent": lambda text: quote(text, safe="").encode(),
    "percent twice": lambda text: quote(quote_plus(text)).encode(),
    "every byte as percent": lambda text: "".join(f"%{one:02x}" for one in text.encode()).encode(),
    "html": lambda text: html.escape(text).replace("+", "&#43;").replace("@", "&#64;").encode(),
    "every character as entity": _entities,
    "json": lambda text: json.dumps(text).encode(),
    "every character as escape": _escaped,
    "base64": lambda text: base64.b64encode(text.encode()),
    "base32": lambda text: base64.b32encode(text.encode()),
    "hexadecimal": lambda text: text.encode().hex().encode(),
    "quoted printable": lambda text: quopri.encodestring(text.replace("@", "=40").encode()),
    "utf-16": _utf_16,
    "utf-32": lambda text: text.encode("utf-32"),
    "utf-7": lambda text: text.encode("utf-7"),
    "reversed": lambda text: text[::-1].encode(),
    "spaced": lambda text: " ".join(text).encode(),
}
PERSONS = (
    "jane.oneil+x@example.com",
    "Jane O'Neil",
    "JaneOneil",
    "zoë_90417",
    "+1 202 555 0147",
    "jane-oneil",
    "90417",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
)
SENTENCES = ("", "invalid user ", '{"error":"', "<p>unknown learner: ", "\n")
CUT_SHORT = b"KzEgMjAyID"
"""Base64 of the start of the phone number; the letters at its end mean nothing."""


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS.keys())
def test_no_encoding_of_a_person_is_kept_wherever_it_stands_or_is_cut(
    encode: Callable[[str], bytes],
):
    for person, before in product(PERSONS, SENTENCES):
        encoded = encode(person)
        whole = before.encode() + encoded
        for cut in range(min(12, len(encoded)) + 1):
            # Truncated by the receiver, and by the limit of what is examined.
            cut_by_us = b"-" * (EXAMINED_BYTES + cut - len(whole)) + whole
            for body in (whole[: len(whole) - cut], cut_by_us):
                words = set(words_of(excerpt(body, media_type="text/plain"))) - {"..."}
                if body[:EXAMINED_BYTES].endswith(CUT_SHORT):
                    words -= {"id"}
                # "use" is what can remain of "user" at the end of the examined bytes.
                assert words <= {"invalid", "user", "use", "error", "unknown", "learner"}, body


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode), st.text(max_size=40))
def test_nothing_but_the_lists_is_kept_of_any_body_and_any_media_type(body: bytes, media_type: str):
    words_of(excerpt(body, media_type=media_type))


# Names of people that are also words in software messages.
NAMES = set(
    re.findall(
        "[a-z]+",
        """
        abel april art august ban banks baron bill bond book brand brown case cash chance
        chase chip church clay cook copy cross day dean do drew duke early earnest fair faith
        fields field fine frank gate gates grant grace green guy hall hand hash heap hill hope
        house ip jack jan joy june king lane lee link long lord love mai major mark may max
        mills min moody moon noble page park parks patch penny pool pope post price ray rich
        rob robin rose rush sage short sky small snow son stone strong sun sunny swift tag
        temple thread trace true van ware watts way wells west will win wise wood woods work
        young
        """,
    )
)


def test_the_vocabulary_holds_no_name_of_a_person_and_nothing_but_letters():
    assert set() == VOCABULARY & NAMES
    assert all(re.fullmatch(r"[a-z]{2,16}", word) for word in VOCABULARY)


def calls_for(body: bytes) -> int:
    """The number of function calls to make the excerpt, including functions written in C."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    # A collection that falls due in between runs callbacks, which would be counted too.
    gc.disable()
    sys.setprofile(count)
    try:
        excerpt(body, media_type="text/plain")
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls


@pytest.mark.parametrize(
    "pattern", [b"a", b"a ", b"aB", b"error a ", b"user@", b"\\n", b"\x00", b"\xff", b"1a "]
)
def test_the_work_for_one_body_is_bounded_whatever_it_holds(pattern: bytes):
    """64 KiB of ``a`` once cost 50 ms, in which no other webhook was sent."""
    start = (pattern * 4096)[:4096]
    assert calls_for(start + pattern * 60_000) == calls_for(start) < 3 * 4096
    kept = excerpt(start + b" refused" * 1000, media_type="text/plain")
    assert "refused" not in kept


def test_an_excerpt_fits_its_column_whatever_it_is_made_of():
    longest = sorted(VOCABULARY, key=len)[-60:]
    body = " x ".join(longest).encode()
    assert len(words_of(excerpt(body, media_type="application/x-www-form-urlencoded"))) == 79
