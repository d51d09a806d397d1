"""Give each test a warehouse without tables; much faster than a new server."""

from __future__ import annotations

from sync.local.embedded.server import DATABASES
from sync.warehouse import Warehouse

KEPT = {"PUBLIC", "INFORMATION_SCHEMA", "MAIN"}


def drop_all_schemas(warehouse: Warehouse) -> None:
    """Drop every schema of every database but the built-in ones."""
    for database in DATABASES:
        for schema in warehouse.rows(f"show schemas in database {database}"):
            if schema["name"].upper() not in KEPT:
                warehouse.execute(f"drop schema {database}.{schema['name']} cascade")
