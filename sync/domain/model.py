"""The base of facts, endpoints and bodies: strict, frozen models whose errors show no value."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, ValidationError


class Model(BaseModel, frozen=True):
    """Accepts values only in their own type, and is immutable."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)


def known(row: Mapping[str, object]) -> dict[str, object]:
    """A row without its NULLs and empty texts, for which fields have defaults."""
    return {name: value for name, value in row.items() if value is not None and value != ""}


def problems(error: ValidationError) -> str:
    """Each invalid field with its problem. Values may be personal data, so none is quoted."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}"
        for one in found
    )
