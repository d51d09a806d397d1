"""What the operator sets for an endpoint and the LMS does not know; each change is kept.

A change is a new row of ``sync.endpoint_settings``. The newest of an endpoint counts, and the older
ones say what was set before, and when.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sync.clock import Clock
from sync.contract.payloads import PayloadFormat
from sync.errors import ConfigurationError
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


def read_settings(warehouse: Warehouse, endpoint_id: int) -> EndpointSettings:
    """The settings that count now.

    Raises:
        ConfigurationError: a row was edited by hand into something that no code path knows.
    """
    rows = warehouse.rows(
        f"""
        select payload_format, is_learning_time_enabled, is_eu_fallback_allowed, final_status_codes
        from {warehouse.relation("sync", ENDPOINT_SETTINGS)}
        where endpoint_id = ?
        order by updated_at desc nulls last, payload_format
        limit 1
        """,
        endpoint_id,
    )
    return _settings(endpoint_id, rows[0]) if rows else EndpointSettings()


def change_settings(
    warehouse: Warehouse, endpoint_id: int, *, clock: Clock, **wanted: object
) -> Change:
    """Set what is given and is not None, and leave the rest; messages already frozen stay.

    ``wanted`` has the names of ``EndpointSettings``. The caller has made sure that the endpoint
    exists.
    """
    before = read_settings(warehouse, endpoint_id)
    given: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    after = replace(before, **given)
    if after != before:
        warehouse.execute(
            f"""
            insert into {warehouse.relation("sync", ENDPOINT_SETTINGS)} (
                endpoint_id, payload_format, is_learning_time_enabled, is_eu_fallback_allowed,
                final_status_codes, updated_at
            )
            select ?, ?, cast(? as boolean), cast(? as boolean), nullif(?, ''),
                cast(? as timestamp_ntz)
            """,
            endpoint_id,
            *after.as_dict().values(),
            clock().isoformat(),
        )
    return Change(before, after)


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
