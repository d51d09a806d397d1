"""Fixtures that every kind of test shares: one embedded warehouse, put in place for each test."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from snowflake.connector.vendored.requests.sessions import Session

from sync.local.embedded.lifecycle import NO_CLOUD, free_port
from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse, open_warehouse
from tests.support.bare_requests import bare_requests
from tests.support.dbt import Dbt
from tests.support.examples import load_profile
from tests.support.scenarios import Scenarios, running_server
from tests.support.shared import shared_directory
from tests.support.snowflake_statements import checked_statements
from tests.support.untraced import (
    leave_imports_untraced,
    leave_the_connector_untraced,
    look_for_proxies_by_name,
)
from tests.support.zones import ZONES, living_in

OWN_SETTINGS = ("SNOWFLAKE_", "LTW_", "DBT_", "WEBHOOK", "ENABLE_WEBHOOK_")

load_profile()
# Nothing of what collection makes is thrown away.
gc.disable()
leave_imports_untraced()
leave_the_connector_untraced()
look_for_proxies_by_name()
# Their helpers fail with the values that they compared.
pytest.register_assert_rewrite("tests.support.crashes", "tests.support.delivery")

LONGEST = (
    "tests/dev",
    "tests/end_to_end",
    "tests/documents/test_tutorial.py",
    "tests/orchestration/test_two_rounds.py",
    "tests/dbt",
    "tests/learning_time",
    "tests/orchestration",
)
"""Folders and files whose tests take longest, the longest first."""

# Tables must not be cut to the terminal that happens to run the tests.
os.environ["COLUMNS"] = "200"


def pytest_sessionstart(session: pytest.Session) -> None:
    """What only hands out tests and prints their outcomes runs nothing that is measured."""
    if session.config.getoption("numprocesses", None):
        sys.settrace(None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: at the end, one of them would leave the other core without work."""

    def place(item: pytest.Item) -> int:
        return next((n for n, start in enumerate(LONGEST) if item.nodeid.startswith(start)), 99)

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """What is imported by now stays; a collection that walks over it takes most of a second."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
    gc.enable()


def pytest_sessionfinish() -> None:
    """For pytest's clean-up, which collects five times."""
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    """After that, else DuckDB takes what was frozen for leaks, and says so at length."""
    config.add_cleanup(gc.unfreeze)


@pytest.fixture(scope="module", params=ZONES)
def local_zone(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each test of the module runs in three time zones: a lost zone shows in two of them."""
    with living_in(request.param):
        yield request.param


@pytest.fixture(scope="session")
def warehouse_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedWarehouse]:
    """A running embedded warehouse of this test session; the environment points at it."""
    settings = EmbeddedWarehouse(port=free_port(), home=tmp_path_factory.mktemp("home"))
    patch = pytest.MonkeyPatch()
    for name in [name for name in os.environ if name.startswith(OWN_SETTINGS)]:
        patch.delenv(name)
    patch.setenv("LTW_WAREHOUSE_PORT", str(settings.port))
    patch.setenv("LTW_HOME", str(settings.home))
    # As ``sync.warehouse`` has it; dbt cannot say so.
    for name, value in NO_CLOUD.items():
        patch.setenv(name, value)
    patch.setattr(Session, "request", bare_requests(settings.port))
    with running_server(settings, shared_directory(tmp_path_factory) / "translations"):
        yield settings
    patch.undo()


@pytest.fixture(scope="session")
def scenarios(
    warehouse_settings: EmbeddedWarehouse, tmp_path_factory: pytest.TempPathFactory
) -> Scenarios:
    """Warehouses that are built once, by the first worker that needs one."""
    return Scenarios(warehouse_settings, shared_directory(tmp_path_factory) / "scenarios")


@pytest.fixture(autouse=True)
def _every_statement_is_one_that_snowflake_takes() -> Iterator[None]:
    """Whatever the test is about: the embedded warehouse takes much that Snowflake refuses."""
    with checked_statements() as problems:
        yield
    assert problems == []


@pytest.fixture
def warehouse(scenarios: Scenarios) -> Iterator[Warehouse]:
    """An open session on a warehouse without a table."""
    scenarios.stand("nothing")
    with open_warehouse(scenarios.settings, purpose="tests") as opened:
        yield opened


@pytest.fixture(scope="session")
def dbt_target_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where dbt keeps its artifacts during this test session."""
    return tmp_path_factory.mktemp("dbt_target")


@pytest.fixture(scope="session")
def dbt(
    warehouse_settings: EmbeddedWarehouse,
    dbt_target_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Dbt:
    """Run a dbt command in this process: ``dbt("build", "--select", "marts")``."""
    return Dbt(dbt_target_path, shared_directory(tmp_path_factory) / "parsed")


@pytest.fixture(scope="session")
def manifest(dbt: Dbt) -> dict[str, Any]:
    """The parsed project as dbt writes it for other tools."""
    return json.loads((dbt.project() / "manifest.json").read_text("utf-8"))
