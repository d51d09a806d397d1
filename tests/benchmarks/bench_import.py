"""What a process needs until Dagster has the definitions: at most 2.5 s and 250 MB."""

from __future__ import annotations

import os
import subprocess
import sys

from sync.settings import PROJECT_ROOT
from tests.support.dbt import Dbt
from tests.support.definitions import load_definitions

BUDGET_SECONDS = 2.5
BUDGET_MEGABYTES = 250
RUNS = 3
TIMED = """
import resource
import time
started = time.perf_counter()
from orchestration.definitions import defs
loaded = defs()
imported = time.perf_counter()
loaded.resolve_asset_graph()
resolved = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(imported - started, resolved - imported, peak)
"""


def test_import_of_the_definitions(dbt: Dbt) -> None:
    """With a manifest in place, as the image build leaves it."""
    load_definitions(dbt)
    environment = os.environ | {"DBT_TARGET_PATH": str(dbt.target_path / "dagster")}
    times = []
    for _ in range(RUNS):
        done = subprocess.run(
            [sys.executable, "-c", TIMED],
            cwd=PROJECT_ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        times.append(tuple(float(part) for part in done.stdout.split()))
    imported, resolved, megabytes = min(times)
    print(
        f"\nimport of orchestration.definitions {imported:.2f} s, asset graph {resolved:.2f} s, "
        f"peak memory {megabytes:.0f} MB"
    )
    assert imported < BUDGET_SECONDS
    assert megabytes < BUDGET_MEGABYTES
