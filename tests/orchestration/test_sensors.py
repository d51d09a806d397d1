"""The sensors, called as by the daemon."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from orchestration.defs.webhooks.run_notes import NEXT
from orchestration.resources import DialResource, WarehouseResource, prepare
from sync.domain.pauses import NO_PAUSES
from sync.ledger.outbox import remaining
from sync.local.raw_tables import insert_rows
from sync.operations.changes import hand_over, ledger_token
from sync.warehouse import Warehouse
from tests.support.definitions import ACTIVATED, DONE_NOTES, STEPS, alert, run
from tests.support.ledger_rows import webhook, write_ledger
from tests.support.marts import create_marts
from tests.support.receiver import Receiver, receiver
from tests.support.scenarios import Scenarios


def stand_empty(scenarios: Scenarios) -> None:
    """Every table that the sensor reads, without rows."""

    def make(warehouse: Warehouse) -> None:
        scenarios.stand("prepared", prepare)
        create_marts(warehouse)

    scenarios.stand("empty marts", make)


@pytest.fixture
def empty(scenarios: Scenarios, warehouse: Warehouse) -> Warehouse:
    """A session on those tables."""
    stand_empty(scenarios)
    return warehouse


def tick(defs: dg.Definitions, instance: dg.DagsterInstance, cursor: str | None):
    sensor = defs.get_sensor_def("completions_arrived")
    context = dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        resources={"warehouse": WarehouseResource(), "dial": DialResource()},
    )
    return sensor.evaluate_tick(context)


def test_a_change_starts_one_run_however_often_it_is_seen(
    defs: dg.Definitions, empty: Warehouse, instance: dg.DagsterInstance
) -> None:
    """Dagster starts one run per key, and another if the first was deleted before it started."""
    first = tick(defs, instance, None)
    second = tick(defs, instance, first.cursor)
    assert first.run_requests is not None
    assert second.run_requests is not None
    (one,), (again,) = first.run_requests, second.run_requests
    assert one.run_key
    assert one.run_key == again.run_key


def test_a_raw_table_is_observed_when_it_changes_and_not_before(
    defs: dg.Definitions, empty: Warehouse, instance: dg.DagsterInstance
) -> None:
    external = {
        asset.key
        for asset in map(defs.resolve_asset_graph().get, defs.resolve_all_asset_keys())
        if not asset.is_materializable
    }
    first = tick(defs, instance, None)
    assert {event.asset_key for event in first.asset_events} < external
    second = tick(defs, instance, first.cursor)
    assert second.asset_events == []
    grade = {"id": 1, "user_id": 1, "course_id": "x", "modified": datetime(2026, 3, 10)}
    insert_rows(empty, "grades_persistentcoursegrade", [grade])
    (observed,) = tick(defs, instance, second.cursor).asset_events
    assert isinstance(observed, dg.AssetObservation)
    assert observed.asset_key.path == ["lms", "grades_persistentcoursegrade"]


@pytest.mark.parametrize(
    ("local_zone", "minutes", "is_due"),
    [("America/St_Johns", -1, True), ("Asia/Kathmandu", 30, False)],
    indirect=["local_zone"],
)
def test_what_is_due_is_so_by_utc_wherever_the_daemon_lives(
    defs: dg.Definitions,
    empty: Warehouse,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    local_zone: str,
    minutes: int,
    is_due: bool,
) -> None:
    now = datetime.fromtimestamp(time.time(), UTC).replace(tzinfo=None)
    due_at = (now + timedelta(minutes=minutes)).isoformat()
    row = webhook(1, now, state="pending", delivered_at=None, next_attempt_at=due_at)
    write_ledger(empty, webhooks=[row])
    told = hand_over(empty, ledger_token(empty), remaining(empty, NO_PAUSES)).text()
    job = defs.resolve_job_def("completion_webhooks_job")
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.SUCCESS)
    instance.add_run_tags(run.run_id, {NEXT: f"{run.run_id} {told}"})
    monkeypatch.setattr("sync.operations.changes.next_slot", lambda at, dial: at)
    found = tick(defs, instance, None)
    assert found.run_requests
    assert ("came due" in found.run_requests[0].tags["reason"]) == is_due
    # The sensor waits for a run that started a minute ago.
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert "is still delivering" in str(tick(defs, instance, None).skip_message)


def test_before_the_first_build_it_skips_and_says_so(
    defs: dg.Definitions, warehouse: Warehouse, instance: dg.DagsterInstance
) -> None:
    skipped = tick(defs, instance, None)
    assert skipped.skip_message is not None
    assert "not set up yet" in skipped.skip_message


def test_a_running_delivery_is_waited_for_but_one_that_died_without_a_word_is_not(
    defs: dg.Definitions,
    empty: Warehouse,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    instance.create_run_for_job(
        defs.resolve_job_def("completion_webhooks_job"), status=dg.DagsterRunStatus.STARTED
    )
    waiting = tick(defs, instance, None)
    assert waiting.skip_message is not None
    assert "is still delivering" in waiting.skip_message
    monkeypatch.setattr("orchestration.defs.webhooks.sensor.LONGEST_RUN", timedelta(0))
    assert tick(defs, instance, None).run_requests


def fail(defs: dg.Definitions, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    """A run that fails, since there are no marts."""
    job = defs.resolve_job_def("completion_webhooks_job")
    result = job.execute_in_process(
        instance=instance, asset_selection=[STEPS[0]], raise_on_error=False
    )
    assert not result.success
    return result


@pytest.fixture
def alerts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiver() as target:
        monkeypatch.setenv("LTW_ALERT_URL", f"{target.url}/alerts")
        monkeypatch.setenv("LTW_DEVELOPMENT_TARGETS", target.host_port)
        yield target


def test_a_failed_run_is_posted_to_the_alert_url(
    defs: dg.Definitions, instance: dg.DagsterInstance, no_marts: Warehouse, alerts: Receiver
) -> None:
    alert(defs, instance, fail(defs, instance))
    (posted,) = alerts.received
    document = json.loads(posted.body)
    assert list(document) == ["text"], "the form that Slack, Mattermost and Teams take"
    assert "completion_webhooks_job failed" in document["text"]


def test_an_outage_is_told_ever_more_rarely(
    defs: dg.Definitions, instance: dg.DagsterInstance, no_marts: Warehouse, alerts: Receiver
) -> None:
    for _ in range(5):
        alert(defs, instance, fail(defs, instance))
    texts = [json.loads(one.body)["text"] for one in alerts.received]
    assert len(texts) == 3
    assert "2 times in a row" in texts[1]
    assert "4 times in a row" in texts[2]


def test_a_function_of_one_s_own_gets_the_text(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    no_marts: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "example_pager.py").write_text(
        "told = []\ndef page(text):\n    told.append(text)\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LTW_ALERT_HOOK", "example_pager:page")
    alert(defs, instance, fail(defs, instance))
    (text,) = importlib.import_module("example_pager").told
    assert "completion_webhooks_job failed" in text


def test_a_failed_check_is_told_with_what_it_means_and_what_to_do(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    webhooks_job: dg.JobDefinition,
    marts: Warehouse,
    alerts: Receiver,
) -> None:
    for limit in (2, 3):
        result = run(
            webhooks_job, instance, steps=1, detection=ACTIVATED | {"mass_send_limit": limit}
        )
        assert result.success
        alert(defs, instance, result)
    (posted,) = alerts.received
    text = json.loads(posted.body)["text"]
    assert "check no_unusual_number_of_completions of sync/newly_completed_enrollments" in text
    assert "allow_mass_send: true" in text


@pytest.mark.parametrize("local_zone", ["America/St_Johns"], indirect=True)
def test_a_run_that_failed_is_started_again_though_nothing_has_changed(
    defs: dg.Definitions,
    no_marts: Warehouse,
    scenarios: Scenarios,
    monkeypatch: pytest.MonkeyPatch,
    local_zone: str,
) -> None:
    """The cursor had moved on before the run failed."""
    # Else the slot ends meanwhile once in a while.
    monkeypatch.setattr(
        "sync.operations.changes.next_slot", lambda at, dial: at + timedelta(days=1)
    )
    with dg.instance_for_test() as instance:
        fail(defs, instance)
        stand_empty(scenarios)
        first = tick(defs, instance, None)
        assert first.skip_message is not None
        assert "the last run failed" in first.skip_message
        assert not first.run_requests


def test_the_hourly_net_starts_a_run_only_where_none_has_done_its_work(
    defs: dg.Definitions, warehouse: Warehouse
) -> None:
    """A crashed run did not report what is due next."""
    job = defs.resolve_job_def("completion_webhooks_job")
    schedule = defs.get_schedule_def("completion_webhooks_hourly")

    def starts(hours: float = 0) -> bool:
        at = datetime.now(UTC) + timedelta(hours=hours)
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=at)
        return bool(schedule.evaluate_tick(context).run_requests)

    with dg.instance_for_test() as instance:
        assert starts()
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.SUCCESS)
        assert starts(), "it has done nothing"
        instance.add_run_tags(run.run_id, dict.fromkeys(DONE_NOTES, f"{run.run_id} yes"))
        assert not starts(0.5)
        assert starts(1.1)
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.FAILURE)
        assert starts(0.5), "the newest one has failed"
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        assert not starts()
        assert starts(0.5), "it has died without a word"


@pytest.mark.parametrize(("dial", "minutes"), [("", [10, 40]), ("60", [10])])
def test_the_models_are_built_as_often_as_the_dial_allows(
    defs: dg.Definitions, dial: str, minutes: list[int]
) -> None:
    schedule = defs.get_schedule_def("learning_time_every_30_minutes")
    started = []
    for minute in (10, 40):
        context = dg.build_schedule_context(
            scheduled_execution_time=datetime(2026, 3, 10, 12, minute, tzinfo=UTC),
            resources={"dial": DialResource(at_most_every_minutes=dial)},
        )
        if schedule.evaluate_tick(context).run_requests:
            started.append(minute)
    assert started == minutes


def test_every_sensor_starts_stopped(defs: dg.Definitions) -> None:
    for name in ("completions_arrived", "a_run_failed", "a_check_failed"):
        assert defs.get_sensor_def(name).default_status is dg.DefaultSensorStatus.STOPPED
