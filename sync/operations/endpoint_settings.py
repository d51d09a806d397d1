"""What the operator sets for an endpoint and the LMS does not know; each change is kept.

A change is a new row of ``sync.endpoint_settings``. The newest of an endpoint counts, and the older
ones say what was set before, and when.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sync.clock import Clock
from sync.domain.payloads import PayloadFormat
from sync.errors import ConfigurationError, SyncError
from sync.ledger.tables import ENDPOINT_SETTINGS
from sync.warehouse import Warehouse


@dataclass(frozen=True, kw_only=True)
class EndpointSettings:
    """An endpoint's settings; without a row it has these defaults."""

    payload_format: PayloadFormat = PayloadFormat.V2
    is_learning_time_enabled: bool = True
    is_eu_fallback_allowed: bool = False
    final_status_codes: tuple[int, ...] = ()
    """Statuses after which the endpoint wants no retry."""

    def __post_init__(self) -> None:
        wrong = [code for code in self.final_status_codes if not 300 <= code <= 599]
        if wrong:
            raise ConfigurationError(
                f"final status codes: {wrong[0]} is no status of a failure; take 300 to 599"
            )

    def as_dict(self) -> dict[str, object]:
        """The same for JSON, under the ledger's names."""
        return {
            "payload_format": self.payload_format.value,
            "is_learning_time_enabled": self.is_learning_time_enabled,
            "is_eu_fallback_allowed": self.is_eu_fallback_allowed,
            "final_status_codes": ",".join(str(code) for code in self.final_status_codes),
        }


@dataclass(frozen=True)
class Change:
    """Settings before and after; equal when nothing was written."""

    before: EndpointSettings
    after: EndpointSettings

    def lines(self) -> Sequence[str]:
        """One line for each setting that changed."""
        after = self.after.as_dict()
        return [
            f"{name}: {_text(value)} -> {_text(after[name])}"
            for name, value in self.before.as_dict().items()
            if value != after[name]
        ]


NEWEST = """updated_at desc nulls last, payload_format, is_learning_time_enabled,
    is_eu_fallback_allowed, final_status_codes"""
"""The order of an endpoint's rows; the first counts. dbt's ``stg_sync__endpoint_settings`` has the
same."""
TRIES = 10


class SettingsContention(SyncError):
    """Others kept changing the settings of the same endpoint."""


def read_settings(warehouse: Warehouse, endpoint_id: int) -> EndpointSettings:
    """The settings that count now.

    Raises:
        ConfigurationError: a row was edited by hand into something that no code path knows.
    """
    rows = _rows(warehouse, endpoint_id)
    return _settings(endpoint_id, rows[0]) if rows else EndpointSettings()


def change_settings(
    warehouse: Warehouse, endpoint_id: int, *, clock: Clock, **wanted: object
) -> Change:
    """Set what is given and is not None, and leave the rest; messages already frozen stay.

    ``wanted`` has the names of ``EndpointSettings``. The caller has made sure that the endpoint
    exists. Each row holds all settings, so a row that somebody else added since ours was read is
    taken as the one to change, again until there is none.

    Raises:
        ConfigurationError: as for ``read_settings``.
        SettingsContention: others changed them each time, too.
    """
    given: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    known = _rows(warehouse, endpoint_id)
    first = current = _settings(endpoint_id, known[0]) if known else EndpointSettings()
    for _ in range(TRIES):
        after = replace(current, **given)
        if after == current:
            return Change(first, after)
        own = _add(warehouse, endpoint_id, after, clock=clock, above=known)
        found = _rows(warehouse, endpoint_id)
        seen = {row["row_id"] for row in known} | {own}
        others = [row for row in found if row["row_id"] not in seen]
        if not others and found[0]["row_id"] == own:
            return Change(first, after)
        known, current = found, _settings(endpoint_id, (others or found)[0])
    raise SettingsContention(
        f"the settings of endpoint {endpoint_id} are being changed by others all the time; look at "
        "the newest rows of sync.endpoint_settings and repeat"
    )


def _add(
    warehouse: Warehouse,
    endpoint_id: int,
    settings: EndpointSettings,
    *,
    clock: Clock,
    above: Sequence[Mapping[str, Any]],
) -> str:
    """Add a row that counts from now on, also when a clock was ahead; its id."""
    now = clock()
    newest = above[0]["updated_at"] if above else None
    if newest is not None and newest >= now:
        now = newest + timedelta(microseconds=1)
    row_id = str(uuid.uuid4())
    warehouse.execute(
        f"""
        insert into {warehouse.relation("sync", ENDPOINT_SETTINGS)} (
            endpoint_id, payload_format, is_learning_time_enabled, is_eu_fallback_allowed,
            final_status_codes, updated_at, row_id
        )
        select ?, ?, cast(? as boolean), cast(? as boolean), nullif(?, ''),
            cast(? as timestamp_ntz), ?
        """,
        endpoint_id,
        *settings.as_dict().values(),
        now.isoformat(),
        row_id,
    )
    return row_id


def _rows(warehouse: Warehouse, endpoint_id: int) -> list[dict[str, Any]]:
    """All rows of an endpoint, the one that counts first."""
    return warehouse.rows(
        f"""
        select
            payload_format, is_learning_time_enabled, is_eu_fallback_allowed, final_status_codes,
            updated_at, row_id
        from {warehouse.relation("sync", ENDPOINT_SETTINGS)}
        where endpoint_id = ?
        order by {NEWEST}
        """,
        endpoint_id,
    )


def _settings(endpoint_id: int, row: Mapping[str, Any]) -> EndpointSettings:
    try:
        return EndpointSettings(
            payload_format=PayloadFormat(row["payload_format"] or PayloadFormat.V2),
            is_learning_time_enabled=row["is_learning_time_enabled"] is not False,
            is_eu_fallback_allowed=row["is_eu_fallback_allowed"] is True,
            final_status_codes=status_codes(row["final_status_codes"] or ""),
        )
    except (ValueError, ConfigurationError) as error:
        raise ConfigurationError(
            f"endpoint {endpoint_id}: its row of sync.endpoint_settings is not usable ({error}); "
            "correct it with SQL"
        ) from error


def status_codes(text: str) -> tuple[int, ...]:
    """Statuses from a text such as ``404, 422``; in order, each once.

    Raises:
        ConfigurationError: something in it is no number.
    """
    words = text.replace(",", " ").split()
    if not all(word.isascii() and word.isdigit() for word in words):
        raise ConfigurationError(f"final status codes: {text!r} must list numbers such as 404,422")
    return tuple(sorted({int(word) for word in words}))


def _text(value: object) -> str:
    match value:
        case bool():
            return "on" if value else "off"
        case "":
            return "none"
    return str(value)
