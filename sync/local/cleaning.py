"""What ``make clean`` removes beside caches: what the laptop set-up has made, and nothing else.

``.local`` may hold a user's signing keys, reports, and journals with responses that a Snowflake
ledger has not heard of; ``logs`` is where the tutorial puts a user's own files. So both are gone
through by name. An ``LTW_HOME`` elsewhere is left alone.
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
"""In ``.local``, by the embedded warehouse and ``make dev``; ``logs`` there is the sample data."""
DBT_LOGS = "dbt.log*"
"""In ``logs`` of the project, where a plain ``dbt`` command writes."""


def clean(project: Path) -> None:
    """Stop the embedded warehouse of a project, and remove what it and ``make dev`` have made.

    Raises:
        EmbeddedWarehouseFailed: it did not end; nothing is removed.
    """
    local = project / ".local"
    # Whatever the shell selects, this is about the laptop set-up in this directory.
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
        # Only when it is empty now.
        with suppress(OSError):
            directory.rmdir()


if __name__ == "__main__":
    clean(PROJECT_ROOT)
