"""Run jobs one after another in one warm process: a JSON line in, a JSON line out.

For the demo and for tests that drive jobs from outside; loading the definitions takes seconds, each
further job does not. Input: ``{"job": name, "config": run config, "assets": [keys], "checks":
bool}``, the last three optional; without checks, no data test runs. Output: ``{"job": name,
"success": bool, "run_id": id, "failures": [texts], "metadata": {asset: {name: number or text}}}``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import dagster as dg


def main() -> None:
    """Serve until end of input."""
    from orchestration.definitions import defs

    loaded = defs()
    with responses() as output, dg.DagsterInstance.get() as instance:
        for line in sys.stdin:
            request = json.loads(line)
            keys = [dg.AssetKey.from_user_string(key) for key in request.get("assets", [])]
            job = loaded.resolve_job_def(request["job"])
            if not request.get("checks", True):
                job = without_checks(job)
            response = run(job, instance, request.get("config", {}), keys)
            print(json.dumps(response), file=output, flush=True)


@contextmanager
def responses() -> Iterator[TextIO]:
    """Standard output, reserved for responses; what dbt prints there goes to standard error."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as output:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        yield output


def without_checks(job: dg.JobDefinition) -> dg.JobDefinition:
    """The same assets without their checks."""
    keys = set(job.asset_layer.executable_asset_keys)
    return job.get_subset(asset_selection=keys, asset_check_selection=set())


def run(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    config: dict[str, Any],
    keys: Sequence[dg.AssetKey],
) -> dict[str, Any]:
    """Run one job, or some of its assets, to completion in this process."""
    result = job.execute_in_process(
        instance=instance, run_config=config, raise_on_error=False, asset_selection=keys or None
    )
    events = result.get_asset_materialization_events()
    return {
        "job": job.name,
        "success": result.success,
        "run_id": result.run_id,
        "failures": [_failure(event) for event in result.all_events if event.is_step_failure],
        "metadata": {
            str(event.asset_key.to_user_string()): {
                name: value.value
                for name, value in event.materialization.metadata.items()
                if isinstance(value.value, (int, float, str, bool))
            }
            for event in events
            if event.asset_key is not None
        },
    }


def _failure(event: dg.DagsterEvent) -> str:
    error = event.step_failure_data.error
    # Below Dagster's wrappers is this project's error, which says how to fix it; then its cause.
    while (
        error is not None
        and error.cause is not None
        and (error.cls_name or "").startswith("Dagster")
    ):
        error = error.cause
    return f"{event.step_key}: {error.message.strip() if error else 'failed'}"


if __name__ == "__main__":
    main()
