"""Read the answer of a token endpoint. Nothing of it goes into a text but words known here."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sync.domain.responses import Attribution, ErrorKind, Failure, Reached, ResponseWithBody

DEFAULT_LIFE_SECONDS = 300.0
"""Of a token whose server does not say: RFC 6749, section 5.1, only recommends ``expires_in``.
Short, since a new token costs one request; a shorter life yet shows in a 401, which fetches one."""
LONGEST_LIFE_SECONDS = 86_400.0
"""What lies beyond is milliseconds, a date or a mistake, and a day is long enough for any token."""

# Codes of RFC 6749, section 5.2.
_KNOWN_ERRORS = frozenset(
    {
        "access_denied",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)
# What a header can carry, and no more than a receiver will take.
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(?:\.[0-9]{0,20})?")


@dataclass(frozen=True)
class Grant:
    """A token and how many seconds it lives: 0 to ``LONGEST_LIFE_SECONDS``; 0 is for one use."""

    access_token: str = field(repr=False)
    expires_in: float


def read_grant(answer: ResponseWithBody) -> Grant | Failure:
    """The grant, or what is wrong with the answer; that is always the token endpoint's fault.

    A grant needs a usable ``access_token`` and nothing else. It is used as a bearer token whatever
    ``token_type`` says, and an ``expires_in`` that is no number is as good as none.
    """
    document = _parse(answer.body)
    code = None if document is None else document.get("error")
    known = f" ({code})" if isinstance(code, str) and code in _KNOWN_ERRORS else ""
    if not 200 <= answer.status <= 299:
        kind = ErrorKind.REDIRECT if 300 <= answer.status <= 399 else ErrorKind.HTTP
        return _failure(f"status {answer.status}{known}", kind)
    if document is None:
        return _failure("the answer is no whole JSON object")
    token = document.get("access_token")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        return _failure(f"the answer has no usable access_token{known}")
    return Grant(token, _life(document.get("expires_in")))


def _life(expires_in: object) -> float:
    """Seconds, from a number or a number as text."""
    if isinstance(expires_in, str) and _NUMBER.fullmatch(expires_in.strip()):
        expires_in = float(expires_in)
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float):
        return DEFAULT_LIFE_SECONDS
    if math.isnan(expires_in):
        return DEFAULT_LIFE_SECONDS
    return float(min(max(expires_in, 0), LONGEST_LIFE_SECONDS))


def _whole(text: str) -> float:
    # int() refuses thousands of digits, and with them the whole document.
    return int(text) if len(text) <= 20 else float(text)


def _parse(body: bytes) -> Mapping[str, object] | None:
    """The JSON object; None when the body is not one, or was cut."""
    try:
        document = json.loads(body, parse_int=_whole)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _failure(problem: str, kind: ErrorKind = ErrorKind.HTTP) -> Failure:
    return Failure(kind, Attribution.RECEIVER, f"token endpoint: {problem}", reached=Reached.HOST)
