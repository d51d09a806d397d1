"""Warehouses in a known state, built once per session and then restored from files."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sync.local.embedded.lifecycle import Running, status
from sync.local.embedded.server import HOST
from sync.settings import PROJECT_ROOT, EmbeddedWarehouse
from sync.warehouse import Warehouse, open_warehouse
from tests.support.shared import made_once
from tests.support.waiting import wait_until

Make = Callable[[Warehouse], object]


@dataclass(frozen=True)
class Scenarios:
    """Scenarios of one worker's warehouse; ``built`` has the files that all workers share."""

    settings: EmbeddedWarehouse
    built: Path

    def stand(self, name: str, make: Make | None = None) -> None:
        """Replace all tables with those of a scenario, which ``make`` builds from scratch.

        Open sessions see the new tables. Without ``make`` there are none.
        """

        def build(directory: Path) -> None:
            if make is not None:
                self.stand("nothing")
                with open_warehouse(self.settings, purpose="tests") as warehouse:
                    make(warehouse)
            self._ask("keep", directory)

        self._ask("put_back", made_once(self.built / name, build))

    def _ask(self, what: str, directory: Path) -> None:
        url = f"http://{HOST}:{self.settings.port}/{what}?directory={quote(str(directory))}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

        def swapped() -> bool:
            try:
                opener.open(urllib.request.Request(url, method="POST"), timeout=60).close()
            except urllib.error.HTTPError as refused:
                # A session of the previous test still has an open transaction.
                print(f"{what}: {refused.read().decode()}", file=sys.stderr)
                return False
            return True

        wait_until(swapped)


@contextmanager
def running_server(settings: EmbeddedWarehouse, translations: Path | None = None) -> Iterator[None]:
    """The warehouse of a test session, in a separate process.

    It shares translations with other servers through ``translations``.
    """
    command = [sys.executable, "-m", "tests.support.scenario_server"]
    command += [str(settings.port), str(settings.directory)]
    command += [str(translations or settings.home / "translations")]
    with (settings.home / "warehouse.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log
        )
        try:
            wait_until(lambda: isinstance(status(settings.port), Running), seconds=300)
            yield
        finally:
            process.terminate()
            process.wait(30)
