"""Statements sent to a third-party learning record store: Ralph, by OpenFUN.

Without a database, Ralph keeps one statement in a file and refuses to write a second one to it, so
each test starts without the file.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from sync.local.embedded.lifecycle import free_port
from sync.warehouse import Warehouse
from tests.support.delivery import Run, all_steps, complete, delivered, seed
from tests.support.environments import environment
from tests.support.events import XAPI
from tests.support.samples import bodies
from tests.support.waiting import wait_until

pytestmark = pytest.mark.prove

RALPH = ("ralph-malph[cli,lrs]==5.1.0", "requests")
USER, PASSWORD = "learning-time", "an example, never a real password"
HEADERS = {"Content-Type": "application/json", "X-Experience-API-Version": "1.0.3"}


@dataclass(frozen=True)
class RecordStore:
    """A running store, and the file with its statements."""

    port: int
    file: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/xAPI/statements"

    def post(self, body: bytes) -> int:
        """The status for a statement."""
        return requests.post(
            self.url, data=body, headers=HEADERS, auth=(USER, PASSWORD), timeout=30
        ).status_code

    def statement(self) -> Mapping[str, object]:
        """The stored statements."""
        return json.loads(self.file.read_text(encoding="utf-8"))

    def forget(self) -> None:
        """Start over."""
        self.file.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordStore]:
    home = tmp_path_factory.mktemp("ralph")
    ralph = str(environment(home, *RALPH) / "ralph")
    port = free_port()
    settings = os.environ | {
        "RALPH_APP_DIR": str(home),
        "RALPH_AUTH_FILE": str(home / "auth.json"),
        "RALPH_RUNSERVER_BACKEND": "fs",
        "RALPH_BACKENDS__LRS__FS__DEFAULT_DIRECTORY_PATH": str(home),
        "RALPH_BACKENDS__LRS__FS__DEFAULT_LRS_FILE": "statements.jsonl",
    }
    agent = ("-M", "mailto:lms@example.com", "-N", "lms", "-w")
    account = [ralph, "auth", "-u", USER, "-p", PASSWORD, "-s", "all", *agent]
    subprocess.run(account, env=settings, check=True, capture_output=True)
    serve = [ralph, "runserver", "-b", "fs", "-h", "127.0.0.1", "-p", str(port)]
    with (home / "log.txt").open("w") as log:
        running = subprocess.Popen(
            serve, env=settings, stdout=log, stderr=log, start_new_session=True
        )
        try:
            made = RecordStore(port, home / "statements.jsonl")
            wait_until(lambda: is_up(port), seconds=120)
            yield made
        finally:
            os.killpg(running.pid, 15)
            running.wait(30)


def is_up(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/__lbheartbeat__", timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize("name", [name for name in bodies() if name.startswith("xapi ")])
def test_it_takes_each_kind_of_statement_and_knows_it_again(store: RecordStore, name: str) -> None:
    store.forget()
    body = bodies()[name]
    assert store.post(body) == 200
    assert store.post(body) == 204
    assert store.post(body.replace(b'"en"', b'"fr"')) == 409, "another statement under its id"
    assert store.post(json.dumps(json.loads(body) | {"actor": {}}).encode()) == 422


def test_a_delivery_with_basic_authentication_is_stored_under_its_webhook_id(
    store: RecordStore, warehouse: Warehouse, tmp_path: Path
) -> None:
    store.forget()
    seed(warehouse, [store.url], payload_format="xapi", authentication="basic", **XAPI)
    (webhook_id,) = complete(warehouse, [1], endpoints=1)
    run = Run(
        host_ports=f"127.0.0.1:{store.port}",
        journals=tmp_path,
        endpoints=1,
        credentials={"LTW_SECRET_WEBHOOK_BASIC_1": f"{USER}:{PASSWORD}"},
    )
    assert all_steps(warehouse, run).outcomes == {"delivered": 1}
    assert delivered(warehouse) == {webhook_id}
    assert store.statement()["id"] == webhook_id
