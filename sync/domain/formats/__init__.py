"""The body formats. A built-in one is a file here with a ``FORMAT``; its name is the file's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules

from sync.domain.bodies import BodyFormat

FORMATS: Mapping[str, BodyFormat] = {
    module.name: import_module(f"{__name__}.{module.name}").FORMAT
    for module in sorted(iter_modules(__path__), key=lambda one: one.name)
}
"""The built-in formats, by their name in ``endpoint_settings`` and the outbox."""
DEFAULT_FORMAT = "v2"
FOLDER_SETTING = "LTW_FORMATS_DIR"
SUFFIX = ".yml"
NAME = re.compile(r"[a-z][a-z0-9_-]{0,15}")
"""The name of a format. The outbox column has 16 characters."""


@dataclass(frozen=True)
class Formats:
    """The formats that this process knows: the built-in ones and those from operators' files."""

    known: Mapping[str, BodyFormat] = field(default_factory=lambda: FORMATS)
    problems: Mapping[str, str] = field(default_factory=dict)
    """What is wrong, by file name, or by ``FOLDER_SETTING`` for a problem with the folder."""

    def problem_of(self, name: str) -> str | None:
        """Why there is no format of this name, with the file to check; None if there is one."""
        if name in self.known:
            return None
        there_are = f"must be one of {', '.join(self.known)}"
        if not NAME.fullmatch(name):
            return there_are
        file = f"{name}{SUFFIX}"
        problem = self.problems.get(file) or self.problems.get(FOLDER_SETTING)
        return problem or f"{there_are}; {FOLDER_SETTING} has no file {file}"
