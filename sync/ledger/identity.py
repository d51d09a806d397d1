"""Which ledger this is: what a journal must say, so that it settles no rows of another one."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sync.ledger.tables import ledger_ids
from sync.settings import EmbeddedWarehouse, WarehouseSettings
from sync.warehouse import Warehouse


@dataclass(frozen=True)
class LedgerIdentity:
    """Where a ledger is, and its own id. It takes both to be the same one.

    Two databases of one account have different places, and a clone, a copy or a restored backup
    has the id of its original. A database that was dropped and made anew is in the same place and
    has another id.
    """

    place: str
    """Account, database and schema; of the embedded warehouse its directory in place of the first.
    No port, role or warehouse: those change without making it another ledger."""
    ids: frozenset[str]
    """One, or several where first runs made the ledger at the same time; each is it."""

    def mark(self) -> str:
        """What a journal of this ledger says of itself."""
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
    """Where a ledger is, for people and for comparison; no secret is in it."""
    match settings:
        case EmbeddedWarehouse():
            where = f"embedded warehouse {settings.directory.resolve()}"
        case _:
            # Both spellings name one account, and its host name can hold no underscore.
            where = f"account {settings.account.upper().replace('_', '-')}"
    return f"{where}, database {settings.database.upper()}, schema {settings.schema.upper()}"


def place_in(mark: str) -> str:
    """The place that a mark names.

    Raises:
        ValueError: it is no mark of this version.
    """
    return _read(mark)[0]


def _read(mark: str) -> tuple[str, str]:
    match json.loads(mark):
        case [str(place), str(ledger_id)]:
            return place, ledger_id
    raise ValueError("it says in another form which ledger it was written for")
