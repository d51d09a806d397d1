"""Fixtures of the Dagster tests."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from sync.settings import EmbeddedWarehouse
from tests.support.clockwork import load_definitions


@pytest.fixture(scope="session")
def defs(warehouse_settings: EmbeddedWarehouse, dbt_target_path: Path) -> dg.Definitions:
    """What Dagster loads."""
    return load_definitions(dbt_target_path)


@pytest.fixture
def webhooks_job(defs: dg.Definitions) -> dg.JobDefinition:
    """The job that detects, freezes, sends and reports."""
    return defs.resolve_job_def("completion_webhooks_job")
