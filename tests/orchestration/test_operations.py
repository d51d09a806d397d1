"""The operator's jobs in the UI: dry by default, refused without the number, same bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sync.ledger.erasures import person_key
from sync.warehouse import Warehouse
from tests.orchestration.conftest import PASSED_AT, Stand
from tests.support.completions import ENTERPRISE, add_completions, completion
from tests.support.definitions import (
    ACTIVATED,
    everything_said,
    failure_texts,
    run,
    settings_in,
)
from tests.support.operator import MESSAGES, OUTBOX, everything_in
from tests.support.receiver import Receiver

DELIVERED = {"state": "delivered"}
ENDPOINTS = "analytics.marts.webhook_endpoints"
JANUARY = {"since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"}


class Desk:
    """An operator who uses the UI."""

    def __init__(
        self, defs: dg.Definitions, instance: dg.DagsterInstance, warehouse: Warehouse
    ) -> None:
        self._defs = defs
        self.instance = instance
        self.warehouse = warehouse

    def start(self, name: str, **config: Any) -> dg.ExecuteInProcessResult:
        """Run ``<name>_job`` with this config; a failure does not raise."""
        return self._defs.resolve_job_def(f"{name}_job").execute_in_process(
            instance=self.instance,
            run_config={"ops": {name: {"config": config}}} if config else {},
            raise_on_error=False,
        )

    def deliver(self, **config: Any) -> None:
        assert run(
            self._defs.resolve_job_def("completion_webhooks_job"), self.instance, **config
        ).success

    def everything(self) -> dict[str, str]:
        return everything_in(self.warehouse)


def facts(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """Metadata of the op's output, as plain values."""
    assert result.success, failure_texts(result)
    (event,) = [one for one in result.all_events if one.is_successful_output]
    return {
        name: [record.data for record in value.records]
        if isinstance(value, dg.TableMetadataValue)
        else value.value
        for name, value in event.step_output_data.metadata.items()
    }


@pytest.fixture
def new_desk(defs: dg.Definitions, instance: dg.DagsterInstance, marts: Warehouse) -> Desk:
    """Nothing has been recorded yet."""
    return Desk(defs, instance, marts)


@pytest.fixture
def desk(new_desk: Desk, stand: Stand, after_a_run: Callable[..., None]) -> Desk:
    """Three delivered, and two old ones that were never sent."""
    old = [completion(n, "2026-01-15T10:00:00") for n in (8, 9)]
    stand("three sent and two old", lambda warehouse: after_a_run(warehouse, *old))
    return new_desk


def askers(desk: Desk, table: str = "replays") -> list[str]:
    """The requesters in the audit; none was named here."""
    rows = desk.warehouse.rows(f"select requested_by from analytics.sync.{table}")
    return [row["requested_by"] for row in rows]


def test_a_preview_lists_what_would_be_sent_and_changes_nothing(
    desk: Desk, target: Receiver
) -> None:
    add_completions(desk.warehouse, [completion(n, PASSED_AT) for n in (4, 5)])
    before = desk.everything()
    found = facts(desk.start("preview"))
    assert found["would_send"] == 2
    assert found["verdicts"] == [{"verdict": "send", "why": "flag_off", "webhooks": 2}]
    assert [one["endpoint"] for one in found["webhooks"]] == [1, 1]
    assert found["as_json"]["webhooks"][0]["webhook_id"] == found["webhooks"][0]["webhook_id"]
    assert desk.everything() == before
    assert target.received == []


def test_a_preview_goes_by_the_flag_it_is_given(desk: Desk) -> None:
    add_completions(desk.warehouse, [completion(4, PASSED_AT)])
    on = facts(desk.start("preview", enable_webhook_learning_time_enrichment=True, show=0))
    assert on["verdicts"] == [{"verdict": "wait", "why": "learning_time_not_yet", "webhooks": 1}]
    settings = settings_in(on["settings"])
    assert settings["enable_webhook_learning_time_enrichment"] == ("true", "run config")
    assert (on["webhooks"], on["as_json"]["webhooks"]) == ([], []), "show: 0"


@pytest.mark.parametrize(
    ("name", "config", "users"),
    [
        pytest.param("replay", DELIVERED, {1, 2, 3}, id="replay"),
        pytest.param("backfill", JANUARY, {8, 9}, id="backfill"),
    ],
)
def test_a_change_counts_first_and_goes_by_the_number_that_it_found(
    desk: Desk, target: Receiver, name: str, config: dict[str, str], users: set[int]
) -> None:
    """Even for a few: the launchpad remembers ``dry_run: false`` from the last time."""
    messages = desk.warehouse.rows(f"select webhook_id, body from {MESSAGES}")
    sent = {one["webhook_id"]: one["body"].encode() for one in messages}
    before, n = desk.everything(), len(users)
    dry = facts(desk.start(name, **config))
    assert (dry["dry_run"], dry["matched"]) == (True, n)
    assert dry["next"].endswith(f"confirm_count: {n}")
    for number in (0, n - 1, n + 1):
        refused = desk.start(name, dry_run=False, confirm_count=number, **config)
        assert f"run again with confirm_count: {n}" in failure_texts(refused)[0]
    assert desk.everything() == before
    real = desk.start(name, dry_run=False, confirm_count=n, **config)
    assert facts(real)[f"{name}_id"] == real.run_id
    audit = desk.warehouse.rows("select requested_by, matched from analytics.sync.replays")
    assert audit == [{"requested_by": f"Dagster run {real.run_id}", "matched": n}]
    assert target.received == [], "the delivery run sends, nothing else"
    desk.deliver()
    assert {json.loads(one.body)["learner"]["user_id"] for one in target.received} == users
    for one in target.received:
        assert sent.get(one.webhook_id, one.body) == one.body


def test_messages_of_a_deleted_endpoint_move_by_number_to_the_new_one(
    new_desk: Desk, target: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTW_SECRET_WEBHOOK_SIGNING_2", os.environ["LTW_SECRET_WEBHOOK_SIGNING_1"])
    target.answers["/"] = (500, {})
    new_desk.deliver(detection=ACTIVATED)
    first = {one.webhook_id: one.body for one in target.received}
    assert len(first) == 3
    target.received.clear()
    target.answers.clear()
    new_desk.warehouse.execute(f"update {ENDPOINTS} set endpoint_id = 2")
    before = new_desk.everything()
    dry = facts(new_desk.start("reroute", endpoint_id=1))
    assert dry["moves"] == [{"deleted_endpoint": 1, "new_endpoint": 2, "webhooks": 3}]
    refused = new_desk.start("reroute", dry_run=False, confirm_count=2)
    assert "run again with confirm_count: 3" in failure_texts(refused)[0]
    assert new_desk.everything() == before
    real = new_desk.start("reroute", dry_run=False, confirm_count=3)
    assert facts(real)["reroute_id"] == real.run_id
    assert askers(new_desk) == [f"Dagster run {real.run_id}"]
    new_desk.deliver()
    assert {one.webhook_id: one.body for one in target.received} == first


def test_a_test_event_reaches_the_endpoint_and_no_table(new_desk: Desk, target: Receiver) -> None:
    before = new_desk.everything()
    for flavor, carries in (("with_learning_time", True), ("without_learning_time", False)):
        found = facts(new_desk.start("test_send", endpoint_id=1, flavor=flavor))
        (sent,) = target.received
        assert (found["passed"], sent.webhook_id) == (True, found["webhook_id"])
        assert ("learning_time" in json.loads(sent.body)) is carries
        target.received.clear()
    assert new_desk.everything() == before


def test_an_endpoint_that_refuses_the_test_event_fails_the_run(
    new_desk: Desk, target: Receiver
) -> None:
    target.answers["/hooks/example"] = (500, {})
    result = new_desk.start("test_send", endpoint_id=1)
    assert not result.success
    assert "endpoint 1 did not accept the test event: status 500" in failure_texts(result)[0]
    (failed,) = (one for one in result.all_events if one.is_step_failure)
    shown = failed.step_failure_data.user_failure_data
    assert shown is not None
    assert shown.metadata["passed"].value is False


def test_retention_counts_first_and_empties_when_told(desk: Desk) -> None:
    desk.warehouse.execute(f"update {OUTBOX} set updated_at = '2026-01-01'")
    desk.warehouse.execute(f"update {MESSAGES} set frozen_at = '2026-01-01'")
    before = desk.everything()
    assert facts(desk.start("retention"))["bodies"] == 3
    assert desk.everything() == before
    assert facts(desk.start("retention", dry_run=False))["bodies"] == 3
    assert desk.warehouse.rows(f"select count(body) as n from {MESSAGES}") == [{"n": 0}]


def test_a_customer_gets_a_report_and_no_table_changes(desk: Desk, tmp_path: Path) -> None:
    before = desk.everything()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LTW_REPORTS_DIR", str(tmp_path))
        found = facts(desk.start("customer_report", enterprise=ENTERPRISE))
    assert found["html"] == str(tmp_path / f"customer-{ENTERPRISE}.html")
    document = json.loads(Path(found["json"]).read_text(encoding="utf-8"))
    assert document["states"]["delivered"] == len(document["webhooks"]) == 3
    assert [one["status"] for one in document["attempts"]] == [200] * 3
    assert desk.everything() == before


def test_the_schedule_of_retention_is_for_real(new_desk: Desk, defs: dg.Definitions) -> None:
    """A nightly dry run would keep personal data forever and look successful."""
    tick = defs.get_schedule_def("retention_daily").evaluate_tick(
        dg.build_schedule_context(
            instance=new_desk.instance, repository_def=defs.get_repository_def()
        )
    )
    assert tick.run_requests is not None
    (request,) = tick.run_requests
    job = defs.resolve_job_def("retention_job")
    assert dg.validate_run_config(job, request.run_config)["ops"]["retention"]["config"] == {
        "dry_run": False,
        "days": 90,
    }


@pytest.mark.parametrize(
    ("name", "config", "named"),
    [
        pytest.param(
            "replay", {"state": "held"}, "state: 'held' is not one of dead, delivered", id="state"
        ),
        pytest.param(
            "replay", {}, "needs a state: dead, delivered, suppressed", id="nothing in particular"
        ),
        pytest.param("replay", {"state": "dead", "since": "x"}, "'x' must look like", id="time"),
        pytest.param(
            "replay", {"state": "dead", "enterprise": "x"}, "enterprise: 'x'", id="customer"
        ),
        pytest.param("backfill", {"since": "", "until": ""}, "since: '' must look", id="no window"),
        pytest.param("test_send", {"endpoint_id": 77}, "no endpoint 77", id="no endpoint"),
        pytest.param(
            "test_send",
            {"endpoint_id": 1, "flavor": "x"},
            "is not one of as_configured",
            id="flavor",
        ),
        pytest.param("retention", {"days": 0}, "days", id="days"),
    ],
)
def test_a_slip_fails_the_run_and_is_named(
    new_desk: Desk, name: str, config: dict[str, Any], named: str
) -> None:
    before = new_desk.everything()
    result = new_desk.start(name, **config)
    assert not result.success
    assert named in "\n".join(failure_texts(result))
    assert new_desk.everything() == before


def test_no_learner_is_named_in_what_the_jobs_show(desk: Desk) -> None:
    add_completions(desk.warehouse, [completion(4, PASSED_AT)])
    said = "".join(
        everything_said(desk.instance, desk.start(name, **config).run_id)
        for name, config in (
            ("preview", {}),
            ("replay", DELIVERED),
            ("backfill", JANUARY),
            ("test_send", {"endpoint_id": 1}),
            ("customer_report", {"enterprise": ENTERPRISE}),
        )
    )
    assert "course-v1:ExampleX+DATA101+2026_T1" in said, "the search itself must work"
    for personal in ("learner_", "@example.com", "Example Industries"):
        assert personal not in said


def test_dagster_keeps_nothing_of_a_learner_who_is_erased_by_key(
    desk: Desk, target: Receiver
) -> None:
    # So long that no time, duration, hash or random number contains it by chance.
    person = 904_170_000_000_017
    add_completions(desk.warehouse, [completion(person, PASSED_AT)])
    desk.deliver()
    assert f"learner_{person}".encode() in target.received[-1].body
    assert str(person) in str(desk.warehouse.rows(f"select * from {OUTBOX}"))
    key = person_key(person)
    dry = facts(desk.start("erase", person_key=key))
    # One in the outbox, and one in the table that stands in for the view of completions.
    assert (dry["matched"], dry["may_still_arrive"]) == (2, 0)
    refused = desk.start("erase", person_key=key, dry_run=False, confirm_count=3)
    assert "but 2 rows match now" in failure_texts(refused)[0]
    done = desk.start("erase", person_key=key, dry_run=False, confirm_count=2)
    assert "erased: 2 rows" in facts(done)["next"]
    assert askers(desk, "erasures") == [f"Dagster run {done.run_id}"]
    assert str(person) not in str(desk.warehouse.rows(f"select * from {OUTBOX}"))
    kept = ""
    for one in desk.instance.get_runs():
        kept += everything_said(desk.instance, one.run_id) + str(one.run_config) + str(one.tags)
    assert key in kept, "the search looks where the job was told whom to erase"
    assert str(person) not in kept
