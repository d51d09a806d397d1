"""The warehouse as a Dagster resource, ready to use: started, with the ledger in place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from sync.ledger.tables import ensure_ledger
from sync.settings import EmbeddedWarehouse, WarehouseSettings, load_settings
from sync.warehouse import Warehouse, open_warehouse


class WarehouseResource(dg.ConfigurableResource):
    """Snowflake or the embedded warehouse, as ``sync.settings`` decides from the environment."""

    @contextmanager
    def session(self, *, purpose: str) -> Iterator[Warehouse]:
        """An open session. The embedded warehouse is started first when none is up.

        Raises:
            ConfigurationError: settings are missing or contradict each other; names them.
            WarehouseUnavailable: the warehouse does not answer.
        """
        with self.glance(purpose=purpose) as warehouse:
            prepare(warehouse)
            yield warehouse

    @contextmanager
    def glance(self, *, purpose: str) -> Iterator[Warehouse]:
        """An open session without any statement of its own, for what must cost nothing.

        Raises:
            ConfigurationError, WarehouseUnavailable: as for ``session``.
        """
        settings = load_settings(os.environ)
        _start_if_embedded(settings)
        with open_warehouse(settings, purpose=purpose) as warehouse:
            yield warehouse


def prepare(warehouse: Warehouse) -> None:
    """Ledger tables everywhere; empty replicas on the embedded warehouse, so that models build."""
    ensure_ledger(warehouse)
    if isinstance(warehouse.settings, EmbeddedWarehouse):
        from sync.local.raw_tables import create_raw_tables

        create_raw_tables(warehouse)


def _start_if_embedded(settings: WarehouseSettings) -> None:
    if isinstance(settings, EmbeddedWarehouse):
        from sync.local.embedded.lifecycle import ensure_running

        ensure_running(settings)
