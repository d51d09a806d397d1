"""The formats of this process: the built-in ones and those in the operator's folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from sync.domain.bodies import BodyFormat
from sync.domain.event_types import FOLDER as EVENT_TYPES_FOLDER
from sync.domain.event_types import EventType, event_types
from sync.domain.formats import FOLDER_SETTING, FORMATS, NAME, SUFFIX, Formats
from sync.domain.mapped import extended, mapped_bodies, mapped_format
from sync.domain.mapping import FormatFile, MappingError, read_format
from sync.errors import ConfigurationError
from sync.strict_yaml import MAX_BYTES, YamlError, read_yaml

MOST_FILES = 200
"""A folder with more files is probably not the intended one."""


def known_formats(environ: Mapping[str, str]) -> Formats:
    """The formats of the process. The first call reads the folder; later changes are ignored."""
    return _read(environ.get(FOLDER_SETTING, "").strip())


def read_one(
    path: Path, known: Mapping[str, BodyFormat] | None = None
) -> tuple[str, BodyFormat, FormatFile]:
    """The name and format that a file defines or extends, and the parsed file.

    ``known`` are the formats that it may extend; the default is the built-in ones.

    Raises:
        MappingError: the file defines no format; one line with the place and the fix.
    """
    name, file = path.stem, _read_file(path)
    of = file.extends
    if of is None:
        if name in FORMATS:
            raise MappingError(f"{name} is a built-in format; give the file another name")
        return name, mapped_format(name, file, event_types()), file
    if of not in FORMATS:
        raise MappingError(f"extends: must be one of {', '.join(FORMATS)}")
    if known is None:
        is_built_in = EVENT_TYPES_FOLDER in path.resolve().parents
        known = FORMATS if is_built_in else built_in_formats()
    bodies = mapped_bodies(of, file, event_types())
    taken = next((kind for kind in bodies if kind in known[of].bodies), None)
    if taken is not None:
        raise MappingError(f"bodies.{taken}: {of} has a body for it already; remove this one")
    return of, extended(of, known[of], bodies), file


def files_in(folder: Path) -> list[Path]:
    """The format files of a folder, sorted by name.

    Raises:
        OSError: the folder cannot be read.
    """
    return sorted(one for one in folder.iterdir() if one.suffix in (SUFFIX, ".yaml"))


def read_folder(folder: Path) -> Formats:
    """The built-in formats and those of a folder. An invalid file does not affect the others."""
    known = dict(built_in_formats())
    try:
        paths = files_in(folder)
    except OSError as error:
        what = f"{FOLDER_SETTING}: {folder}: {error.strerror}"
        return Formats(known, {FOLDER_SETTING: what})
    if len(paths) > MOST_FILES:
        what = f"{FOLDER_SETTING}: {folder} has more than {MOST_FILES} files; name another folder"
        return Formats(known, {FOLDER_SETTING: what})
    problems: dict[str, str] = {}
    for path in paths:
        try:
            name, made, _ = read_one(path, known)
            known[name] = made
        except MappingError as error:
            problems[path.name] = f"{path.name}: {error}"
    return Formats(known, problems)


def problems_of_formats(source: EventType, formats: Formats) -> Iterator[str]:
    """Formats that an event type names but that have no body for it: its events are held."""
    for name in source.formats:
        if problem := formats.problem_of(name):
            yield f"formats: {name}: {problem}"
        elif source.name not in formats.known[name].bodies:
            yield f"formats: {name} has no body for {source.name}; see docs/events.md"


def _read_file(path: Path) -> FormatFile:
    if path.suffix != SUFFIX:
        raise MappingError(f"name it {path.stem}{SUFFIX}")
    if not NAME.fullmatch(path.stem):
        raise MappingError(
            "a name is at most 16 lower-case letters, digits, _ and -, and begins with a letter"
        )
    if not path.is_file():
        raise MappingError("there is no such file")
    try:
        with path.open("rb") as file:
            return read_format(read_yaml(file.read(MAX_BYTES + 1)))
    except OSError as error:
        raise MappingError(f"it cannot be read: {error.strerror}") from None
    except YamlError as error:
        raise MappingError(str(error)) from None


@cache
def built_in_formats() -> Mapping[str, BodyFormat]:
    """The built-in formats, with the body files that are stored beside the files of event types.

    Raises:
        ConfigurationError: one of these files defines no body; names it.
    """
    known: dict[str, BodyFormat] = dict(FORMATS)
    for path in sorted(EVENT_TYPES_FOLDER.glob(f"*/*{SUFFIX}")):
        try:
            name, made, _ = read_one(path, known)
        except MappingError as error:
            raise ConfigurationError(f"{path}: {error}") from None
        known[name] = made
    return known


@cache
def _read(folder: str) -> Formats:
    return read_folder(Path(folder)) if folder else Formats(built_in_formats())
