"""Every data test fails for rows that break its rule, and passes for others.

The rows are in ``tests/dbt/failing_rows``. The models are built once, for their columns; each case
is one statement.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sync.local.raw_tables import insert_rows
from sync.settings import PROJECT_ROOT
from sync.warehouse import Warehouse, open_warehouse
from tests.dbt.failing_rows import PROOFS
from tests.dbt.scenario import ENTERPRISE, stand_models
from tests.support.data_tests import DataTest, Judge, compiled_data_tests
from tests.support.dbt import Dbt
from tests.support.ledger_rows import webhook, write_ledger
from tests.support.scenarios import Scenarios


@pytest.fixture(scope="module")
def built(scenarios: Scenarios, dbt: Dbt) -> Iterator[Warehouse]:
    """Every model over empty tables."""
    stand_models(scenarios, dbt)
    with open_warehouse(scenarios.settings, purpose="tests") as opened:
        yield opened


@pytest.fixture(scope="module")
def judge(built: Warehouse) -> Judge:
    return Judge(built)


@pytest.fixture(scope="module")
def data_tests(built: Warehouse, dbt: Dbt, dbt_target_path: Path) -> dict[str, DataTest]:
    dbt("compile", "--select", "resource_type:test", "--no-populate-cache")
    text = (dbt_target_path / "manifest.json").read_text(encoding="utf-8")
    return compiled_data_tests(json.loads(text))


def test_every_data_test_has_rows_that_it_stops(data_tests: dict[str, DataTest]) -> None:
    """A new data test needs an entry in ``tests/dbt/failing_rows``."""
    assert set(PROOFS) == set(data_tests)
    missing = {
        name: statuses - {status for _, _, status in PROOFS[name].cases()}
        for name, test in data_tests.items()
        for statuses in [{"pass", *test.statuses}]
    }
    assert {name: statuses for name, statuses in missing.items() if statuses} == {}
    assert [name for name, proof in PROOFS.items() if not any(proof.base.values())] == []


@pytest.mark.parametrize("name", sorted(PROOFS))
def test_a_data_test_stops_what_breaks_its_rule_and_nothing_else(
    data_tests: dict[str, DataTest], judge: Judge, name: str
) -> None:
    cases = list(PROOFS[name].cases())
    found = judge.statuses(data_tests[name], {case: rows for case, rows, _ in cases})
    assert found == {case: status for case, _, status in cases}


def test_dbt_agrees_and_the_commands_of_the_document_work(built: Warehouse, dbt: Dbt) -> None:
    """A webhook that has been due for five hours exceeds even a wider threshold."""
    text = (PROJECT_ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
    test, show = (shlex.split(line)[1:] for line in re.findall(r"^\.venv/bin/dbt .*$", text, re.M))
    dbt(*test)
    configuration = {"id": 1, "enterprise_customer_id": ENTERPRISE, "region": "OTHER"}
    insert_rows(
        built,
        "channel_integration_enterprisewebhookconfiguration",
        [{**configuration, "webhook_url": "https://hooks.example.com/", "active": True}],
    )
    due = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=5)
    pending = {"state": "pending", "delivered_at": None, "next_attempt_at": due.isoformat()}
    write_ledger(built, webhooks=[webhook(1, due, **pending)])

    with pytest.raises(AssertionError, match="assert_due_webhooks_are_sent"):
        dbt(*test)
    dbt(*show)
