"""A requested stop: untried webhooks are released immediately, and responses are kept."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from sync.delivery import stop as stop_module
from sync.delivery.scheduler import Limits
from sync.delivery.stop import stop_on_signals
from sync.domain.responses import Response
from sync.ledger.steps import Step
from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse
from tests.delivery.crash_worker import Death, finish, start
from tests.support.delivery import Run, audit, complete, delivered, seed
from tests.support.receiver_process import receiver_process
from tests.support.site import OK, Built, Poster

WEBHOOKS = 40


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """Makes Ctrl-C work: a shell that starts the tests in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGTERM, -signal.SIGTERM, id="SIGTERM"),
        pytest.param(signal.SIGINT, 1, id="Ctrl-C"),
    ],
)
def test_a_process_that_is_asked_to_stop_leaves_no_row_leased_and_no_response_unrecorded(
    warehouse_settings: EmbeddedWarehouse,
    warehouse: Warehouse,
    tmp_path: Path,
    number: signal.Signals,
    code: int,
) -> None:
    with receiver_process() as target:
        seed(warehouse, [target.url("/ok/1")], max_requests_per_minute=600_000)
        ids = complete(warehouse, range(WEBHOOKS), endpoints=1)
        run = Run(
            host_ports=target.host_port,
            journals=tmp_path,
            endpoints=1,
            limits=Limits(threads=2, per_endpoint=1),
        )
        stopped = start(warehouse_settings, run, Death(Step.RESPONDED, 5, by=number))
        assert finish(stopped) == code
        assert audit(warehouse, is_at_rest=True) == []
        assert 5 <= len(delivered(warehouse)) < WEBHOOKS
        assert list(tmp_path.glob("*.journal")) == []
        run.send(warehouse)
        assert target.count() == WEBHOOKS, "nothing was sent twice"
        assert delivered(warehouse) == ids


def test_what_waits_is_given_back_before_the_requests_in_flight_have_ended(
    built: Built, warehouse: Warehouse
) -> None:
    """A receiver may take minutes, but a stopping pod has only half a minute."""
    site = built(10)
    steps, is_released = Counter[Step](), threading.Event()

    def hook(step: Step) -> None:
        steps[step] += 1
        if step is Step.RELEASED:
            is_released.set()

    def answer(url: str) -> Response:
        os.kill(os.getpid(), signal.SIGINT)
        assert is_released.wait(120), "the release waited for this answer"
        return OK

    with pytest.raises(KeyboardInterrupt):
        site.send(Poster(answer), hook=hook, per_endpoint=1)
    assert audit(warehouse, is_at_rest=True) == []
    assert len(delivered(warehouse)) == 1, "the request in flight was recorded"
    assert site.send(Poster()).outcomes == {"delivered": 9}


class Interrupted(Warehouse):
    """A session whose n-th statement of a kind is interrupted, as in the Snowflake driver."""

    def interrupt(self, kind: str, occurrence: int, *, after: bool) -> Interrupted:
        self.kind, self.left, self.after = kind, occurrence, after
        return self

    def execute(self, sql: str, *binds: object) -> int:
        is_it = " ".join(sql.split()).lower().startswith(self.kind)
        self.left -= is_it
        if is_it and self.left == 0 and not self.after:
            raise KeyboardInterrupt
        found = super().execute(sql, *binds)
        if is_it and self.left == 0:
            raise KeyboardInterrupt
        return found


@pytest.mark.parametrize("after", [False, True], ids=["before it ran", "after it ran"])
@pytest.mark.parametrize(
    ("kind", "occurrence"),
    [
        pytest.param("update analytics.sync.webhook_outbox", 2, id="claim"),
        pytest.param("insert into analytics.sync.webhook_attempts", 1, id="record"),
        pytest.param("update analytics.sync.webhook_outbox", 4, id="settle"),
        pytest.param("update analytics.sync.endpoint_state", 3, id="state of endpoints"),
    ],
)
def test_an_interruption_within_any_statement_leaves_nothing_leased_and_nothing_unrecorded(
    built: Built, warehouse: Warehouse, tmp_path: Path, kind: str, occurrence: int, *, after: bool
) -> None:
    site, poster = built(20, 20), Poster()
    warehouse.execute(
        "update analytics.sync.webhook_outbox"
        " set lease_owner = 'run-10:another', lease_expires_at = dateadd('hour', 1, sysdate())"
        " where user_id = (select min(user_id) from analytics.sync.webhook_outbox)"
    )
    session = Interrupted(warehouse.settings, warehouse._connection)
    with pytest.raises(KeyboardInterrupt):
        site.send(poster, warehouse=session.interrupt(kind, occurrence, after=after))
    assert session.left <= 0, "the statement came"
    leased = warehouse.rows(
        "select lease_owner from analytics.sync.webhook_outbox where lease_owner is not null"
    )
    assert [row["lease_owner"] for row in leased] == ["run-10:another"], "that of another run stays"
    assert delivered(warehouse) == set(poster.sent)
    assert list(tmp_path.glob("*.journal")) == []
    site.run = site.run.later(timedelta(hours=2))
    site.send(poster, batch_size=100)
    assert set(poster.sent.values()) == {1}
    assert delivered(warehouse) == site.ids


def test_a_second_request_to_stop_takes_effect_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """But not an echo: the terminal and the parent process both forward a Ctrl-C."""
    steps: list[str] = []
    monkeypatch.setattr(stop_module, "SAME_REQUEST_SECONDS", 3_600.0)

    def impatient() -> None:
        with stop_on_signals() as stop:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            assert stop.is_asked
            steps.append("an echo changes nothing")
            monkeypatch.setattr(stop_module, "SAME_REQUEST_SECONDS", 0.0)
            signal.raise_signal(signal.SIGINT)
            steps.append("not reached")

    with pytest.raises(KeyboardInterrupt):
        impatient()
    assert steps == ["an echo changes nothing"]


def test_signals_are_as_they_were_after_a_run_and_ignored_ones_stay_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with stop_on_signals() as stop:
            signal.raise_signal(signal.SIGTERM)
            assert not stop.is_asked
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    found: list[bool] = []

    def run() -> None:
        with stop_on_signals() as stop:
            found.append(stop.is_asked)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [False]
