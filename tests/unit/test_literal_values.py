"""Values that others depend on, by their literal values: receivers, operators, settings of a run.

A test that imports what it checks cannot see it change. The values come from the documents and
from the standards, and are changed together with them.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from pydantic import BaseModel

from orchestration import config
from orchestration.defs.operations import preview
from orchestration.defs.operations.jobs import NOT_GIVEN, config_of
from orchestration.defs.report import report
from sync.operations.catalog import OPERATIONS


def seconds(*numbers: float) -> tuple[timedelta, ...]:
    return tuple(timedelta(seconds=number) for number in numbers)


LITERALS = {
    # What a receiver sees.
    "sync.http.headers:MARKED": "true",
    "sync.http.headers:REPLAY_HEADER": "webhook-replay",
    "sync.http.headers:TEST_HEADER": "webhook-test",
    "sync.http.signing:ID_HEADER": "webhook-id",
    "sync.http.signing:SIGNATURE_HEADER": "webhook-signature",
    "sync.http.signing:TIMESTAMP_HEADER": "webhook-timestamp",
    "sync.http.signing:SYMMETRIC_PREFIX": "whsec_",
    "sync.http.signing:PRIVATE_PREFIX": "whsk_",
    "sync.http.signing:PUBLIC_PREFIX": "whpk_",
    "sync.http.signing:TOLERANCE_SECONDS": 300,
    "sync.http.transport:DEFAULT_DEADLINE_SECONDS": 20.0,
    "sync.http.transport:MAX_BODY_BYTES": 65_536,
    "sync.domain.retry:JITTER": 0.2,
    "sync.domain.retry:STEPS": seconds(0, 5, 300, 1800, 7200, 18000, 36000, 36000),
    "sync.domain.circuit_breaker:DISABLE_AFTER": timedelta(days=5),
    "sync.operations.test_send:ID_PREFIX": "test-",
    # What an operator sets, and what holds when nothing is set.
    "sync.http.network:CANARY_SETTING": "LTW_NETWORK_CANARY",
    "sync.http.network:DEFAULT_PORTS": "443",
    "sync.http.network:DEVELOPMENT_SETTING": "LTW_DEVELOPMENT_TARGETS",
    "sync.http.network:PORTS_SETTING": "LTW_WEBHOOK_PORTS",
    "sync.http.secrets:DIRECTORY_SETTING": "LTW_SECRETS_DIR",
    "sync.http.secrets:ENVIRONMENT_PREFIX": "LTW_SECRET_",
    "sync.delivery.flag:ALLOWLIST_VARIABLE": "WEBHOOK_LEARNING_TIME_ENTERPRISE_ALLOWLIST",
    "sync.delivery.flag:DRY_RUN_VARIABLE": "WEBHOOK_DRY_RUN",
    "sync.delivery.flag:FLAG_VARIABLE": "ENABLE_WEBHOOK_LEARNING_TIME_ENRICHMENT",
    "sync.delivery.flag:MAX_WAIT_VARIABLE": "WEBHOOK_LEARNING_TIME_MAX_WAIT_MINUTES",
    "sync.delivery.flag:ROLLOUT_VARIABLE": "WEBHOOK_LEARNING_TIME_ROLLOUT_PERCENTAGE",
    "sync.delivery.flag:SHADOW_VARIABLE": "WEBHOOK_LEARNING_TIME_SHADOW_LOOKUP",
    "sync.operations.alerts:HOOK_SETTING": "LTW_ALERT_HOOK",
    "sync.operations.alerts:URL_SETTING": "LTW_ALERT_URL",
    "sync.operations.environment:ACTIVATED_AT_SETTING": "WEBHOOKS_ACTIVATED_AT",
    "sync.settings:DEFAULT_WAREHOUSE_PORT": 8754,
    "sync.ledger.retention:DEFAULT_DAYS": 90,
}
BOUNDS: dict[str, tuple[object, int | None, int | None]] = {
    # default, at least, at most
    "Backfill.limit": (1_000, 1, 100_000),
    "DeliveryConfig.batch_size": (1_000, 1, 5_000),
    "DeliveryConfig.linger_seconds": (8, 0, 60),
    "DeliveryConfig.requests_per_endpoint": (4, 1, 64),
    "DeliveryConfig.threads": (32, 1, 256),
    "DeliveryConfig.time_budget_seconds": (240, 5, 3_600),
    "DetectionConfig.mass_send_limit": (5_000, 1, None),
    "PreviewConfig.mass_send_limit": (5_000, 1, None),
    "PreviewConfig.show": (100, 0, 1_000),
    "ReportConfig.days": (30, 1, 90),
    "Retention.days": (90, 1, None),
}
"""Of each whole number that a run can be given, but ids and confirmed counts."""
NUMBERS_OF_THE_FLAG = {
    "max_enrichment_wait_minutes": (60, 0, 1_440),
    "rollout_percentage": (100, 0, 100),
}
SWITCHES = {"allow_mass_send", "full_refresh", "send_enrollment_events"}


@pytest.mark.parametrize("name", sorted(LITERALS))
def test_a_value_that_others_depend_on_is_the_documented_one(name: str):
    module, _, constant = name.partition(":")
    value = getattr(importlib.import_module(module), constant)
    assert (value, type(value)) == (LITERALS[name], type(LITERALS[name]))


def configs() -> Iterator[type[BaseModel]]:
    yield from OPERATIONS
    for module in (config, preview, report):
        for one in vars(module).values():
            if isinstance(one, type) and issubclass(one, dg.Config) and one is not dg.Config:
                yield one


def test_every_number_that_a_run_can_be_given_has_its_default_and_bounds():
    found: dict[str, tuple[Any, ...]] = {}
    for one in configs():
        for name, field in one.model_fields.items():
            if field.annotation is not int or name in ("confirm_count", "endpoint_id"):
                continue
            bound = {
                key: getattr(part, key)
                for part in field.metadata
                for key in ("ge", "le")
                if hasattr(part, key)
            }
            found[f"{one.__name__}.{name}"] = (field.default, bound.get("ge"), bound.get("le"))
    of_flag = {key for key in found if key.partition(".")[2] in NUMBERS_OF_THE_FLAG}
    for key in of_flag:
        assert found.pop(key) == NUMBERS_OF_THE_FLAG[key.partition(".")[2]], key
    assert len(of_flag) == 6
    assert found == BOUNDS


def test_what_cannot_be_taken_back_is_off_unless_somebody_asks_for_it():
    for one in configs():
        for name, field in one.model_fields.items():
            if name in SWITCHES:
                assert field.default is False, f"{one.__name__}.{name}"
    for kind in OPERATIONS:
        fields = config_of(kind).model_fields
        if "dry_run" in fields:
            assert fields["dry_run"].default is True, kind.name
        if "confirm_count" in fields:
            assert fields["confirm_count"].default == NOT_GIVEN[int], kind.name
