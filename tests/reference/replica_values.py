"""An independent reader of single values of replicas, by Python's own parsers.

Each function returns the value, or None if the text is ambiguous or meaningless.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

TRUE = {"true", "t", "yes", "y", "on"}
FALSE = {"false", "f", "no", "n", "off"}
NUMBER = re.compile(r"[+-]?\d+([.]\d*)?(e[+-]?\d+)?", re.ASCII)
"""Python also reads ``_1``, ``.0`` and ``snan``."""
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
UNITS = (1, 1_000, 1_000_000, 1_000_000_000)


def boolean(text: str) -> bool | None:
    """One bit as a word, a number, or a character."""
    word = text.strip(" ").lower()
    if word in TRUE | FALSE:
        return word in TRUE
    if text in ("\x00", "\x01"):
        return text == "\x01"
    number = Decimal(word) if NUMBER.fullmatch(word) else None
    return bool(number) if number in (Decimal(0), Decimal(1)) else None


def integer(text: str) -> int | None:
    """A whole number; a fractional part of zeros is allowed."""
    try:
        number = Decimal(text.strip(" "))
    except InvalidOperation:
        return None
    return int(number) if number.is_finite() and number == number.to_integral_value() else None


def timestamp(text: str) -> datetime | None:
    """UTC without a zone, at microseconds; None outside 2000 to 2099."""
    word = text.strip(" ")
    number = _number(word)
    found = _from_unix(number) if number is not None else _from_iso(word)
    if found is None or not EARLIEST <= found < LATEST:
        return None
    return found.replace(tzinfo=None)


def _number(word: str) -> Decimal | None:
    try:
        number = Decimal(word)
    except InvalidOperation:
        return None
    return number if number.is_finite() and math.log10(abs(number) + 1) > 8 else None


def _from_unix(number: Decimal) -> datetime | None:
    """Rounded to microseconds; nanoseconds are cut off, as in ISO 8601."""
    for unit in UNITS:
        exact = number * 1_000_000 / unit
        if 946_684_800_000_000 <= exact < 4_102_444_800_000_000:
            is_cut = unit == UNITS[-1]
            microseconds = int(exact if is_cut else exact.to_integral_value(ROUND_HALF_UP))
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    return None


def _from_iso(word: str) -> datetime | None:
    upper = word.upper().replace(",", ".")
    for zone in ("UTC", "GMT"):
        if upper.endswith(zone):
            upper = upper[: -len(zone)].rstrip() + "Z"
    head, space, offset = upper.rpartition(" ")
    if space and offset[:1] in ("+", "-", "Z"):
        upper = head.rstrip() + offset
    if ":" not in upper[:16]:
        return None
    try:
        parsed = datetime.fromisoformat(upper)
    except ValueError:
        return None
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
