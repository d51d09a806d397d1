"""The facts that a body from a file may name, and their conversions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any, get_args
from urllib.parse import quote

from sync.domain.bodies import (
    TIMESTAMP_PATTERN,
    Content,
    PayloadError,
    timestamp,
    to_bytes,
    whole_number,
)
from sync.domain.course_runs import course_of
from sync.domain.event_types import EventType
from sync.domain.facts import (
    LEARNING_TIME,
    OF_CORRECTION,
    OF_EVERY_EVENT,
    OF_LEARNING_TIME,
    as_utc,
)
from sync.domain.formats.xapi import AS_THEY_ARE, PLACEHOLDER, iso_duration, seconds_of
from sync.domain.mapping import FactPlace, MappingError

Step = Callable[[Any, Content], Any]
"""A conversion; some need the endpoint's settings."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _milliseconds(time: datetime) -> str:
    return as_utc(time).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


_UNITS: Mapping[str, int] = {"minutes": 60, "hours": 3600}
"""In seconds."""
_TIMES: Mapping[str, Callable[[datetime], str | int]] = {
    "timestamp": timestamp,
    "timestamp_milliseconds": _milliseconds,
    "date": lambda time: timestamp(time)[:10],
    "us_date": lambda time: f"{as_utc(time):%m/%d/}{as_utc(time).year:04}",
    "unix_seconds": lambda time: (as_utc(time) - _EPOCH) // timedelta(seconds=1),
    "unix_milliseconds": lambda time: (as_utc(time) - _EPOCH) // timedelta(milliseconds=1),
}
SCHEMAS: Mapping[str | type, Mapping[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    "timestamp": {"type": "string", "format": "date-time", "pattern": TIMESTAMP_PATTERN},
    "timestamp_milliseconds": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
    "iso_duration": {"type": "string", "pattern": "^PT([0-9]+H)?([0-9]+M)?([0-9]+S)?$"},
}
"""The JSON Schema of a value, by the ``as`` of its place, else by its type."""
_NAMES: Mapping[type, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "a number or true and false",
    datetime: "a time",
}


def facts_of(event_type: EventType) -> Mapping[str, type]:
    """The facts that a body of this event type may name, with their types."""
    own = {
        name: _plain(field.annotation)
        for name, field in event_type.facts_class.model_fields.items()
    }
    learning_time = OF_LEARNING_TIME if event_type.has_learning_time else {}
    correction = OF_CORRECTION if event_type.found_in is not None else {}
    return {**own, **OF_EVERY_EVENT, **learning_time, **correction}


def reader_of(fact: str) -> Callable[[Content], Any]:
    """A function that reads a fact; it returns None or an empty text where the fact is unknown.

    The function may raise ``PayloadError``.
    """
    return _READERS.get(fact) or (lambda content: getattr(content.facts, fact))


def steps_of(node: FactPlace, kind: type, place: str) -> list[tuple[Step, type | str]]:
    """The conversions of a fact, each with its result: a type, or the form of a text."""
    steps: list[tuple[Step, type | str]] = []

    def add(option: str, takes: Sequence[type], step: Step, makes: type | str) -> None:
        nonlocal kind
        if kind not in takes:
            hint = "; with `as: text` it is a text" if str in takes and kind is not datetime else ""
            raise MappingError(
                f"{place}.{option}: takes {_NAMES[takes[-1]]}, and this is {_NAMES[kind]}{hint}"
            )
        steps.append((step, makes))
        kind = makes if isinstance(makes, type) else str

    form, digits, scale = node.form or "", node.round, node.scale
    if kind is datetime and not form:
        form = "timestamp"
    if form in _TIMES:
        made = int if form.startswith("unix") else form
        add("as", [datetime], lambda value, _, tell=_TIMES[form]: tell(value), made)
    elif form in _UNITS:
        add("as", [int, float], lambda value, _, size=_UNITS[form]: value / size, float)
    elif form == "iso_duration":
        add("as", [int], lambda value, _: iso_duration(value), form)
    if scale is not None:
        factor = Decimal(str(scale))
        # In decimal, since 0.57 * 100 is 56.99999999999999 in binary floating point.
        add("scale", [int, float], lambda value, _: float(Decimal(str(value)) * factor), float)
    if digits is not None:
        makes = float if digits else int
        add("round", [int, float], lambda value, _: round(value, digits or None), makes)
    if form == "text":
        add("as", [int, float, bool], lambda value, _: to_bytes(value).decode(), str)
    if node.case is not None:
        change = str.upper if node.case == "upper" else str.lower
        add("case", [str], lambda value, _: change(value), str)
    if node.percent_encode:
        add("percent_encode", [str], lambda value, _: quote(value, safe=AS_THEY_ARE), str)
    if address := node.in_address:
        add(
            "in_address",
            [str],
            lambda value, content: getattr(content.settings, address).replace(
                PLACEHOLDER, quote(value, safe=AS_THEY_ARE)
            ),
            str,
        )
    if before := node.prefix:
        add("prefix", [str], lambda value, _: before + value, str)
    if after := node.suffix:
        add("suffix", [str], lambda value, _: value + after, str)
    if algorithm := node.hash:
        add(
            "hash",
            [str],
            lambda value, _: hashlib.new(
                algorithm, value.encode(), usedforsecurity=False
            ).hexdigest(),
            str,
        )
    return steps


def read_back(
    node: FactPlace,
) -> tuple[tuple[str, ...], Callable[[object], int | None]] | None:
    """How to read the seconds back from a place; None where it does not keep them exactly."""
    if not node.model_fields_set <= {"fact", "form", "default", "required"}:
        return None
    return {
        None: ((), whole_number),
        "iso_duration": ((), seconds_of),
        "text": ((), lambda value: int(value) if str(value).isdecimal() else None),
    }.get(node.form)


def _seconds(content: Content) -> int | None:
    if content.learning_time is None:
        return None
    seconds = content.learning_time.total_seconds
    if type(seconds) is not int or seconds < 0:
        raise PayloadError("learning time is not a whole number of seconds")
    return seconds


def _course(content: Content) -> str | None:
    course = course_of(content.facts.courserun_key)
    return course and f"{course.organization}+{course.number}"


_READERS: Mapping[str, Callable[[Content], Any]] = {
    "webhook_id": lambda content: content.webhook_id,
    "event_type": lambda content: content.event_type,
    "recorded_at": lambda content: content.recorded_at,
    "course": _course,
    LEARNING_TIME: _seconds,
    "learning_time_computed_through": (
        lambda content: content.learning_time and content.learning_time.computed_through
    ),
    "corrects_webhook_id": lambda content: content.correction and content.correction.corrects,
    "correction_number": lambda content: content.correction and content.correction.number,
}
"""The facts that do not come from the event type's facts class."""


def _plain(annotation: Any) -> type:
    """The type of a fact without its constraints, and without None for an unknown value."""
    while get_args(annotation):
        annotation = next(one for one in get_args(annotation) if one is not NoneType)
    return annotation
