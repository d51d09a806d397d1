"""The models, built once per test module over no line, for runs that cost half a second each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings

from sync.settings import PROJECT_ROOT, EmbeddedWarehouse
from sync.warehouse import open_warehouse
from tests.dbt.scenario import prepare
from tests.learning_time.models import MART, Models
from tests.support.clean import drop_all_schemas

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


@pytest.fixture(scope="session")
def parsed_dbt(warehouse_settings: EmbeddedWarehouse, dbt_target_path: Path) -> Callable[..., Any]:
    """Run a dbt command on a manifest that was parsed once. Does not write the files of a run."""
    from dbt.cli.main import dbtRunner

    places = ["--project-dir", str(PROJECT_ROOT), "--target-path", str(dbt_target_path)]
    places += ["--log-path", str(dbt_target_path)]
    parsed = dbtRunner().invoke(["--quiet", "parse", *places])
    assert parsed.success, parsed.exception
    manifest = cast(Any, parsed.result)

    def run(*arguments: str) -> Any:
        runner = dbtRunner(manifest=manifest)
        result = runner.invoke(["--quiet", "--no-write-json", *arguments, *places])
        failures = [
            f"{one.node.name}: {one.message}"
            for one in getattr(result.result, "results", [])
            if str(one.status) in ("error", "fail", "runtime error")
        ]
        assert result.success, result.exception or "\n".join(failures)
        return result.result

    return run


@pytest.fixture(scope="module")
def models(
    warehouse_settings: EmbeddedWarehouse, parsed_dbt: Callable[..., Any]
) -> Iterator[Models]:
    """Built over no line. A test that loads lines begins with ``forget``."""
    logging.getLogger("snowflake.connector").setLevel(logging.ERROR)
    with open_warehouse(warehouse_settings, purpose="tests") as warehouse:
        drop_all_schemas(warehouse)
        prepare(warehouse)
        parsed_dbt("build", "--select", f"+{MART}", *ONLY_TABLES)
        yield Models(warehouse, parsed_dbt)
