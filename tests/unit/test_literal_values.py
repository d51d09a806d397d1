"""Constants by their literal values: a test that imports what it checks cannot see it change.

A test may import a number, a duration or a name from the code only if it stands in a table here.
The values come from the documents and from the standards, and are changed together with them.
Every number and duration that has a name in the code stands here, and so does every default and
bound of a run's settings.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration import config, operation_config, report
from sync.settings import PROJECT_ROOT

Literal = int | float | str | timedelta | tuple[timedelta | float, ...] | frozenset[str]


def seconds(*numbers: float) -> tuple[timedelta, ...]:
    return tuple(timedelta(seconds=number) for number in numbers)


WIRE: dict[str, Literal] = {
    "sync.domain.payloads:EVENT_VERSION": "2.0",
    "sync.domain.payloads:SECONDS_PER_HOUR": 3_600,
    "sync.http.signing:_SEED_BYTES": 32,
    "sync.http.markers:MARKED": "true",
    "sync.http.markers:REPLAY_HEADER": "webhook-replay",
    "sync.http.markers:TEST_HEADER": "webhook-test",
    "sync.http.signing:ID_HEADER": "webhook-id",
    "sync.http.signing:SIGNATURE_HEADER": "webhook-signature",
    "sync.http.signing:TIMESTAMP_HEADER": "webhook-timestamp",
    "sync.http.signing:SYMMETRIC_PREFIX": "whsec_",
    "sync.http.signing:PRIVATE_PREFIX": "whsk_",
    "sync.http.signing:PUBLIC_PREFIX": "whpk_",
    "sync.http.signing:TOLERANCE_SECONDS": 300,
    "sync.domain.routing:SHORTEST_TIMEOUT_SECONDS": 1,
    "sync.domain.routing:LONGEST_TIMEOUT_SECONDS": 300,
    "sync.operations.test_send:ID_PREFIX": "test-",
}
HTTP: dict[str, Literal] = {
    "sync.http.deadline:IDLE_SECONDS": 5.0,
    "sync.http.excerpts:_LONGEST_RUN": 48,
    "sync.http.resolver:CANARY_ADDRESSES": 16,
    "sync.http.resolver:IDLE_SECONDS": 5.0,
    "sync.http.transport:_READ_SIZE": 8_192,
    "sync.http.transport:_RETRY_AFTER_LENGTH": 128,
    "sync.http.addresses:MAX_ANSWERS": 2_048,
    "sync.http.excerpts:EXCERPT_LENGTH": 1_000,
    "sync.http.excerpts:EXAMINED_BYTES": 4_096,
    "sync.http.excerpts:MAX_WORDS": 40,
    "sync.http.network:DEFAULT_PORTS": "443",
    "sync.http.pinned:CONNECTIONS_PER_POOL": 64,
    "sync.http.pinned:POOLS": 256,
    "sync.http.resolver:CANARY_PORT": 443,
    "sync.http.resolver:CANARY_SECONDS": 2.0,
    "sync.http.resolver:MAX_LOOKUPS": 64,
    "sync.http.transport:DEFAULT_DEADLINE_SECONDS": 20.0,
    "sync.http.transport:MAX_ADDRESSES": 8,
    "sync.http.transport:MAX_BODY_BYTES": 65_536,
    "sync.http.transport:MAX_LOOKUP_SECONDS": 5.0,
    "sync.http.transport:MAX_READS": 256,
    "sync.http.urls:MAX_NAME_LENGTH": 253,
    "sync.http.urls:MAX_URL_LENGTH": 2_048,
    "sync.http.wires:MAX_LINES": 256,
    "sync.http.wires:MAX_LINES_BYTES": 32_768,
    "sync.http.wires:MAX_LINE_BYTES": 8_192,
}
AUTHENTICATION: dict[str, Literal] = {
    "sync.http.authorized:SECOND_TRY_SECONDS": 1.0,
    "sync.http.oauth:EARLY_SECONDS": 120.0,
    "sync.http.oauth:EARLY_SHARE": 0.1,
    "sync.http.oauth:EXPIRY_MARGIN_SECONDS": 60.0,
    "sync.http.oauth:RENEWAL_PAUSE_SECONDS": 10.0,
    "sync.http.oauth:TOKEN_SECONDS": 10.0,
    "sync.http.secrets:DIRECTORY_SETTING": "LTW_SECRETS_DIR",
    "sync.http.secrets:ENVIRONMENT_PREFIX": "LTW_SECRET_",
    "sync.http.secrets:MOST_KEYS": 20,
    "sync.http.token_responses:DEFAULT_LIFE_SECONDS": 300.0,
    "sync.http.token_responses:LONGEST_LIFE_SECONDS": 86_400.0,
}
POLICIES: dict[str, Literal] = {
    "sync.domain.pacing:MICROSECOND": timedelta(microseconds=1),
    "sync.domain.circuit_breaker:CLOSE_AFTER": 3,
    "sync.domain.circuit_breaker:DISABLE_AFTER": timedelta(days=5),
    "sync.domain.circuit_breaker:FIRST_REST": timedelta(seconds=30),
    "sync.domain.circuit_breaker:LONGEST_REST": timedelta(minutes=10),
    "sync.domain.circuit_breaker:LOOK_AGAIN_AFTER": timedelta(hours=1),
    "sync.domain.circuit_breaker:SLOWEST": 0.0625,
    "sync.domain.circuit_breaker:TRIP_ATTEMPTS": 10,
    "sync.domain.circuit_breaker:TRIP_IN_A_ROW": 5,
    "sync.domain.circuit_breaker:TRIP_SHARE": 0.5,
    "sync.domain.circuit_breaker:WINDOW": timedelta(minutes=1),
    "sync.domain.pacing:BURST": timedelta(seconds=10),
    "sync.domain.pacing:HALF_OPEN_SLOTS": 2,
    "sync.domain.pacing:HORIZON": timedelta(seconds=30),
    "sync.domain.pacing:MINUTE": timedelta(seconds=60),
    "sync.domain.retry:JITTER": 0.2,
    "sync.domain.retry:OWN_FAULT_DELAY": timedelta(seconds=30),
    "sync.domain.retry:STANDARD_STEPS": seconds(0, 5, 300, 1800, 7200, 18000, 36000, 36000),
    "sync.domain.retry:LONG_STEPS": seconds(
        0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400
    ),
}
SETTINGS: dict[str, Literal] = {
    "orchestration.config:ACTIVATED_AT_SETTING": "WEBHOOKS_ACTIVATED_AT",
    "sync.http.network:CANARY_SETTING": "LTW_NETWORK_CANARY",
    "sync.http.network:DEVELOPMENT_SETTING": "LTW_DEVELOPMENT_TARGETS",
    "sync.http.network:PORTS_SETTING": "LTW_WEBHOOK_PORTS",
    "sync.delivery.flag:ALLOWLIST_VARIABLE": "WEBHOOK_LEARNING_TIME_ENTERPRISE_ALLOWLIST",
    "sync.delivery.flag:DRY_RUN_VARIABLE": "WEBHOOK_DRY_RUN",
    "sync.delivery.flag:FLAG_VARIABLE": "ENABLE_WEBHOOK_LEARNING_TIME_ENRICHMENT",
    "sync.delivery.flag:MAX_WAIT_VARIABLE": "WEBHOOK_LEARNING_TIME_MAX_WAIT_MINUTES",
    "sync.delivery.flag:ROLLOUT_VARIABLE": "WEBHOOK_LEARNING_TIME_ROLLOUT_PERCENTAGE",
    "sync.delivery.flag:SHADOW_VARIABLE": "WEBHOOK_LEARNING_TIME_SHADOW_LOOKUP",
    "sync.operations.alerts:HOOK_SETTING": "LTW_ALERT_HOOK",
    "sync.operations.alerts:URL_SETTING": "LTW_ALERT_URL",
    "sync.settings:DEFAULT_WAREHOUSE_PORT": 8754,
}
ORCHESTRATION: dict[str, Literal] = {
    "orchestration.dbt:LONGEST_BUILD": timedelta(hours=3),
    "orchestration.dry_run:UNLIMITED": 2_147_483_648,
    "orchestration.effective:LONGEST": 200,
    "orchestration.metadata:BAR": 10,
    "orchestration.metadata:SAMPLE_ROWS": 20,
    "orchestration.operation_config:MOST_SHOWN": 1_000,
    "orchestration.operation_config:SHOWN": 100,
    "orchestration.prune_runs:FEWEST_DAYS": 7,
    "orchestration.prune_runs:PAGE": 200,
    "orchestration.sensors:DRY_REPEAT": timedelta(hours=1),
    "orchestration.sensors:LONGEST_RUN": timedelta(minutes=20),
    "orchestration.sensors:MOST_COUNTED": 2_000,
    "orchestration.sensors:MOST_EVALUATIONS": 300,
    "orchestration.sensors:MOST_LOOKED_AT": 50,
    "orchestration.webhook_steps:GUARD_REPEAT": timedelta(hours=1),
}
LEDGER: dict[str, Literal] = {
    "sync.ledger.attempts:HELD_RECHECK": timedelta(hours=1),
    "sync.ledger.checks:RECENT_DAYS": 7,
    "sync.ledger.claims:FAST_ATTEMPTS": 2,
    "sync.ledger.endpoint_states:LONGEST_PAUSE_SECONDS": 0.5,
    "sync.ledger.endpoint_states:TRIES": 30,
    "sync.ledger.journal:BUSY_SECONDS": 10.0,
    "sync.ledger.journal:CHECKPOINT_PAGES": 5_000,
    "sync.ledger.journal:ENTRY_BYTES": 12_288,
    "sync.ledger.journal:GATHER_SECONDS": 0.003,
    "sync.ledger.journal:PAGE_BYTES": 4_096,
    "sync.ledger.retention:BATCH": 50_000,
}
OPERATING: dict[str, Literal] = {
    "sync.operations.alerts:DEADLINE_SECONDS": 10.0,
    "sync.operations.backfill:DEFAULT_LIMIT": 1_000,
    "sync.operations.backfill:MOST": 100_000,
    "sync.operations.backfill:SAMPLE": 10,
    "sync.operations.changes:REPEAT_AFTER": timedelta(minutes=5),
    "sync.operations.endpoint_check:LOOKUP_SECONDS": 5.0,
    "sync.operations.endpoint_check:THREADS": 8,
    "sync.operations.endpoint_settings:TRIES": 10,
    "sync.operations.endpoint_switch:MAX_REASON": 64,
    "sync.operations.environment:FURTHEST": timedelta(days=366),
    "sync.operations.environment:UNSET_YEAR": 1970,
    "sync.operations.erase:SHORTEST_NAME": 4,
    "sync.operations.preview_report:FROZEN_SHOWN": 1_000,
    "sync.operations.replay:SAMPLE": 10,
    "sync.operations.replay_selection:MAX_IDS": 10_000,
    "sync.operations.test_send:SAMPLE_SECONDS": 3_600,
    "sync.operations.test_send:SAMPLE_USER_ID": 0,
}
ELSEWHERE: dict[str, Literal] = {
    "sync.delivery.record:DEFAULT_MASS_SEND_LIMIT": 5_000,
    "sync.delivery.learning_time:CACHE_SIZE": 50_000,
    "sync.delivery.learning_time:LOOKUP_TIMEOUT_SECONDS": 5,
    "sync.domain.rollout:EVERYBODY_PERCENTAGE": 100,
    "sync.local.log_files:MAX_LINE_BYTES": 1_048_576,
    "sync.local.log_files:PART_BYTES": 134_217_728,
    "sync.local.log_files:_BLOCK_BYTES": 1_048_576,
    "sync.delivery.flag:MAX_WAIT_MINUTES": 1_440,
    "sync.delivery.build:DEFAULT_MAX_WAIT": timedelta(minutes=60),
    "sync.delivery.build:PAGE": 5_000,
    "sync.observability.instruments:LONG_SECONDS": (
        *(1, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 86_400),
    ),
    "sync.observability.instruments:SECONDS": (
        *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    ),
    "sync.observability.telemetry_otel:EXPORT_EVERY_MS": 30_000,
    "sync.observability.telemetry_otel:EXPORT_SECONDS": 3,
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
    "sync.delivery.sender:SAMPLE": 50,
    "sync.warehouse:DOES_NOT_EXIST": 2_003,
    "sync.warehouse:EMBEDDED_LOGIN_SECONDS": 5,
    "sync.warehouse:LOGIN_TIMEOUT_SECONDS": 30,
    "sync.warehouse:NETWORK_PATIENCE": 1.25,
    "sync.warehouse:NOT_IN_PYTHON": 252_005,
    "sync.warehouse:SOCKET_TIMEOUT_SECONDS": 60,
    "sync.warehouse:STATEMENT_TIMEOUT_SECONDS": 240,
    "orchestration.check_texts:OWNER": "owner",
    "orchestration.sensors:LOOK_EVERY_SECONDS": 30,
    "sync.ledger.recording_lease:LEASE": timedelta(minutes=10),
    "sync.delivery.learning_time:ABSENT_SECONDS": 60.0,
    "sync.delivery.learning_time:ERROR_SECONDS": 15.0,
    "sync.delivery.learning_time:FOUND_SECONDS": 3_600.0,
    "sync.delivery.learning_time:LOOKUP_BATCH": 5_000,
    "sync.delivery.learning_time:REST_SECONDS": 30.0,
    "sync.ledger.checks:EXAMPLES": 10,
    "sync.ledger.claims:LOW_LANE_TURN": 4,
    "sync.ledger.retention:DEFAULT_DAYS": 90,
    "sync.ledger.outbox:NO_LONGER_REPORTABLE": "no_longer_reportable",
    "sync.ledger.tables:ACTIVATIONS": "activations",
    "sync.ledger.tables:ATTEMPTS": "webhook_attempts",
    "sync.ledger.tables:ENDPOINT_STATE": "endpoint_state",
    "sync.ledger.tables:OUTBOX": "webhook_outbox",
    "sync.local.dev:SEED": 2026,
    "sync.local.embedded.server:KEPT_RESULTS": 50,
    "sync.observability.telemetry_otel:FLUSH_SECONDS": 5,
    "sync.operations.confirmation:ASK_ABOVE": 20,
    "sync.operations.preview_report:HELD_BACK_SHOWN": 100,
    "sync.operations.watching:MOST_LINES": 1_000,
    "sync.operations.report.charts:CHARACTER": 5.8,
    "sync.operations.report.charts:WIDTH": 540,
    "sync.operations.report.pictures:MOST_ENDPOINTS": 8,
    "sync.operations.report.pictures:MOST_ROWS": 200,
    "sync.delivery.admission:LEASE_MARGIN": timedelta(seconds=30),
    "sync.delivery.admission:REST_AFTER": 5,
    "sync.delivery.faults:SUSPICIOUS_HOSTS": 3,
    "sync.delivery.pipeline:RECORD_AFTER_SECONDS": 15.0,
    "sync.delivery.pipeline:THREADS_PER_UNWRITTEN": 2,
    "sync.delivery.stop:LOOK_SECONDS": 0.25,
    "sync.delivery.stop:SAME_REQUEST_SECONDS": 5.0,
    "sync.warehouse:BULK_BIND_BYTES": 900_000,
}
LITERALS = (
    WIRE
    | HTTP
    | AUTHENTICATION
    | POLICIES
    | SETTINGS
    | ORCHESTRATION
    | LEDGER
    | OPERATING
    | ELSEWHERE
)
UNLISTED = ("sync/local/", "sync/operations/report/charts.py", "sync/operations/report/pictures.py")
"""Sample data, and sizes of drawings: another value there breaks no promise."""
BOUNDS: dict[str, tuple[object, int | None, int | None]] = {
    # default, at least, at most
    "BackfillConfig.limit": (1_000, 1, 100_000),
    "DeliveryConfig.batch_size": (1_000, 1, 5_000),
    "DeliveryConfig.linger_seconds": (8, 0, 60),
    "DeliveryConfig.requests_per_endpoint": (4, 1, 64),
    "DeliveryConfig.threads": (32, 1, 256),
    "DeliveryConfig.time_budget_seconds": (240, 5, 3_600),
    "DetectionConfig.mass_send_limit": (5_000, 1, None),
    "PreviewConfig.mass_send_limit": (5_000, 1, None),
    "PreviewConfig.show": (100, 0, 1_000),
    "ReportConfig.days": (30, 1, 90),
    "RetentionConfig.days": (90, 1, None),
}
"""Of each whole number that a run can be given, but ids and confirmed counts."""
NUMBERS_OF_THE_FLAG = {
    "max_enrichment_wait_minutes": (60, 0, 1_440),
    "rollout_percentage": (100, 0, 100),
}
SWITCHES = {"allow_mass_send", "full_refresh", "send_enrollment_events"}


def value_of(name: str) -> object:
    module, _, constant = name.partition(":")
    return getattr(importlib.import_module(module), constant)


@pytest.mark.parametrize("name", sorted(LITERALS))
def test_a_constant_has_the_value_that_is_documented(name: str):
    value = value_of(name)
    assert (value, type(value)) == (LITERALS[name], type(LITERALS[name]))


def imported_constants(path: Path) -> set[str]:
    """Names in capitals that a test imports from the code, as ``module:NAME``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        is_ours = isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in (
            "sync",
            "orchestration",
        )
        if isinstance(node, ast.ImportFrom) and is_ours:
            names = (alias.name for alias in node.names)
            found |= {f"{node.module}:{name}" for name in names if name.isupper()}
    return found


def test_no_test_imports_a_value_that_stands_in_no_table():
    paths = (PROJECT_ROOT / "tests").rglob("*.py")
    imported = {
        name
        for path in paths
        if "benchmarks" not in path.parts
        for name in imported_constants(path)
    }
    assert "sync.domain.retry:JITTER" in imported, "nothing is found any more"
    plain = {
        name
        for name in imported - LITERALS.keys()
        if isinstance(value_of(name), int | float | str | timedelta)
    }
    assert plain == set(), "write their literal values down in a table of this file"


def named_numbers() -> Iterator[str]:
    """Numbers, durations and tuples of them that have a name in the code, as ``module:NAME``."""
    for top in ("sync", "orchestration"):
        for path in sorted((PROJECT_ROOT / top).rglob("*.py")):
            place = path.relative_to(PROJECT_ROOT)
            if place.as_posix().startswith(UNLISTED):
                continue
            module = ".".join(place.with_suffix("").parts)
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
    assert found - LITERALS.keys() == set(), "write their literal values down in this file"


def configs() -> Iterator[type[dg.Config]]:
    for module in (config, operation_config, report):
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
            if name == "dry_run" and one.__module__ == operation_config.__name__:
                assert field.default is True, one.__name__
            if name == "confirm_count":
                assert field.default == 0, one.__name__
