"""Compiles a mapping to functions: a format from a file is as fast per body as one in Python.

Each place is checked against the facts and settings that a body may name before anything is built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sync.domain.bodies import BodyFormat, Content, IdentityMissing, PayloadError, to_bytes
from sync.domain.conversions import (
    SCHEMAS,
    facts_of,
    read_back,
    reader_of,
    steps_of,
)
from sync.domain.endpoint import EndpointSettings
from sync.domain.event_types import EventType
from sync.domain.facts import LEARNING_TIME, OF_EVERY_EVENT, OF_LEARNING_TIME
from sync.domain.formats.percipio import Unit
from sync.domain.formats.xapi import Actor
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
"""An unknown value, which is left out of the body."""
IDENTITIES = frozenset({"email", "username", "percipio_user_id", "percipio_organization_id"})
"""Facts by which a receiver identifies the learner. One that is unknown now may be known later."""
CHOICES: Mapping[str, Sequence[str]] = {
    "xapi_actor": [one.value for one in Actor],
    "duration_unit": [one.value for one in Unit],
}
"""Endpoint settings on which a body may depend, with their values."""


@dataclass(frozen=True)
class _Made:
    """A compiled node."""

    of: Callable[[Content], Any]
    """Its value for an event, or ``UNKNOWN``."""
    schema: Mapping[str, Any]
    is_certain: bool
    """Whether there is a value for every event."""
    lacking: Callable[[EndpointSettings], str | None] = lambda settings: None
    seconds: tuple[tuple[str, ...], Callable[[object], int | None]] | None = None
    """The path at which the learning time can be read back, and how."""


@dataclass(frozen=True)
class MappedBody:
    """The body of one event type, as defined in a file: a ``BodyMaker``."""

    name: str
    description: str
    made: _Made

    def bytes_of(self, content: Content, /) -> bytes:
        """The body as it goes over the wire.

        Raises:
            IdentityMissing: the learner lacks an id that is required.
            PayloadError: another required fact is missing, or a value cannot be represented.
        """
        try:
            found = self.made.of(content)
            if found is not UNKNOWN:
                return to_bytes(found)
        except (ArithmeticError, ValueError):
            raise PayloadError("a number is too large for the body") from None
        raise PayloadError("none of the facts that the format names is known")

    def title(self) -> str:
        """Its name in the documents."""
        return self.name

    def summary(self) -> str:
        """What it reports, in one sentence."""
        return self.description

    def published_schema(self) -> dict[str, Any]:
        """Its JSON Schema: open, like every published one."""
        return {"title": self.name, "description": self.description, **self.made.schema}


def mapped_format(name: str, file: FormatFile, event_types: Mapping[str, EventType]) -> BodyFormat:
    """The format of a file; ``name`` is the format's name.

    Raises:
        MappingError: a body names something unknown, or cannot be built; names the place.
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
    """A built-in format with bodies for more event types."""
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
    """The bodies of a file by event type; ``name`` is the name of their format.

    Raises:
        MappingError: as for ``mapped_format``.
    """
    for kind in (*file.bodies, *file.samples):
        if kind not in event_types:
            raise MappingError(
                f"no event type {shortened(kind)}; there are {', '.join(event_types)}"
            )
    for kind in file.samples:
        if kind not in file.bodies:
            raise MappingError(f"samples.{kind}: there is no body for it; add one, or remove it")
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


class _Compiler:
    """Compiles the nodes of one body."""

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
                    SCHEMAS[str],
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
        steps = steps_of(node, self._facts[name], place)
        read, run = reader_of(name), tuple(step for step, _ in steps)
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
        schema = SCHEMAS.get(form) or SCHEMAS[str]
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
            seconds=read_back(node) if name == LEARNING_TIME else None,
        )


def _or(schema: Mapping[str, Any], default: object) -> Mapping[str, Any]:
    """A schema that also allows the default."""
    if default is None:
        return {**schema, "type": [schema["type"], "null"]}
    is_taken = schema == SCHEMAS[type(default)]
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
    """A schema that allows what any of these allows."""
    different = [one for n, one in enumerate(schemas) if one not in schemas[:n]]
    return different[0] if len(different) == 1 else {"anyOf": different}


def _first_lacking(made: Iterable[_Made]) -> Callable[[EndpointSettings], str | None]:
    parts = [one.lacking for one in made]
    return lambda settings: next(filter(None, (part(settings) for part in parts)), None)
