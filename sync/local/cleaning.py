"""What ``make clean`` removes besides caches: only what the laptop setup has created.

``.local`` may hold a user's signing keys, reports, and journals with responses that are not in a
Snowflake ledger yet; ``logs`` is where the tutorial puts a user's own files. So in both, files are
removed by name. An ``LTW_HOME`` elsewhere is left unchanged.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from sync.local.embedded.lifecycle import stop
from sync.settings import PROJECT_ROOT, EmbeddedWarehouse, load_settings

MADE = (
    "warehouse",
    "warehouse.lock",
    "warehouse.log",
    "dagster",
    "dbt",
    "logs",
    "receiver_secrets",
    "sample_start",
)
"""Made in ``.local`` by the embedded warehouse and ``make dev``; ``logs`` there is sample data."""
DBT_LOGS = "dbt.log*"
"""In the project's ``logs``, where a plain ``dbt`` command writes them."""


def clean(project: Path) -> None:
    """Stop a project's embedded warehouse, and remove what it and ``make dev`` have created.

    Raises:
        EmbeddedWarehouseFailed: it did not stop; nothing is removed.
    """
    local = project / ".local"
    # Whatever the shell's settings select, this cleans the laptop setup in this directory.
    port = os.environ.get("LTW_WAREHOUSE_PORT")
    settings = load_settings(
        {"LTW_HOME": str(local), **({"LTW_WAREHOUSE_PORT": port} if port else {})}
    )
    if isinstance(settings, EmbeddedWarehouse):
        stop(settings)
    for one in (local / name for name in MADE):
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one)
        else:
            one.unlink(missing_ok=True)
    for log in (project / "logs").glob(DBT_LOGS):
        log.unlink()
    for directory in (local, project / "logs"):
        # Only if it is empty now.
        with suppress(OSError):
            directory.rmdir()


if __name__ == "__main__":
    clean(PROJECT_ROOT)
