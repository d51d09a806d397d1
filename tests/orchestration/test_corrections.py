"""Corrections in a Dagster run: a separate asset that uses the flag of the same run."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from sync.domain.event_types import COURSE_COMPLETION_CORRECTION
from sync.warehouse import Warehouse
from tests.support.completions import COURSE_RUN, ENTERPRISE
from tests.support.dbt import Dbt
from tests.support.definitions import (
    ACTIVATED,
    event_types_on,
    load_definitions,
    metadata_of,
    run,
)
from tests.support.marts import LEARNING_TIME_COLUMNS, create_endpoints, create_table, endpoint
from tests.support.pipeline import PASSED_AT, learning_time
from tests.support.receiver import Receiver

ASSET = dg.AssetKey(["sync", "newly_recorded_corrections"])
COLUMNS = {
    **{name: LEARNING_TIME_COLUMNS[name] for name in ("user_id", "courserun_key", "passed_at")},
    "enterprise_customer_uuid": "varchar(36)",
    "corrects_webhook_id": "varchar(36)",
    "correction_number": "number(38, 0)",
    "told_correction_number": "number(38, 0)",
    "told_learning_time_seconds": "number(38, 0)",
    "tolerance_seconds": "number(38, 3)",
    "correction_status": "varchar(16)",
}


@pytest.fixture
def job(dbt: Dbt) -> Iterator[dg.JobDefinition]:
    """The webhook job in a process with corrections switched on."""
    name = COURSE_COMPLETION_CORRECTION
    with event_types_on(name):
        yield load_definitions(dbt, name).resolve_job_def("completion_webhooks_job")


def test_corrections_are_recorded_while_the_flag_of_the_run_is_on_and_planned_by_a_dry_one(
    marts: Warehouse, target: Receiver, job: dg.JobDefinition, instance: dg.DagsterInstance
) -> None:
    asking = {"event_types": COURSE_COMPLETION_CORRECTION}
    create_endpoints(marts, [endpoint(1, f"{target.url}/hooks/example", **asking)])
    create_table(marts, "completion_learning_time", LEARNING_TIME_COLUMNS, [learning_time(1)])
    due = {
        "enterprise_customer_uuid": ENTERPRISE,
        "user_id": 1,
        "courserun_key": COURSE_RUN,
        "passed_at": PASSED_AT,
        "corrects_webhook_id": "first",
        "correction_number": 1,
        "told_correction_number": 0,
        "told_learning_time_seconds": 1_000,
        "tolerance_seconds": 100,
        "correction_status": "due",
    }
    create_table(marts, "completion_corrections", COLUMNS, [due])

    def seen(*, flag: bool, **config: object) -> dict[str, object]:
        enrichment = {"enable_webhook_learning_time_enrichment": flag, **config}
        result = run(job, instance, others=[ASSET], detection=ACTIVATED, enrichment=enrichment)
        assert result.success
        return metadata_of(result)[ASSET.path[-1]]

    assert seen(flag=False)["recorded"] == 0
    assert seen(flag=True, dry_run=True)["would_record_corrections"] == 1
    assert seen(flag=True)["recorded"] == 1
    assert [one.path for one in target.received].count("/hooks/example") == 4
