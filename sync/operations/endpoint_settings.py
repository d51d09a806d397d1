"""Settings of an endpoint that the operator makes, not the LMS; each change is kept.

A change is a new row of ``sync.endpoint_settings``. The newest row of an endpoint applies, and the
older ones are its history.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field, create_model

from sync.clock import Clock
from sync.delivery.endpoints import load_endpoints
from sync.delivery.formats import known_formats
from sync.domain.endpoint import EndpointError, EndpointSettings
from sync.domain.formats import Formats
from sync.errors import ConfigurationError, SyncError
from sync.ledger.endpoint_settings import COLUMNS, add_settings, settings_rows
from sync.operations.endpoints import find_endpoint
from sync.operations.operation import Action, CommandLine, EndpointId, Report
from sync.warehouse import Warehouse

TRIES = 10


class SettingsContention(SyncError):
    """Others kept changing the settings of the same endpoint."""


@dataclass(frozen=True)
class Changed:
    """Settings before and after; equal when nothing was written."""

    before: EndpointSettings
    after: EndpointSettings

    def lines(self) -> Sequence[str]:
        """One line for each setting that changed."""
        after = self.after.stored()
        return [
            f"{name}: {_text(value)} -> {_text(after[name])}"
            for name, value in self.before.stored().items()
            if value != after[name]
        ]


class _SetEndpoint(Action):
    """Change settings of an endpoint that the LMS does not have. Without options it shows them.

    Messages already built stay as they are.
    """

    name: ClassVar[str] = "endpoints set"

    endpoint_id: EndpointId = Field(description="Id in marts.webhook_endpoints.")

    def run(self, warehouse: Warehouse, clock: Clock) -> Report:
        """The settings before and after.

        Raises:
            ConfigurationError: there is no such endpoint, or a value is not valid for its setting.
        """
        find_endpoint(load_endpoints(warehouse), self.endpoint_id)
        wanted = self.model_dump(exclude={"endpoint_id"})
        made = change_settings(warehouse, self.endpoint_id, clock=clock, **wanted)
        after = made.after.stored()
        changes = [f"endpoint {self.endpoint_id}, {line}" for line in made.lines()]
        return Report(
            document={
                "endpoint_id": self.endpoint_id,
                "changed": made.before != made.after,
                "before": made.before.stored(),
                "after": after,
            },
            lines=changes or [f"{name}: {value}" for name, value in after.items()],
            outcome=(
                "the previous settings are kept in sync.endpoint_settings"
                if changes
                else f"endpoint {self.endpoint_id}: nothing was changed"
            ),
        )


def _optional(name: str) -> tuple[Any, Any]:
    """The optional field of a setting; None leaves it as it is."""
    field = EndpointSettings.model_fields[name]
    taken: Any = bool if field.annotation is bool else str
    extra: Any = field.json_schema_extra or {}
    annotation = Annotated[taken | None, CommandLine(extra.get("option"))]
    return annotation, Field(default=None, description=field.description)


_SETTINGS: dict[str, Any] = {name: _optional(name) for name in COLUMNS}
SetEndpoint = create_model(
    "SetEndpoint", __base__=_SetEndpoint, __doc__=_SetEndpoint.__doc__, **_SETTINGS
)


def change_settings(
    warehouse: Warehouse, endpoint_id: int, *, clock: Clock, **wanted: object
) -> Changed:
    """Set the values that are not None, and leave the rest; messages already built stay.

    ``wanted`` has the names of ``EndpointSettings``. The caller has made sure that the endpoint
    exists. Each row holds all settings, so if somebody else has added a row since ours was read,
    the change is applied to that row, and repeated until there is none.

    Raises:
        ConfigurationError: a value is not valid for its setting, or a row that was edited by hand
            cannot be read.
        SettingsContention: others changed them during every try.
    """
    given = {name: value for name, value in wanted.items() if value is not None}
    known, formats = settings_rows(warehouse, endpoint_id), known_formats(os.environ)
    first = current = _settings(endpoint_id, known[0] if known else {}, formats)
    for _ in range(TRIES):
        try:
            after = EndpointSettings.from_row(current.stored() | given, formats)
        except EndpointError as error:
            raise ConfigurationError(str(error)) from None
        if lacking := sorted(after.event_types - after.format.bodies.keys()):
            raise ConfigurationError(
                f"event_types: format {after.payload_format} has no body for {', '.join(lacking)}, "
                f"only for {', '.join(after.format.bodies)}; fix the name, choose another format, "
                "or leave the event type out"
            )
        if after == current:
            return Changed(first, after)
        own = add_settings(warehouse, endpoint_id, after, clock=clock, above=known)
        found = settings_rows(warehouse, endpoint_id)
        seen = {row["row_id"] for row in known} | {own}
        others = [row for row in found if row["row_id"] not in seen]
        if not others and found[0]["row_id"] == own:
            return Changed(first, after)
        known, current = found, _settings(endpoint_id, (others or found)[0], formats)
    raise SettingsContention(
        f"others keep changing the settings of endpoint {endpoint_id}; check the newest rows of "
        "sync.endpoint_settings and try again"
    )


def _settings(endpoint_id: int, row: Mapping[str, Any], formats: Formats) -> EndpointSettings:
    try:
        return EndpointSettings.from_row(row, formats)
    except EndpointError as error:
        raise ConfigurationError(
            f"endpoint {endpoint_id}: its row of sync.endpoint_settings is not usable ({error}); "
            "fix it with SQL"
        ) from error


def _text(value: object) -> str:
    match value:
        case bool():
            return "on" if value else "off"
        case "":
            return "none"
    return str(value)
