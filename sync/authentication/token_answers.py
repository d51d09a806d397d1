"""Read the answer of a token endpoint. Nothing of it goes into a text but words known here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sync.http.results import AnswerWithBody, Attribution, ErrorKind, Failure, Reached

MAX_EXPIRES_IN = 10**10
"""Three centuries; beyond lie infinity and numbers that no clock can be added to."""

# Codes of RFC 6749, section 5.2.
_KNOWN_ERRORS = frozenset(
    {
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)
# What a header can carry, and no more than a receiver will take.
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")


@dataclass(frozen=True)
class Grant:
    """A token and how long the server says it lives, in seconds; that may be 0 or less."""

    access_token: str = field(repr=False)
    expires_in: float


def read_grant(answer: AnswerWithBody) -> Grant | Failure:
    """The grant, or what is wrong with the answer; that is always the token endpoint's fault."""
    document = _parse(answer.body)
    if not 200 <= answer.status <= 299:
        code = None if document is None else document.get("error")
        known = f" ({code})" if isinstance(code, str) and code in _KNOWN_ERRORS else ""
        kind = ErrorKind.REDIRECT if 300 <= answer.status <= 399 else ErrorKind.HTTP
        return _failure(f"status {answer.status}{known}", kind)
    if document is None:
        return _failure("the answer is no whole JSON object")
    token, seconds = document.get("access_token"), document.get("expires_in")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        return _failure("the answer has no usable access_token")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return _failure("the answer has no numeric expires_in")
    if not -MAX_EXPIRES_IN <= seconds <= MAX_EXPIRES_IN:
        return _failure("expires_in is out of range")
    return Grant(token, seconds)


def _parse(body: bytes) -> Mapping[str, object] | None:
    """The JSON object; None when the body is not one, or was cut."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _failure(problem: str, kind: ErrorKind = ErrorKind.HTTP) -> Failure:
    return Failure(kind, Attribution.THEIRS, f"token endpoint: {problem}", reached=Reached.HOST)
