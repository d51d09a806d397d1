"""Excerpts of answers, fit to be stored: endpoints like to echo what they were sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

EXCERPT_LENGTH = 1_000
_PERSONAL_KEYS = frozenset({"username", "email", "user_id", "user"})
_EMAIL = re.compile(r"[^\s\"'<>(),;:@=]{1,128}@[^\s\"'<>(),;:@=]{1,255}")
_TOKEN = re.compile(r"(?i)\b(?:bearer|basic)\s+[^\s\"',]+|[A-Za-z0-9+/_.~-]{32,}=*")
_UNPRINTABLE = re.compile(r"[^\S ]+|[\x00-\x1f\x7f-\x9f]+")


def excerpt(answer: bytes, *, sent_body: bytes, sent_headers: Iterable[str]) -> str:
    """The start of an answer as text, at most ``EXCERPT_LENGTH`` characters, on one line.

    Masked: what identifies the learner in the body we sent, the values of our own headers, any
    mail address, and anything that looks like a token. Masking comes before cutting, so that no
    half of a secret survives at the border.
    """
    text = _UNPRINTABLE.sub(" ", answer.decode("utf-8", errors="replace"))
    ours = {*_personal_values(sent_body), *_parts(sent_headers)}
    # As written, and as JSON with escapes; the longest first, since one may hold another.
    lowered = text.lower()
    spellings = {value for value in ours if value.lower() in lowered}
    spellings |= {json.dumps(value)[1:-1] for value in ours if not value.isascii()}
    if spellings:
        choices = "|".join(re.escape(one) for one in sorted(spellings, key=len, reverse=True))
        text = re.sub(rf"(?i)(?<!\w)(?:{choices})(?!\w)", "[sent]", text)
    text = _EMAIL.sub("[email]", text)
    text = _TOKEN.sub("[token]", text)
    return text.strip()[:EXCERPT_LENGTH]


def _parts(headers: Iterable[str]) -> Iterator[str]:
    """Each value, and what follows its first word: the token behind ``Bearer``."""
    for value in headers:
        yield from (part for part in (value, *value.split()[1:]) if part)


def _personal_values(body: bytes) -> Iterator[str]:
    try:
        document = json.loads(body)
    except ValueError:
        return
    yield from _values_under(_PERSONAL_KEYS, document)


def _values_under(keys: frozenset[str], node: object) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _values_under(keys, item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in keys and isinstance(value, str | int) and value != "":
                yield str(value)
            else:
                yield from _values_under(keys, value)
