"""Sample data, a receiver that checks signatures, and two recorded rounds of the jobs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sync.http.network import DEVELOPMENT_SETTING
from sync.http.secrets import DIRECTORY_SETTING, SecretStore
from sync.ledger.tables import ensure_ledger
from sync.local.raw_tables import create_raw_tables
from sync.local.receiver import RunningReceiver, running_receiver
from sync.local.sample_data import (
    SampleData,
    SampleSize,
    generate,
    load_sample,
    write_files,
    write_secrets,
)
from sync.local.tracking_logs import load_logs
from sync.warehouse import Warehouse
from tests.support.dbt import ONLY_TABLES, Dbt
from tests.support.definitions import STEPS, everything_said, run_config

LOOKED_AT = ("completion_learning_time", "learning_time_watermark")
"""Models whose metadata and checks the tests inspect."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One wave of data and what was sent for it."""

    webhooks: dg.ExecuteInProcessResult
    received: list[dict[str, Any]]
    """Requests of this round as on the receiver's page, oldest first."""
    said: str
    """Everything that Dagster stored about its runs."""


@dataclass(frozen=True, kw_only=True)
class World:
    """Two rounds, first with the flag off and then on.

    The job of the models runs in the second, for a few of them: ``make demo`` runs all, with all of
    their tests.
    """

    warehouse: Warehouse
    data: SampleData
    receiver: RunningReceiver
    off: Round
    on: Round
    models: dg.ExecuteInProcessResult


@contextmanager
def run_world(warehouse: Warehouse, home: Path, defs: dg.Definitions, dbt: Dbt) -> Iterator[World]:
    """Load, build and send twice, through the real jobs, on a warehouse without tables."""
    known = home / "receiver_secrets"
    with (
        running_receiver(secrets=SecretStore({}, known)) as receiver,
        pytest.MonkeyPatch.context() as patch,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        size = SampleSize()
        start = size.start_before(datetime.now(UTC))
        data = generate(size, seed=2026, start=start, receiver_url=receiver.url)
        write_secrets(data.endpoints, sender=home / "secrets", receiver=known)
        patch.setenv(DEVELOPMENT_SETTING, receiver.url.removeprefix("http://"))
        patch.setenv(DIRECTORY_SETTING, str(home / "secrets"))
        create_raw_tables(warehouse)
        ensure_ledger(warehouse)

        def load(index: int) -> None:
            wave = data.waves[index]
            load_sample(warehouse, wave)
            load_logs(warehouse, write_files(home / str(index), wave), progress=lambda _: None)

        def send(*, flag: bool) -> Round:
            before = receiver.store.counts()["received"]
            webhooks = defs.resolve_job_def("completion_webhooks_job").execute_in_process(
                instance=instance,
                asset_selection=None if flag else list(STEPS),
                run_config=run_config(
                    detection={"activated_at": data.waves[0].begin.isoformat()},
                    enrichment={"enable_webhook_learning_time_enrichment": flag},
                    # The run would wait for the sample's failing endpoint.
                    delivery={"linger_seconds": 0},
                ),
            )
            newest = receiver.store.newest(limit=2_000, after=before)
            return Round(
                webhooks=webhooks,
                received=[one.as_json() for one in reversed(newest)],
                said=everything_said(instance, webhooks.run_id),
            )

        load(0)
        dbt("build", *ONLY_TABLES, "--exclude", "tag:delivery")
        off = send(flag=False)
        load(1)
        dbt("build", *ONLY_TABLES)
        models = defs.resolve_job_def("learning_time_job").execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey(["marts", one]) for one in LOOKED_AT]
        )
        on = send(flag=True)
        on = replace(on, said=everything_said(instance, models.run_id) + on.said)
        yield World(
            warehouse=warehouse, data=data, receiver=receiver, off=off, on=on, models=models
        )
