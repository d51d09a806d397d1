"""Reads tracking-log lines in plain Python, written from the definition, not from the SQL.

Nothing is shared with the models: the events are those of ``event_patterns``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from tests.reference.event_patterns import (
    LEARNING,
    LEARNING_PREFIXES,
    NEVER_LEARNING,
    NEVER_LEARNING_PREFIXES,
)
from tests.reference.learning_time import Event

TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)?", re.ASCII)
RUN = re.compile(
    r"(course|ccx)-v1:[^/+\s]+\+[^/+\s]+\+[^/?&#\s]+|[^/+:\s]+/[^/+\s]+/[^/?&#+\s]+", re.ASCII
)
ROBOT = re.compile(
    "bot|crawl|spider|slurp|facebookexternalhit|curl/|wget|python-requests|go-http|libwww"
    "|healthcheck|googlehc|kube-probe|pingdom|zgrab|masscan|nikto|sqlmap|nessus|qualys|nmap"
)
AUTHORING = re.compile(r"(https?://)?(studio|cms)\.", re.IGNORECASE)
FUTURE = timedelta(hours=1)
PAST = timedelta(days=30)


@dataclass(frozen=True)
class Pattern:
    """An event name, or a prefix of names."""

    is_prefix: bool
    text: str
    is_learning: bool

    def matches(self, name: str) -> bool:
        return name.startswith(self.text) if self.is_prefix else name == self.text


def read_line(line: str, loaded_at: datetime) -> Event | None:
    """The learning event of a line, or None for any other line.

    ``loaded_at`` is aware, UTC.
    """
    document = _document(line)
    context = document.get("context") if document else None
    if document is None or not isinstance(context, dict):
        return None
    if document.get("event_source") not in ("browser", "mobile", "server"):
        return None
    user_id, run = _user_id(context.get("user_id")), _run(context.get("course_id"))
    at, received = _moment(document.get("time")), _moment(context.get("received_at"))
    if user_id is None or run is None or at is None:
        return None
    if at > (received or loaded_at) + FUTURE:
        return None
    if document["event_source"] == "mobile" and received and at < received - PAST:
        return None
    names = [name for name in (document.get("name"), document.get("event_type")) if name]
    if not _is_learning(names):
        return None
    agent = (document.get("agent") or "").lower().replace("cubot", "")
    if ROBOT.search(agent):
        return None
    if any(AUTHORING.match(document.get(place) or "") for place in ("host", "page")):
        return None
    return Event(user_id, run, at, names[0], _text(document.get("event")))


def _document(line: str) -> dict[str, Any] | None:
    """The object at the end of the line; the prefix may contain braces."""
    line = line.replace("\0", "")
    for start in (line.find("{"), line.find('{"')):
        if start >= 0:
            try:
                found = json.loads(line[start:], strict=True)
            except ValueError:
                continue
            if isinstance(found, dict):
                return found
    return None


def _user_id(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value).strip()
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 10**18:
        return None
    return int(text)


def _run(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    text = value.strip()
    for code, character in (("%3A", ":"), ("%2B", "+"), ("%2F", "/")):
        text = text.replace(code, character).replace(code.lower(), character)
    return text if len(text) <= 255 and RUN.fullmatch(text) else None


def _moment(value: object) -> datetime | None:
    found = TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    day, clock, fraction, offset = found.groups()
    try:
        return datetime.fromisoformat(
            f"{day}T{clock}{(fraction or '.0')[:7].ljust(7, '0')}"
            f"{'+00:00' if offset in (None, 'Z') else offset}"
        ).astimezone(UTC)
    except ValueError:
        return None


def _is_learning(names: Sequence[str]) -> bool:
    """One of the names is included and none is excluded; an exact pattern overrides a prefix."""
    verdicts = [_verdict(name) for name in names]
    return True in verdicts and False not in verdicts


@cache
def _verdict(name: str) -> bool | None:
    for is_prefix in (False, True):
        for pattern in _patterns():
            if pattern.is_prefix == is_prefix and pattern.matches(name):
                return pattern.is_learning
    return None


@cache
def _patterns() -> Sequence[Pattern]:
    return [
        Pattern(is_prefix, text, is_learning)
        for is_prefix, is_learning, texts in (
            (False, True, LEARNING),
            (True, True, LEARNING_PREFIXES),
            (False, False, NEVER_LEARNING),
            (True, False, NEVER_LEARNING_PREFIXES),
        )
        for text in texts
    ]


def _text(payload: object) -> str:
    if payload is None:
        return ""
    if isinstance(payload, str):
        return payload
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False)
