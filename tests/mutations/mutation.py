"""A way to break a copy of the project, and how to apply it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Edit:
    """A text that must be in the file exactly once, and its replacement."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutation:
    """A broken project. Every test in ``caught_by`` must fail on it."""

    name: str
    edits: tuple[Edit, ...]
    caught_by: tuple[str, ...]


class StaleMutation(Exception):
    """The project has changed: the text to replace is missing, or occurs more than once."""


def apply(mutation: Mutation, project: Path) -> None:
    """Break the copy of the project in ``project``.

    Raises:
        StaleMutation: names the mutation, the file and the text.
    """
    for edit in mutation.edits:
        path = project / edit.path
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if text.count(edit.old) != 1:
            raise StaleMutation(
                f"mutation '{mutation.name}': {edit.path} has {text.count(edit.old)} times, and "
                f"must have once, the text\n{edit.old}"
            )
        path.write_text(text.replace(edit.old, edit.new), encoding="utf-8")


def one(name: str, path: str, old: str, new: str, *caught_by: str) -> Mutation:
    """A mutation of one place."""
    return Mutation(name, (Edit(path, old, new),), caught_by)
