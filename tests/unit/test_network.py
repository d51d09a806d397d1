"""Targets that a deployment may send to, by its environment."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from sync.delivery.destinations import open_destination
from sync.errors import ConfigurationError
from sync.http.destination import HttpDestination
from sync.http.network import CANARY_SETTING, canary, network_policy, refusal_of
from sync.http.transport import Transport
from sync.settings import EmbeddedWarehouse, SnowflakeWarehouse, WarehouseSettings

LAPTOP = EmbeddedWarehouse(port=8744, home=Path("invented"))


def test_lifted_rules_are_logged_once_for_a_run(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        network_policy({"LTW_DEVELOPMENT_TARGETS": "127.0.0.1:8755"}, LAPTOP)
    assert "LTW_DEVELOPMENT_TARGETS: 127.0.0.1:8755" in caplog.text


def test_nothing_is_logged_where_the_rules_hold(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        network_policy({}, LAPTOP)
    assert caplog.text == ""


SNOWFLAKE = SnowflakeWarehouse(
    account="org-acc", user="u", role="r", warehouse="w", database="d", schema="s"
)


@pytest.mark.parametrize(
    ("settings", "environ", "expected"),
    [
        pytest.param(SNOWFLAKE, {}, "org-acc.snowflakecomputing.com", id="Snowflake"),
        pytest.param(replace(SNOWFLAKE, host="a.example.cn"), {}, "a.example.cn", id="its host"),
        pytest.param(SNOWFLAKE, {CANARY_SETTING: "a.example.com"}, "a.example.com", id="a setting"),
        pytest.param(LAPTOP, {CANARY_SETTING: "192.0.2.1:53"}, "192.0.2.1:53", id="with a port"),
        pytest.param(LAPTOP, {CANARY_SETTING: " "}, None, id="blank"),
        pytest.param(LAPTOP, {}, None, id="a laptop has none"),
    ],
)
def test_what_sends_asks_the_canary_before_names_or_silence_are_blamed(
    settings: WarehouseSettings, environ: dict[str, str], expected: str | None
) -> None:
    """It is set up in one place, which every sender uses."""
    with open_destination(environ, settings) as destination:
        assert isinstance(destination, HttpDestination)
        assert destination.resolver.canary == expected
        assert isinstance(destination.poster, Transport)
        assert destination.poster._resolver is destination.resolver
        assert destination.poster._policy == destination.policy


@pytest.mark.parametrize("text", [":443", "a.example.com:", "a.example.com:0", "a.example.com:x"])
def test_a_malformed_canary_is_named(text: str) -> None:
    with pytest.raises(ConfigurationError, match=CANARY_SETTING):
        canary(LAPTOP, {CANARY_SETTING: text})


def test_development_targets_are_refused_where_the_warehouse_is_real() -> None:
    given = {"LTW_DEVELOPMENT_TARGETS": "127.0.0.1:8755"}
    with pytest.raises(ConfigurationError, match="LTW_DEVELOPMENT_TARGETS lifts the address rules"):
        network_policy(given, SNOWFLAKE)
    assert network_policy({}, SNOWFLAKE).development_targets == frozenset()


@pytest.mark.parametrize(
    ("url", "is_refused"),
    [
        pytest.param("https://10.1.2.3/in", True, id="private"),
        pytest.param("https://[::1]/in", True, id="loopback"),
        pytest.param("https://1.1.1.1/in", False, id="public"),
        pytest.param("https://hooks.example.com/in", False, id="only its addresses can tell"),
        pytest.param("http://127.0.0.1:8755/in", False, id="a development target"),
    ],
)
def test_an_address_in_a_url_is_refused_without_a_request(url: str, *, is_refused: bool) -> None:
    policy = network_policy({"LTW_DEVELOPMENT_TARGETS": "127.0.0.1:8755"}, LAPTOP)
    assert (refusal_of(url, policy) is not None) is is_refused
