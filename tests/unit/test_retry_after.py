"""The Retry-After header in both forms, and everything that is neither."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.retry_after import parse_retry_after

pytestmark = pytest.mark.usefixtures("local_zone")

NOW = datetime(1994, 11, 6, 8, 49, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 120\t", 120),
        ("0.2", 1),
        ("1.0", 1),
        ("1.000001", 2),
        ("9999999999", 9_999_999_999),
    ],
)
def test_seconds_are_read_and_rounded_up(text: str, seconds: int):
    assert parse_retry_after(text, now=NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 10:49:37 +0200",
    ],
)
def test_the_three_date_forms_of_http_are_read(text: str):
    assert parse_retry_after(text, now=NOW) == timedelta(seconds=37)
    assert parse_retry_after(text, now=NOW.replace(tzinfo=None)) == timedelta(seconds=37)


def test_a_date_that_has_passed_means_now():
    past = "Sun, 06 Nov 1994 08:48:00 GMT"
    assert parse_retry_after(past, now=NOW) == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1e3",
        "NaN",
        "inf",
        "1_000",
        "0x10",
        "1,5",
        "12345678901",
        "١٢٠",
        "soon",
        "Sun, 99 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 +9999",
        "1994-11-06T08:49:37Z",
    ],
)
def test_anything_else_is_no_hint(text: str):
    assert parse_retry_after(text, now=NOW) is None


@given(st.one_of(st.text(), st.from_regex(r"[A-Z][a-z]{2}, [0-9A-Za-z:+ -]{10,40}")))
def test_no_text_raises_or_gives_a_negative_wait(text: str):
    wait = parse_retry_after(text, now=NOW)
    assert wait is None or wait >= timedelta(0)
