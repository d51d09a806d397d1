"""One ``make dev`` and one browser for all tests here; a picture of the page where one fails."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.support.dbt import Dbt
from tests.support.definitions import BARE_MODELS
from tests.support.dev import Dev, running_dev

pytest.importorskip("selenium", reason="selenium is not installed: make install")

from tests.support.browser import Browser, missing_programs, open_browser

FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember for the fixture below that a test has failed."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory, dbt: Dbt) -> Iterator[Dev]:
    """What ``make dev`` starts, with its sample data."""
    if missing := missing_programs():
        pytest.skip(f"not on this machine: {', '.join(missing)} (Debian: chromium-driver)")
    directory = tmp_path_factory.mktemp("dev")
    dbt.prepare(directory / "dbt")
    with running_dev(directory) as running:
        yield running


@pytest.fixture(scope="session")
def number(dev: Dev) -> str:
    """A run that builds the learning time, started only: the browser comes up meanwhile; its id."""
    return dev.launch("learning_time_job", BARE_MODELS)


@pytest.fixture(scope="session")
def window(dev: Dev, number: str) -> Iterator[Browser]:
    """The one window."""
    with open_browser(dev.ui) as opened:
        yield opened


@pytest.fixture
def browser(window: Browser, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Browser]:
    """The window of a test."""
    yield window
    if request.node.stash.get(FAILED, False):
        picture = tmp_path / "page.png"
        window.save_screenshot(picture)
        print(f"the page when it failed: {picture}")
