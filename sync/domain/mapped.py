"""Functions made of a mapping: a format from a file costs no more a body than one in Python.

What a body may name is known here, and each place is checked against it before anything is built.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any, get_args
from urllib.parse import quote

from sync.domain.bodies import (
    TIMESTAMP_PATTERN,
    BodyFormat,
    Content,
    IdentityMissing,
    PayloadError,
    timestamp,
    to_bytes,
    whole_number,
)
from sync.domain.course_runs import course_of
from sync.domain.endpoint import EndpointSettings
from sync.domain.event_types import EventType
from sync.domain.facts import as_utc
from sync.domain.formats.percipio import Unit
from sync.domain.formats.xapi import AS_THEY_ARE, PLACEHOLDER, Actor, iso_duration, seconds_of
from sync.domain.mapping import (
    BySetting,
    FactPlace,
    FirstOf,
    FormatFile,
    MappingError,
    Members,
    Node,
    SettingPlace,
    shortened,
)

UNKNOWN: Any = object()
"""What is not known, and so has no place in the body."""
LEARNING_TIME = "learning_time_seconds"
OF_EVERY_EVENT: Mapping[str, type] = {
    "webhook_id": str,
    "event_type": str,
    "recorded_at": datetime,
    "course": str,
}
"""Facts that an event has beside those of its type. ``course`` is organization and number,
``ExampleX+DATA101``, the same for all runs of the course."""
OF_LEARNING_TIME: Mapping[str, type] = {
    LEARNING_TIME: int,
    "learning_time_computed_through": datetime,
}
IDENTITIES = frozenset({"email", "username", "percipio_user_id", "percipio_organization_id"})
"""Facts by which a receiver knows the learner. One that is unknown now may be known later."""
CHOICES: Mapping[str, Sequence[str]] = {
    "xapi_actor": [one.value for one in Actor],
    "duration_unit": [one.value for one in Unit],
}
"""Settings of an endpoint by which a body may differ, with their values."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Mapping[str, int] = {"minutes": 60, "hours": 3600}
"""In seconds."""
_TIMES: Mapping[str, Callable[[datetime], str | int]] = {
    "timestamp": timestamp,
    "timestamp_milliseconds": lambda time: _milliseconds(time),
    "date": lambda time: timestamp(time)[:10],
    "us_date": lambda time: f"{as_utc(time):%m/%d/}{as_utc(time).year:04}",
    "unix_seconds": lambda time: (as_utc(time) - _EPOCH) // timedelta(seconds=1),
    "unix_milliseconds": lambda time: (as_utc(time) - _EPOCH) // timedelta(milliseconds=1),
}
_SCHEMAS: Mapping[str | type, Mapping[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    "timestamp": {"type": "string", "format": "date-time", "pattern": TIMESTAMP_PATTERN},
    "timestamp_milliseconds": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
    "iso_duration": {"type": "string", "pattern": "^PT([0-9]+H)?([0-9]+M)?([0-9]+S)?$"},
}
"""What stands in a body, by the form of a place, else by the type of its value."""
_NAMES: Mapping[type, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "a number or true and false",
    datetime: "a time",
}


@dataclass(frozen=True)
class _Made:
    """A node as functions."""

    of: Callable[[Content], Any]
    """Its value for an event, or ``UNKNOWN``."""
    schema: Mapping[str, Any]
    is_certain: bool
    """Whether there is a value for every event."""
    lacking: Callable[[EndpointSettings], str | None] = lambda settings: None
    seconds: tuple[tuple[str, ...], Callable[[object], int | None]] | None = None
    """Where in it the learning time can be read back, and how."""


@dataclass(frozen=True)
class MappedBody:
    """The body of one event type, as a file describes it: a ``BodyMaker``."""

    name: str
    description: str
    made: _Made

    def bytes_of(self, content: Content, /) -> bytes:
        """The body as it goes over the wire.

        Raises:
            IdentityMissing: the learner lacks an id that is required.
            PayloadError: another required fact is missing, or a value cannot be told.
        """
        found = self.made.of(content)
        if found is UNKNOWN:
            raise PayloadError("none of the facts that the format names is known")
        try:
            return to_bytes(found)
        except ValueError:
            raise PayloadError("a number is too large for the body") from None

    def title(self) -> str:
        """Its name in a document."""
        return self.name

    def summary(self) -> str:
        """What it says, in a sentence."""
        return self.description

    def published_schema(self) -> dict[str, Any]:
        """Its JSON Schema: open, as every published one is."""
        return {"title": self.name, "description": self.description, **self.made.schema}


def mapped_format(name: str, file: FormatFile, event_types: Mapping[str, EventType]) -> BodyFormat:
    """The format of a file; ``name`` is that of the format.

    Raises:
        MappingError: a body names what there is not, or cannot be made; names the place.
    """
    bodies = mapped_bodies(name, file, event_types)
    places = [one.made.seconds for one in bodies.values() if one.made.seconds is not None]
    seconds, read_seconds = places[0] if places else ((), lambda _: None)
    return BodyFormat(
        bodies=bodies,
        seconds=seconds,
        read_seconds=read_seconds,
        headers=dict(file.headers),
        success_statuses=frozenset(file.success_statuses),
        lacking=_lacking(name, bodies.values()),
        assumption=lambda settings: file.assumption or None,
    )


def extended(name: str, built_in: BodyFormat, bodies: Mapping[str, MappedBody]) -> BodyFormat:
    """A built-in format with bodies of more event types."""
    own = _lacking(name, bodies.values())
    return replace(
        built_in,
        bodies={**built_in.bodies, **bodies},
        lacking=lambda settings: built_in.lacking(settings) or own(settings),
    )


def _lacking(name: str, bodies: Iterable[MappedBody]) -> Callable[[EndpointSettings], str | None]:
    lacking = _first_lacking(one.made for one in bodies)

    def problem(settings: EndpointSettings) -> str | None:
        setting = lacking(settings)
        return setting and f"{setting}: format {name} needs it"

    return problem


def mapped_bodies(
    name: str, file: FormatFile, event_types: Mapping[str, EventType]
) -> Mapping[str, MappedBody]:
    """The bodies of a file by event type; ``name`` is that of the format they belong to.

    Raises:
        MappingError: as for ``mapped_format``.
    """
    for kind in (*file.bodies, *file.samples):
        if kind not in event_types:
            raise MappingError(
                f"no event type {shortened(kind)}; there are {', '.join(event_types)}"
            )
    return {
        kind: MappedBody(
            name="".join(
                word.capitalize() for word in f"{name}_{kind}".replace("-", "_").split("_")
            ),
            description=file.description or f"{kind} in the format {name}",
            made=_Compiler(event_types[kind]).object(tree, f"bodies.{kind}"),
        )
        for kind, tree in file.bodies.items()
    }


def facts_of(event_type: EventType) -> Mapping[str, type]:
    """What a body of this event type may name, with the type of its value."""
    own = {
        name: _plain(field.annotation)
        for name, field in event_type.facts_class.model_fields.items()
    }
    learning_time = OF_LEARNING_TIME if event_type.has_learning_time else {}
    return {**own, **OF_EVERY_EVENT, **learning_time}


class _Compiler:
    """Makes functions of the nodes of one body."""

    def __init__(self, event_type: EventType) -> None:
        self._event_type = event_type
        self._facts = facts_of(event_type)
        fields = event_type.facts_class.model_fields
        self._certain = {name for name, field in fields.items() if field.is_required()}
        self._certain |= OF_EVERY_EVENT.keys() - {"course"}

    def node(self, node: Node, place: str) -> _Made:
        match node.root:
            case FactPlace():
                return self._fact(node.root, place)
            case FirstOf():
                return self._first_of(node.root, place)
            case BySetting():
                return self._by_setting(node.root, place)
            case SettingPlace(setting=setting):
                return _Made(
                    lambda content: getattr(content.settings, setting),
                    _SCHEMAS[str],
                    is_certain=True,
                    lacking=lambda settings: None if getattr(settings, setting) else setting,
                )
            case Members(members=members) | dict(members):
                return self.object(members, place)
            case list(items):
                return self._list(items, place)
        return _Made(lambda content: node.root, {"const": node.root}, is_certain=True)

    def object(self, members: Mapping[str, Node], place: str) -> _Made:
        made = {key: self.node(one, f"{place}.{shortened(key)}") for key, one in members.items()}
        parts = [(key, one.of) for key, one in made.items()]

        def of(content: Content) -> Any:
            found = {}
            for key, part in parts:
                value = part(content)
                if value is not UNKNOWN:
                    found[key] = value
            return found or UNKNOWN

        seconds = [
            ((key, *one.seconds[0]), one.seconds[1]) for key, one in made.items() if one.seconds
        ]
        return _Made(
            of,
            {
                "type": "object",
                "properties": {key: one.schema for key, one in made.items()},
                "required": [key for key, one in made.items() if one.is_certain],
            },
            is_certain=any(one.is_certain for one in made.values()),
            lacking=_first_lacking(made.values()),
            seconds=seconds[0] if seconds else None,
        )

    def _list(self, items: Sequence[Node], place: str) -> _Made:
        made = [self.node(one, f"{place}.{n}") for n, one in enumerate(items)]

        def of(content: Content) -> Any:
            return [value for one in made if (value := one.of(content)) is not UNKNOWN] or UNKNOWN

        return _Made(
            of,
            {"type": "array", "items": _one_of([one.schema for one in made])},
            is_certain=any(one.is_certain for one in made),
            lacking=_first_lacking(made),
        )

    def _first_of(self, node: FirstOf, place: str) -> _Made:
        made = [self.node(one, f"{place}.first_of.{n}") for n, one in enumerate(node.first_of)]
        certain = next((n for n, one in enumerate(made[:-1]) if one.is_certain), None)
        if certain is not None:
            raise MappingError(
                f"{place}.first_of.{certain}: it is always there, so what follows is never used; "
                "put it last, or leave out its `default` or `required`"
            )

        def of(content: Content) -> Any:
            for one in made:
                value = one.of(content)
                if value is not UNKNOWN:
                    return value
            return UNKNOWN

        return _any_of(made, of, is_certain=made[-1].is_certain, lacking=_first_lacking(made))

    def _by_setting(self, node: BySetting, place: str) -> _Made:
        setting, values = node.by_setting, CHOICES[node.by_setting]
        for value in node.cases:
            if value not in values:
                raise MappingError(
                    f"{place}.cases.{shortened(value)}: {setting} is one of {', '.join(values)}"
                )
        made = {
            value: self.node(one, f"{place}.cases.{value}") for value, one in node.cases.items()
        }

        def of(content: Content) -> Any:
            one = made.get(getattr(content.settings, setting))
            return UNKNOWN if one is None else one.of(content)

        def lacking(settings: EndpointSettings) -> str | None:
            one = made.get(getattr(settings, setting))
            return one and one.lacking(settings)

        is_certain = len(made) == len(values) and all(one.is_certain for one in made.values())
        return _any_of(list(made.values()), of, is_certain=is_certain, lacking=lacking)

    def _fact(self, node: FactPlace, place: str) -> _Made:
        name = node.fact
        if name in OF_LEARNING_TIME and not self._event_type.has_learning_time:
            raise MappingError(f"{place}: {self._event_type.name} has no learning time; remove it")
        if name not in self._facts:
            raise MappingError(
                f"{place}: no fact {shortened(name)} of {self._event_type.name}; there are "
                f"{', '.join(sorted(self._facts))}"
            )
        has_default = "default" in node.model_fields_set
        if has_default and node.required:
            raise MappingError(f"{place}: `default` and `required` exclude each other; remove one")
        steps = _steps(node, self._facts[name], place)
        read, run = _READERS.get(name) or _own(name), tuple(step for step, _ in steps)
        absent = node.default if has_default else UNKNOWN
        missing = IdentityMissing if name in IDENTITIES else PayloadError

        def of(content: Content) -> Any:
            value = read(content)
            if value is None or value == "":
                if node.required:
                    raise missing(f"the endpoint's format needs {name}, which is not known")
                return absent
            for step in run:
                value = step(value, content)
            return value

        form = steps[-1][1] if steps else self._facts[name]
        schema = _SCHEMAS.get(form) or _SCHEMAS[str]
        if has_default:
            schema = _or(schema, node.default)
        address = node.in_address
        return _Made(
            of,
            schema,
            is_certain=has_default or node.required or name in self._certain,
            lacking=lambda settings: (
                address if address and not getattr(settings, address) else None
            ),
            seconds=_read_back(node) if name == LEARNING_TIME else None,
        )


Step = Callable[[Any, Content], Any]


def _steps(node: FactPlace, kind: type, place: str) -> list[tuple[Step, type | str]]:
    """The conversions of a fact, each with what it makes: a type, or the form of a text."""
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
        # In decimal, since 0.57 * 100 is 56.99999999999999 to a processor.
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


def _read_back(
    node: FactPlace,
) -> tuple[tuple[str, ...], Callable[[object], int | None]] | None:
    """How the seconds are read that stand at a place; None where it keeps them not exactly."""
    if not node.model_fields_set <= {"fact", "form", "default", "required"}:
        return None
    return {
        None: ((), whole_number),
        "iso_duration": ((), seconds_of),
        "text": ((), lambda value: int(value) if str(value).isdecimal() else None),
    }.get(node.form)


def _or(schema: Mapping[str, Any], default: object) -> Mapping[str, Any]:
    """A schema that also takes the default."""
    if default is None:
        return {**schema, "type": [schema["type"], "null"]}
    is_taken = schema == _SCHEMAS[type(default)]
    return schema if is_taken else {"anyOf": [schema, {"const": default}]}


def _any_of(
    made: Sequence[_Made],
    of: Callable[[Content], Any],
    *,
    is_certain: bool,
    lacking: Callable[[EndpointSettings], str | None],
) -> _Made:
    return _Made(
        of,
        _one_of([one.schema for one in made]),
        is_certain=is_certain,
        lacking=lacking,
        seconds=next((one.seconds for one in made if one.seconds), None),
    )


def _one_of(schemas: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """A schema that takes what any of these takes."""
    different = [one for n, one in enumerate(schemas) if one not in schemas[:n]]
    return different[0] if len(different) == 1 else {"anyOf": different}


def _first_lacking(made: Iterable[_Made]) -> Callable[[EndpointSettings], str | None]:
    parts = [one.lacking for one in made]
    return lambda settings: next(filter(None, (part(settings) for part in parts)), None)


def _seconds(content: Content) -> int | None:
    if content.learning_time is None:
        return None
    seconds = content.learning_time.total_seconds
    if type(seconds) is not int or seconds < 0:
        raise PayloadError("learning time is no whole number of seconds")
    return seconds


def _course(content: Content) -> str | None:
    course = course_of(content.facts.courserun_key)
    return course and f"{course.organization}+{course.number}"


def _own(name: str) -> Callable[[Content], Any]:
    return lambda content: getattr(content.facts, name)


_READERS: Mapping[str, Callable[[Content], Any]] = {
    "webhook_id": lambda content: content.webhook_id,
    "event_type": lambda content: content.event_type,
    "recorded_at": lambda content: content.recorded_at,
    "course": _course,
    LEARNING_TIME: _seconds,
    "learning_time_computed_through": (
        lambda content: content.learning_time and content.learning_time.computed_through
    ),
}
"""The facts that are not those of the event type."""


def _milliseconds(time: datetime) -> str:
    return as_utc(time).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _plain(annotation: Any) -> type:
    """The type of a fact without its rules, and without the None for one that is not known."""
    while get_args(annotation):
        annotation = next(one for one in get_args(annotation) if one is not NoneType)
    return annotation
