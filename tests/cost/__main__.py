"""Print the counted tables of docs/performance.md: ``python -m tests.cost``."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from sync.local.embedded.lifecycle import free_port
from sync.settings import EmbeddedWarehouse
from tests.cost.increment import EVERYTHING, build_last_half_hour
from tests.cost.report import increment_table, readers_table
from tests.cost.year import LATE
from tests.support.dbt import Dbt
from tests.support.scenarios import Scenarios, running_server


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="cost-", ignore_cleanup_errors=True) as directory:
        home = Path(directory)
        settings = EmbeddedWarehouse(port=free_port(), home=home)
        os.environ |= {"LTW_WAREHOUSE_PORT": str(settings.port), "LTW_HOME": directory}
        with running_server(settings):
            scenarios = Scenarios(settings, home / "scenarios")
            dbt = Dbt(home / "target", home / "parsed")
            usual = build_last_half_hour(scenarios, dbt, models=EVERYTHING)
            late = build_last_half_hour(scenarios, dbt, LATE)
    print(increment_table(usual, late), readers_table(usual), sep="\n\n")


if __name__ == "__main__":
    main()
