"""Run Dagster jobs in one separate warm process that loads the definitions once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sync.errors import SyncError
from sync.settings import PROJECT_ROOT


class JobFailed(SyncError):
    """A job did not succeed, or its process exited."""


@dataclass(frozen=True)
class JobRun:
    """A finished run."""

    job: str
    run_id: str
    metadata: Mapping[str, Mapping[str, Any]]
    """Numbers and texts of the run's materializations, by asset and name."""


class JobRunner:
    """Talks to ``orchestration.run_jobs`` over its standard input and output."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log

    def run(
        self,
        job: str,
        config: Mapping[str, Any] | None = None,
        *,
        assets: Sequence[str] = (),
        checks: bool = True,
    ) -> JobRun:
        """Run a job to completion, or only some of its assets, such as
        ``sync/completion_webhooks``; with or without their checks.

        Raises:
            JobFailed: a step failed, with its reason; or the process exited, with its log file.
        """
        if self._process.stdin is None or self._process.stdout is None:
            raise JobFailed("the job process has no pipes")
        try:
            request = {"job": job, "config": config or {}, "assets": list(assets), "checks": checks}
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise JobFailed(f"{job}: the job process ended; see its log: {self._log}")
        result = json.loads(line)
        if not result["success"]:
            reasons = "; ".join(result["failures"]) or "see the log"
            raise JobFailed(f"{job} failed: {reasons}. Its log: {self._log}")
        return JobRun(result["job"], result["run_id"], result["metadata"])


@contextmanager
def job_runner(environment: Mapping[str, str], log: Path) -> Iterator[JobRunner]:
    """A runner whose process ends with the block."""
    with (
        log.open("a") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "orchestration.run_jobs"],
            cwd=PROJECT_ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            yield JobRunner(process, log)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
