"""The effective settings of a run, and the source of each."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, TypeVar

import dagster as dg

from orchestration.config import VARIABLES
from sync.delivery.flag import WORDS
from sync.domain.rollout import EVERYBODY_PERCENTAGE

C = TypeVar("C", bound=dg.Config)

SET_AT_LOAD = frozenset(name for name in VARIABLES.values() if os.environ.get(name))
"""Variables that set the defaults of this process; later environment changes have no effect."""
LONGEST = 200


def given_config(run_config: Mapping[str, Any], op_name: str) -> Mapping[str, Any]:
    """The config that the launchpad, a schedule or a sensor gave for one op, unchanged.

    Dagster passes an op its config with the defaults filled in, so given and omitted settings look
    the same there; the run config distinguishes them."""
    ops = run_config.get("ops") or {}
    return (ops.get(op_name) or {}).get("config") or {}


def settings_shown(
    config: dg.Config, given: Mapping[str, Any], *, is_made_dry: bool = False
) -> dg.MarkdownMetadataValue:
    """A line per setting: its name, the effective value, and its source.

    Not a table: the longest name alone is as wide as the UI's column on a laptop, and only lines
    wrap. ``is_made_dry``: another asset's ``dry_run`` applies to this one, regardless of its own.
    """
    rows = [
        ("dry_run", True, "another asset of this run")
        if is_made_dry and row[0] == "dry_run"
        else row
        for row in sources(config, given)
    ]
    return dg.MetadataValue.md(
        "  \n".join(f"{name}: {shown(name, value)} ({source})" for name, value, source in rows)
    )


def sources(config: dg.Config, given: Mapping[str, Any]) -> list[tuple[str, Any, str]]:
    """Name, value and source of each setting."""
    return [
        (name, getattr(config, name), _source(name, given)) for name in type(config).model_fields
    ]


def config_of(config_type: type[C], given: Mapping[str, Any]) -> C:
    """Another op's config, as Dagster will build it: given values, then defaults.

    Raises:
        ValidationError: a value is out of range.
    """
    return config_type(**{name: _resolved(value) for name, value in given.items()})


def is_true(value: Any) -> bool:
    """A boolean from run config: a literal value or from an environment variable."""
    match _resolved(value):
        case bool(truth):
            return truth
        case str(text):
            return WORDS.get(text.lower(), False)
    return False


def shown(name: str, value: Any) -> str:
    """A value for people: an empty text or list shows its meaning."""
    match name, value:
        case "enterprise_allowlist", []:
            return "all customers"
        case "activated_at", "":
            return "time of the first run"
        case "rollout_percentage", int():
            return "everybody" if value == EVERYBODY_PERCENTAGE else f"{value}%"
        case _, str():
            return value[:LONGEST]
    return json.dumps(value)[:LONGEST]


def _source(name: str, given: Mapping[str, Any]) -> str:
    if name in given:
        match given[name]:
            case {"env": str(variable)}:
                return f"run config, from environment {variable}"
        return "run config"
    variable = VARIABLES.get(name)
    return f"environment {variable}" if variable in SET_AT_LOAD else "default"


def _resolved(value: Any) -> Any:
    match value:
        case {"env": str(variable)}:
            return os.environ.get(variable, "")
    return value
