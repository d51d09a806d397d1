"""``make dev`` in processes of its own, on free ports, and its Dagster instance over GraphQL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sync.local.embedded.lifecycle import NO_CLOUD, free_port
from sync.settings import PROJECT_ROOT, EmbeddedWarehouse
from tests.support.dbt import Dbt
from tests.support.processes import LTW, processes_of
from tests.support.waiting import wait_until

START_SECONDS = 600.0
STOP_SECONDS = 180.0
OWN_SETTINGS = ("SNOWFLAKE_", "LTW_", "DBT_", "DAGSTER_", "WEBHOOK", "ENABLE_WEBHOOK_")
"""Prefixes of settings that must not come from the shell that runs the tests."""
WAREHOUSE = "sync.local.embedded"
RUN_STATUS = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
LAUNCH = """
mutation ($job: String!, $config: RunConfigData, $assets: [AssetKeyInput!]) {
  launchRun(executionParams: {
    selector: {
      jobName: $job, repositoryName: "__repository__",
      repositoryLocationName: "learning-time-webhooks", assetSelection: $assets
    }
    runConfigData: $config
  }) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on PythonError { message }
  }
}
"""


def fetch(url: str, *, body: bytes | None = None, seconds: float = 10.0) -> str | None:
    """What the address responds with, or None while nobody does; never through a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, data=body, headers={"content-type": "application/json"})  # noqa: S310 - loopback
    try:
        with opener.open(request, timeout=seconds) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, OSError):
        return None


@dataclass(frozen=True)
class Dev:
    """Three servers that respond, and the environment in which commands reach them."""

    ui: str
    receiver: str
    settings: EmbeddedWarehouse
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def webhooks(self) -> list[dict[str, Any]]:
        """What the receiver has got, newest first."""
        text = fetch(f"{self.receiver}/api/webhooks?limit=2000")
        return json.loads(text)["webhooks"] if text else []

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """The response of the Dagster webserver.

        Raises:
            AssertionError: it did not respond, or with errors.
        """
        body = json.dumps({"query": query, "variables": variables}).encode()
        text = fetch(f"{self.ui}/graphql", body=body, seconds=60.0)
        assert text is not None, f"the Dagster UI does not respond:\n{self.log.read_text()[-2000:]}"
        answer = json.loads(text)
        assert not answer.get("errors"), answer["errors"]
        return answer["data"]

    def launch(
        self,
        job: str,
        config: Mapping[str, Any] | None = None,
        *,
        assets: Sequence[Sequence[str]] = (),
    ) -> str:
        """Start a run as the launchpad does, of all assets of the job or of these; its id."""
        chosen = [{"path": one} for one in assets] or None
        answer = self.graphql(LAUNCH, job=job, config=config or {}, assets=chosen)["launchRun"]
        assert "run" in answer, answer
        return answer["run"]["runId"]

    def wait_for(self, run_id: str, *, seconds: float = 600.0) -> str:
        """The status that the run has ended with."""
        ended = {"SUCCESS", "FAILURE", "CANCELED"}
        status = ""

        def has_ended() -> bool:
            nonlocal status
            status = self.graphql(RUN_STATUS, id=run_id)["runOrError"].get("status", "")
            return status in ended

        wait_until(has_ended, seconds=seconds, every=1.0)
        return status

    def run(self, job: str, config: Mapping[str, Any] | None = None) -> str:
        """Run a job to its end; its id.

        Raises:
            AssertionError: it did not succeed.
        """
        run_id = self.launch(job, config)
        status = self.wait_for(run_id)
        assert status == "SUCCESS", f"{job}, run {run_id}: {status}"
        return run_id


def dev_environment(directory: Path, **more: str) -> dict[str, str]:
    """The environment of a set-up of its own, with everything it keeps below ``directory``."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(OWN_SETTINGS)
    }
    own = {
        "LTW_HOME": str(directory / "home"),
        "LTW_WAREHOUSE_PORT": str(free_port()),
        "LTW_RECEIVER_PORT": str(free_port()),
        "LTW_DAGSTER_PORT": str(free_port()),
        "DAGSTER_HOME": str(directory / "home" / "dagster"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "DBT_TARGET_PATH": str(directory / "dbt"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    return inherited | NO_CLOUD | own | more


@contextmanager
def running_dev(directory: Path, dbt: Dbt) -> Iterator[Dev]:
    """``ltw dev`` until the end of the block; then nothing of it is left.

    Raises:
        AssertionError: it did not come up, or something stayed behind.
    """
    environment = dev_environment(directory)
    dbt.prepare(Path(environment["DBT_TARGET_PATH"]), port=environment["LTW_WAREHOUSE_PORT"])
    with served([*LTW, "dev"], directory, environment) as dev:
        yield dev


@contextmanager
def served(
    command: Sequence[str], directory: Path, environment: Mapping[str, str]
) -> Iterator[Dev]:
    """A command that serves the Dagster UI, from when it responds until the end of the block.

    Raises:
        AssertionError: it did not come up, or something stayed behind.
    """
    log = directory / "dev.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=PROJECT_ROOT,
            env=dict(environment),
            stdout=output,
            stderr=output,
            # A terminal sends Ctrl-C to the whole group; a group of our own stands in for it.
            start_new_session=True,
        )
    dev = Dev(
        ui=f"http://127.0.0.1:{environment['LTW_DAGSTER_PORT']}",
        receiver=f"http://127.0.0.1:{environment['LTW_RECEIVER_PORT']}",
        settings=EmbeddedWarehouse(
            port=int(environment["LTW_WAREHOUSE_PORT"]), home=Path(environment["LTW_HOME"])
        ),
        environment=environment,
        log=log,
        process=process,
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while (info := fetch(f"{dev.ui}/server_info")) is None and process.poll() is None:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        assert info is not None, f"the Dagster UI did not respond:\n{log.read_text()}"
        yield dev
    finally:
        interrupt(process)
        wait_for_the_end(directory)


def interrupt(process: subprocess.Popen[bytes]) -> int:
    """Ctrl-C, and if that does not end it within a minute, an end that leaves nothing; its code."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def wait_for_the_end(directory: Path) -> None:
    """Until no process is left that was started with this directory in hand."""
    # Dagster's code server ends by itself when it no longer hears from the others. A warehouse is
    # left to whoever started it.
    wait_until(
        lambda: all(WAREHOUSE in one for one in processes_of(directory)),
        seconds=STOP_SECONDS,
        every=0.5,
    )
