"""Fixtures of the Dagster tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import dagster as dg
import pytest

from orchestration.resources import prepare
from sync.domain.event_types import COURSE_ENROLLMENT
from sync.http.network import DEVELOPMENT_SETTING
from sync.warehouse import Warehouse
from tests.support.completions import add_completions, completion
from tests.support.dbt import Dbt
from tests.support.definitions import ACTIVATED, event_types_on, load_definitions, run
from tests.support.marts import create_marts, endpoint
from tests.support.pipeline import SECRET
from tests.support.receiver import Receiver, receiver
from tests.support.scenarios import Make, Scenarios

PASSED_AT = "2026-03-10T17:42:31"
Stand = Callable[[str, Make], Warehouse]


@pytest.fixture(scope="session")
def defs(dbt: Dbt) -> dg.Definitions:
    """What Dagster loads."""
    return load_definitions(dbt)


@pytest.fixture
def job_with_enrollments(dbt: Dbt) -> Iterator[dg.JobDefinition]:
    """The same job in a process with enrollment events switched on."""
    with event_types_on(COURSE_ENROLLMENT):
        yield load_definitions(dbt, COURSE_ENROLLMENT).resolve_job_def("completion_webhooks_job")


@pytest.fixture
def webhooks_job(defs: dg.Definitions) -> dg.JobDefinition:
    """The job that detects, builds, sends and reports."""
    return defs.resolve_job_def("completion_webhooks_job")


@pytest.fixture(scope="session")
def known_jobs() -> Iterator[dg.DagsterInstance]:
    """Caches the job snapshots, which are large and identical in every test."""
    with dg.DagsterInstance.ephemeral() as one:
        yield one


@pytest.fixture
def instance(known_jobs: dg.DagsterInstance) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance with one test's runs."""
    yield known_jobs
    for one in known_jobs.get_runs():
        known_jobs.delete_run(one.run_id)
    known_jobs.event_log_storage.wipe()


@pytest.fixture
def target() -> Iterator[Receiver]:
    """A receiver on loopback."""
    with receiver() as running:
        yield running


@pytest.fixture
def no_marts(scenarios: Scenarios, warehouse: Warehouse) -> Warehouse:
    """The tables that runs create themselves, without those that dbt creates."""
    scenarios.stand("prepared", prepare)
    return warehouse


@pytest.fixture
def stand(
    scenarios: Scenarios,
    warehouse: Warehouse,
    target: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> Stand:
    """Set up a scenario of the customer whose endpoint is this test's receiver."""
    monkeypatch.setenv(DEVELOPMENT_SETTING, target.host_port)
    monkeypatch.setenv("LTW_SECRET_WEBHOOK_SIGNING_1", SECRET)

    def stand_one(name: str, make: Make) -> Warehouse:
        def make_in_time(empty: Warehouse) -> None:
            scenarios.stand("prepared", prepare)
            make(empty)

        scenarios.stand(name, make_in_time)
        lead_to(warehouse, target)
        target.received.clear()
        return warehouse

    return stand_one


@pytest.fixture
def ready(stand: Stand) -> Warehouse:
    """One customer with one healthy endpoint, and nothing to send."""
    return stand("one customer", one_customer)


@pytest.fixture
def marts(stand: Stand) -> Warehouse:
    """Three completions of that customer."""
    return stand("three completions", three_completions)


@pytest.fixture
def after_a_run(target: Receiver, webhooks_job: dg.JobDefinition) -> Callable[..., None]:
    """Have a run deliver those three and any others, for a scenario."""

    def make(warehouse: Warehouse, *others: Mapping[str, object]) -> None:
        three_completions(warehouse)
        add_completions(warehouse, others)
        lead_to(warehouse, target)
        with dg.DagsterInstance.ephemeral() as instance:
            assert run(webhooks_job, instance, detection=ACTIVATED).success

    return make


def one_customer(warehouse: Warehouse) -> None:
    """Every mart that a run needs, without completions."""
    create_marts(warehouse, endpoints=[endpoint(1, "https://hooks.example.com")])


def three_completions(warehouse: Warehouse) -> None:
    one_customer(warehouse)
    add_completions(warehouse, [completion(n, PASSED_AT) for n in (1, 2, 3)])


def lead_to(warehouse: Warehouse, target: Receiver) -> None:
    """Point the endpoint at this test's receiver, whose port differs in each test."""
    warehouse.execute(
        "update analytics.marts.webhook_endpoints set url = ?", f"{target.url}/hooks/example"
    )
