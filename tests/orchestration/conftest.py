"""Fixtures of the Dagster tests."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from sync.domain.event_types import COURSE_ENROLLMENT
from sync.http.network import DEVELOPMENT_SETTING
from sync.ledger.tables import ensure_ledger
from sync.warehouse import Warehouse
from tests.support.completions import completion
from tests.support.dbt import Dbt
from tests.support.definitions import event_types_on, load_definitions
from tests.support.marts import create_marts, endpoint
from tests.support.pipeline import SECRET
from tests.support.receiver import Receiver, receiver
from tests.support.scenarios import Scenarios

PASSED_AT = "2026-03-10T17:42:31"


@pytest.fixture(scope="session")
def defs(dbt: Dbt) -> dg.Definitions:
    """What Dagster loads."""
    return load_definitions(dbt)


@pytest.fixture
def job_with_enrollments(dbt: Dbt) -> Iterator[dg.JobDefinition]:
    """The same job in a process that has enrollment events switched on."""
    with event_types_on(COURSE_ENROLLMENT):
        yield load_definitions(dbt, COURSE_ENROLLMENT).resolve_job_def("completion_webhooks_job")


@pytest.fixture
def webhooks_job(defs: dg.Definitions) -> dg.JobDefinition:
    """The job that detects, builds, sends and reports."""
    return defs.resolve_job_def("completion_webhooks_job")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """Where one test's runs are kept."""
    with dg.DagsterInstance.ephemeral() as one:
        yield one


@pytest.fixture
def target() -> Iterator[Receiver]:
    """A receiver on loopback."""
    with receiver() as running:
        yield running


@pytest.fixture
def ready(
    scenarios: Scenarios,
    warehouse: Warehouse,
    target: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> Warehouse:
    """One customer with one good endpoint, and nothing to send."""
    scenarios.stand("ledger", ensure_ledger)
    monkeypatch.setenv(DEVELOPMENT_SETTING, target.host_port)
    monkeypatch.setenv("LTW_SECRET_WEBHOOK_SIGNING_1", SECRET)
    create_marts(warehouse, endpoints=[endpoint(1, f"{target.url}/hooks/example")])
    return warehouse


@pytest.fixture
def marts(ready: Warehouse, target: Receiver) -> Warehouse:
    """Three completions of that customer."""
    create_marts(
        ready,
        completions=[completion(n, PASSED_AT) for n in (1, 2, 3)],
        endpoints=[endpoint(1, f"{target.url}/hooks/example")],
    )
    return ready
