"""Which targets a deployment may send to, as its environment says."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sync.http.network import network_policy
from sync.settings import EmbeddedWarehouse

LAPTOP = EmbeddedWarehouse(port=8744, home=Path("invented"))


def test_lifted_rules_are_told_once_for_a_run(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        network_policy({"LTW_DEVELOPMENT_TARGETS": "127.0.0.1:8755"}, LAPTOP)
    assert "LTW_DEVELOPMENT_TARGETS: 127.0.0.1:8755" in caplog.text


def test_nothing_is_told_where_the_rules_hold(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        network_policy({}, LAPTOP)
    assert caplog.text == ""
