"""sqlfluff over the models, templated by dbt, against a temporary embedded warehouse."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from sync.ledger.tables import ensure_ledger
from sync.local.embedded.lifecycle import ensure_running, free_port, stop
from sync.local.raw_tables import create_raw_tables
from sync.settings import PROJECT_ROOT, EmbeddedWarehouse
from sync.warehouse import open_warehouse


def main() -> int:
    """Lint; returns sqlfluff's exit code."""
    with tempfile.TemporaryDirectory(prefix="lint-", ignore_cleanup_errors=True) as home:
        settings = EmbeddedWarehouse(port=free_port(), home=Path(home))
        ensure_running(settings)
        try:
            with open_warehouse(settings, purpose="lint") as warehouse:
                ensure_ledger(warehouse)
                create_raw_tables(warehouse)
            environment = os.environ | {
                "LTW_WAREHOUSE_PORT": str(settings.port),
                "DBT_TARGET_PATH": str(settings.home / "target"),
            }
            sqlfluff = str(Path(sys.executable).with_name("sqlfluff"))
            places = ["dbt_project/models", "dbt_project/tests/singular"]
            command = [sqlfluff, "lint", "--disable-progress-bar", *places]
            return subprocess.run(
                command, cwd=PROJECT_ROOT, env=environment, check=False
            ).returncode
        finally:
            stop(settings)


if __name__ == "__main__":
    sys.exit(main())
