"""The ``Retry-After`` header (RFC 9110, 10.2.3) in both its forms."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime

from sync.domain.facts import as_utc

# Ten digits already mean 300 years; longer values are invalid. Some servers send a fraction.
_SECONDS = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,10})?")
# HTTP's three date forms start with the name of a day; the parser alone accepts much more.
_DATE = re.compile(r"[A-Z][a-z]{2,8},? [A-Za-z0-9:,+ -]{10,40}")


def parse_retry_after(text: str, *, now: datetime) -> timedelta | None:
    """How long to wait, at least 0; None when the header is neither seconds nor a date.

    Seconds are rounded up. A date in the past means 0.
    """
    text = text.strip(" \t")
    if _SECONDS.fullmatch(text):
        return timedelta(seconds=math.ceil(Decimal(text)))
    if not _DATE.fullmatch(text):
        return None
    try:
        until = as_utc(parsedate_to_datetime(text))
    except (ValueError, OverflowError):
        return None
    return max(until - as_utc(now), timedelta(0))
