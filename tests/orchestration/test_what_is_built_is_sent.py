"""An upstream failure does not stop sending: built messages are sent, and then the run fails."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from sync.warehouse import Warehouse
from tests.orchestration.conftest import PASSED_AT, Stand, lead_to, three_completions
from tests.support.completions import COLUMNS, add_completions, completion
from tests.support.definitions import (
    ACTIVATED,
    ENROLLMENTS_ASSET,
    STEPS,
    failure_texts,
    metadata_of,
    run_config,
)
from tests.support.marts import ENROLLMENT_COLUMNS, create_table, enrollment
from tests.support.receiver import Receiver

OUTBOX = "analytics.sync.webhook_outbox"
MARTS = "analytics.marts"
NEW, ENRICHED, WEBHOOKS = (key.path[-1] for key in STEPS)


class Site:
    """A job on marts that are views, as in dbt, over tables that others change."""

    def __init__(
        self, warehouse: Warehouse, job: dg.JobDefinition, instance: dg.DagsterInstance
    ) -> None:
        self.warehouse = warehouse
        self.instance = instance
        self.job = job

    def rename(self, mart: str, column: str) -> None:
        """What an upgrade of the LMS does to a replica."""
        self.warehouse.execute(
            f"alter table {MARTS}.{mart}_replica rename column {column} to {column}_new"
        )

    def run(self, *keys: dg.AssetKey, **config: Any) -> dg.ExecuteInProcessResult:
        return self.job.execute_in_process(
            instance=self.instance,
            asset_selection=list(keys or STEPS),
            run_config=run_config(**({"detection": ACTIVATED} | config)),
            raise_on_error=False,
        )

    def states(self) -> dict[str, int]:
        rows = self.warehouse.rows(
            f"select event_type || ' ' || state as what, count(*) as n from {OUTBOX} group by what"
        )
        return {row["what"]: int(row["n"]) for row in rows}


@pytest.fixture
def site(stand: Stand, webhooks_job: dg.JobDefinition, instance: dg.DagsterInstance) -> Site:
    """Three completions and an enrollment, none recorded yet."""
    return Site(stand("three completions and an enrollment", unknown), webhooks_job, instance)


def unknown(warehouse: Warehouse) -> None:
    three_completions(warehouse)
    create_table(warehouse, "enterprise_enrollments", ENROLLMENT_COLUMNS, [enrollment(9)])
    warehouse.execute(f"update {MARTS}.webhook_endpoints set is_enrollment_events_enabled = true")
    for mart, columns in (
        ("completed_enrollments", COLUMNS),
        ("enterprise_enrollments", ENROLLMENT_COLUMNS),
    ):
        warehouse.execute(f"alter table {MARTS}.{mart} rename to {MARTS}.{mart}_replica")
        warehouse.execute(
            f"create view {MARTS}.{mart} as select {', '.join(columns)} from {MARTS}.{mart}_replica"
        )


@pytest.fixture
def with_enrollments(site: Site, job_with_enrollments: dg.JobDefinition) -> Site:
    """The same with enrollment events switched on."""
    site.job = job_with_enrollments
    return site


@pytest.fixture
def due(
    stand: Stand, webhooks_job: dg.JobDefinition, instance: dg.DagsterInstance, target: Receiver
) -> Site:
    """Two of the completions are built and due, and the third cannot be built for now."""

    def make(warehouse: Warehouse) -> None:
        unknown(warehouse)
        lead_to(warehouse, target)
        with dg.DagsterInstance.ephemeral() as own:
            Site(warehouse, webhooks_job, own).run(*STEPS[:2])
        warehouse.execute(
            f"update {OUTBOX} set build_id = null, state = 'held',"
            " state_reason = 'payload_invalid', endpoint_id = null"
            " where user_id = 3"
        )

    site = Site(stand("two built and one held", make), webhooks_job, instance)
    assert site.states() == {"course_completion pending": 2, "course_completion held": 1}
    return site


def test_a_renamed_column_fails_the_run_and_is_named_and_what_is_built_is_sent(
    due: Site, target: Receiver
) -> None:
    due.rename("completed_enrollments", "passed_at")
    result = due.run()
    assert len(target.received) == 2
    assert not result.success
    (text,) = failure_texts(result)
    assert "completed_enrollments" in text
    assert "passed_at" in text.lower()
    assert NEW not in metadata_of(result), "it claims no success"
    assert metadata_of(result)[WEBHOOKS]["delivered"] == 2
    due.run()
    assert len(target.received) == 2, "sent once, however often it fails"


def test_a_failure_while_messages_are_built_stops_no_retry_either(
    due: Site, target: Receiver
) -> None:
    due.rename("completed_enrollments", "letter_grade")
    result = due.run(*STEPS[1:])
    assert not result.success
    assert "letter_grade" in "".join(failure_texts(result)).lower()
    assert ENRICHED not in metadata_of(result)
    assert len(target.received) == 2


def test_a_broken_source_of_one_kind_of_event_stops_no_other_kind(
    with_enrollments: Site, target: Receiver
) -> None:
    with_enrollments.rename("enterprise_enrollments", "enrolled_at")
    result = with_enrollments.run(*STEPS, ENROLLMENTS_ASSET)
    assert not result.success
    (text,) = failure_texts(result)
    assert "enterprise_enrollments" in text
    assert "enrolled_at" in text.lower()
    assert with_enrollments.states() == {"course_completion delivered": 3}
    assert len(target.received) == 3


def test_and_the_other_way_round(with_enrollments: Site, target: Receiver) -> None:
    with_enrollments.rename("completed_enrollments", "passed_at")
    assert not with_enrollments.run(*STEPS, ENROLLMENTS_ASSET).success
    assert with_enrollments.states() == {"course_enrollment suppressed": 1}


@pytest.mark.parametrize(
    ("keys", "config"),
    [
        pytest.param(STEPS[:1], {}, id="the last asset is not part of the run"),
        pytest.param(STEPS, {"delivery": {"dry_run": True}}, id="the run is dry"),
    ],
)
def test_a_failure_sends_nothing_that_the_run_would_not_have_sent(
    due: Site, target: Receiver, keys: tuple[dg.AssetKey, ...], config: dict[str, Any]
) -> None:
    due.rename("completed_enrollments", "passed_at")
    assert not due.run(*keys, **config).success
    assert target.received == []


def test_a_failure_sends_nothing_that_is_in_the_outbox_twice(due: Site, target: Receiver) -> None:
    """The check between the assets also applies here."""
    due.warehouse.execute(f"insert into {OUTBOX} select * from {OUTBOX} where user_id = 1")
    due.rename("completed_enrollments", "passed_at")
    assert not due.run().success
    assert target.received == []


def test_endpoints_that_cannot_be_read_are_named_and_lose_nothing(
    due: Site, target: Receiver
) -> None:
    due.warehouse.execute(f"alter table {MARTS}.webhook_endpoints rename to {MARTS}.gone")
    result = due.run()
    assert not result.success
    assert "webhook_endpoints" in "".join(failure_texts(result)).lower()
    due.warehouse.execute(f"alter table {MARTS}.gone rename to {MARTS}.webhook_endpoints")
    assert due.run().success
    assert len(target.received) == 3


def test_a_new_completion_is_recorded_though_no_endpoint_can_be_read(due: Site) -> None:
    """Detection of completions does not read endpoints."""
    add_completions_to_replica(due, 4)
    due.warehouse.execute(f"alter table {MARTS}.webhook_endpoints rename to {MARTS}.gone")
    due.run()
    assert due.states()["course_completion awaiting"] == 1


def add_completions_to_replica(site: Site, user_id: int) -> None:
    site.warehouse.execute(f"drop view {MARTS}.completed_enrollments")
    site.warehouse.execute(
        f"alter table {MARTS}.completed_enrollments_replica rename to {MARTS}.completed_enrollments"
    )
    add_completions(site.warehouse, [completion(user_id, PASSED_AT)])
