"""The Dagster definitions for tests, and shortcuts to run them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import dagster as dg
import pytest
from dagster._serdes import serialize_value

from orchestration.resources import AlertsResource
from sync.domain.event_types import SETTING, event_types
from tests.support.dbt import Dbt

NEW = "sync__newly_completed_enrollments"
ENROLLED = "sync__newly_enrolled_learners"
ENRICHED = "sync__enriched_completions"
WEBHOOKS = "sync__completion_webhooks"
STEPS = tuple(
    dg.AssetKey(["sync", step.removeprefix("sync__")]) for step in (NEW, ENRICHED, WEBHOOKS)
)
"""The three assets of a webhook run, without the delivery models."""
DONE_NOTES = ("webhooks/detected", "webhooks/built", "webhooks/sent")
"""The tags of a run that has done all of its work."""
ENROLLMENTS_ASSET = dg.AssetKey(ENROLLED.split("__"))
"""Additional asset while enrollment events are switched on."""
ACTIVATED = {"activated_at": "2026-03-01T00:00:00Z"}
"""Detection config: the completions of the fixture ``marts`` are newer."""


@cache
def load_definitions(dbt: Dbt, switched_on: str = "") -> dg.Definitions:
    """The definitions that Dagster loads, with this session's dbt manifest, and with these event
    types in addition to those enabled in their files."""
    own = dbt.prepare(dbt.target_path / "dagster")
    with pytest.MonkeyPatch.context() as patch, event_types_on(switched_on):
        patch.setenv("DBT_TARGET_PATH", str(own))
        from orchestration.definitions import defs

        return defs()


@contextmanager
def event_types_on(names: str) -> Iterator[None]:
    """Simulates a process whose environment enables these event types."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SETTING, names)
        event_types.cache_clear()
        yield
    event_types.cache_clear()


BARE_MODELS = {
    "ops": {
        "learning_time_models": {"config": {"with_row_counts": False, "with_column_lineage": False}}
    }
}
"""For builds that do not check row counts and column lineage, which take half of the time."""


def run_config(
    *,
    detection: Mapping[str, Any] | None = None,
    enrollments: Mapping[str, Any] | None = None,
    enrichment: Mapping[str, Any] | None = None,
    delivery: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Run config as entered in the launchpad."""
    given = {
        NEW: detection,
        ENROLLED: enrollments,
        ENRICHED: enrichment,
        WEBHOOKS: delivery,
    }
    return {"ops": {name: {"config": dict(values)} for name, values in given.items() if values}}


def run(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    *,
    steps: int = 3,
    others: Sequence[dg.AssetKey] = (),
    **config: Any,
) -> dg.ExecuteInProcessResult:
    """Run the first ``steps`` of the three assets, and others; a failure does not raise."""
    return job.execute_in_process(
        instance=instance,
        asset_selection=[*STEPS[:steps], *others],
        run_config=run_config(**config),
        raise_on_error=False,
    )


def alert(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    result: dg.ExecuteInProcessResult,
    *,
    of: dg.Definitions | None = None,
) -> None:
    """Evaluate the sensor for a finished run, as the daemon does.

    ``of`` are the run's definitions, if they are not ``defs``.
    """
    name = "a_check_failed" if result.success else "a_run_failed"
    end = result.get_run_success_event if result.success else result.get_run_failure_event
    context = dg.build_run_status_sensor_context(
        sensor_name=name,
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        dagster_event=end(),
        repository_def=(of or defs).get_repository_def(),
        resources={"alerts": AlertsResource()},
    )
    defs.get_sensor_def(name)(context if result.success else context.for_run_failure())


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """Metadata values by the last part of the asset's key."""
    return {
        event.asset_key.path[-1]: {
            name: value.value for name, value in event.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
    }


def settings_in(text: str) -> dict[str, tuple[str, str]]:
    """Value and source of each setting, by name, from the entry ``settings``."""
    lines = (re.fullmatch(r"(\w+): (.*) \((.*)\)", one) for one in text.split("  \n"))
    return {found[1]: (found[2], found[3]) for found in lines if found}


def everything_said(instance: dg.DagsterInstance, run_id: str) -> str:
    """All that Dagster keeps of a run: log lines, events, metadata, checks."""
    return "\n".join(serialize_value(entry) for entry in instance.all_logs(run_id))


def failure_texts(result: dg.ExecuteInProcessResult) -> list[str]:
    """The error of each failed step, without Dagster's wrappers."""
    texts = []
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error and error.cause and (error.cls_name or "").startswith("Dagster"):
                error = error.cause
            texts.append(error.message if error else "")
    return texts
