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
from sync.local.sandbox import OWN_SETTINGS
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

load_profile()
# Collection creates no garbage worth collecting.
gc.disable()
leave_imports_untraced()
leave_the_connector_untraced()
look_for_proxies_by_name()
# So that failed assertions in these helpers show the compared values.
pytest.register_assert_rewrite("tests.support.crashes", "tests.support.delivery")

LONGEST = (
    "tests/dev",
    "tests/end_to_end",
    "tests/documents/test_tutorial.py",
    "tests/orchestration/test_two_rounds.py",
)
"""Folders and files with the longest tests, longest first."""
COMPUTING = ("tests/dbt", "tests/learning_time", "tests/orchestration")
WAITING = ("tests/delivery", "tests/integration")
"""Folders whose tests mostly wait for receivers and clocks, which leaves a core for COMPUTING."""

# The terminal that runs the tests must not truncate tables, color them, or stop progress displays.
os.environ["COLUMNS"] = "200"
os.environ["TERM"] = "xterm"
for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
    os.environ.pop(name, None)
# Defaults of run settings are read with the Dagster definitions, before any fixture runs.
for name in [*os.environ]:
    if name.startswith(("LTW_", "WEBHOOK", "ENABLE_WEBHOOK_", "OTEL_")) and "_BENCH_" not in name:
        del os.environ[name]


def pytest_sessionstart(session: pytest.Session) -> None:
    """The xdist controller runs no measured code."""
    if session.config.getoption("numprocesses", None):
        sys.settrace(None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that none runs alone at the end while the other core is idle.

    Then alternate computing and waiting files: with only waiting tests both cores would be idle.
    """
    files = list(dict.fromkeys(item.nodeid.partition("::")[0] for item in items))
    places = {}
    for folders in (COMPUTING, WAITING):
        chosen = [file for folder in folders for file in files if file.startswith(folder)]
        places |= {file: number / len(chosen) for number, file in enumerate(chosen)}
    for number, start in enumerate(reversed(LONGEST), 1):
        places |= {file: -number for file in files if file.startswith(start)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], 1))


def pytest_collection_finish() -> None:
    """Exempt imported objects from garbage collection; walking them takes most of a second."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
    gc.enable()


def pytest_sessionfinish() -> None:
    """Without collection, because pytest's clean-up collects five times."""
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    """After that, else DuckDB takes what was frozen for leaks, and says so at length."""
    config.add_cleanup(gc.unfreeze)


@pytest.fixture(scope="module", params=ZONES)
def local_zone(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs each test of the module in three time zones: dropping the zone fails in two of them."""
    with living_in(request.param):
        yield request.param


@pytest.fixture(scope="session")
def warehouse_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedWarehouse]:
    """A running embedded warehouse of this test session; the environment points at it."""
    settings = EmbeddedWarehouse(port=free_port(), home=tmp_path_factory.mktemp("home"))
    patch = pytest.MonkeyPatch()
    for name in [*os.environ]:
        if name.startswith(OWN_SETTINGS) and name != "DAGSTER_DISABLE_TELEMETRY":
            patch.delenv(name)
    patch.setenv("LTW_WAREHOUSE_PORT", str(settings.port))
    patch.setenv("LTW_HOME", str(settings.home))
    # As in ``sync.warehouse``; dbt has no setting for it.
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
    """Warehouse states, each built once by the first worker that needs it."""
    return Scenarios(warehouse_settings, shared_directory(tmp_path_factory) / "scenarios")


@pytest.fixture(autouse=True)
def _every_statement_is_one_that_snowflake_takes() -> Iterator[None]:
    """In every test, because the embedded warehouse accepts much that Snowflake refuses."""
    with checked_statements() as problems:
        yield
    assert problems == []


@pytest.fixture
def warehouse(scenarios: Scenarios) -> Iterator[Warehouse]:
    """An open session on a warehouse without tables."""
    scenarios.stand("nothing")
    with open_warehouse(scenarios.settings, purpose="tests") as opened:
        yield opened


@pytest.fixture(scope="session")
def dbt_target_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of dbt's artifacts during this test session."""
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
    """The manifest: the parsed project as dbt writes it for other tools."""
    return json.loads((dbt.project() / "manifest.json").read_text("utf-8"))
