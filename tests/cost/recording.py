"""Statements of real runs, as passed to the connector."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from snowflake.connector.cursor import SnowflakeCursor

Sent = list[tuple[str, tuple[object, ...]]]
"""Statements with their binds."""


@contextmanager
def recorded() -> Iterator[Sent]:
    """Statements of this process during the block, by dbt's adapter or our own connection."""
    sent: Sent = []
    execute = SnowflakeCursor.execute

    def record(self: SnowflakeCursor, command: str, params: Any = None, *rest: Any, **more: Any):
        sent.append((command, tuple(params or ())))
        return execute(self, command, params, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SnowflakeCursor, "execute", record)
        yield sent
