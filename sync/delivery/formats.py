"""The formats of this process: the built-in ones, and those in the operator's folder of files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from sync.domain.bodies import BodyFormat
from sync.domain.event_types import event_types
from sync.domain.formats import FOLDER_SETTING, FORMATS, NAME, SUFFIX, Formats
from sync.domain.mapped import extended, mapped_bodies, mapped_format
from sync.domain.mapping import FormatFile, MappingError, read_format
from sync.strict_yaml import MAX_BYTES, YamlError, read_yaml

MOST_FILES = 200
"""A folder of more is another folder than was meant."""


def known_formats(environ: Mapping[str, str]) -> Formats:
    """Those of the process: its folder is read at the first call, and stays as it was then."""
    return _read(environ.get(FOLDER_SETTING, "").strip())


def read_file(path: Path) -> FormatFile:
    """A file as it is now, checked for itself.

    Raises:
        MappingError: it is no format; one line with the place and the fix.
    """
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


def read_folder(folder: Path) -> Formats:
    """The built-in formats and those of a folder. A file that is no format spoils no other one."""
    try:
        paths = sorted(one for one in folder.iterdir() if one.suffix in (SUFFIX, ".yaml"))
    except OSError as error:
        return Formats(problems={FOLDER_SETTING: f"{FOLDER_SETTING}: {folder}: {error.strerror}"})
    if len(paths) > MOST_FILES:
        what = f"{FOLDER_SETTING}: {folder} has more than {MOST_FILES} files; name another folder"
        return Formats(problems={FOLDER_SETTING: what})
    known: dict[str, BodyFormat] = dict(FORMATS)
    problems: dict[str, str] = {}
    for path in paths:
        try:
            _add(path.stem, read_file(path), known)
        except MappingError as error:
            problems[path.name] = f"{path.name}: {error}"
    return Formats(known, problems)


@cache
def _read(folder: str) -> Formats:
    return read_folder(Path(folder)) if folder else Formats()


def _add(name: str, file: FormatFile, known: dict[str, BodyFormat]) -> None:
    """Make the file's format, or give its bodies to the built-in one that it extends."""
    if file.extends is None:
        if name in FORMATS:
            raise MappingError(f"{name} is a built-in format; give the file another name")
        known[name] = mapped_format(name, file, event_types())
        return
    of = file.extends
    if of not in FORMATS:
        raise MappingError(f"extends: must be one of {', '.join(FORMATS)}")
    bodies = mapped_bodies(of, file, event_types())
    taken = next((kind for kind in bodies if kind in known[of].bodies), None)
    if taken is not None:
        raise MappingError(f"bodies.{taken}: {of} has a body for it already; remove this one")
    known[of] = extended(of, known[of], bodies)
