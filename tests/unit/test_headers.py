"""A request's headers have the time of the warehouse's clock, wherever the process runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sync.http.headers import request_headers
from sync.http.signing import parse_key
from sync.local.verification import Verified, verify
from sync.operations.operation import as_timestamp

pytestmark = pytest.mark.usefixtures("local_zone")

KEY = parse_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


def test_the_process_lives_in_another_zone(local_zone: str):
    """Otherwise the other tests of such a module prove nothing."""
    offset = datetime(2026, 1, 1, tzinfo=UTC).astimezone().utcoffset()
    assert (
        offset
        == {
            "UTC": timedelta(0),
            "America/St_Johns": -timedelta(hours=3, minutes=30),
            "Asia/Kathmandu": timedelta(hours=5, minutes=45),
        }[local_zone]
    )


@pytest.mark.parametrize(
    ("naive", "stamp"),
    [
        (datetime(2014, 4, 26, 1, 12, 10), 1_398_474_730),
        # Hours that do not exist in St. John's, or exist twice.
        (datetime(2026, 3, 8, 2, 30), 1_772_937_000),
        (datetime(2026, 3, 8, 5, 45), 1_772_948_700),
        (datetime(2026, 11, 1, 1, 30), 1_793_496_600),
        (datetime(2026, 11, 1, 4, 15), 1_793_506_500),
    ],
)
def test_the_time_that_is_signed_is_unix_time_of_a_clock_in_utc(naive: datetime, stamp: int):
    headers = request_headers(webhook_id="msg_1", body=b"{}", keys=[KEY], clock=lambda: naive)
    assert headers["webhook-timestamp"] == str(stamp)
    assert isinstance(verify(headers, b"{}", keys=[KEY], now=stamp), Verified)


@pytest.mark.parametrize(
    "text", ["2026-03-08T02:30:00", "2026-03-08T02:30:00Z", "2026-03-08T08:15:00+05:45"]
)
def test_a_time_that_an_operator_types_without_a_zone_is_utc(text: str):
    assert as_timestamp(text) == datetime(2026, 3, 8, 2, 30)
