"""A Dagster instance as in production: the services of the compose file, as real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from sync.local.embedded.lifecycle import free_port
from sync.settings import PROJECT_ROOT
from tests.support.compose import DEPLOY, OURS, Service, on_this_machine
from tests.support.definitions import STEPS
from tests.support.waiting import wait_until

START_SECONDS = 600.0
LOCATION = "learning-time-webhooks"
OVER = (
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
)
LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
TERMINATE = """
mutation ($id: String!) {
  terminateRun(runId: $id) { __typename ... on TerminateRunFailure { message } }
}
"""


@dataclass(frozen=True)
class RunningInstance:
    """Running services, and the instance that they share."""

    instance: dg.DagsterInstance
    ports: Mapping[str, int]
    environment: Mapping[str, str]
    logs: Path

    def launch(self, config: Mapping[str, Any], job: str = "completion_webhooks_job") -> str:
        """Queue a run of the three webhook assets as the UI does; returns its id."""
        params = {
            "selector": {
                "repositoryLocationName": LOCATION,
                "repositoryName": "__repository__",
                "jobName": job,
                "assetSelection": [{"path": list(key.path)} for key in STEPS],
            },
            "mode": "default",
            "runConfigData": config,
        }
        answer = self.graphql(LAUNCH, {"params": params})["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return answer["run"]["runId"]

    def terminate(self, run_id: str) -> dg.DagsterRunStatus:
        """Terminate a run as the UI does, and wait for it; returns its final status."""
        answer = self.graphql(TERMINATE, {"id": run_id})["terminateRun"]
        assert answer["__typename"] == "TerminateRunSuccess", answer
        wait_until(lambda: self.status(run_id) in OVER, seconds=600, every=0.5)
        return self.status(run_id)

    def graphql(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Query the web server."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports['3000']}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with _opener().open(request, timeout=60) as answer:
            document = json.load(answer)
        assert "errors" not in document, document["errors"]
        return document["data"]

    def status(self, run_id: str) -> dg.DagsterRunStatus:
        """A run's status."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run.status

    def finish(self, *run_ids: str, seconds: float = 600) -> None:
        """Wait until the runs have succeeded."""
        wait_until(
            lambda: all(self.status(one) in OVER for one in run_ids), seconds=seconds, every=0.5
        )
        found = {one: self.status(one) for one in run_ids}
        assert set(found.values()) == {dg.DagsterRunStatus.SUCCESS}, self.said(*run_ids)

    def said(self, *run_ids: str) -> str:
        """The logs of the runs and the services."""
        texts = [
            f"{entry.dagster_event_type or entry.level} {entry.user_message or entry.message}"
            for run_id in run_ids
            for entry in self.instance.all_logs(run_id)
        ]
        return "\n".join([*texts, *(path.read_text() for path in self.logs.glob("*.log"))])[-6_000:]

    def is_healthy(self, service: str) -> bool:
        """The result of the service's health check."""
        command = on_this_machine(Service.named(service).healthcheck, ports=self.ports)
        done = subprocess.run(
            command, cwd=PROJECT_ROOT, env=dict(self.environment), capture_output=True, check=False
        )
        return done.returncode == 0


@contextmanager
def running_instance(home: Path, environment: Mapping[str, str]) -> Iterator[RunningInstance]:
    """Start code server, daemon and web server with ``deploy/dagster.yaml``; stop them at the end.

    ``environment`` must have the settings of PostgreSQL and the warehouse.
    """
    home.mkdir(parents=True)
    shutil.copy(DEPLOY / "dagster.yaml", home / "dagster.yaml")
    ports = {"4000": free_port(), "3000": free_port()}
    settings = {
        **environment,
        "DAGSTER_HOME": str(home),
        "LTW_CODE_HOST": "127.0.0.1",
        "LTW_CODE_PORT": str(ports["4000"]),
    }
    # Not "logs": Dagster clears a directory of that name.
    logs = home / "output"
    logs.mkdir()
    with ExitStack() as stack:
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(home)))
        running = RunningInstance(instance, ports, settings, logs)
        # The first process creates the tables that the daemon reads; Dagster creates them once.
        for name in OURS:
            command = on_this_machine(Service.named(name).command, ports=ports)
            log = logs / f"{name}.log"
            process = stack.enter_context(_process(command, settings, log))
            if name != "daemon":
                is_up = _is_served if name == "webserver" else _is_listening
                port = ports["3000" if name == "webserver" else "4000"]
                wait_until(
                    lambda process=process, is_up=is_up, port=port: (
                        process.poll() is not None or is_up(port)
                    ),
                    seconds=START_SECONDS,
                    every=0.2,
                )
            assert process.poll() is None, log.read_text()[-4_000:]
        yield running


@contextmanager
def _process(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with (
        log.open("w") as output,
        subprocess.Popen(
            command,
            cwd=PROJECT_ROOT,
            env=dict(environment),
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            # Run workers are children of the code server and belong to its group.
            for number in (signal.SIGINT, signal.SIGKILL):
                try:
                    os.killpg(process.pid, number)
                    process.wait(timeout=20)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue


def _is_listening(port: int) -> bool:
    """Whether the port accepts connections; the code server's does once the code is loaded."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_served(port: int) -> bool:
    try:
        with _opener().open(f"http://127.0.0.1:{port}/server_info", timeout=5) as answer:
            return "dagster_version" in json.load(answer)
    except (urllib.error.URLError, OSError):
        return False


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))
