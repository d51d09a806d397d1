"""A body format from a file: known facts at places in JSON, and a fixed set of conversions.

The file is data. Each leaf of a body is a constant or a place such as
``{fact: passed_at, as: date}``; nothing in it is evaluated, and all that it can name is known here.
``conversions.py`` knows the facts and ``mapped.py`` makes functions of it; ``docs/formats.md`` is
for whoever writes such a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, RootModel, Tag, ValidationError

from sync.domain.endpoint import fixed_header
from sync.domain.model import Model
from sync.errors import SyncError

MOST_DIGITS = 9
"""After the point; the grades and times that we know have fewer."""
LONGEST_SHOWN = 60
"""Characters of a text of the file that an error shows."""


class MappingError(SyncError):
    """A file is no format; one line that names the place in it and the fix."""


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
        description="Of a time: timestamp (2026-03-10T17:42:31Z, the default), "
        "timestamp_milliseconds, date, us_date, unix_seconds, unix_milliseconds; all in UTC. Of "
        "seconds: minutes, hours, iso_duration (PT1H12M27S). Of a number or true and false: text.",
    )
    scale: float | None = Field(
        default=None, description="A number is multiplied by it: 100 makes a percentage of a share."
    )
    round: Annotated[int, Field(ge=0, le=MOST_DIGITS)] | None = Field(
        default=None, description="Digits after the point; 0 makes a whole number."
    )
    case: Literal["upper", "lower"] | None = Field(default=None, description="Of a text.")
    percent_encode: bool = Field(
        default=False, description="Make a text fit for the path of an address."
    )
    in_address: Literal["xapi_course_iri"] | None = Field(
        default=None,
        description="Percent-encode a text and put it into the address that this setting of the "
        "endpoint holds, at its placeholder.",
    )
    prefix: str = Field(default="", description="Before a text.")
    suffix: str = Field(default="", description="After a text.")
    hash: Literal["sha1", "sha256"] | None = Field(
        default=None, description="Of a text with its prefix and suffix, in hexadecimal."
    )
    default: str | int | float | bool | None = Field(
        default=None, description="What stands there when the fact is not known, null included."
    )
    required: bool = Field(
        default=False,
        description="Hold the event until the fact is known; otherwise the key is left out.",
    )


class FirstOf(_Place, frozen=True):
    """The first of these that is known."""

    first_of: Annotated[list[Node], Field(min_length=2)]


class BySetting(_Place, frozen=True):
    """One of these, by a setting of the endpoint; nothing where there is none for its value."""

    by_setting: Literal["xapi_actor", "duration_unit"]
    cases: dict[str, Node] = Field(description="By the value of the setting.")


class SettingPlace(_Place, frozen=True):
    """A setting of the endpoint, which must then have it."""

    setting: Literal["xapi_home_page"]


class Members(_Place, frozen=True):
    """An object one of whose keys is also a word of this language."""

    members: dict[str, Node] = Field(alias="object")


_PLACES: Mapping[str, type[_Place]] = {
    "fact": FactPlace,
    "first_of": FirstOf,
    "by_setting": BySetting,
    "setting": SettingPlace,
    "object": Members,
}
_MARK = "\0"
"""Before the names by which pydantic tells forms of a node apart, which are no places in a file."""


_PLAIN = {
    "missing": "it is missing",
    "string_type": "must be a text; put it in quotes",
    "dict_type": "must have keys with values below it",
    "model_type": "must have keys with values below it",
}
"""Errors of pydantic that speak of Python."""


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
    """A body format of the operator's: `formats/NAME.yml`."""

    description: str = Field(default="", description="For whom it is, in a sentence.")
    extends: str | None = Field(
        default=None,
        description="A built-in format that gets the bodies; the file is then no format itself.",
    )
    headers: dict[str, str] = Field(
        default_factory=dict, description="Fixed headers of its requests; never a secret."
    )
    success_statuses: list[Annotated[int, Field(ge=300, le=599)]] = Field(
        default_factory=list,
        description="Responses beside 2xx that say that the receiver has the event, such as 409.",
    )
    assumption: str = Field(
        default="",
        description="What the receiver has not documented; `ltw endpoints check` says it.",
    )
    bodies: Annotated[dict[str, dict[str, Node]], Field(min_length=1)] = Field(
        description="By event type: the JSON that the receiver gets."
    )
    samples: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="By event type: the body of the sample event, which `ltw formats check` "
        "compares. `ltw formats preview NAME` prints it.",
    )


def read_format(document: object) -> FormatFile:
    """The file's content, checked for itself.

    Raises:
        MappingError: it is no format; names the first place that is wrong.
    """
    try:
        found = FormatFile.model_validate(document)
    except ValidationError as error:
        raise MappingError(_first_problem(error)) from None
    if found.extends is not None and found.model_fields_set - {"extends", "bodies", "description"}:
        raise MappingError("extends: such a file has bodies alone; leave the other keys out")
    for name, value in found.headers.items():
        try:
            fixed_header(name, value)
        except ValueError as error:
            raise MappingError(f"headers.{shortened(name)}: {error}") from None
    if len({name.lower() for name in found.headers}) < len(found.headers):
        raise MappingError("headers: one is given twice, in other letters; remove one")
    return found


def editor_schema(facts: Iterable[str], event_types: Iterable[str]) -> dict[str, Any]:
    """The JSON Schema of such a file, for editors that complete and check what is typed."""
    schema = FormatFile.model_json_schema()
    schema["$defs"]["FactPlace"]["properties"]["fact"]["enum"] = sorted(facts)
    schema["properties"]["bodies"]["propertyNames"] = {"enum": sorted(event_types)}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _first_problem(error: ValidationError) -> str:
    """The first wrong place, with what is wrong there."""
    found = error.errors(include_url=False, include_input=False)
    # A key that nobody knows is often the misspelled one of another that is missing.
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
    """A text of the file as an error shows it: on one line, and not long."""
    shown = text if text.isprintable() else ascii(text)
    return shown if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}…"
