"""The models, built once per test module over no line, for runs that cost half a second each."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from sync.settings import EmbeddedWarehouse
from sync.warehouse import open_warehouse
from tests.dbt.scenario import prepare
from tests.learning_time.models import MART, Models
from tests.support.clean import drop_all_schemas
from tests.support.dbt import Dbt

ONLY_TABLES = ("--resource-type", "seed", "--resource-type", "model")
PROFILES = {"models": 10, "models-long": 300}
"""Examples per property; ``HYPOTHESIS_PROFILE=models-long`` for a night."""

for name, examples in PROFILES.items():
    settings.register_profile(
        name,
        max_examples=examples,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
        ],
        print_blob=True,
    )


@pytest.fixture(scope="module")
def models(warehouse_settings: EmbeddedWarehouse, dbt: Dbt) -> Iterator[Models]:
    """Built over no line. A test that loads lines begins with ``forget``."""
    logging.getLogger("snowflake.connector").setLevel(logging.ERROR)
    with open_warehouse(warehouse_settings, purpose="tests") as warehouse:
        drop_all_schemas(warehouse)
        prepare(warehouse)
        dbt("build", "--select", f"+{MART}", *ONLY_TABLES)
        yield Models(warehouse, dbt)
