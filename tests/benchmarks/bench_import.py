"""Loading the Dagster definitions takes a process at most 2.5 s and 250 MB."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

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


TYPES = 100
TYPES_SECONDS = 0.5
"""The time they may add to loading: a fifth of its budget."""
WITH_TYPES = """
import sys
import time
from pathlib import Path
import sync.domain.event_types
sync.domain.event_types.FOLDER = Path(sys.argv[1])
started = time.process_time()
from orchestration.definitions import defs
loaded = defs()
print(time.process_time() - started, len(loaded.resolve_all_asset_keys()))
"""
EVENT = """type: orchestration.components.webhook_event.WebhookEventComponent
attributes:
  name: {name}
  plural: {name}s
  mart: awarded_certificates
  occurred_at: awarded_at
  facts:
    awarded_at: time
    certificate_mode: text
    percent_grade: optional number
  formats: [v2]
  enabled: true
"""
BODY = """extends: v2
bodies:
  {name}:
    event_type: {{fact: event_type}}
    timestamp: {{fact: recorded_at}}
    learner: {{user_id: {{fact: user_id}}, email: {{fact: email, default: ""}}}}
    certificate: {{awarded_date: {{fact: awarded_at}}, percent_grade: {{fact: percent_grade}}}}
"""


def test_load_of_a_hundred_event_types_that_are_all_on(dbt: Dbt, tmp_path: Path) -> None:
    """CPU time of loading everything, with and without them; each has a separate body."""
    load_definitions(dbt)
    shutil.copytree(PROJECT_ROOT / "orchestration", tmp_path / "orchestration")
    folder = tmp_path / "orchestration" / "defs"
    environment = os.environ | {
        "DBT_TARGET_PATH": str(dbt.target_path / "dagster"),
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{PROJECT_ROOT}",
    }

    def load() -> tuple[float, int]:
        done = subprocess.run(
            [sys.executable, "-c", WITH_TYPES, str(folder)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        seconds, assets = done.stdout.split()
        return float(seconds), int(assets)

    before, assets = min(load() for _ in range(RUNS))
    for number in range(TYPES):
        own = folder / f"event_{number:03}"
        own.mkdir()
        (own / "defs.yaml").write_text(EVENT.format(name=own.name))
        (own / "v2.yml").write_text(BODY.format(name=own.name))
    after, more = min(load() for _ in range(RUNS))
    assert more == assets + TYPES
    print(f"\nload of the definitions {before:.2f} s, with {TYPES} event types {after:.2f} s")
    assert after - before < TYPES_SECONDS


def test_import_of_the_definitions(dbt: Dbt) -> None:
    """With an existing manifest, as after the image build."""
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
