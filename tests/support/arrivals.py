"""An installation without completions, and the grades that will arrive."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sync.local.dev import SEED
from sync.local.embedded.lifecycle import ensure_running
from sync.local.raw_tables import create_raw_tables, insert_rows
from sync.local.sample_data import SampleSize, generate, write_files, write_secrets
from sync.local.sample_replica import SampleCompletion
from sync.local.tracking_logs import load_logs
from sync.settings import PROJECT_ROOT, EmbeddedWarehouse
from sync.warehouse import open_warehouse

GRADES = "grades_persistentcoursegrade"
ENDPOINTS = "channel_integration_enterprisewebhookconfiguration"
RATE = 6_000
"""Requests per minute and endpoint; the sample's 100 would limit what is measured."""


@dataclass(frozen=True)
class Prepared:
    """The prepared installation."""

    settings: EmbeddedWarehouse
    grades: list[dict[str, Any]]
    """Rows to insert, one for each completion, in the order of the sample."""
    begin: datetime
    """Completions of the sample are sent from this time on."""
    failing: frozenset[int]
    """Endpoints that always respond with 503."""
    completions: tuple[SampleCompletion, ...]
    """The expected outcome of the completions."""


def prepare(environment: Mapping[str, str], size: SampleSize, *, receiver_url: str) -> Prepared:
    """Start the warehouse of the environment, load everything but the grades, write the keys.

    The sample is that of ``make dev``, which finds its log loaded and adds nothing.
    """
    home = Path(environment["LTW_HOME"])
    settings = EmbeddedWarehouse(port=int(environment["LTW_WAREHOUSE_PORT"]), home=home)
    start = size.start_before(datetime.now(UTC))
    data = generate(size, seed=SEED, start=start, receiver_url=receiver_url)
    write_secrets(data.endpoints, sender=home / "secrets", receiver=home / "receiver_secrets")
    dagster_home = Path(environment["DAGSTER_HOME"])
    dagster_home.mkdir(parents=True)
    shutil.copy(PROJECT_ROOT / "deploy" / "dagster.local.yaml", dagster_home / "dagster.yaml")
    ensure_running(settings)
    grades: list[dict[str, Any]] = []
    with open_warehouse(settings, purpose="load") as session:
        create_raw_tables(session)
        for index, wave in enumerate(data.waves):
            for table, rows in wave.tables.items():
                if table == GRADES:
                    grades += rows
                    continue
                faster = {"max_requests_per_minute": RATE} if table == ENDPOINTS else {}
                insert_rows(session, table, [row | faster for row in rows])
            load_logs(session, write_files(home / str(index), wave), progress=lambda _: None)
    failing = frozenset(one.endpoint_id for one in data.endpoints if "/status/" in one.url)
    return Prepared(settings, grades, data.waves[0].begin, failing, data.completions)
