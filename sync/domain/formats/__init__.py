"""The body formats. Each is one file here with a ``FORMAT``; its name is the file's."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from sync.domain.bodies import BodyFormat

FORMATS: Mapping[str, BodyFormat] = {
    module.name: import_module(f"{__name__}.{module.name}").FORMAT
    for module in sorted(iter_modules(__path__), key=lambda one: one.name)
}
"""By the name that ``endpoint_settings`` and the outbox have."""
DEFAULT_FORMAT = "v2"
