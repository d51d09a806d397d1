"""A body format from a file: known facts at places in JSON, and a fixed set of conversions.

The file is data. Each leaf of a body is a constant or a place such as
``{fact: passed_at, as: date}``; nothing in it is evaluated, and everything it can name is defined
here. ``conversions.py`` has the facts and ``mapped.py`` compiles the file; ``docs/formats.md`` is
for authors of such files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, RootModel, Tag, ValidationError

from sync.domain.endpoint import fixed_header
from sync.domain.model import Model
from sync.errors import SyncError

MOST_DIGITS = 9
"""Maximum decimals; the grades and times that we know have fewer."""
LONGEST_SHOWN = 60
"""Maximum characters of a text from the file that an error shows."""


class MappingError(SyncError):
    """A file is not a valid format; one line that names the place in it and the fix."""


class _Place(Model, frozen=True):
    model_config = ConfigDict(extra="forbid")


class FactPlace(_Place, frozen=True):
    """A known fact, after its conversions in the order of these keys."""

    fact: str = Field(description="A fact of the event type; docs/formats.md lists them.")
    form: (
        Literal[
            "timestamp",
            "timestamp_milliseconds",
            "date",
            "us_date",
            "unix_seconds",
            "unix_milliseconds",
            "minutes",
            "hours",
            "iso_duration",
            "text",
        ]
        | None
    ) = Field(
        default=None,
        alias="as",
        description="For a time: timestamp (2026-03-10T17:42:31Z, the default), "
        "timestamp_milliseconds, date, us_date, unix_seconds, unix_milliseconds; all in UTC. For "
        "seconds: minutes, hours, iso_duration (PT1H12M27S). For a number or a boolean: text.",
    )
    scale: float | None = Field(
        default=None, description="Factor for a number: 100 turns a fraction into a percentage."
    )
    round: Annotated[int, Field(ge=0, le=MOST_DIGITS)] | None = Field(
        default=None, description="Decimal places of a number; 0 makes an integer."
    )
    case: Literal["upper", "lower"] | None = Field(default=None, description="Case of a text.")
    percent_encode: bool = Field(
        default=False, description="Percent-encode a text for the path of a URL."
    )
    in_address: Literal["xapi_course_iri"] | None = Field(
        default=None,
        description="Percent-encode a text and put it in place of the placeholder in this URL "
        "setting of the endpoint.",
    )
    prefix: str = Field(default="", description="Text to put before it.")
    suffix: str = Field(default="", description="Text to put after it.")
    hash: Literal["sha1", "sha256"] | None = Field(
        default=None, description="Hash of a text, including prefix and suffix, in hexadecimal."
    )
    default: str | int | float | bool | None = Field(
        default=None, description="Value when the fact is unknown; may be null."
    )
    required: bool = Field(
        default=False,
        description="Hold the event until the fact is known. Without it, the key is left out.",
    )


class FirstOf(_Place, frozen=True):
    """The first of these with a known value."""

    first_of: Annotated[list[Node], Field(min_length=2)]


class BySetting(_Place, frozen=True):
    """One of these, chosen by an endpoint setting; nothing if there is no case for its value."""

    by_setting: Literal["xapi_actor", "duration_unit"]
    cases: dict[str, Node] = Field(description="A node for each value of the setting.")


class SettingPlace(_Place, frozen=True):
    """An endpoint setting, which the endpoint must then have."""

    setting: Literal["xapi_home_page"]


class Members(_Place, frozen=True):
    """An object with a key that is also a keyword of the format file."""

    members: dict[str, Node] = Field(alias="object")


_PLACES: Mapping[str, type[_Place]] = {
    "fact": FactPlace,
    "first_of": FirstOf,
    "by_setting": BySetting,
    "setting": SettingPlace,
    "object": Members,
}
_MARK = "\0"
"""Prefix of the names by which pydantic distinguishes node forms, which are no places in a file."""


_PLAIN = {
    "missing": "it is missing",
    "string_type": "must be a text; put it in quotes",
    "dict_type": "must have keys with values below it",
    "model_type": "must have keys with values below it",
}
"""Replacements for pydantic errors that use Python terms."""


def _form_of(node: object) -> str:
    if isinstance(node, dict):
        return _MARK + next((word for word in _PLACES if word in node), "members")
    return _MARK + ("list" if isinstance(node, list) else "constant")


class Node(RootModel[Any], frozen=True):
    """A place in a body: a constant, a list, an object by its keys, or one of the forms above."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    root: Annotated[
        Annotated[FactPlace, Tag(f"{_MARK}fact")]
        | Annotated[FirstOf, Tag(f"{_MARK}first_of")]
        | Annotated[BySetting, Tag(f"{_MARK}by_setting")]
        | Annotated[SettingPlace, Tag(f"{_MARK}setting")]
        | Annotated[Members, Tag(f"{_MARK}object")]
        | Annotated[
            dict[str, Node],
            Tag(f"{_MARK}members"),
            Field(json_schema_extra={"propertyNames": {"not": {"enum": list(_PLACES)}}}),
        ]
        | Annotated[list[Node], Tag(f"{_MARK}list")]
        | Annotated[str | int | float | bool | None, Tag(f"{_MARK}constant")],
        Discriminator(_form_of),
    ]


class FormatFile(_Place, frozen=True):
    """An operator's body format: `formats/NAME.yml`."""

    description: str = Field(default="", description="Who it is for, in one sentence.")
    extends: str | None = Field(
        default=None,
        description="A built-in format to add the bodies to; the file then defines no new format.",
    )
    headers: dict[str, str] = Field(
        default_factory=dict, description="Fixed headers of its requests; never a secret."
    )
    success_statuses: list[Annotated[int, Field(ge=300, le=599)]] = Field(
        default_factory=list,
        description="Statuses other than 2xx that count as success, such as 409.",
    )
    assumption: str = Field(
        default="",
        description="What the receiver has not documented; `ltw endpoints check` prints it.",
    )
    bodies: Annotated[dict[str, dict[str, Node]], Field(min_length=1)] = Field(
        description="The JSON that the receiver gets, by event type."
    )
    samples: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Expected body of the sample event, by event type, which `ltw formats check` "
        "compares. `ltw formats preview NAME` prints it.",
    )


def read_format(document: object) -> FormatFile:
    """The file's content, checked without event types.

    Raises:
        MappingError: it is not a valid format; names the first place that is wrong.
    """
    try:
        found = FormatFile.model_validate(document)
    except ValidationError as error:
        raise MappingError(_first_problem(error)) from None
    if found.extends is not None and found.model_fields_set - {"extends", "bodies", "description"}:
        raise MappingError("extends: such a file has only bodies; remove the other keys")
    for name, value in found.headers.items():
        try:
            fixed_header(name, value)
        except ValueError as error:
            raise MappingError(f"headers.{shortened(name)}: {error}") from None
    if len({name.lower() for name in found.headers}) < len(found.headers):
        raise MappingError("headers: one is given twice, in a different case; remove one")
    return found


def editor_schema(facts: Iterable[str], event_types: Iterable[str]) -> dict[str, Any]:
    """The JSON Schema of such a file, for completion and checks in editors."""
    schema = FormatFile.model_json_schema()
    schema["$defs"]["FactPlace"]["properties"]["fact"]["enum"] = sorted(facts)
    schema["properties"]["bodies"]["propertyNames"] = {"enum": sorted(event_types)}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _first_problem(error: ValidationError) -> str:
    """The first wrong place, with what is wrong there."""
    found = error.errors(include_url=False, include_input=False)
    # An unknown key is often a misspelling of one that is missing.
    one = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    loc = [str(part) for part in one["loc"]]
    form = next((part[1:] for part in reversed(loc) if part.startswith(_MARK)), "")
    words = [part for part in loc if not part.startswith(_MARK)]
    if one["type"] == "extra_forbidden":
        kind = _PLACES.get(form, FormatFile)
        keys = ", ".join(field.alias or name for name, field in kind.model_fields.items())
        what = f"no such key; there are {keys}"
        if form in _PLACES:
            what += f". Is {form} a key of your JSON? Then write the whole object below `object:`"
    elif "default" in words[-2:-1]:
        words, what = words[:-1], "must be a text, a number, true, false or null"
    else:
        what = _PLAIN.get(one["type"]) or one["msg"].replace("Input should be", "must be")
    return f"{'.'.join(shortened(word) for word in words) or 'the file'}: {what}"


def shortened(text: str) -> str:
    """A text from the file as an error shows it: on one line, and shortened."""
    shown = text if text.isprintable() else ascii(text)
    return shown if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}…"
