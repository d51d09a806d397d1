"""What the sensor has seen stays pending until a real run has done all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from orchestration.config import EnrichmentConfig
from orchestration.resources import DialResource, WarehouseResource
from sync.clock import warehouse_clock
from sync.ledger.recording_lease import recording_lease
from sync.local.raw_tables import insert_rows
from sync.warehouse import Warehouse
from tests.orchestration.conftest import PASSED_AT
from tests.support.completions import add_completions, completion
from tests.support.definitions import ACTIVATED, DONE_NOTES, STEPS, run_config
from tests.support.event_types import COMPLETIONS
from tests.support.receiver import Receiver

OUTBOX = "analytics.sync.webhook_outbox"
OTHER_WAREHOUSE = {"webhooks/warehouse": "another"}


class Daemon:
    """The sensor on one instance, and the runs that it or a person starts."""

    def __init__(
        self, defs: dg.Definitions, instance: dg.DagsterInstance, warehouse: Warehouse
    ) -> None:
        self._sensor = defs.get_sensor_def("completions_arrived")
        self.job = defs.resolve_job_def("completion_webhooks_job")
        self.instance = instance
        self.warehouse = warehouse
        self.cursor: str | None = None
        self.said = ""

    def tick(self) -> dg.RunRequest | None:
        """One sensor tick; returns the run that it requests."""
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            resources={"warehouse": WarehouseResource(), "dial": DialResource()},
        )
        found = self._sensor.evaluate_tick(context)
        self.cursor = found.cursor or self.cursor
        self.said = found.skip_message or ""
        return found.run_requests[0] if found.run_requests else None

    def start(self, request: dg.RunRequest, **config: Any) -> None:
        """Execute the run that the sensor requested."""
        self.job.execute_in_process(
            instance=self.instance,
            asset_selection=list(STEPS),
            run_config=run_config(**({"detection": ACTIVATED} | config)),
            tags={**request.tags, "dagster/sensor_name": "completions_arrived"},
            raise_on_error=False,
        )

    def by_hand(self, *keys: dg.AssetKey, **config: Any) -> None:
        """A manual run of these assets or of all three."""
        self.job.execute_in_process(
            instance=self.instance,
            asset_selection=list(keys or STEPS),
            run_config=run_config(**config),
            raise_on_error=False,
        )

    def ended(self, status: dg.DagsterRunStatus, tags: Mapping[str, str] | None = None) -> None:
        """A run that ended with this status and did nothing."""
        self.instance.create_run_for_job(self.job, status=status, tags=tags)

    def recorded(self) -> int:
        return int(self.warehouse.rows(f"select count(*) as n from {OUTBOX}")[0]["n"])


@pytest.fixture
def daemon(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    marts: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
) -> Daemon:
    """Three completions, the flag off, nothing done yet; pauses end as soon as they start."""
    monkeypatch.setattr("sync.operations.changes.next_slot", lambda at, dial: at)
    return Daemon(defs, instance, marts)


def a_dead_run_has_the_lease(daemon: Daemon, request: dg.RunRequest) -> None:
    clock = warehouse_clock(daemon.warehouse)
    daemon.by_hand(STEPS[0], detection=ACTIVATED | {"mass_send_limit": 1})
    with recording_lease(daemon.warehouse, COMPLETIONS.name, run_id="dead", clock=clock):
        daemon.start(request)


def the_guard_holds_it_back(daemon: Daemon, request: dg.RunRequest) -> None:
    daemon.start(request, detection=ACTIVATED | {"mass_send_limit": 2})


def copied(daemon: Daemon, request: dg.RunRequest) -> None:
    """Dagster gives a re-executed run the tags of the first one."""
    done = dict.fromkeys(DONE_NOTES, "11111111-1111-1111-1111-111111111111 yes")
    daemon.ended(dg.DagsterRunStatus.SUCCESS, {**request.tags, **done})


LEAVE_IT: dict[str, Callable[[Daemon, dg.RunRequest], object]] = {
    "a run that left it to a dead run": a_dead_run_has_the_lease,
    "a run that was canceled": lambda d, r: d.ended(dg.DagsterRunStatus.CANCELED, r.tags),
    "a run that never started": lambda d, r: d.ended(dg.DagsterRunStatus.FAILURE, r.tags),
    "a run that was deleted while it was queued": lambda d, r: None,
    "a dry run": lambda d, r: d.by_hand(detection=ACTIVATED | {"dry_run": True}),
    "a dry run of a person after a failed one": lambda d, r: (
        d.ended(dg.DagsterRunStatus.FAILURE),
        d.by_hand(detection={"dry_run": True}),
    ),
    "a run of the first asset": lambda d, r: d.by_hand(STEPS[0], detection=ACTIVATED),
    "a run of the last asset": lambda d, r: d.by_hand(STEPS[2]),
    "a run that the guard held back": the_guard_holds_it_back,
    "a copy of the tags of a run that was done": copied,
    "a run on another warehouse": lambda d, r: d.ended(
        dg.DagsterRunStatus.SUCCESS, OTHER_WAREHOUSE
    ),
}


@pytest.mark.parametrize("leave", LEAVE_IT.values(), ids=LEAVE_IT)
def test_only_a_real_run_that_finished_its_work_uses_up_the_news(
    daemon: Daemon,
    leave: Callable[[Daemon, dg.RunRequest], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "orchestration.defs.webhooks.steps.REPEAT_AFTER", timedelta(0), raising=False
    )
    monkeypatch.setattr(
        "orchestration.defs.webhooks.steps.GUARD_REPEAT", timedelta(0), raising=False
    )
    request = daemon.tick()
    assert request is not None
    leave(daemon, request)
    assert daemon.tick() is not None, daemon.said


def test_the_run_that_follows_a_dead_one_sends_everything_and_then_it_is_quiet(
    daemon: Daemon, target: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "orchestration.defs.webhooks.steps.REPEAT_AFTER", timedelta(0), raising=False
    )
    request = daemon.tick()
    assert request is not None
    a_dead_run_has_the_lease(daemon, request)
    again = daemon.tick()
    assert again is not None, daemon.said
    daemon.start(again)
    assert daemon.recorded() == 3
    assert len(target.received) == 3
    assert daemon.tick() is None
    assert "nothing has changed" in daemon.said


def test_a_run_that_a_person_starts_uses_the_news_up_as_well(daemon: Daemon) -> None:
    """Otherwise the schedule and the sensor together would do everything twice."""
    assert daemon.tick() is not None
    daemon.by_hand(detection=ACTIVATED)
    assert daemon.tick() is None, daemon.said


def test_a_cursor_that_is_lost_or_of_another_version_repeats_nothing(daemon: Daemon) -> None:
    daemon.by_hand(detection=ACTIVATED)
    for cursor in (None, '{"sources": "a", "ledger": "b", "due_at": null}', "nonsense"):
        daemon.cursor = cursor
        assert daemon.tick() is None, daemon.said


def test_what_changes_while_a_run_is_at_work_is_news_after_it(daemon: Daemon) -> None:
    request = daemon.tick()
    assert request is not None
    daemon.start(request)
    add_completions(daemon.warehouse, [completion(4, PASSED_AT)])
    insert_rows(
        daemon.warehouse,
        "grades_persistentcoursegrade",
        [{"id": 4, "user_id": 4, "course_id": "x", "modified": "2026-03-10T17:42:31"}],
    )
    assert daemon.tick() is not None, daemon.said


def test_the_work_that_another_run_holds_is_looked_at_when_its_lease_ends(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not before: each poll resumes a warehouse."""
    request = daemon.tick()
    assert request is not None
    a_dead_run_has_the_lease(daemon, request)
    assert daemon.tick() is None
    assert "next try after" in daemon.said


def test_a_run_that_died_or_hangs_without_a_word_is_followed_by_another(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster starts one run per key, whatever the run's outcome."""
    request = daemon.tick()
    assert request is not None
    daemon.ended(dg.DagsterRunStatus.STARTED, request.tags)
    assert daemon.tick() is None
    monkeypatch.setattr("orchestration.defs.webhooks.sensor.LONGEST_RUN", timedelta(0))
    again, once_more = daemon.tick(), daemon.tick()
    assert again is not None
    assert once_more is not None
    assert again.run_key == once_more.run_key != request.run_key


def test_a_run_of_another_code_location_is_not_waited_for(daemon: Daemon) -> None:
    """Two code locations in one Dagster, each with its warehouse, have a job with the same name."""
    daemon.ended(dg.DagsterRunStatus.STARTED, OTHER_WAREHOUSE)
    assert daemon.tick() is not None
    daemon.ended(dg.DagsterRunStatus.STARTED)
    assert daemon.tick() is None
    assert "is still delivering" in daemon.said


def test_turning_the_flag_off_sends_what_waits_for_the_number(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, target: Receiver
) -> None:
    """Nothing waits while it is off, and no table shows the setting."""
    flag = {"enable_webhook_learning_time_enrichment": True}
    with monkeypatch.context() as patch:
        patch.setattr(
            "orchestration.defs.webhooks.sensor.EnrichmentConfig",
            lambda: EnrichmentConfig.model_validate(flag),
        )
        daemon.by_hand(detection=ACTIVATED, enrichment=flag)
        assert daemon.tick() is None, daemon.said
        assert target.received == []
    assert daemon.tick() is not None, daemon.said
