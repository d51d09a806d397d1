"""The two interfaces of each operation, command and Dagster job, describe and pass on the same."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any

import dagster as dg
import pytest
import typer

from orchestration.defs.operations.jobs import NOT_GIVEN, TWICE, config_of
from sync import cli
from sync.cli.operations import option_of
from sync.errors import SyncError
from sync.ledger.erasures import person_key
from sync.operations.backfill import Backfill
from sync.operations.catalog import OPERATIONS
from sync.operations.customer_report import CustomerReport
from sync.operations.doctor.doctor import Doctor
from sync.operations.endpoint_override import OverrideEndpoint
from sync.operations.endpoint_settings import SetEndpoint
from sync.operations.endpoint_switch import DisableEndpoint, EnableEndpoint
from sync.operations.erase import Erase
from sync.operations.explain.explain import Explain
from sync.operations.operation import (
    FIELD_TYPES,
    Change,
    Kind,
    Look,
    Operation,
    command_line_of,
    field_type,
    fields_of,
)
from sync.operations.pauses import PauseSending, ResumeSending
from sync.operations.preview import Preview
from sync.operations.replay import Replay, ReplayState, Window
from sync.operations.reroute import Reroute
from sync.operations.retention import Retention
from sync.operations.send_test import Flavor, SendTest
from sync.operations.settle import Settle
from sync.settings import EmbeddedWarehouse, load_settings
from sync.warehouse import Warehouse
from tests.support.command_line import command_line
from tests.support.completions import ENTERPRISE

MARCH, APRIL = datetime(2026, 3, 1), datetime(2026, 4, 1)
BETWEEN = "--since 2026-03-01 --until 2026-04-01T02:00:00+02:00"
WITHIN = {"since": "2026-03-01T00:00:00Z", "until": "2026-04-01"}
BY = {"requested_by": "ticket-4711"}
PREVIEWED = {
    "enable_webhook_learning_time_enrichment": True,
    "rollout_percentage": 37,
    "enterprise_allowlist": [ENTERPRISE],
    "max_enrichment_wait_minutes": 11,
    "activated_at": "2026-03-01T02:00:00+02:00",
    "mass_send_limit": 17,
    "event_types": ["course_enrollment"],
    "show": 3,
}
GIVEN: Sequence[tuple[Operation, str, Mapping[str, Any]]] = [
    (
        Preview.read(PREVIEWED),
        f"--enrich --rollout-percentage 37 --enterprise {ENTERPRISE} --max-wait-minutes 11 "
        "--activated-at 2026-03-01T02:00:00+02:00 --mass-send-limit 17 --limit 3 "
        "--event-type course_enrollment",
        PREVIEWED,
    ),
    (
        Preview.read({"rollout_percentage": 0, "enable_webhook_learning_time_enrichment": False}),
        "--no-enrich --rollout-percentage 0",
        {"rollout_percentage": 0, "enable_webhook_learning_time_enrichment": False},
    ),
    (
        Explain(webhook_id="a", person_key=person_key(7), courserun_key="course-v1:X+Y+Z"),
        f"--webhook a --key {person_key(7)} --course course-v1:X+Y+Z",
        {"webhook_id": "a", "person_key": person_key(7), "courserun_key": "course-v1:X+Y+Z"},
    ),
    (
        Replay(
            webhook_ids=["a", "b"],
            state=ReplayState.DEAD,
            state_reason="attempts_exhausted",
            endpoint_id=1,
            enterprise=ENTERPRISE,
            since=MARCH,
            until=APRIL,
            window=Window.DELIVERED,
            dry_run=True,
            confirm_count=3,
            requested_by="ticket-4711",
        ),
        f"a b --state dead --reason attempts_exhausted --endpoint 1 --enterprise {ENTERPRISE} "
        f"--by delivered_at --dry-run --confirm-count 3 --requested-by ticket-4711 {BETWEEN}",
        WITHIN
        | BY
        | {
            "webhook_ids": ["a ", " b"],
            "state": "dead",
            "state_reason": "attempts_exhausted",
            "endpoint_id": 1,
            "enterprise": ENTERPRISE.upper(),
            "window": "delivered_at",
            "confirm_count": 3,
        },
    ),
    (
        Backfill(since=MARCH, until=APRIL, enterprise=ENTERPRISE, limit=19, confirm_count=2),
        f"--enterprise {ENTERPRISE} --limit 19 --confirm-count 2 {BETWEEN}",
        WITHIN | {"enterprise": ENTERPRISE, "limit": 19, "confirm_count": 2, "dry_run": False},
    ),
    (
        Reroute(endpoint_id=1, enterprise=ENTERPRISE, requested_by="ticket-4711"),
        f"--endpoint 1 --enterprise {ENTERPRISE} --requested-by ticket-4711 --yes --json",
        BY | {"endpoint_id": 1, "enterprise": ENTERPRISE, "dry_run": False},
    ),
    (
        Erase(person_key=person_key(7), reason="ticket-9", dry_run=True),
        "--user 7 --reason ticket-9 --dry-run",
        {"person_key": person_key(7), "reason": "ticket-9"},
    ),
    (
        Settle(webhook_ids=["a", "b"], endpoint_id=1, confirm_count=2),
        "a b --endpoint 1 --confirm-count 2",
        {"webhook_ids": ["a", "b"], "endpoint_id": 1, "confirm_count": 2, "dry_run": False},
    ),
    (Settle(logged=True, dry_run=True), "--logged --dry-run", {"logged": True}),
    (Doctor(), "", {}),
    (
        CustomerReport(enterprise=ENTERPRISE, days=7),
        f"--enterprise {ENTERPRISE} --days 7",
        {"enterprise": ENTERPRISE.upper(), "days": 7},
    ),
    (Retention(days=31), "--days 31", {"days": 31, "dry_run": False}),
    (Retention(dry_run=True), "--dry-run", {}),
    (
        SendTest(endpoint_id=1, flavor=Flavor.WITHOUT_LEARNING_TIME),
        "1 --flavor without_learning_time",
        {"endpoint_id": 1, "flavor": "without_learning_time"},
    ),
    (
        DisableEndpoint(endpoint_id=1, reason="theirs", requested_by="ticket-4711"),
        "1 --reason theirs --requested-by ticket-4711",
        BY | {"endpoint_id": 1, "reason": " theirs "},
    ),
    (
        PauseSending(everything=True, until=APRIL, reason="storm", requested_by="ticket-4711"),
        "--all --until 2026-04-01 --reason storm --requested-by ticket-4711",
        BY | {"everything": True, "until": "2026-04-01", "reason": "storm"},
    ),
    (
        PauseSending(endpoint_id=1, reason="storm", requested_by="ticket-4711"),
        "--endpoint 1 --reason storm --requested-by ticket-4711",
        BY | {"endpoint_id": 1, "reason": "storm"},
    ),
    (
        ResumeSending(enterprise=ENTERPRISE, requested_by="ticket-4711"),
        f"--enterprise {ENTERPRISE} --requested-by ticket-4711",
        BY | {"enterprise": ENTERPRISE},
    ),
    (EnableEndpoint(endpoint_id=1), "1", {"endpoint_id": 1}),
    (
        OverrideEndpoint(
            endpoint_id=1,
            timeout_seconds=60,
            until=APRIL,
            reason="slow",
            requested_by="ticket-4711",
        ),
        "1 --timeout 60 --until 2026-04-01 --reason slow --requested-by ticket-4711",
        BY | {"endpoint_id": 1, "timeout_seconds": 60, "until": "2026-04-01", "reason": "slow"},
    ),
    (
        OverrideEndpoint(endpoint_id=1, clear=True, requested_by="ticket-4711"),
        "1 --clear --requested-by ticket-4711",
        BY | {"endpoint_id": 1, "clear": True},
    ),
    (SetEndpoint(endpoint_id=1), "1", {"endpoint_id": 1}),
    (
        SetEndpoint.read(
            {
                "endpoint_id": 1,
                "payload_format": "percipio",
                "is_learning_time_enabled": False,
                "is_eu_fallback_allowed": True,
                "final_status_codes": "404,422",
                "authentication": "header",
                "is_oauth_form": True,
                "extra_headers": "X-Tenant:acme",
            }
        ),
        "1 --format percipio --no-learning-time --eu-fallback --final-status-codes 404,422"
        " --authentication header --oauth-form --extra-headers X-Tenant:acme",
        {
            "endpoint_id": 1,
            "payload_format": "percipio",
            "is_learning_time_enabled": False,
            "is_eu_fallback_allowed": True,
            "final_status_codes": " 404,422",
            "authentication": "header",
            "is_oauth_form": True,
            "extra_headers": "X-Tenant:acme",
        },
    ),
]


@pytest.mark.parametrize("kind", OPERATIONS, ids=lambda kind: kind.name)
def test_both_faces_have_the_fields_the_defaults_and_the_texts_of_the_request(
    kind: Kind, defs: dg.Definitions
) -> None:
    command: Any = typer.main.get_command(cli.app)
    for word in kind.name.split():
        command = command.commands[word]
    options = {one.name: one for one in command.params}
    config = config_of(kind).model_fields
    fields = fields_of(kind)
    assert options.keys() - {"as_json", "yes"} == fields.keys()
    only_here = {name for name, one in fields.items() if command_line_of(one).is_only}
    assert config.keys() == fields.keys() - only_here
    for name, field in fields.items():
        assert field.description, name
        assert options[name].help == (command_line_of(field).help or field.description)
        if name in only_here:
            continue
        assert config[name].description == field.description
        assert options[name].required == config[name].is_required() == field.is_required()
        if field.is_required():
            continue
        if field.default_factory is not None:
            assert (options[name].default, config[name].default) == (
                None,
                field.get_default(call_default_factory=True),
            )
            continue
        default = field.default.value if isinstance(field.default, Enum) else field.default
        taken = field_type(field)[0]
        blank = NOT_GIVEN.get(taken if taken in FIELD_TYPES else str)
        shown = blank if default is None else default
        assert config[name].default == (True if name == "dry_run" else shown), name
        assert options[name].default == default, name
    assert ("yes" in options) is (issubclass(kind, Change) and kind.ask_above is not None)
    job = defs.resolve_job_def(f"{job_of(kind)}_job")
    said = inspect.cleandoc(kind.__doc__ or "")
    assert said
    assert job.description == said + (f"\n\n{TWICE}" if issubclass(kind, Change) else "")
    assert " ".join(said.split()).startswith(command.get_short_help_str(1_000).rstrip("."))


@pytest.mark.parametrize(
    ("request_", "arguments", "config"), GIVEN, ids=[one[0].name for one in GIVEN]
)
def test_both_faces_hand_on_each_of_their_settings(
    request_: Operation,
    arguments: str,
    config: Mapping[str, Any],
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    marts: Warehouse,
    warehouse_settings: EmbeddedWarehouse,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    kind: Any = type(request_)
    seen: list[tuple[Operation, object]] = []

    def stop(self: Operation, given: Warehouse | Mapping[str, str], *_: object) -> None:
        seen.append(
            (self, given.settings if isinstance(given, Warehouse) else load_settings(given))
        )
        raise SyncError("seen")

    method = "plan" if issubclass(kind, Change) else "look" if issubclass(kind, Look) else "run"
    monkeypatch.setattr(kind, method, stop)
    said = command_line(monkeypatch, capfd)(*kind.name.split(), *arguments.split())
    assert (said.code, said.err.strip()) == (1, "error: seen")
    name = job_of(kind)
    run = defs.resolve_job_def(f"{name}_job").execute_in_process(
        instance=instance, run_config={"ops": {name: {"config": config}}}, raise_on_error=False
    )
    assert not run.success
    dry = {"dry_run": True} if "dry_run" in kind.model_fields and "dry_run" not in config else {}
    assert seen == [
        (request_, warehouse_settings),
        (request_.model_copy(update=dry), warehouse_settings),
    ]


@pytest.mark.parametrize(
    ("kind", "given", "named"),
    [
        (Replay, {"state": "held"}, "--state: 'held' is not one of dead, delivered or"),
        (Replay, {"state": "dead", "since": "x"}, "--since: 'x' must look like 2026-11-24"),
        (Replay, {"state": "dead", "window": "x"}, "--by: 'x' is not one of"),
        (Backfill, {"since": "2026-03-01"}, "--until: Field required"),
        (Retention, {"days": 0}, "--days: Input should be greater than or equal to 1"),
    ],
)
def test_a_field_that_is_wrong_is_named_as_its_face_spells_it(
    kind: Kind, given: Mapping[str, Any], named: str
) -> None:
    with pytest.raises(SyncError, match=named):
        kind.read(given, spelled=lambda name: option_of(kind, name))
    field = next(name for name in kind.model_fields if named.startswith(option_of(kind, name)))
    with pytest.raises(SyncError, match=f"^{field}: "):
        kind.read(given)


def job_of(kind: Kind) -> str:
    """An operation's name in Dagster."""
    return kind.name.replace(" ", "_").replace("-", "_")
