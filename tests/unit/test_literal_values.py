"""Constants by their literal values: a test that imports what it checks cannot see it change.

A test may import a number, a duration or a name from the code only if it stands in a table here.
The values come from the documents and from the standards, and are changed together with them.
"""

from __future__ import annotations

import ast
import importlib
from datetime import timedelta
from pathlib import Path

import pytest

from sync.settings import PROJECT_ROOT

Literal = int | float | str | timedelta | tuple[timedelta, ...] | frozenset[str]


def seconds(*numbers: float) -> tuple[timedelta, ...]:
    return tuple(timedelta(seconds=number) for number in numbers)


WIRE: dict[str, Literal] = {
    "sync.contract.markers:MARKED": "true",
    "sync.contract.markers:REPLAY_HEADER": "webhook-replay",
    "sync.contract.markers:TEST_HEADER": "webhook-test",
    "sync.contract.signing:ID_HEADER": "webhook-id",
    "sync.contract.signing:SIGNATURE_HEADER": "webhook-signature",
    "sync.contract.signing:TIMESTAMP_HEADER": "webhook-timestamp",
    "sync.contract.signing:SYMMETRIC_PREFIX": "whsec_",
    "sync.contract.signing:PRIVATE_PREFIX": "whsk_",
    "sync.contract.signing:PUBLIC_PREFIX": "whpk_",
    "sync.contract.signing:TOLERANCE_SECONDS": 300,
    "sync.contract.routing:SHORTEST_TIMEOUT_SECONDS": 1,
    "sync.contract.routing:LONGEST_TIMEOUT_SECONDS": 300,
    "sync.operating.test_send:ID_PREFIX": "test-",
}
HTTP: dict[str, Literal] = {
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
    "sync.authentication.authorized:SECOND_TRY_SECONDS": 1.0,
    "sync.authentication.oauth:EARLY_SECONDS": 120.0,
    "sync.authentication.oauth:EARLY_SHARE": 0.1,
    "sync.authentication.oauth:EXPIRY_MARGIN_SECONDS": 60.0,
    "sync.authentication.oauth:RENEWAL_PAUSE_SECONDS": 10.0,
    "sync.authentication.oauth:TOKEN_SECONDS": 10.0,
    "sync.authentication.secrets:DIRECTORY_SETTING": "LTW_SECRETS_DIR",
    "sync.authentication.secrets:ENVIRONMENT_PREFIX": "LTW_SECRET_",
    "sync.authentication.secrets:MOST_KEYS": 20,
    "sync.authentication.token_answers:DEFAULT_LIFE_SECONDS": 300.0,
    "sync.authentication.token_answers:LONGEST_LIFE_SECONDS": 86_400.0,
}
POLICIES: dict[str, Literal] = {
    "sync.policies.breaker:CLOSE_AFTER": 3,
    "sync.policies.breaker:DISABLE_AFTER": timedelta(days=5),
    "sync.policies.breaker:FIRST_REST": timedelta(seconds=30),
    "sync.policies.breaker:LONGEST_REST": timedelta(minutes=10),
    "sync.policies.breaker:LOOK_AGAIN_AFTER": timedelta(hours=1),
    "sync.policies.breaker:SLOWEST": 0.0625,
    "sync.policies.breaker:TRIP_ATTEMPTS": 10,
    "sync.policies.breaker:TRIP_IN_A_ROW": 5,
    "sync.policies.breaker:TRIP_SHARE": 0.5,
    "sync.policies.breaker:WINDOW": timedelta(minutes=1),
    "sync.policies.pacing:BURST": timedelta(seconds=10),
    "sync.policies.pacing:HALF_OPEN_SLOTS": 2,
    "sync.policies.pacing:HORIZON": timedelta(seconds=30),
    "sync.policies.pacing:MINUTE": timedelta(seconds=60),
    "sync.policies.retry:JITTER": 0.2,
    "sync.policies.retry:OWN_FAULT_DELAY": timedelta(seconds=30),
    "sync.policies.retry:STANDARD_STEPS": seconds(0, 5, 300, 1800, 7200, 18000, 36000, 36000),
    "sync.policies.retry:LONG_STEPS": seconds(
        0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400
    ),
}
SETTINGS: dict[str, Literal] = {
    "orchestration.config:ACTIVATED_AT_SETTING": "WEBHOOKS_ACTIVATED_AT",
    "sync.http.network:CANARY_SETTING": "LTW_NETWORK_CANARY",
    "sync.http.network:DEVELOPMENT_SETTING": "LTW_DEVELOPMENT_TARGETS",
    "sync.http.network:PORTS_SETTING": "LTW_WEBHOOK_PORTS",
    "sync.messages.flag:ALLOWLIST_VARIABLE": "WEBHOOK_LEARNING_TIME_ENTERPRISE_ALLOWLIST",
    "sync.messages.flag:DRY_RUN_VARIABLE": "WEBHOOK_DRY_RUN",
    "sync.messages.flag:FLAG_VARIABLE": "ENABLE_WEBHOOK_LEARNING_TIME_ENRICHMENT",
    "sync.messages.flag:MAX_WAIT_VARIABLE": "WEBHOOK_LEARNING_TIME_MAX_WAIT_MINUTES",
    "sync.messages.flag:ROLLOUT_VARIABLE": "WEBHOOK_LEARNING_TIME_ROLLOUT_PERCENTAGE",
    "sync.messages.flag:SHADOW_VARIABLE": "WEBHOOK_LEARNING_TIME_SHADOW_LOOKUP",
    "sync.operating.alerts:HOOK_SETTING": "LTW_ALERT_HOOK",
    "sync.operating.alerts:URL_SETTING": "LTW_ALERT_URL",
    "sync.settings:DEFAULT_WAREHOUSE_PORT": 8754,
}
ELSEWHERE: dict[str, Literal] = {
    "orchestration.check_texts:OWNER": "owner",
    "orchestration.sensors:LOOK_EVERY_SECONDS": 30,
    "sync.detection.recording_lease:LEASE": timedelta(minutes=10),
    "sync.enrichment.learning_time:ABSENT_SECONDS": 60.0,
    "sync.enrichment.learning_time:ERROR_SECONDS": 15.0,
    "sync.enrichment.learning_time:FOUND_SECONDS": 3_600.0,
    "sync.enrichment.learning_time:LOOKUP_BATCH": 5_000,
    "sync.enrichment.learning_time:REST_SECONDS": 30.0,
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
    "sync.operating.confirmation:ASK_ABOVE": 20,
    "sync.operating.preview_report:HELD_BACK_SHOWN": 100,
    "sync.operating.watching:MOST_LINES": 1_000,
    "sync.report.charts:CHARACTER": 5.8,
    "sync.report.charts:WIDTH": 540,
    "sync.report.pictures:MOST_ENDPOINTS": 8,
    "sync.report.pictures:MOST_ROWS": 200,
    "sync.sending.admission:LEASE_MARGIN": timedelta(seconds=30),
    "sync.sending.admission:REST_AFTER": 5,
    "sync.sending.faults:SUSPICIOUS_HOSTS": 3,
    "sync.sending.pipeline:RECORD_AFTER_SECONDS": 15.0,
    "sync.sending.pipeline:THREADS_PER_UNWRITTEN": 2,
    "sync.sending.stop:LOOK_SECONDS": 0.25,
    "sync.sending.stop:SAME_REQUEST_SECONDS": 5.0,
    "sync.warehouse:BULK_BIND_BYTES": 900_000,
}
LITERALS = WIRE | HTTP | AUTHENTICATION | POLICIES | SETTINGS | ELSEWHERE


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
    assert "sync.policies.retry:JITTER" in imported, "nothing is found any more"
    plain = {
        name
        for name in imported - LITERALS.keys()
        if isinstance(value_of(name), int | float | str | timedelta)
    }
    assert plain == set(), "write their literal values down in a table of this file"
