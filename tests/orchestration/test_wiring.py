"""What assets, jobs and the sensor hand to the library: every setting, each to its own place.

All settings differ from their defaults and from each other, so that none can stand for another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from orchestration.resources import WarehouseResource
from sync.delivery.build import EnrichmentPolicy, FreezeReport
from sync.delivery.sender import DispatchLimits, DispatchReport
from sync.domain.event_types import COMPLETIONS, ENROLLMENTS
from sync.domain.rollout import Rollout
from sync.domain.states import Reason
from sync.ledger.attempts import Attempt
from sync.ledger.journal import ForeignJournal, needed_bytes
from sync.operations.backfill import BackfillPlan
from sync.operations.backfill import Window as BackfillWindow
from sync.operations.replay import Plan
from sync.operations.replay_selection import ReplayState, Selection, Window
from sync.operations.reroute import Choice, ReroutePlan
from sync.operations.test_send import Flavour
from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse
from tests.support.completions import ENTERPRISE
from tests.support.definitions import everything_said, run
from tests.support.doubles import recorded, returning, stopped
from tests.support.marts import ENROLLMENT_COLUMNS, create_table

STEPS, DRY, OPERATIONS = (
    f"orchestration.defs.{one}" for one in ("webhooks.steps", "webhooks.dry_run", "operations.jobs")
)
MARCH, APRIL = datetime(2026, 3, 1), datetime(2026, 4, 1)
DETECTION = {
    "activated_at": "2026-03-01T02:00:00+02:00",
    "mass_send_limit": 17,
    "allow_mass_send": True,
    "send_enrollment_events": True,
}
ENRICHMENT = {
    "enable_webhook_learning_time_enrichment": True,
    "rollout_percentage": 37,
    "enterprise_allowlist": [ENTERPRISE],
    "max_enrichment_wait_minutes": 11,
    "shadow_lookup": False,
}
POLICY = EnrichmentPolicy(
    enabled=True,
    max_wait=timedelta(minutes=11),
    rollout=Rollout(37, frozenset([ENTERPRISE])),
    is_shadow_looked_up=False,
)
DELIVERY = {
    "time_budget_seconds": 61,
    "batch_size": 7,
    "threads": 3,
    "requests_per_endpoint": 2,
    "linger_seconds": 1,
}
LIMITS = DispatchLimits(
    batch_size=7,
    threads=3,
    per_endpoint=2,
    time_budget=timedelta(seconds=61),
    linger=timedelta(seconds=1),
)


def clock() -> datetime:
    """The clock of every run here, so that another one would be noticed."""
    return datetime(2026, 3, 20)


@pytest.fixture
def site(
    marts: Warehouse,
    warehouse_settings: EmbeddedWarehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Warehouse:
    """Completions, enrollments, and an environment of its own."""
    create_table(marts, "enterprise_enrollments", ENROLLMENT_COLUMNS, [])
    monkeypatch.setenv("LTW_JOURNAL_DIR", str(tmp_path / "journal"))
    monkeypatch.setenv("LTW_SECRETS_DIR", str(tmp_path / "secrets"))
    monkeypatch.setenv("LTW_WEBHOOK_PORTS", "8443")
    monkeypatch.setenv("LTW_NETWORK_CANARY", "canary.example.com:8443")
    for module in (STEPS, DRY, OPERATIONS):
        monkeypatch.setattr(f"{module}.warehouse_clock", lambda session: clock)
    return marts


def test_each_asset_hands_on_each_of_its_settings(
    site: Warehouse,
    webhooks_job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enqueue, freeze, dispatch = (
        recorded(monkeypatch, f"{STEPS}.{name}") for name in ("enqueue", "freeze", "dispatch")
    )
    journal = recorded(monkeypatch, "sync.delivery.dispatch.open_journal")
    result = run(
        webhooks_job, instance, detection=DETECTION, enrichment=ENRICHMENT, delivery=DELIVERY
    )
    assert result.success
    shared = {
        "run_id": result.run_id,
        "clock": clock,
        "mass_send_limit": 17,
        "allow_mass_send": True,
    }
    assert [one.kwargs for one in enqueue.call_args_list] == [
        shared | {"source": COMPLETIONS, "activated_at": MARCH},
        # Those of before its own first run are old, whatever is said of completions.
        shared | {"source": ENROLLMENTS, "activated_at": None},
    ]
    (frozen,) = freeze.call_args_list
    session, outbox, client = frozen.args
    assert frozen.kwargs == {"policy": POLICY, "clock": clock}
    assert (outbox._run_id, outbox._clock, outbox._warehouse) == (result.run_id, clock, session)
    (sent,) = dispatch.call_args_list
    sender = sent.args[1]
    assert (sender.run_id, sender.clock, sender.limits) == (result.run_id, clock, LIMITS)
    assert sender.journal_directory == tmp_path / "journal"
    assert sender.secrets.directory == tmp_path / "secrets"
    assert sender.policy.ports == {8443}
    assert sender.policy.development_targets, "those of this test's receiver"
    assert sender.canary.__self__.canary == "canary.example.com:8443"
    for call in (*enqueue.call_args_list, frozen, sent):
        assert call.args[0].settings == site.settings
    assert client._session._settings == site.settings
    assert journal.call_args.args[0] == tmp_path / "journal"
    assert journal.call_args.kwargs == {"room": needed_bytes(7)}


def test_a_run_says_what_a_person_must_know_and_counts_what_it_did(
    site: Warehouse,
    webhooks_job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted: list[str] = []
    for name in ("detected", "froze", "batch", "delivered"):
        monkeypatch.setattr(
            f"{STEPS}.Watch.{name}", lambda self, *given, name=name: counted.append(name)
        )
    returning(monkeypatch, f"{STEPS}.freeze", FreezeReport(problems=Counter({"a problem": 3})))

    def dispatch(*given: object, on_batch: Callable[[Sequence[Attempt]], None]) -> DispatchReport:
        on_batch([])
        return DispatchReport(
            recovered=21,
            foreign_journals=[ForeignJournal(Path("other.journal"), None, 4)],
            unchecked=["a mart cannot be read"],
            unreadable_retry_after={31},
            unusable={32: Reason.SIGNING_KEY_MISSING, 33: Reason.ENDPOINT_MISSING},
            problems={32: "no secret"},
        )

    monkeypatch.setattr(f"{STEPS}.dispatch", dispatch)
    later = DETECTION | {"activated_at": "2026-03-21"}
    result = run(webhooks_job, instance, detection=later, enrichment=ENRICHMENT, delivery=DELIVERY)
    assert result.success
    assert counted == ["detected", "detected", "froze", "batch", "delivered"]
    said = everything_said(instance, result.run_id)
    for text in (
        "completions from before 2026-03-21 00:00:00 UTC, which is still to come, are recorded",
        "3 completions: a problem",
        "21 answers were recovered from the journal of a run that died",
        "left alone: journal other.journal: 4 answers",
        "a mart cannot be read",
        "endpoint 31 sends a Retry-After header that is no time",
        "endpoint 32 is held (signing_key_missing): no secret",
        "endpoint 33 is held (endpoint_missing): see marts.webhook_endpoints",
    ):
        assert text in said


def test_a_dry_run_hands_on_the_same_and_calls_nothing_that_writes(
    site: Warehouse,
    webhooks_job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writing = [stopped(monkeypatch, f"{STEPS}.{one}") for one in ("enqueue", "freeze", "dispatch")]
    planned, previewed = (
        recorded(monkeypatch, f"{DRY}.{name}") for name in ("plan_enqueue", "preview")
    )
    dry = DELIVERY | {"dry_run": True}
    limited = DETECTION | {"allow_mass_send": False}
    assert run(
        webhooks_job, instance, detection=limited, enrichment=ENRICHMENT, delivery=dry
    ).success
    shared = {"clock": clock, "mass_send_limit": 17, "allow_mass_send": False}
    assert [one.kwargs for one in planned.call_args_list] == [
        shared | {"source": COMPLETIONS, "activated_at": MARCH},
        shared | {"source": ENROLLMENTS, "activated_at": None},
    ]
    for call in previewed.call_args_list:
        own = {name: value for name, value in call.kwargs.items() if name != "readiness_of"}
        assert own == {
            "policy": POLICY,
            "clock": clock,
            "sources": (COMPLETIONS, ENROLLMENTS),
            "activated_at": MARCH,
            "mass_send_limit": 17,
        }
    assert len(previewed.call_args_list) == 2
    for one in writing:
        one.assert_not_called()


def of_run(result: dg.ExecuteInProcessResult) -> str:
    """Where a value is the id of the run."""
    return result.run_id


CONFIRMED = {"dry_run": False, "confirm_count": 3, "requested_by": "ticket 4711"}
SELECTED = {
    "state": "dead",
    "state_reason": "attempts_exhausted",
    "endpoint_id": 1,
    "enterprise": ENTERPRISE,
    "since": "2026-03-01T00:00:00Z",
    "until": "2026-04-01T00:00:00Z",
    "window": "delivered_at",
}
SELECTION = Selection(
    state=ReplayState.DEAD,
    reason="attempts_exhausted",
    endpoint_id=1,
    enterprise=ENTERPRISE,
    since=MARCH,
    until=APRIL,
    window=Window.DELIVERED,
)
OPERATED: dict[str, tuple[str, dict[str, Any], str, dict[str, Any], tuple[object, ...]]] = {
    "preview": (
        "preview",
        {
            **{key: value for key, value in ENRICHMENT.items() if key != "shadow_lookup"},
            "activated_at": "2026-03-01T00:00:00Z",
            "mass_send_limit": 17,
            "send_enrollment_events": True,
        },
        "decide",
        {
            "policy": replace(POLICY, is_shadow_looked_up=True),
            "clock": clock,
            "sources": (COMPLETIONS, ENROLLMENTS),
            "activated_at": MARCH,
            "mass_send_limit": 17,
        },
        (),
    ),
    "replay": (
        "replay",
        SELECTED | CONFIRMED,
        "request",
        {"requested_by": "ticket 4711", "clock": clock, "at_most": 3, "replay_id": of_run},
        (SELECTION,),
    ),
    "backfill": (
        "backfill",
        CONFIRMED
        | {key: SELECTED[key] for key in ("since", "until", "enterprise")}
        | {"limit": 19, "confirm_count": 2},
        "release",
        {
            "requested_by": "ticket 4711",
            "confirmed": 2,
            "setting": "confirm_count:",
            "clock": clock,
            "backfill_id": of_run,
        },
        (BackfillWindow(since=MARCH, until=APRIL, enterprise=ENTERPRISE, limit=19),),
    ),
    "reroute": (
        "reroute",
        CONFIRMED | {"endpoint_id": 1, "enterprise": ENTERPRISE},
        "move",
        {"requested_by": "ticket 4711", "clock": clock, "at_most": 3, "reroute_id": of_run},
        (Choice(endpoint_id=1, enterprise=ENTERPRISE),),
    ),
    "erase": (
        "erase",
        CONFIRMED | {"person_key": "a-key", "reason": "ticket 4712"},
        "carry_out",
        {
            "requested_by": "ticket 4711",
            "reason": "ticket 4712",
            "clock": clock,
            "journals": Path("/a/journal/of/ours"),
        },
        ("a-key",),
    ),
    "retention for real": (
        "retention",
        {"days": 31, "dry_run": False},
        "apply_retention",
        {"clock": clock, "days": 31, "dry_run": False},
        (),
    ),
    "retention unless told": (
        "retention",
        {"days": 31},
        "apply_retention",
        {"clock": clock, "days": 31, "dry_run": True},
        (),
    ),
    "test_send": (
        "test_send",
        {"endpoint_id": 1, "flavour": "with_learning_time"},
        "send_sample",
        {"clock": clock, "flavour": Flavour.WITH_LEARNING_TIME},
        (),
    ),
}


@pytest.mark.parametrize(
    ("name", "config", "function", "expected", "arguments"), OPERATED.values(), ids=OPERATED
)
def test_each_operation_hands_on_each_of_its_settings(
    site: Warehouse,
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    config: dict[str, Any],
    function: str,
    expected: dict[str, Any],
    arguments: tuple[object, ...],
) -> None:
    monkeypatch.setenv("LTW_JOURNAL_DIR", "/a/journal/of/ours")
    returning(monkeypatch, f"{OPERATIONS}.plan_replay", Plan(3, {}, {}, 0))
    returning(monkeypatch, f"{OPERATIONS}.plan_erase", SimpleNamespace(found=3))
    returning(
        monkeypatch,
        f"{OPERATIONS}.plan_reroute",
        ReroutePlan(matched=3, moves={}, stays={}, groups=()),
    )
    returning(
        monkeypatch,
        f"{OPERATIONS}.plan_backfill",
        BackfillPlan(
            matched=3,
            beyond_limit=0,
            gone=0,
            by_enterprise={},
            first_at=None,
            last_at=None,
            sample=(),
        ),
    )
    double = stopped(monkeypatch, f"{OPERATIONS}.{function}")
    result = defs.resolve_job_def(f"{name}_job").execute_in_process(
        instance=instance, run_config={"ops": {name: {"config": config}}}, raise_on_error=False
    )
    (call,) = double.call_args_list
    own = {key: call.kwargs[key] for key in expected}
    assert own == {
        key: value(result) if value is of_run else value for key, value in expected.items()
    }
    others = call.kwargs.keys() - expected.keys()
    assert others <= {"readiness_of", "poster", "tokens", "keys", "journals"}
    if "journals" in others:
        assert call.kwargs["journals"] == tmp_path / "journal"
    assert call.args[1:] == arguments
    if name == "test_send":
        assert call.args[0].endpoint_id == 1
        assert [one.key_id for one in call.kwargs["keys"]]
    else:
        assert call.args[0].settings == site.settings


@pytest.mark.parametrize(
    ("is_enabled", "wait"), [(True, timedelta(minutes=11)), (False, timedelta(0))]
)
def test_the_sensor_goes_by_the_wait_of_the_flag(
    site: Warehouse,
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    is_enabled: bool,
    wait: timedelta,
) -> None:
    from orchestration.config import EnrichmentConfig

    flag = ENRICHMENT | {"enable_webhook_learning_time_enrichment": is_enabled}
    monkeypatch.setattr(
        "orchestration.defs.webhooks.sensor.EnrichmentConfig",
        lambda: EnrichmentConfig.model_validate(flag),
    )
    look = stopped(monkeypatch, "orchestration.defs.webhooks.sensor.look")
    context = dg.build_sensor_context(
        instance=instance, resources={"warehouse": WarehouseResource()}
    )
    tick: Callable[[Any], Any] = defs.get_sensor_def("completions_arrived").evaluate_tick
    with pytest.raises(Exception, match="reached"):
        tick(context)
    (call,) = look.call_args_list
    assert call.args[0].settings == site.settings
    assert call.kwargs["max_wait"] == wait
