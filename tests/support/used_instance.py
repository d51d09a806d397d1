"""``make dev`` on an instance with months of history, and with completions still to come."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster_shared.record import copy

from sync.http.network import DEVELOPMENT_SETTING
from sync.http.secrets import DIRECTORY_SETTING, SecretStore
from sync.local.embedded.lifecycle import stop
from sync.local.job_runner import job_runner
from sync.local.raw_tables import insert_rows
from sync.local.receiver import running_receiver
from sync.local.sample_data import SampleSize
from sync.warehouse import open_warehouse
from tests.support.arrivals import GRADES, Prepared, prepare
from tests.support.definitions import STEPS
from tests.support.dev import Dev, dev_environment, served
from tests.support.processes import LTW

USED = (*STEPS, dg.AssetKey(["marts", "learning_time"]))
"""The three steps of a delivery run, and a model with row counts and column lineage."""


@contextmanager
def used_instance(
    directory: Path, *, size: SampleSize, materializations: int, runs: int
) -> Iterator[tuple[Dev, Prepared]]:
    """Both jobs have run over the first wave; the grades of the second are in ``grades``.

    ``materializations`` is a total over some assets. They are copies, as are the runs.
    """
    environment = dev_environment(directory)
    port = int(environment["LTW_RECEIVER_PORT"])
    url = f"http://127.0.0.1:{port}"
    prepared = prepare(environment, size, receiver_url=url)
    second = {(one.user_id, one.courserun_key) for one in prepared.completions if one.wave == 1}
    first = [row for row in prepared.grades if (row["user_id"], row["course_id"]) not in second]
    with open_warehouse(prepared.settings, purpose="load") as session:
        insert_rows(session, GRADES, first)
    prepared.grades[:] = [row for row in prepared.grades if row not in first]
    home = Path(environment["DAGSTER_HOME"])
    # The ten thousand events take a minute in memory, but ten on a disk that syncs each one.
    memory = Path("/dev/shm")  # noqa: S108
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as scratch:
        filled = Path(scratch) / "dagster"
        shutil.copytree(home, filled)
        known = SecretStore({}, prepared.settings.home / "receiver_secrets")
        with running_receiver(secrets=known, port=port):
            own = {
                "DAGSTER_HOME": str(filled),
                DEVELOPMENT_SETTING: url.removeprefix("http://"),
                DIRECTORY_SETTING: str(prepared.settings.home / "secrets"),
                "WEBHOOKS_ACTIVATED_AT": prepared.begin.isoformat(),
            }
            with job_runner(environment | own, directory / "jobs.log") as jobs:
                jobs.run("learning_time_job")
                jobs.run("completion_webhooks_job")
        _fill(filled, materializations=materializations, runs=runs)
        shutil.rmtree(home)
        shutil.copytree(filled, home)
    try:
        with served([*LTW, "dev"], directory, environment) as dev:
            yield dev, prepared
    finally:
        stop(prepared.settings)


def _fill(home: Path, *, materializations: int, runs: int) -> None:
    """Months of history: copies of the existing materializations and of the run."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for key in USED:
            event = instance.get_latest_materialization_event(key)
            assert event is not None
            assert event.asset_materialization is not None
            for _ in range(-(-materializations // len(USED))):
                instance.report_runless_asset_event(
                    dg.AssetMaterialization(key, metadata=event.asset_materialization.metadata)
                )
        (run, *_) = instance.get_runs(limit=1)
        for _ in range(runs):
            instance.add_run(copy(run, run_id=dg._core.utils.make_new_run_id()))  # pyright: ignore[reportAttributeAccessIssue, reportPrivateUsage]
