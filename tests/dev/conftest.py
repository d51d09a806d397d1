"""One ``make dev`` and one browser for all tests here; a failed test leaves a screenshot."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.browser import Browser, missing_programs, open_browser
from tests.support.dbt import Dbt
from tests.support.dev import Dev, running_dev

FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record a failed test for the fixture below."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that identifies the processes started here."""
    return tmp_path_factory.mktemp("dev")


@pytest.fixture(scope="session")
def dev(home: Path, dbt: Dbt) -> Iterator[Dev]:
    """What ``make dev`` starts, with its sample data."""
    with running_dev(home, dbt) as running:
        yield running


@pytest.fixture(scope="session")
def windows(dev: Dev) -> Iterator[ExitStack]:
    """Keeps the window open until it is closed or the session ends."""
    with ExitStack() as opened:
        yield opened


@pytest.fixture(scope="session")
def window(dev: Dev, windows: ExitStack) -> Browser:
    """The shared window."""
    if missing := missing_programs():
        pytest.skip(f"not on this machine: {', '.join(missing)} (Debian: chromium-driver)")
    return windows.enter_context(open_browser(dev.ui))


@pytest.fixture
def browser(window: Browser, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Browser]:
    """The window for one test."""
    yield window
    if request.node.stash.get(FAILED, False):
        picture = tmp_path / "page.png"
        window.save_screenshot(picture)
        print(f"the page when it failed: {picture}")
    window.rest()
