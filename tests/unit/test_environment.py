"""Dagster reports every wrong variable by name when it loads, and never a right one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sync.errors import ConfigurationError
from sync.operations.environment import as_activation, check_environment

NOW = datetime(2026, 11, 24, tzinfo=UTC)
WRONG = {
    "WEBHOOKS_ACTIVATED_AT": ("soon", "2026-13-01", "1767225600", "1970-01-01", "0026-11-24"),
    "ENABLE_WEBHOOK_LEARNING_TIME_ENRICHMENT": ("ture",),
    "WEBHOOK_LEARNING_TIME_ROLLOUT_PERCENTAGE": ("101", "ten"),
    "WEBHOOK_LEARNING_TIME_ENTERPRISE_ALLOWLIST": ("Example Industries",),
    "WEBHOOK_LEARNING_TIME_MAX_WAIT_MINUTES": ("-1",),
    "WEBHOOK_LEARNING_TIME_SHADOW_LOOKUP": ("on",),
    "WEBHOOK_DRY_RUN": ("yes",),
    "DBT_TARGET": ("prod",),
    "LTW_WAREHOUSE_PORT": ("99999", "http"),
    "LTW_WEBHOOK_PORTS": ("https", "0", "443 70000"),
    "LTW_DEVELOPMENT_TARGETS": ("localhost",),
    "LTW_NETWORK_CANARY": ("example.com:port",),
    "LTW_AT_MOST_EVERY_MINUTES": ("often",),
    "LTW_CREDITS_A_MONTH": ("0",),
    "LTW_LOG_FORMAT": ("yaml",),
    "LTW_LOG_LEVEL": ("LOUD",),
    "LTW_ALERT_URL": ("hooks.example.com/x", "http://hooks.example.com/x"),
    "LTW_ALERT_URL_INTEGRATIONS": ("https://127.0.0.1/x",),
    "LTW_ALERT_HOOK": ("pager", "pager:", ":page"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("collector:4318",),
    "SNOWFLAKE_ACCOUNT": ("example",),
}
RIGHT = {
    "WEBHOOKS_ACTIVATED_AT": "2026-11-24T00:00:00+01:00",
    "LTW_WEBHOOK_PORTS": "443, 8443",
    "LTW_ALERT_URL": "https://hooks.example.com/x",
    "LTW_ALERT_HOOK": "example_pager:page",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_wrong_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name if "SNOWFLAKE" not in name else "incomplete"):
        check_environment({name: value})


def test_right_and_empty_variables_pass() -> None:
    """A settings file may contain a variable with an empty value."""
    check_environment({})
    check_environment(RIGHT)
    check_environment(dict.fromkeys(WRONG.keys() - {"LTW_WAREHOUSE_PORT"}, ""))


def test_the_address_of_an_alert_is_a_secret_and_not_shown() -> None:
    with pytest.raises(ConfigurationError) as error:
        check_environment({"LTW_ALERT_URL": "http://hooks.example.com/services/T0P5ECR3T"})
    assert "T0P5ECR3T" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-24", datetime(2026, 11, 24)),
        ("2026-11-24T10:00:00", datetime(2026, 11, 24, 10)),
        ("2026-11-24T10:00:00Z", datetime(2026, 11, 24, 10)),
        ("2026-11-24T10:00:00+02:00", datetime(2026, 11, 24, 8)),
        ("2027-11-24", datetime(2027, 11, 24)),
    ],
)
def test_an_activation_without_a_zone_is_utc_and_may_lie_ahead(
    text: str, expected: datetime
) -> None:
    assert as_activation(text, setting="activated_at", now=NOW) == expected


@pytest.mark.parametrize(
    "text", ["2062-11-24", "2027-11-26", "0001-01-01T00:00:00+02:00", "9999-12-31T23:59:59-01:00"]
)
def test_an_activation_that_cannot_be_meant_is_refused(text: str) -> None:
    """With a time years ahead, nothing would ever be sent, and nothing would fail."""
    with pytest.raises(ConfigurationError, match="activated_at"):
        as_activation(text, setting="activated_at", now=NOW + timedelta(minutes=1))
