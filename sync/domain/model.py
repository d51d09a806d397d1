"""The base of facts, endpoints and bodies: strict, frozen models whose errors show no value."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, ValidationError


class Model(BaseModel, frozen=True):
    """Takes a value only in its own type, and never changes."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)


def known(row: Mapping[str, object]) -> dict[str, object]:
    """What a row says: without its NULLs and empty texts, for which fields have defaults."""
    return {name: value for name, value in row.items() if value is not None and value != ""}


def problems(error: ValidationError) -> str:
    """Each field with what is wrong with it. Values may be personal, so none is quoted."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}"
        for one in found
    )
