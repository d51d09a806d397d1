"""Two concurrent runs of the webhooks job on one instance: overlap does no harm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest

from sync.settings import PROJECT_ROOT
from sync.warehouse import Warehouse
from tests.orchestration.conftest import PASSED_AT
from tests.support.completions import add_completions, completion
from tests.support.definitions import ACTIVATED
from tests.support.receiver import Receiver

USERS = range(1, 41)
START_SECONDS = 300
RUN = f"""
import json, sys
import dagster as dg
from orchestration.definitions import defs
from orchestration.keys import STEPS
job = defs().resolve_job_def("completion_webhooks_job")
config = {{"ops": {{"sync__newly_completed_enrollments": {{"config": {ACTIVATED!r}}}}}}}
with dg.DagsterInstance.get() as instance:
    print("ready", file=sys.stderr, flush=True)
    sys.stdin.readline()
    result = job.execute_in_process(
        instance=instance, asset_selection=list(STEPS), run_config=config, raise_on_error=False
    )
    (detected,) = [
        one.materialization.metadata["recorded"].value
        for one in result.get_asset_materialization_events() if one.asset_key == STEPS[0]
    ]
    print(json.dumps({{"success": result.success, "recorded": detected}}), flush=True)
"""


def start(environment: dict[str, str]) -> subprocess.Popen[str]:
    """A run in a separate process, as the daemon launches it; it waits for a signal to start."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN],
        cwd=PROJECT_ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.strip() == "ready":
            break
    return process


@pytest.mark.prove
def test_two_runs_at_once_record_and_send_each_completion_once(
    defs: dg.Definitions,
    marts: Warehouse,
    target: Receiver,
    dbt_target_path: Path,
    tmp_path: Path,
) -> None:
    """By the lease, not the pool: two runs that use a new pool for the first time both enter it."""
    add_completions(marts, [completion(n, PASSED_AT) for n in USERS if n > 3])
    settings = (PROJECT_ROOT / "deploy" / "dagster.local.yaml").read_text(encoding="utf-8")
    (tmp_path / "dagster.yaml").write_text(settings, encoding="utf-8")
    environment = os.environ | {
        "DAGSTER_HOME": str(tmp_path),
        "DBT_TARGET_PATH": str(dbt_target_path / "dagster"),
    }
    runs = [start(environment) for _ in range(2)]
    for one in runs:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    said = [one.communicate(timeout=START_SECONDS) for one in runs]
    outcomes = [json.loads(out.splitlines()[-1]) for out, _ in said]
    assert [one["success"] for one in outcomes] == [True, True], said
    assert sorted(one["recorded"] for one in outcomes) == [0, len(USERS)]
    rows = marts.rows("select webhook_id, state from analytics.sync.webhook_outbox")
    assert Counter(row["state"] for row in rows) == {"delivered": len(USERS)}
    sent = Counter(one.webhook_id for one in target.received)
    assert len(sent) == len(USERS)
    assert set(sent.values()) == {1}
