"""Identifies a ledger, so that a journal never settles rows of another ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sync.ledger.tables import ledger_ids
from sync.settings import EmbeddedWarehouse, WarehouseSettings
from sync.warehouse import Warehouse


@dataclass(frozen=True)
class LedgerIdentity:
    """A ledger's place and its id. Two ledgers are the same only if both match.

    Two databases of one account have different places; a clone, a copy or a restored backup has
    the id of its original. A database that was dropped and re-created has the same place and a
    different id.
    """

    place: str
    """Account, database and schema; for the embedded warehouse its directory, not an account. No
    port, role or warehouse: those may change while the ledger stays the same."""
    ids: frozenset[str]
    """One id, or several where first runs created the ledger at the same time; each is valid."""

    def mark(self) -> str:
        """The mark that a journal of this ledger carries."""
        return json.dumps([self.place, min(self.ids, default="")])

    def is_meant_by(self, mark: str) -> bool:
        """Whether a journal with this mark was written for this ledger."""
        place, ledger_id = _read(mark)
        return place == self.place and ledger_id in (self.ids or {""})


def ledger_identity(warehouse: Warehouse) -> LedgerIdentity:
    """The identity of the ledger that a session writes to; one statement.

    Raises:
        StatementFailed: the ledger does not exist, or is of an earlier version.
    """
    return LedgerIdentity(place_of(warehouse.settings), ledger_ids(warehouse))


def place_of(settings: WarehouseSettings) -> str:
    """A ledger's place, for people and for comparison; it contains no secret."""
    match settings:
        case EmbeddedWarehouse():
            where = f"embedded warehouse {settings.directory.resolve()}"
        case _:
            # Both spellings name one account, and its host name cannot contain an underscore.
            where = f"account {settings.account.upper().replace('_', '-')}"
    return f"{where}, database {settings.database.upper()}, schema {settings.schema.upper()}"


def place_in(mark: str) -> str:
    """The place that a mark names.

    Raises:
        ValueError: it is not a mark of this version.
    """
    return _read(mark)[0]


def _read(mark: str) -> tuple[str, str]:
    match json.loads(mark):
        case [str(place), str(ledger_id)]:
            return place, ledger_id
    raise ValueError("its ledger mark has another format")
