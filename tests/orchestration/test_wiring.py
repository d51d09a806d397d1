"""What assets, jobs and the sensor pass to the library: every setting, in its place.

All settings differ from their defaults and from each other, so that none can be confused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.resources import DialResource, WarehouseResource
from sync.delivery.build import BuildReport, EnrichmentPolicy
from sync.delivery.scheduler import Limits
from sync.delivery.send import SendReport
from sync.domain.rollout import Rollout
from sync.domain.states import Reason
from sync.domain.work import Attempt
from sync.ledger.journal import ForeignJournal, needed_bytes
from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse
from tests.support.completions import ENTERPRISE
from tests.support.definitions import ENROLLMENTS_ASSET, everything_said, run
from tests.support.doubles import recorded, returning, stopped
from tests.support.event_types import COMPLETIONS, ENROLLMENTS
from tests.support.marts import ENROLLMENT_COLUMNS, create_table

STEPS, DRY = "orchestration.defs.webhooks.steps", "orchestration.defs.webhooks.dry_run"
MARCH = datetime(2026, 3, 1)
DETECTION = {
    "activated_at": "2026-03-01T02:00:00+02:00",
    "mass_send_limit": 17,
    "allow_mass_send": True,
}
SWITCHED_ON = ENROLLMENTS.model_copy(update={"enabled": True})
ENROLLMENTS_TOO = {"mass_send_limit": 19, "allow_mass_send": True}
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
LIMITS = Limits(
    batch_size=7,
    threads=3,
    per_endpoint=2,
    time_budget=timedelta(seconds=61),
    linger=timedelta(seconds=1),
)


def clock() -> datetime:
    """The clock of every run here, so that a different one would be noticed."""
    return datetime(2026, 3, 20)


@pytest.fixture
def site(
    marts: Warehouse,
    warehouse_settings: EmbeddedWarehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Warehouse:
    """Completions, enrollments, and a separate environment."""
    create_table(marts, "enterprise_enrollments", ENROLLMENT_COLUMNS, [])
    monkeypatch.setenv("LTW_JOURNAL_DIR", str(tmp_path / "journal"))
    monkeypatch.setenv("LTW_SECRETS_DIR", str(tmp_path / "secrets"))
    monkeypatch.setenv("LTW_WEBHOOK_PORTS", "8443")
    monkeypatch.setenv("LTW_NETWORK_CANARY", "canary.example.com:8443")
    for module in (STEPS, DRY):
        monkeypatch.setattr(f"{module}.warehouse_clock", lambda session: clock)
    return marts


def test_each_asset_hands_on_each_of_its_settings(
    site: Warehouse,
    job_with_enrollments: dg.JobDefinition,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record, build, send = (
        recorded(monkeypatch, f"{STEPS}.{name}")
        for name in ("record", "build_messages", "send_due")
    )
    journal = recorded(monkeypatch, "sync.delivery.send.open_journal")
    result = run(
        job_with_enrollments,
        instance,
        others=[ENROLLMENTS_ASSET],
        detection=DETECTION,
        enrollments=ENROLLMENTS_TOO,
        enrichment=ENRICHMENT,
        delivery=DELIVERY,
    )
    assert result.success
    shared = {"run_id": result.run_id, "clock": clock, "allow_mass_send": True}
    # The flag as in the build step: corrections are detected only with it.
    shared |= {"is_enriching": True}
    assert [one.kwargs for one in record.call_args_list] == [
        shared | {"source": COMPLETIONS, "activated_at": MARCH, "mass_send_limit": 17},
        # Events from before its own first run are old, regardless of completions.
        shared | {"source": SWITCHED_ON, "activated_at": None, "mass_send_limit": 19},
    ]
    (built,) = build.call_args_list
    session, outbox, client = built.args
    assert built.kwargs == {"policy": POLICY, "clock": clock}
    assert (outbox._run_id, outbox._clock, outbox._warehouse) == (result.run_id, clock, session)
    (sent,) = send.call_args_list
    sender = sent.args[1]
    assert (sender.run_id, sender.clock, sender.limits) == (result.run_id, clock, LIMITS)
    assert sender.journal_directory == tmp_path / "journal"
    assert sender.destination.secrets.directory == tmp_path / "secrets"
    assert sender.destination.policy.ports == {8443}
    assert sender.destination.policy.development_targets, "those of this test's receiver"
    assert sender.destination.resolver.canary == "canary.example.com:8443"
    for call in (*record.call_args_list, built, sent):
        assert call.args[0].settings == site.settings
    with client._connect() as own:
        assert own.settings == site.settings
    assert journal.call_args.args[0] == tmp_path / "journal"
    assert journal.call_args.kwargs == {"room": needed_bytes(7)}


def test_a_run_says_what_a_person_must_know_and_counts_what_it_did(
    site: Warehouse,
    job_with_enrollments: dg.JobDefinition,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted: list[str] = []
    for name in ("detected", "built", "batch", "delivered"):
        monkeypatch.setattr(
            f"{STEPS}.Watch.{name}", lambda self, *given, name=name: counted.append(name)
        )
    returning(
        monkeypatch, f"{STEPS}.build_messages", BuildReport(problems=Counter({"a problem": 3}))
    )

    def send_due(*given: object, on_batch: Callable[[Sequence[Attempt]], None]) -> SendReport:
        on_batch([])
        return SendReport(
            began_at=datetime(2026, 3, 10),
            recovered=21,
            foreign_journals=[ForeignJournal(Path("other.journal"), None, 4)],
            unchecked=["a mart cannot be read"],
            unreadable_retry_after={31},
            unusable={32: Reason.SIGNING_KEY_MISSING, 33: Reason.ENDPOINT_MISSING},
            problems={32: "no secret"},
        )

    monkeypatch.setattr(f"{STEPS}.send_due", send_due)
    later = DETECTION | {"activated_at": "2026-03-21"}
    result = run(
        job_with_enrollments,
        instance,
        others=[ENROLLMENTS_ASSET],
        detection=later,
        enrichment=ENRICHMENT,
        delivery=DELIVERY,
    )
    assert result.success
    assert counted == ["detected", "detected", "built", "batch", "delivered"]
    said = everything_said(instance, result.run_id)
    for text in (
        "completions from before 2026-03-21 00:00:00 UTC, which is in the future, are recorded",
        "3 completions: a problem",
        "21 attempts were recovered from the journal of a run that died",
        "skipped journal other.journal: 4 attempts",
        "a mart cannot be read",
        "endpoint 31 sends an invalid Retry-After header",
        "endpoint 32 is held (signing_key_missing): no secret. To do: add the key",
        f"endpoint 33 is held (endpoint_missing): {Reason.ENDPOINT_MISSING.meaning}. To do: none",
    ):
        assert text in said


def test_a_dry_run_hands_on_the_same_and_calls_nothing_that_writes(
    site: Warehouse,
    job_with_enrollments: dg.JobDefinition,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writing = [
        stopped(monkeypatch, f"{STEPS}.{one}") for one in ("record", "build_messages", "send_due")
    ]
    planned, previewed = (
        recorded(monkeypatch, f"{DRY}.{name}") for name in ("plan_record", "next_run")
    )
    dry = DELIVERY | {"dry_run": True}
    limited = DETECTION | {"allow_mass_send": False}
    assert run(
        job_with_enrollments,
        instance,
        others=[ENROLLMENTS_ASSET],
        detection=limited,
        enrollments=ENROLLMENTS_TOO,
        enrichment=ENRICHMENT,
        delivery=dry,
    ).success
    shared = {"clock": clock, "is_enriching": True}
    assert [one.kwargs for one in planned.call_args_list] == [
        shared
        | {
            "source": COMPLETIONS,
            "activated_at": MARCH,
            "mass_send_limit": 17,
            "allow_mass_send": False,
        },
        shared
        | {
            "source": SWITCHED_ON,
            "activated_at": None,
            "mass_send_limit": 19,
            "allow_mass_send": True,
        },
    ]
    for call in previewed.call_args_list:
        own = {name: value for name, value in call.kwargs.items() if name != "readiness_of"}
        assert own == {
            "policy": POLICY,
            "clock": clock,
            "sources": [COMPLETIONS, SWITCHED_ON],
            "activated_at": MARCH,
            "mass_send_limit": 17,
        }
    assert len(previewed.call_args_list) == 2
    for one in writing:
        one.assert_not_called()


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
    poll = stopped(monkeypatch, "orchestration.defs.webhooks.sensor.poll")
    context = dg.build_sensor_context(
        instance=instance, resources={"warehouse": WarehouseResource(), "dial": DialResource()}
    )
    tick: Callable[[Any], Any] = defs.get_sensor_def("completions_arrived").evaluate_tick
    with pytest.raises(Exception, match="reached"):
        tick(context)
    (call,) = poll.call_args_list
    assert call.args[0].settings == site.settings
    assert call.kwargs["max_wait"] == wait
