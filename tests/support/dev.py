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
from sync.local.sandbox import OWN_SETTINGS
from sync.settings import PROJECT_ROOT, EmbeddedWarehouse
from tests.support.dbt import Dbt
from tests.support.processes import LTW, processes_of
from tests.support.waiting import wait_until

START_SECONDS = 600.0
STOP_SECONDS = 180.0
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
    """The response body, or None while nothing responds; never through a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, data=body, headers={"content-type": "application/json"})  # noqa: S310 - loopback
    try:
        with opener.open(request, timeout=seconds) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, OSError):
        return None


@dataclass(frozen=True)
class Dev:
    """Three running servers, and the environment for commands that use them."""

    ui: str
    receiver: str
    settings: EmbeddedWarehouse
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def webhooks(self) -> list[dict[str, Any]]:
        """The webhooks that the receiver has, newest first."""
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
        """Start a run as the launchpad does, of all or some assets of the job; returns its id."""
        chosen = [{"path": one} for one in assets] or None
        answer = self.graphql(LAUNCH, job=job, config=config or {}, assets=chosen)["launchRun"]
        assert "run" in answer, answer
        return answer["run"]["runId"]

    def wait_for(self, run_id: str, *, seconds: float = 600.0) -> str:
        """The final status of the run."""
        ended = {"SUCCESS", "FAILURE", "CANCELED"}
        status = ""

        def has_ended() -> bool:
            nonlocal status
            status = self.graphql(RUN_STATUS, id=run_id)["runOrError"].get("status", "")
            return status in ended

        wait_until(has_ended, seconds=seconds, every=1.0)
        return status

    def run(self, job: str, config: Mapping[str, Any] | None = None) -> str:
        """Run a job until it finishes; returns the run's id.

        Raises:
            AssertionError: it did not succeed.
        """
        run_id = self.launch(job, config)
        status = self.wait_for(run_id)
        assert status == "SUCCESS", f"{job}, run {run_id}: {status}"
        return run_id


def dev_environment(directory: Path, **more: str) -> dict[str, str]:
    """The environment of a separate installation with all its files below ``directory``."""
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
    """``ltw dev`` for the block; leaves no process behind.

    Raises:
        AssertionError: it did not start, or a process is left.
    """
    environment = dev_environment(directory)
    dbt.prepare(Path(environment["DBT_TARGET_PATH"]), port=environment["LTW_WAREHOUSE_PORT"])
    with served([*LTW, "dev"], directory, environment) as dev:
        yield dev


@contextmanager
def served(
    command: Sequence[str], directory: Path, environment: Mapping[str, str]
) -> Iterator[Dev]:
    """A command that serves the Dagster UI, for the block, which starts once it responds.

    Raises:
        AssertionError: it did not start, or a process is left.
    """
    log = directory / "dev.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=PROJECT_ROOT,
            env=dict(environment),
            stdout=output,
            stderr=output,
            # A terminal sends Ctrl-C to its whole process group, so this gets a separate group.
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
    """Send Ctrl-C, and kill the group if that takes over a minute; returns the exit code."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def wait_for_the_end(directory: Path) -> None:
    """Wait until no process that was started with this directory is left."""
    # Dagster's code server exits when it no longer hears from the others. A warehouse is
    # stopped by whoever started it.
    wait_until(
        lambda: all(WAREHOUSE in one for one in processes_of(directory)),
        seconds=STOP_SECONDS,
        every=0.5,
    )
