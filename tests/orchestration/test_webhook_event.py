"""The component that creates an event type from YAML: what it creates and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest

from orchestration.components.webhook_event import (
    WebhookEventComponent,
    problems_of_mart,
)
from orchestration.defs.webhooks.assets import building, completion_webhooks
from orchestration.defs.webhooks.checks import after_the_send, before_the_send
from orchestration.keys import record_key
from orchestration.resources import WarehouseResource
from sync.delivery.formats import known_formats, problems_of_formats
from sync.domain.event_types import (
    COURSE_COMPLETION,
    EventType,
    event_types,
    recorded_types,
)
from sync.errors import ConfigurationError
from sync.local.raw_tables import insert_rows
from sync.warehouse import Warehouse
from tests.support.event_types import CERTIFICATES
from tests.support.marts import ENROLLMENT_COLUMNS, create_table

FORMATS = known_formats({})


def changed(**changes: Any) -> EventType:
    """The certificates with other attributes."""
    return EventType.model_validate(CERTIFICATES.model_dump() | changes)


def made(source: EventType) -> dg.Definitions:
    """The definitions that the component creates for an event type."""
    context = cast(dg.ComponentLoadContext, SimpleNamespace(path=Path("orchestration/defs/x")))
    return WebhookEventComponent(source).build_defs(context)


def test_the_types_of_the_project_name_what_there_is(manifest: dict[str, Any]) -> None:
    for one in event_types().values():
        assert [*problems_of_mart(one, manifest), *problems_of_formats(one, FORMATS)] == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mart": "awarded_badges"}, "mart: awarded_badges is not a dbt model"),
        (
            {"occurred_at": "given_at"},
            "occurred_at: awarded_certificates describes no column",
        ),
        ({"facts": {"level": "text"}}, "facts: awarded_certificates describes no column level"),
        ({"key": {"subject": "badge"}}, "key: awarded_certificates describes no column badge"),
        ({"formats": ["v3"]}, "formats: v3: must be one of"),
        ({"formats": ["percipio"]}, "formats: percipio has no body for certificate_awarded"),
    ],
)
def test_what_there_is_not_is_named_with_its_key(
    changes: dict[str, Any], said: str, manifest: dict[str, Any]
) -> None:
    source = changed(**changes)
    found = [*problems_of_mart(source, manifest), *problems_of_formats(source, FORMATS)]
    assert any(said in one for one in found), found


@pytest.mark.parametrize("kind", ["timestamp_tz", "TIMESTAMP_LTZ(9)", "date", "varchar"])
def test_a_time_that_is_not_utc_by_its_type_is_refused(kind: str, manifest: dict[str, Any]) -> None:
    """The ledger would store local time, and bodies would call it UTC."""
    key, model = next(
        (key, one)
        for key, one in manifest["nodes"].items()
        if one["resource_type"] == "model" and one["name"] == CERTIFICATES.mart
    )
    awarded = {**model["columns"]["awarded_at"], "data_type": kind}
    columns = {**model["columns"], "awarded_at": awarded}
    found = [
        *problems_of_mart(CERTIFICATES, manifest | {"nodes": {key: {**model, "columns": columns}}})
    ]
    assert found == [
        f"occurred_at: awarded_certificates has awarded_at as {kind}; cast it to timestamp_ntz, UTC"
    ]


def test_a_format_that_is_gone_stops_no_definitions_and_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = changed(formats=["v2", "acme"], enabled=True)
    assert made(source).assets
    assert "LTW_FORMATS_DIR has no file acme.yml" in caplog.text
    with pytest.raises(ConfigurationError, match="awarded_badges is not a dbt model"):
        made(changed(mart="awarded_badges", enabled=True))


def test_a_type_that_is_off_makes_nothing(defs: dg.Definitions) -> None:
    assert made(CERTIFICATES).resolve_all_asset_specs() == []
    assert made(CERTIFICATES).resolve_all_job_defs() == []
    assert dg.AssetKey(["sync", CERTIFICATES.asset]) not in defs.resolve_all_asset_keys()


@pytest.fixture
def scheduled(ready: Warehouse, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    """Certificates recorded every morning, and what all event types share."""
    columns = dict(ENROLLMENT_COLUMNS) | {
        "awarded_at": "timestamp_ntz",
        "certificate_mode": "varchar",
        "percent_grade": "number(7, 6)",
        "download_url": "varchar",
    }
    create_table(ready, "awarded_certificates", columns, [])
    source = changed(schedule="30 6 * * *", enabled=True)
    types = {**event_types(), source.name: source}
    monkeypatch.setattr("sync.domain.event_types.event_types", lambda: types)
    shared = dg.Definitions(
        assets=[building([record_key(one) for one in recorded_types()]), completion_webhooks],
        asset_checks=[before_the_send(), after_the_send],
        resources={"warehouse": WarehouseResource()},
    )
    return dg.Definitions.merge(shared, made(source), made(event_types()[COURSE_COMPLETION]))


def test_a_type_with_a_schedule_has_a_job_whose_idle_tick_starts_nothing(
    scheduled: dg.Definitions, ready: Warehouse
) -> None:
    schedule = scheduled.resolve_schedule_def("certificate_awarded_schedule")
    job = scheduled.resolve_job_def("certificate_awarded_job")
    with dg.instance_for_test() as instance:

        def tick() -> Any:
            with dg.build_schedule_context(
                instance=instance, resources={"warehouse": WarehouseResource()}
            ) as context:
                return cast(Callable[[Any], Any], schedule.evaluate_tick)(context)

        (request,) = tick().run_requests
        result = job.execute_in_process(instance=instance, tags=request.tags)
        assert [one.step_key for one in result.all_events if one.is_step_success] == [
            "sync__newly_recorded_certificates",
            "before_the_send",
            "sync__enriched_completions",
            "sync__completion_webhooks",
            "after_the_send",
        ]
        idle = tick()
        assert idle.run_requests == []
        assert f"nothing has changed since run {result.run_id}" in idle.skip_message
        insert_rows(ready, "certificates_generatedcertificate", [{"id": 1}])
        assert len(tick().run_requests) == 1


def test_it_is_no_part_of_the_common_job(scheduled: dg.Definitions) -> None:
    groups = {one.key.path[-1]: one.group_name for one in scheduled.resolve_all_asset_specs()}
    assert groups[CERTIFICATES.asset] == CERTIFICATES.name
    assert groups["newly_completed_enrollments"] == "webhooks"
