"""Misbehaving endpoints through the whole engine: each is handled, and no other is affected."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sync.delivery.scheduler import Limits
from sync.domain.circuit_breaker import TRIP_IN_A_ROW
from sync.warehouse import Warehouse
from tests.support.delivery import Run, audit, complete, seed
from tests.support.hostile import Endpoint, Script, answering, response
from tests.support.receiver import receiver
from tests.support.sending import until_in_time
from tests.support.site import Built
from tests.support.waiting import wait_until

HANGING = 2
ENDPOINTS = 20
PER_ENDPOINT = 2
EACH = 5
OK = response("200 OK", b"ok")


def hanging(conversation: Any) -> None:
    """Read the request and never respond."""
    conversation.read_request()
    conversation.stopping.wait(60)


def dripping(conversation: Any) -> None:
    """A response whose head never ends."""
    conversation.read_request()
    conversation.drip(b"HTTP/1.1 200 OK\r\nx: " + b"x" * 100)


def resetting(conversation: Any) -> None:
    """Read the request and close the connection."""
    conversation.read_request()
    conversation.socket.close()


def endless(conversation: Any) -> None:
    """A valid head, and an endless body."""
    conversation.read_request()
    conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
    while not conversation.stopping.is_set():
        conversation.send(b"x" * 65536)


INSIDE = response("302 Found", Location="http://169.254.169.254/latest/meta-data")
BOMB = response("200 OK", b"\x1f\x8b" + b"\0" * 2000, Content_Encoding="gzip")

Scenario = tuple[Script, str, int | None, str | None]


@pytest.mark.parametrize(
    ("script", "state", "status_code", "error_kind"),
    [
        pytest.param(answering(OK), "delivered", 200, None, id="healthy"),
        pytest.param(answering(response("500 No")), "pending", 500, "E_HTTP", id="500"),
        pytest.param(answering(response("410 Gone")), "dead", 410, "E_HTTP", id="410"),
        pytest.param(answering(INSIDE), "pending", 302, "E_REDIRECT", id="redirect inside"),
        pytest.param(
            answering(response("429 Slow", Retry_After="7")), "pending", 429, "E_HTTP", id="429"
        ),
        pytest.param(answering(BOMB), "delivered", 200, None, id="gzip bomb"),
        pytest.param(endless, "delivered", 200, None, id="endless body"),
        pytest.param(resetting, "pending", None, "E_CONNECT", id="reset"),
        pytest.param(hanging, "pending", None, "E_TIMEOUT", id="hangs"),
        pytest.param(dripping, "pending", None, "E_TOO_SLOW", id="slow drip"),
        pytest.param(
            lambda conversation: conversation.send(b"\x16\x03\x01 no HTTP\r\n\r\n"),
            "pending",
            None,
            "E_HTTP",
            id="no HTTP",
        ),
    ],
)
def test_what_a_receiver_does_is_in_the_ledger(
    built: Built,
    warehouse: Warehouse,
    script: Callable[[Any], None],
    state: str,
    status_code: int | None,
    error_kind: str | None,
) -> None:
    def attempt(seconds: float) -> bool:
        timeout_seconds = max(1, round(seconds)) if script in (hanging, dripping) else 60
        with Endpoint(script) as target:
            built(1, timeout_seconds=timeout_seconds).at(target.url()).run.send(warehouse)
        (row,) = warehouse.rows("select state, attempt_count from analytics.sync.webhook_outbox")
        (made,) = warehouse.rows(
            "select status_code, error_kind, duration_ms from analytics.sync.webhook_attempts"
        )
        if script is dripping and made["error_kind"] == "E_TIMEOUT":
            return False
        assert (row["state"], row["attempt_count"]) == (state, 1)
        assert (made["status_code"], made["error_kind"]) == (status_code, error_kind)
        assert made["duration_ms"] < (timeout_seconds + 15) * 1_000, "the deadline holds"
        assert audit(warehouse, is_at_rest=True) == []
        return True

    until_in_time(attempt)


def give_up_soon(warehouse: Warehouse, bad: Endpoint) -> None:
    """Those that respond have all the time that a slow machine may need."""
    warehouse.execute(
        "update analytics.marts.webhook_endpoints set timeout_seconds = 1 where url = ?", bad.url()
    )


def test_while_one_endpoint_in_ten_hangs_the_others_get_everything_in_the_same_run(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    with receiver() as healthy, Endpoint(hanging) as bad:
        urls = [f"{healthy.url}/hooks/{n}" for n in range(ENDPOINTS - HANGING)]
        seed(warehouse, urls + [bad.url()] * HANGING)
        give_up_soon(warehouse, bad)
        complete(warehouse, range(1, ENDPOINTS * EACH + 1), endpoints=ENDPOINTS)
        run = Run(
            host_ports=f"{healthy.host_port},127.0.0.1:{bad.port}",
            journals=tmp_path,
            endpoints=ENDPOINTS,
            limits=Limits(threads=8, per_endpoint=PER_ENDPOINT),
        )
        run.record_and_build(warehouse)
        run.send(warehouse)
        rows = warehouse.rows(
            f"""
            select iff(endpoint_id > {ENDPOINTS - HANGING}, 'hangs', 'healthy') as kind,
                state, attempt_count
            from analytics.sync.webhook_outbox
            """
        )
        assert {row["state"] for row in rows if row["kind"] == "healthy"} == {"delivered"}
        bad_rows = [row for row in rows if row["kind"] == "hangs"]
        assert {row["state"] for row in bad_rows} == {"pending"}
        assert max(row["attempt_count"] for row in bad_rows) <= 1
        charged = sum(row["attempt_count"] for row in bad_rows)
        assert 1 <= charged <= HANGING * (TRIP_IN_A_ROW + PER_ENDPOINT - 1)
        assert len(healthy.received) == (ENDPOINTS - HANGING) * EACH
        assert audit(warehouse, is_at_rest=True) == []


def test_more_failing_endpoints_than_threads_keep_nobody_else_waiting(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    """When the ledger knows them; all are due again when the others have new webhooks."""
    threads, failing, timeout_seconds = 8, 12, 90
    is_over = threading.Event()

    def hanging_for_now(conversation: Any) -> None:
        conversation.read_request()
        while not conversation.stopping.is_set() and not is_over.wait(0.1):
            pass

    with receiver() as healthy, Endpoint(hanging_for_now) as bad:
        urls = [f"{healthy.url}/hooks/{n}" for n in range(4)] + [bad.url()] * failing
        seed(warehouse, urls)
        give_up_soon(warehouse, bad)
        endpoints = len(urls)
        complete(warehouse, range(endpoints), endpoints=endpoints)
        run = Run(
            host_ports=f"{healthy.host_port},127.0.0.1:{bad.port}",
            journals=tmp_path,
            endpoints=endpoints,
            limits=Limits(threads=threads, per_endpoint=PER_ENDPOINT),
        )
        run.record_and_build(warehouse)
        run.send(warehouse)
        (known,) = warehouse.rows(
            "select count(*) as n from analytics.sync.endpoint_state where consecutive_failures > 0"
        )
        assert known["n"] == failing
        warehouse.execute(
            "update analytics.marts.webhook_endpoints set timeout_seconds = ?", timeout_seconds
        )
        new = complete(
            warehouse,
            [n for n in range(endpoints, 10 * endpoints) if n % endpoints < 4],
            endpoints=endpoints,
        )
        run = run.later(timedelta(minutes=1))
        run.record_and_build(warehouse)
        sending = threading.Thread(target=run.send, args=(warehouse,))
        sending.start()
        # Before any of the failing requests times out.
        wait_until(
            lambda: new <= {one.webhook_id for one in healthy.received},
            seconds=timeout_seconds - 30,
        )
        assert sending.is_alive(), "the failing ones were tried meanwhile"
        is_over.set()
        sending.join()
