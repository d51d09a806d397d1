"""Sessions on the warehouse for a caller that outlives their failures."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from sync.settings import WarehouseSettings
from sync.warehouse import Warehouse, open_warehouse


class Session(Protocol):
    """Gives the open warehouse to ask, and hears when asking failed."""

    def warehouse(self) -> Warehouse: ...

    def discard(self) -> None: ...


@dataclass(frozen=True)
class SharedSession:
    """A session that belongs to someone else."""

    opened: Warehouse

    def warehouse(self) -> Warehouse:
        """The session as it is."""
        return self.opened

    def discard(self) -> None:
        """Nothing: it is its owner's to close."""


class OwnSession:
    """A session opened when it is first needed, and anew after a failure. Not thread safe."""

    def __init__(
        self, settings: WarehouseSettings, *, purpose: str, statement_timeout_seconds: int
    ) -> None:
        self._settings = settings
        self._purpose = purpose
        self._statement_timeout_seconds = statement_timeout_seconds
        self._opened: tuple[Warehouse, ExitStack] | None = None

    def warehouse(self) -> Warehouse:
        """The session, opened if there is none.

        Raises:
            WarehouseUnavailable, ConfigurationError: as ``open_warehouse``.
        """
        if self._opened is None:
            stack = ExitStack()
            warehouse = stack.enter_context(
                open_warehouse(
                    self._settings,
                    purpose=self._purpose,
                    statement_timeout_seconds=self._statement_timeout_seconds,
                )
            )
            self._opened = warehouse, stack
        return self._opened[0]

    def discard(self) -> None:
        """Let go of a session that may be dead; nobody waits for its farewell."""
        if self._opened is not None:
            threading.Thread(target=self._opened[1].close, daemon=True).start()
            self._opened = None

    def close(self) -> None:
        """End the session, if there is one."""
        if self._opened is not None:
            self._opened[1].close()
            self._opened = None
