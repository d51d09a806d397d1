"""An environment for one run: warehouse, receiver, secrets and Dagster home, on free ports."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sync.http.network import DEVELOPMENT_SETTING
from sync.http.secrets import DIRECTORY_SETTING, SecretStore
from sync.local.embedded.lifecycle import NO_CLOUD, ensure_running, free_port, stop
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
from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse, open_warehouse

OWN_SETTINGS = ("SNOWFLAKE_", "LTW_", "DBT_", "DAGSTER_", "WEBHOOK", "ENABLE_WEBHOOK_")
"""Prefixes of settings that a sandbox must not inherit from the shell that starts it."""
KEPT = ("DBT_TARGET_PATH",)
"""An exception: where dbt keeps its parsed project is a path, not a warehouse setting."""


@dataclass(frozen=True)
class Sandbox:
    """The running services, and the environment in which commands reach them."""

    settings: EmbeddedWarehouse
    receiver: RunningReceiver
    data: SampleData
    environment: Mapping[str, str]

    def start_warehouse(self) -> None:
        """Start the warehouse; it stops with the sandbox.

        Raises:
            EmbeddedWarehouseFailed: it did not start; the text gives the reason.
        """
        ensure_running(self.settings)

    @contextmanager
    def warehouse(self) -> Iterator[Warehouse]:
        """An open session."""
        with open_warehouse(self.settings, purpose="sandbox") as session:
            yield session

    def load_wave(self, index: int) -> int:
        """Load one wave of the sample data; returns its number of log lines."""
        wave = self.data.waves[index]
        paths = write_files(self.settings.home / "logs" / str(index), wave)
        with self.warehouse() as session:
            create_raw_tables(session)
            load_sample(session, wave)
            load_logs(session, paths, progress=lambda _: None)
            tracking_logs = session.raw_relation("tracking", "tracking_logs")
            rows = session.rows(f"select count(*) as n from {tracking_logs}")
        return int(rows[0]["n"])


@contextmanager
def open_sandbox(home: Path, *, size: SampleSize, seed: int, start: datetime) -> Iterator[Sandbox]:
    """Start everything except the warehouse; stop everything at the end, even after an error.

    The warehouse takes seconds to start, and processes that need only its port can start in
    parallel.

    Raises:
        ReceiverError: the receiver did not start; the text gives the reason.
    """
    settings = EmbeddedWarehouse(port=free_port(), home=home)
    sender, known = home / "secrets", home / "receiver_secrets"
    try:
        with running_receiver(secrets=SecretStore({}, known)) as receiver:
            data = generate(size, seed=seed, start=start, receiver_url=receiver.url)
            write_secrets(data.endpoints, sender=sender, receiver=known)
            (home / "dagster").mkdir(exist_ok=True)
            own = {
                "LTW_HOME": str(home),
                "LTW_WAREHOUSE_PORT": str(settings.port),
                DIRECTORY_SETTING: str(sender),
                DEVELOPMENT_SETTING: receiver.url.removeprefix("http://"),
                "DAGSTER_HOME": str(home / "dagster"),
                "DAGSTER_DISABLE_TELEMETRY": "1",
                "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
                **NO_CLOUD,
            }
            inherited = {
                name: value
                for name, value in os.environ.items()
                if name in KEPT or not name.startswith(OWN_SETTINGS)
            }
            yield Sandbox(settings, receiver, data, inherited | own)
    finally:
        stop(settings)
