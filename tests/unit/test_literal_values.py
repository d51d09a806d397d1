"""Literal values that others depend on: receivers, operators, settings of a run.

A test that imports the value it checks cannot notice a change. The values come from the documents
and the standards, and change together with them.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from pydantic import BaseModel

from orchestration import config
from orchestration.defs.operations.jobs import NOT_GIVEN, config_of
from orchestration.defs.report import report
from sync.operations.catalog import OPERATIONS
from sync.settings import PROJECT_ROOT


def seconds(*numbers: float) -> tuple[timedelta, ...]:
    return tuple(timedelta(seconds=number) for number in numbers)


LITERALS = {
    # What a receiver sees.
    "sync.domain.formats.xapi:CONFLICT": 409,
    # Limits for format files.
    "sync.delivery.formats:MOST_FILES": 200,
    "sync.domain.formats:DEFAULT_FORMAT": "v2",
    "sync.domain.formats:FOLDER_SETTING": "LTW_FORMATS_DIR",
    "sync.domain.formats:SUFFIX": ".yml",
    "sync.domain.mapping:MOST_DIGITS": 9,
    "sync.domain.mapping:LONGEST_SHOWN": 60,
    "sync.strict_yaml:MAX_BYTES": 65_536,
    "sync.strict_yaml:MAX_DEPTH": 24,
    "sync.local.log_files:SAMPLE_BYTES": 1_048_576,
    "sync.http.authorization:SECOND_TRY_SECONDS": 1.0,
    "sync.http.authorization:MOST_CREDENTIALS": 2,
    "sync.http.headers:MARKED": "true",
    "sync.http.headers:REPLAY_HEADER": "webhook-replay",
    "sync.http.headers:TEST_HEADER": "webhook-test",
    "sync.http.signing:ID_HEADER": "webhook-id",
    "sync.http.signing:SIGNATURE_HEADER": "webhook-signature",
    "sync.http.signing:TIMESTAMP_HEADER": "webhook-timestamp",
    "sync.http.signing:SYMMETRIC_PREFIX": "whsec_",
    "sync.http.signing:PRIVATE_PREFIX": "whsk_",
    "sync.http.signing:PUBLIC_PREFIX": "whpk_",
    "sync.local.verification:TOLERANCE_SECONDS": 300,
    "sync.http.transport:DEFAULT_DEADLINE_SECONDS": 20.0,
    "sync.http.transport:MAX_BODY_BYTES": 65_536,
    "sync.domain.retry:JITTER": 0.2,
    "sync.domain.retry:STEPS": seconds(0, 5, 300, 1800, 7200, 18000, 36000, 36000),
    "sync.domain.circuit_breaker:DISABLE_AFTER": timedelta(days=5),
    "sync.operations.send_test:ID_PREFIX": "test-",
    # Operator settings and their defaults.
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
    "orchestration.defs.webhooks.sensor:NET": timedelta(seconds=3600),
    "sync.cli.common:WIDEST": 10_000,
    "sync.operations.dial:AUTO_SUSPEND": timedelta(seconds=60),
    "sync.operations.dial:BUILDS_AT": timedelta(seconds=600),
    "sync.operations.dial:BUILDS_EVERY": 30,
    "sync.operations.dial:BUILD_TAKES": timedelta(seconds=120),
    "sync.operations.dial:DAYS_OF_A_MONTH": 31,
    "sync.operations.dial:DEFAULT_MINUTES": 5,
    "sync.operations.dial:LONGEST_MINUTES": 60,
    "sync.operations.dial:RUN_TAKES": timedelta(seconds=30),
    "sync.operations.doctor.check:PATIENCE_SECONDS": 140,
    "sync.operations.doctor.check:SHOWN": 3,
    "sync.operations.doctor.check:STATEMENT_SECONDS": 30,
    "sync.operations.doctor.compiled:DBT_SECONDS": 90,
    "sync.operations.doctor.connect:MOST_SKEW_SECONDS": 30,
    "sync.operations.doctor.connect:TIMEOUT_SECONDS": 10,
    "sync.operations.doctor.doctor:WIDTH": 79,
    "sync.operations.doctor.rehearsal:MOST_PAGES": 3,
    "sync.operations.doctor.rights:BUILDS_A_DAY": 48,
    "sync.operations.doctor.rights:CREDITS_A_BUILD": 0.05,
    "sync.operations.doctor.rights:MOST_ROLES": 10,
    "sync.warehouse:LOCK_PATIENCE": 0.5,
    "sync.warehouse:LOCK_PAUSES": (0.5, 1.0, 2.0, 4.0, 8.0, 14.0),
    "sync.warehouse:LOCK_RETRY_SECONDS": 30,
}
RULES = {
    # Constants in the rules of delivery, sending and reading.
    "sync.delivery.attribution:SUSPICIOUS_HOSTS": 3,
    "sync.delivery.build:PAGE": 5_000,
    "sync.delivery.build:DEFAULT_MAX_WAIT": timedelta(hours=1),
    "sync.delivery.flag:MAX_WAIT_MINUTES": 1_440,
    "sync.delivery.learning_time:LOOKUP_BATCH": 5_000,
    "sync.delivery.learning_time:LOOKUP_TIMEOUT_SECONDS": 5,
    "sync.delivery.learning_time:PAUSE_SECONDS": 30.0,
    "sync.delivery.learning_time:MOST_KEPT": 50_000,
    "sync.delivery.record:DEFAULT_MASS_SEND_LIMIT": 5_000,
    "sync.delivery.scheduler:LEASE_MARGIN": timedelta(seconds=30),
    "sync.delivery.scheduler:SETTLE_AFTER": timedelta(seconds=15),
    "sync.delivery.scheduler:THREADS_PER_UNWRITTEN": 2,
    "sync.delivery.send:SAMPLE": 50,
    "sync.delivery.stop:LOOK_SECONDS": 0.25,
    "sync.delivery.stop:SAME_REQUEST_SECONDS": 5.0,
    "sync.domain.circuit_breaker:TRIP_IN_A_ROW": 5,
    "sync.domain.circuit_breaker:TRIP_ATTEMPTS": 10,
    "sync.domain.circuit_breaker:TRIP_SHARE": 0.5,
    "sync.domain.circuit_breaker:WINDOW": timedelta(minutes=1),
    "sync.domain.circuit_breaker:CLOSE_AFTER": 3,
    "sync.domain.circuit_breaker:FIRST_OPEN": timedelta(seconds=30),
    "sync.domain.circuit_breaker:LONGEST_OPEN": timedelta(minutes=10),
    "sync.domain.circuit_breaker:CHECK_AGAIN_AFTER": timedelta(hours=1),
    "sync.domain.circuit_breaker:SLOWEST": 0.0625,
    "sync.domain.endpoint:SHORTEST_TIMEOUT_SECONDS": 1,
    "sync.domain.endpoint:LONGEST_TIMEOUT_SECONDS": 300,
    "sync.domain.formats.v2:SECONDS_PER_HOUR": 3_600,
    "sync.domain.pacing:MINUTE": timedelta(minutes=1),
    "sync.domain.pacing:BURST": timedelta(seconds=10),
    "sync.domain.pacing:MICROSECOND": timedelta(microseconds=1),
    "sync.domain.pacing:HORIZON": timedelta(seconds=30),
    "sync.domain.pacing:HALF_OPEN_SLOTS": 2,
    "sync.domain.retry:LONGEST_WAIT": timedelta(hours=10),
    "sync.domain.retry:SENDER_ERROR_DELAY": timedelta(seconds=30),
    "sync.domain.rollout:EVERYBODY_PERCENTAGE": 100,
    "sync.http.addresses:MOST_ADDRESSES": 2_048,
    "sync.http.connections:LATE_SECONDS": 0.05,
    "sync.http.connections:MOST_ENDPOINTS": 256,
    "sync.http.connections:CONNECTIONS_PER_ENDPOINT": 64,
    "sync.http.connections:MAX_LINES": 256,
    "sync.http.connections:MAX_LINE_BYTES": 8_192,
    "sync.http.connections:MAX_LINES_BYTES": 32_768,
    "sync.http.connections:READ_BYTES": 8_192,
    "sync.http.connections:WRITE_BYTES": 16_384,
    "sync.http.excerpts:EXAMINED_BYTES": 4_096,
    "sync.http.excerpts:MAX_WORDS": 40,
    "sync.http.excerpts:_LONGEST_RUN": 48,
    "sync.http.oauth:TOKEN_SECONDS": 10.0,
    "sync.http.oauth:EXPIRY_MARGIN_SECONDS": 60.0,
    "sync.http.oauth:EARLY_SHARE": 0.1,
    "sync.http.oauth:EARLY_SECONDS": 120.0,
    "sync.http.oauth:RENEWAL_PAUSE_SECONDS": 10.0,
    "sync.http.oauth:DEFAULT_LIFE_SECONDS": 300.0,
    "sync.http.oauth:LONGEST_LIFE_SECONDS": 86400.0,
    "sync.http.resolver:MAX_LOOKUPS": 64,
    "sync.http.resolver:CANARY_SECONDS": 2.0,
    "sync.http.resolver:CANARY_PORT": 443,
    "sync.http.resolver:CANARY_ADDRESSES": 16,
    "sync.http.secrets:MOST_KEYS": 20,
    "sync.http.signing:SEED_BYTES": 32,
    "sync.http.transport:MAX_READS": 256,
    "sync.http.transport:MAX_ADDRESSES": 8,
    "sync.http.transport:MAX_LOOKUP_SECONDS": 5.0,
    "sync.http.transport:_RETRY_AFTER_LENGTH": 128,
    "sync.http.urls:MAX_URL_LENGTH": 2_048,
    "sync.http.urls:MAX_NAME_LENGTH": 253,
    "sync.ledger.checks:EXAMPLES": 10,
    "sync.ledger.checks:RECENT_DAYS": 7,
    "sync.ledger.claims:FAST_ATTEMPTS": 2,
    "sync.ledger.claims:LOW_LANE_TURN": 4,
    "sync.ledger.endpoint_states:TRIES": 30,
    "sync.ledger.endpoint_states:LONGEST_PAUSE_SECONDS": 0.5,
    "sync.ledger.journal:BUSY_SECONDS": 10.0,
    "sync.ledger.journal:GATHER_SECONDS": 0.003,
    "sync.ledger.journal:CHECKPOINT_PAGES": 5_000,
    "sync.ledger.journal:PAGE_BYTES": 4_096,
    "sync.ledger.journal:ENTRY_BYTES": 13_312,
    "sync.ledger.recording_lease:LEASE": timedelta(minutes=10),
    "sync.ledger.retention:BATCH": 50_000,
    "sync.operations.alerts:DEADLINE_SECONDS": 10.0,
    "sync.operations.backfill:MOST": 100_000,
    "sync.operations.changes:REPEAT_AFTER": timedelta(minutes=5),
    "sync.operations.endpoint_check:THREADS": 8,
    "sync.operations.endpoint_override:MAX_URL": 2_048,
    "sync.operations.endpoint_settings:TRIES": 10,
    "sync.operations.endpoint_switch:MAX_REASON": 64,
    "sync.operations.environment:FURTHEST": timedelta(days=366),
    "sync.operations.environment:UNSET_YEAR": 1_970,
    "sync.operations.erase:SHORTEST_NAME": 4,
    "sync.operations.explain.number:SECOND": 1_000_000,
    "sync.operations.explain.page:MOST_DAYS": 60,
    "sync.operations.explain.story:EARLIER": timedelta(days=1),
    "sync.operations.explain.story:MOST_TEXTS": 2,
    "sync.operations.operation:MAX_TEXT": 200,
    "sync.operations.operation:ASK_ABOVE": 20,
    "sync.operations.operation:SAMPLE": 10,
    "sync.operations.next_run:MESSAGES_LISTED": 1_000,
    "sync.operations.next_run:OVER_LIMIT_LISTED": 100,
    "sync.operations.preview:SHOWN": 20,
    "sync.operations.replay:MAX_IDS": 10_000,
    "sync.operations.report.costs:HISTORY_LAG": timedelta(hours=8),
    "sync.operations.customer_webhooks:MOST_ATTEMPTS": 500,
    "sync.operations.customer_webhooks:MOST_WEBHOOKS": 500,
    "sync.operations.report.figures:DEFAULT_DAYS": 30,
    "sync.operations.report.figures:DELIVERY_BUCKETS": (10, 60, 300, 1_800, 7_200, 43_200),
    "sync.operations.report.figures:STUDY_BUCKETS": (
        1,
        1_800,
        3_600,
        7_200,
        14_400,
        28_800,
        57_600,
        115_200,
    ),
    "sync.operations.report.page:MOST_ENDPOINTS": 8,
    "sync.operations.report.page:MOST_ROWS": 200,
    "sync.operations.samples:SAMPLE_USER_ID": 0,
    "sync.operations.samples:EXAMPLE_SECONDS": 26_964,
    "sync.operations.samples:SAMPLE_SECONDS": 3_600,
    "sync.operations.sender:LONGEST_CONTACT": 200,
    "sync.operations.watching:MOST_LINES": 1_000,
    "sync.telemetry:EXPORT_EVERY_MS": 30_000,
    "sync.telemetry:EXPORT_SECONDS": 3,
    "sync.telemetry:FLUSH_SECONDS": 5,
    "sync.telemetry:SECONDS": (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    "sync.telemetry:LONG_SECONDS": (
        1,
        5,
        10,
        30,
        60,
        120,
        300,
        600,
        1_800,
        3_600,
        7_200,
        21_600,
        86_400,
    ),
    "sync.warehouse:LOGIN_TIMEOUT_SECONDS": 30,
    "sync.warehouse:EMBEDDED_LOGIN_SECONDS": 5,
    "sync.warehouse:STATEMENT_TIMEOUT_SECONDS": 240,
    "sync.warehouse:NETWORK_PATIENCE": 1.25,
    "sync.warehouse:SOCKET_TIMEOUT_SECONDS": 60,
    "sync.warehouse:DOES_NOT_EXIST": 2_003,
    "sync.warehouse:NOT_IN_PYTHON": 252_005,
    "sync.warehouse:BULK_BIND_BYTES": 900_000,
    "orchestration.defs.alerts.sensors:MOST_COUNTED": 2_000,
    "orchestration.defs.alerts.sensors:MOST_EVALUATIONS": 300,
    "orchestration.defs.dbt.project:LONGEST_BUILD": timedelta(hours=3),
    "orchestration.defs.operations.jobs:MOST_SHOWN": 1_000,
    "orchestration.defs.webhooks.dry_run:UNLIMITED": 2_147_483_648,
    "orchestration.defs.webhooks.sensor:LOOK_EVERY_SECONDS": 30,
    "orchestration.defs.webhooks.sensor:LONGEST_RUN": timedelta(minutes=20),
    "orchestration.defs.webhooks.sensor:DRY_REPEAT": timedelta(hours=1),
    "orchestration.defs.webhooks.sensor:MOST_LOOKED_AT": 50,
    "orchestration.defs.webhooks.steps:GUARD_REPEAT": timedelta(hours=1),
    "orchestration.effective:LONGEST": 200,
    "orchestration.metadata:SAMPLE_ROWS": 20,
    "orchestration.metadata:BAR": 6,
    "orchestration.prune_runs:PAGE": 200,
    "orchestration.prune_runs:FEWEST_DAYS": 7,
}
"""Every other named number: whoever changes one must also change it here, deliberately."""
BOUNDS: dict[str, tuple[object, int | None, int | None]] = {
    # default, minimum, maximum
    "Backfill.limit": (1_000, 1, 100_000),
    "DeliveryConfig.batch_size": (1_000, 1, 5_000),
    "DeliveryConfig.linger_seconds": (8, 0, 60),
    "DeliveryConfig.requests_per_endpoint": (4, 1, 64),
    "DeliveryConfig.threads": (32, 1, 256),
    "DeliveryConfig.time_budget_seconds": (240, 5, 3_600),
    "DetectionConfig.mass_send_limit": (5_000, 1, None),
    "CustomerReport.days": (30, 1, 90),
    "RecordingConfig.mass_send_limit": (5_000, 1, None),
    "Preview.mass_send_limit": (5_000, 1, None),
    "Preview.show": (20, 0, None),
    "ReportConfig.days": (30, 1, 90),
    "Retention.days": (90, 1, None),
}
"""Limits of each integer option of a run, except ids and confirmed counts."""
NUMBERS_OF_THE_FLAG = {
    "max_enrichment_wait_minutes": (60, 0, 1_440),
    "rollout_percentage": (100, 0, 100),
}
UNLISTED = ("sync/local/", "sync/operations/report/charts.py", "sync/operations/report/pictures.py")
"""Sample data and chart sizes: changing these values breaks no guarantee."""
SWITCHES = {"allow_mass_send", "full_refresh"}


@pytest.mark.parametrize("name", sorted(LITERALS | RULES))
def test_a_value_that_has_a_name_is_the_one_written_here(name: str):
    value, expected = value_of(name), (LITERALS | RULES)[name]
    assert (value, type(value)) == (expected, type(expected))


def value_of(name: str) -> object:
    module, _, constant = name.partition(":")
    return getattr(importlib.import_module(module), constant)


def named_numbers() -> Iterator[str]:
    """Named numbers, durations and tuples of them in the code, as ``module:NAME``."""
    for path in sorted(
        [*(PROJECT_ROOT / "sync").rglob("*.py"), *(PROJECT_ROOT / "orchestration").rglob("*.py")]
    ):
        place = path.relative_to(PROJECT_ROOT)
        if place.as_posix().startswith(UNLISTED):
            continue
        module = ".".join(place.with_suffix("").parts).removesuffix(".__init__")
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            target = node.targets[0] if isinstance(node, ast.Assign) else None
            if isinstance(target, ast.Name) and target.id.lstrip("_").isupper():
                yield f"{module}:{target.id}"


def is_number(value: object) -> bool:
    if type(value) is tuple:
        return bool(value) and all(is_number(one) for one in value)
    return type(value) in (int, float, timedelta)


def test_every_number_that_has_a_name_stands_in_a_table():
    found = {name for name in named_numbers() if is_number(value_of(name))}
    assert len(found) > 100, "nothing is found any more"
    assert found - (LITERALS | RULES).keys() == set(), "write their literal values down here"


def configs() -> Iterator[type[BaseModel]]:
    yield from OPERATIONS
    for module in (config, report):
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
            default = field.get_default(call_default_factory=True)
            found[f"{one.__name__}.{name}"] = (default, bound.get("ge"), bound.get("le"))
    of_flag = {key for key in found if key.partition(".")[2] in NUMBERS_OF_THE_FLAG}
    for key in of_flag:
        assert found.pop(key) == NUMBERS_OF_THE_FLAG[key.partition(".")[2]], key
    assert len(of_flag) == 4
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
