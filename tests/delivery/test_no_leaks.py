"""Secrets and learners' data appear only where they belong: in the request and in the outbox."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.delivery.send import send_due
from sync.errors import SyncError
from sync.http.transport import Transport
from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse
from tests.support.command_line import command_line
from tests.support.completions import add_completions, completion
from tests.support.delivery import PASSED_AT, SECRET, Run, all_steps, enterprise, seed
from tests.support.receiver_process import ReceiverProcess, receiver_process

CANARIES = ("canary.learner@example.com", "canary_learner", SECRET, SECRET.removeprefix("whsec_"))
MUST_HOLD = {"webhook_messages": {"body"}}
"""Columns that intentionally contain learners' data; no report reads them."""


def leaks(text: str) -> list[str]:
    return [canary for canary in CANARIES if canary in text]


@pytest.fixture
def target() -> Iterator[ReceiverProcess]:
    with receiver_process() as running:
        yield running


@pytest.fixture
def run(warehouse: Warehouse, target: ReceiverProcess, tmp_path: Path) -> Run:
    """Endpoints that echo the request, with every kind of result, and a broken one."""
    urls = [target.url(f"/echo/{status}/{status}") for status in (200, 400, 410, 500, 503)]
    seed(warehouse, [*urls, "https://user:whsec@bad.example.com/x"])
    add_completions(
        warehouse,
        [
            completion(
                n,
                PASSED_AT,
                enterprise_customer_uuid=enterprise(n % 6 + 1),
                email=CANARIES[0],
                username=CANARIES[1],
                # Two of them cannot be built, so their problem is reported.
                percent_grade=7.5 if n > 12 else 0.5,
            )
            for n in range(1, 15)
        ],
    )
    return Run(host_ports=target.host_port, journals=tmp_path, endpoints=6)


def test_a_run_with_receivers_that_echo_everything_leaks_nothing(
    warehouse: Warehouse,
    warehouse_settings: EmbeddedWarehouse,
    run: Run,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    report = all_steps(warehouse, run)
    # How many of each depends on the machine: a slow run also makes the first retries.
    assert report.outcomes.keys() == {"delivered", "retry", "dead"}
    assert report.released == 1, "the second webhook of the deleted endpoint"
    assert leaks(caplog.text) == []
    assert leaks(repr(report)) == []
    for table in (
        "webhook_outbox",
        "webhook_messages",
        "webhook_attempts",
        "endpoint_state",
        "activations",
    ):
        for row in warehouse.rows(f"select * from analytics.sync.{table}"):
            kept = {key: row[key] for key in row.keys() - MUST_HOLD.get(table, set())}
            assert leaks(json.dumps(kept, default=str)) == [], table
    written = capfd.readouterr()
    assert leaks(written.out + written.err) == []


def test_the_search_itself_would_find_them(warehouse: Warehouse, run: Run) -> None:
    all_steps(warehouse, run)
    text = json.dumps(warehouse.rows("select * from analytics.sync.webhook_messages"), default=str)
    assert leaks(text) == list(CANARIES[:2])
    excerpts = warehouse.rows("select response_excerpt from analytics.sync.webhook_attempts")
    kept = {str(row["response_excerpt"]) for row in excerpts}
    assert any("learner" in one and "email" in one for one in kept), "they were echoed"


def test_the_status_command_prints_none_of_them(
    warehouse: Warehouse,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    all_steps(warehouse, run)
    monkeypatch.setenv("LTW_SECRET_WEBHOOK_SIGNING_1", SECRET)
    ltw = command_line(monkeypatch, capfd)
    for said in (ltw("status"), ltw("status", "--json")):
        assert said.code == 0
        assert "delivered" in said.out, "it printed nothing, so it proves nothing"
        assert leaks(said.out + said.err) == []


def test_an_error_of_the_ledger_names_no_learner(warehouse: Warehouse, run: Run) -> None:
    run.record_and_build(warehouse)
    warehouse.execute("drop table analytics.sync.webhook_attempts")
    with pytest.raises(SyncError) as caught, Transport(policy=run.policy) as transport:
        send_due(warehouse, run.sender(warehouse, transport))
    assert leaks("".join(traceback.format_exception(caught.value))) == []
    assert leaks(repr(run.sender(warehouse, Transport(policy=run.policy)))) == []
