"""The demo: from sample data to delivered webhooks, flag off and then on; then everything stops."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from sync.errors import SyncError
from sync.ledger.tables import ENDPOINT_SETTINGS, ensure_ledger
from sync.local.demo_report import Round, print_report, read_round
from sync.local.job_runner import JobRun, JobRunner, job_runner
from sync.local.sample_data import SampleSize
from sync.local.sandbox import Sandbox, open_sandbox

SEED = 2026
SIZE = SampleSize()
PERCIPIO_ENDPOINT = 4
"""The endpoint that gets the flat Percipio body, so that the demo shows both formats."""
BARE_MODELS = {
    "ops": {
        "learning_time_models": {"config": {"with_row_counts": False, "with_column_lineage": False}}
    }
}
"""No row counts, no column lineage: they are for the Dagster UI, which the demo does not show."""


def run_demo(*, console: Console, keep: Path | None, as_json: bool) -> None:
    """Run the demo; progress goes to ``console``, and with ``as_json`` a JSON document to stdout.

    Raises:
        JobFailed: a Dagster job failed; the text names its log, which is then kept.
        EmbeddedWarehouseFailed, ReceiverError: a server did not start.
    """
    started = time.monotonic()
    steps = Steps(console)
    # Both waves are in the past, since the models quarantine lines from the future.
    start = SIZE.start_before(datetime.now(UTC))
    with _home(keep) as home, ExitStack() as stack:
        with steps(
            "starting the embedded warehouse and the webhook receiver",
            "embedded warehouse and webhook receiver started",
        ):
            sandbox = stack.enter_context(open_sandbox(home, size=SIZE, seed=SEED, start=start))
            # This loads the definitions in parallel; the first time, dbt also parses the project.
            log = home / "dagster.log"
            jobs = stack.enter_context(job_runner(sandbox.environment, log))
            sandbox.start_warehouse()
        rounds = _rounds(sandbox, jobs, steps)
    seconds = time.monotonic() - started
    if as_json:
        print(json.dumps(_document(rounds, seconds), indent=2, default=str))
    else:
        print_report(console, rounds, seconds=seconds, kept=keep)


class Steps:
    """A spinner that shows what a step is doing, and a line with what it has done."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def __call__(self, doing: str, done: str) -> Iterator[None]:
        started = time.monotonic()
        with self._console.status(doing):
            yield
        self._console.print(f"[green]done[/] {done} [dim]{time.monotonic() - started:.1f} s[/]")


def _rounds(sandbox: Sandbox, jobs: JobRunner, steps: Steps) -> list[Round]:
    """Two rounds of loading a wave and running both jobs: first with the flag off, then on."""
    with sandbox.warehouse() as session:
        ensure_ledger(session)
        session.execute(
            f"""
            insert into {session.relation("sync", ENDPOINT_SETTINGS)}
                (endpoint_id, payload_format, is_learning_time_enabled, updated_at)
            select ?, 'percipio', true, sysdate()
            """,
            PERCIPIO_ENDPOINT,
        )
    rounds = []
    for index, flag in enumerate((False, True)):
        word = "on" if flag else "off"
        wave = f"wave {index + 1} of LMS rows and tracking logs"
        with steps(f"loading {wave}", f"{wave} loaded"):
            lines = sandbox.load_wave(index)
        # Data tests take most of a build's time: they run once, when all data is loaded.
        builds, built = ("builds and tests", "built and tested") if flag else ("builds", "built")
        with steps(
            f"learning_time_job: dbt {builds} the models",
            f"learning_time_job: dbt {built} the models",
        ):
            jobs.run("learning_time_job", BARE_MODELS, checks=flag)
        with steps(
            f"completion_webhooks_job: recording, building and sending, enrichment {word}",
            f"completion_webhooks_job: webhooks sent, enrichment {word}",
        ):
            run = _send(jobs, sandbox, flag=flag)
        with sandbox.warehouse() as session:
            rounds.append(read_round(session, run, flag=flag, lines=lines))
    return rounds


def _send(jobs: JobRunner, sandbox: Sandbox, *, flag: bool) -> JobRun:
    activated_at = sandbox.data.waves[0].begin.isoformat()
    return jobs.run(
        "completion_webhooks_job",
        {
            "ops": {
                "sync__newly_completed_enrollments": {"config": {"activated_at": activated_at}},
                "sync__enriched_completions": {
                    "config": {"enable_webhook_learning_time_enrichment": flag}
                },
                # Otherwise the run would wait for the endpoint that is out of order.
                "sync__completion_webhooks": {"config": {"linger_seconds": 0}},
            }
        },
    )


def _document(rounds: list[Round], seconds: float) -> dict[str, Any]:
    return {"seconds": round(seconds, 1), "rounds": [one.as_dict() for one in rounds]}


@contextmanager
def _home(keep: Path | None) -> Iterator[Path]:
    """A directory that is removed with the demo, unless it failed or the user named one to keep."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    home = Path(tempfile.mkdtemp(prefix="learning-time-demo-"))
    is_kept = False
    try:
        yield home
    except SyncError:
        # Its text names a log file in this directory.
        is_kept = True
        raise
    finally:
        if not is_kept:
            shutil.rmtree(home, ignore_errors=True)
