"""The models, built once per test module without log lines, so that a run costs half a second."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from sync.warehouse import open_warehouse
from tests.dbt.scenario import stand_models
from tests.learning_time.models import Models
from tests.support.dbt import Dbt
from tests.support.scenarios import Scenarios


@pytest.fixture(scope="module")
def models(scenarios: Scenarios, dbt: Dbt) -> Iterator[Models]:
    """Built without log lines. A test that loads lines starts with ``forget``."""
    logging.getLogger("snowflake.connector").setLevel(logging.ERROR)
    stand_models(scenarios, dbt)
    with open_warehouse(scenarios.settings, purpose="tests") as warehouse:
        yield Models(warehouse, dbt)
