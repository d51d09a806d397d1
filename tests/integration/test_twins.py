"""Two sessions that both saw no row, or the same row: neither loses its change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from sync.clock import warehouse_clock
from sync.delivery.endpoints import load_endpoints
from sync.delivery.record import LeftToAnother, OverLimit, Recorded, record
from sync.domain.circuit_breaker import EndpointState
from sync.ledger.activation import activate, recorded_activation
from sync.ledger.endpoint_states import EndpointStates
from sync.operations.endpoint_settings import change_settings
from sync.operations.operation import Done
from sync.operations.replay import Replay, ReplayState
from sync.warehouse import Warehouse
from tests.support.completions import add_completions, completion
from tests.support.marts import create_endpoints, endpoint
from tests.support.pipeline import ACTIVATED_AT, PASSED_AT, Pipeline

STATES = "analytics.sync.endpoint_state"
NOON = datetime(2026, 11, 20, 12)


class Joined(Warehouse):
    """A session in which others act just before or after each statement with this prefix."""

    def __init__(
        self, warehouse: Warehouse, begins: str, act: Callable[[], object], *, after: bool = False
    ) -> None:
        super().__init__(warehouse.settings, warehouse._connection)  # pyright: ignore[reportPrivateUsage]
        self._begins, self._act, self._after = begins, act, after
        self.met = 0

    def _run(self, sql: str, binds: tuple[object, ...]) -> Any:
        is_met = not self.met and " ".join(sql.lower().split()).startswith(self._begins)
        self.met += is_met
        if is_met and not self._after:
            self._act()
        cursor = super()._run(sql, binds)
        if is_met and self._after:
            self._act()
        return cursor


def disabled(state: EndpointState) -> EndpointState:
    return replace(state, disabled_at=NOON, disabled_reason="endpoint_gone")


def slower(state: EndpointState) -> EndpointState:
    return replace(state, rate_factor=state.rate_factor / 2)


def add_twin(warehouse: Warehouse, row_id: str) -> None:
    """A first row of endpoint 7, committed now by a run that saw none."""
    warehouse.execute(
        f"""
        insert into {STATES} (
            endpoint_id, version, writer, breaker_state, consecutive_failures, window_attempts,
            window_failures, open_count, half_open_successes, rate_factor, updated_at, row_id
        )
        select 7, 0, 'another run', 'closed', 0, 0, 0, 0, 0, 1.0, sysdate(), ?
        """,
        row_id,
    )


@pytest.mark.parametrize("twin", ["0000", "zzzz"], ids=["first by id", "last by id"])
@pytest.mark.parametrize("begins", [f"insert into {STATES}", f"delete from {STATES}"])
def test_a_disable_between_another_runs_insert_and_its_removal_of_twins_stands(
    ledger: Warehouse, twin: str, begins: str
) -> None:
    def meanwhile() -> None:
        EndpointStates(ledger).change([7], disabled)

    def twins_meanwhile() -> None:
        # Run A has inserted its row; run B, which saw none, commits its own, and A continues.
        add_twin(ledger, twin)
        meanwhile()

    is_insert = begins.startswith("insert")
    late = Joined(
        ledger,
        begins,
        twins_meanwhile if is_insert else meanwhile,
        after=is_insert,
    )
    EndpointStates(late).change([7], slower)
    assert late.met == 1
    (row,) = ledger.rows(f"select disabled_reason, rate_factor from {STATES}")
    assert (row["disabled_reason"], row["rate_factor"]) == ("endpoint_gone", 0.5)


@pytest.mark.parametrize("twin", ["0000", "zzzz"], ids=["first by id", "last by id"])
def test_a_twin_that_commits_late_hides_no_state_that_was_set(ledger: Warehouse, twin: str) -> None:
    states = EndpointStates(ledger)
    states.change([7], disabled)
    add_twin(ledger, twin)
    assert states.load([7])[7].disabled_reason == "endpoint_gone"
    states.change([7], slower)
    (row,) = ledger.rows(f"select disabled_reason, rate_factor from {STATES}")
    assert (row["disabled_reason"], row["rate_factor"]) == ("endpoint_gone", 0.5)


def test_a_run_that_set_one_twin_while_another_removed_it_sets_the_other(
    ledger: Warehouse,
) -> None:
    """Run A read its row before the twin was added; run B sees both and keeps the twin."""

    def twin_wins() -> None:
        add_twin(ledger, "zzzz")
        EndpointStates(ledger).change([7], disabled)

    late = Joined(ledger, f"update {STATES}", twin_wins)
    EndpointStates(late).change([7], slower)
    (row,) = ledger.rows(f"select disabled_reason, rate_factor from {STATES}")
    assert (row["disabled_reason"], row["rate_factor"]) == ("endpoint_gone", 0.5)


def test_rows_of_an_earlier_version_get_an_id_and_can_be_changed(ledger: Warehouse) -> None:
    add_twin(ledger, "zzzz")
    ledger.execute(f"update {STATES} set row_id = null")
    EndpointStates(ledger).change([7], disabled)
    (row,) = ledger.rows(f"select row_id, disabled_reason from {STATES}")
    assert row["row_id"] is not None
    assert row["disabled_reason"] == "endpoint_gone"


def test_two_people_who_set_different_settings_at_once_set_both(ledger: Warehouse) -> None:
    clock = warehouse_clock(ledger)
    for n, after in enumerate((False, True), start=1):
        late = Joined(
            ledger,
            "insert into analytics.sync.endpoint_settings",
            partial(change_settings, ledger, n, clock=clock, is_eu_fallback_allowed=True),
            after=after,
        )
        change_settings(late, n, clock=clock, is_learning_time_enabled=False)
        found = change_settings(ledger, n, clock=clock).after
        assert (found.is_eu_fallback_allowed, found.is_learning_time_enabled) == (True, False)


def test_settings_count_also_when_the_newest_row_is_from_a_clock_ahead(
    ledger: Warehouse,
) -> None:
    change_settings(ledger, 1, clock=lambda: NOON, is_eu_fallback_allowed=True)
    change_settings(ledger, 1, clock=lambda: NOON - timedelta(days=1), is_eu_fallback_allowed=False)
    assert not change_settings(ledger, 1, clock=lambda: NOON).after.is_eu_fallback_allowed


def test_the_newest_settings_of_an_endpoint_count_and_without_any_the_defaults(
    ledger: Warehouse,
) -> None:
    """A row without a time, added by hand, counts as older than any with one."""
    create_endpoints(ledger, [endpoint(n, "https://hooks.example.com/in") for n in (1, 2, 3)])
    ledger.execute(
        "insert into analytics.sync.endpoint_settings (endpoint_id, payload_format, updated_at)"
        " values (1, 'percipio', '2026-03-02'), (1, 'v2', '2026-03-01'),"
        " (2, 'percipio', null), (2, 'v2', '2026-03-01')"
    )
    found = load_endpoints(ledger).by_id
    assert {n: one.payload_format for n, one in found.items()} == {1: "percipio", 2: "v2", 3: "v2"}
    assert found[3].is_learning_time_enabled
    assert not found[3].is_eu_fallback_allowed


def test_two_first_runs_record_under_one_activation(pipeline: Pipeline) -> None:
    """The later one, with another time, does not change which events are old."""
    session, clock = pipeline.warehouse, pipeline.clock
    later = ACTIVATED_AT + timedelta(days=300)
    late = Joined(
        session,
        "insert into analytics.sync.activations",
        lambda: record(session, run_id="run-1", clock=clock, activated_at=ACTIVATED_AT),
    )
    assert activate(late, clock=clock, activated_at=later) == ACTIVATED_AT
    assert len(session.rows("select event_type from analytics.sync.activations")) == 1


@pytest.mark.parametrize("days", [-300, 300])
def test_an_activation_under_which_events_were_recorded_stands_against_a_late_twin(
    pipeline: Pipeline, days: int
) -> None:
    session = pipeline.warehouse
    assert pipeline.detect() == Recorded(ACTIVATED_AT, 2, 0)
    add_activation(session, ACTIVATED_AT + timedelta(days=days))
    assert recorded_activation(session) == ACTIVATED_AT
    assert pipeline.detect(activated_at=None) == Recorded(ACTIVATED_AT, 0, 0)
    assert recorded_activation(session) == ACTIVATED_AT


def test_nothing_is_recorded_under_an_activation_that_does_not_stand(pipeline: Pipeline) -> None:
    """A twin with an earlier time commits just before the first events are recorded."""
    session = pipeline.warehouse
    earlier = ACTIVATED_AT - timedelta(days=1)
    late = Joined(
        session,
        "update analytics.sync.activations",
        lambda: add_activation(session, earlier),
    )
    first = record(late, run_id="run-1", clock=pipeline.clock, activated_at=ACTIVATED_AT)
    assert late.met
    assert isinstance(first, LeftToAnother), "what it saw is still to be done"
    assert pipeline.rows("webhook_id") == []
    assert pipeline.detect() == Recorded(earlier, 2, 0)


def add_activation(session: Warehouse, activated_at: datetime) -> None:
    session.execute(
        "insert into analytics.sync.activations (event_type, activated_at, recorded_at, row_id)"
        " select 'course_completion', cast(? as timestamp_ntz), sysdate(), uuid_string()",
        activated_at.isoformat(),
    )


@pytest.mark.parametrize(
    "begins", ["update analytics.sync.activations", "insert into analytics.sync.webhook_outbox"]
)
def test_completions_that_commit_after_the_count_are_under_the_guard_as_well(
    pipeline: Pipeline, begins: str
) -> None:
    session = pipeline.warehouse
    pipeline.detect()
    add_completions(session, [completion(3, PASSED_AT)])

    def more() -> None:
        add_completions(session, [completion(n, PASSED_AT) for n in range(10, 30)])

    def detect(who: Warehouse, *, allow_mass_send: bool = False) -> object:
        return record(
            who,
            run_id="run-2",
            clock=pipeline.clock,
            mass_send_limit=5,
            allow_mass_send=allow_mass_send,
        )

    late = Joined(session, begins, more)
    assert detect(late) == OverLimit(ACTIVATED_AT, found=21, limit=5)
    assert late.met
    assert len(pipeline.rows("webhook_id")) == 2
    assert detect(session, allow_mass_send=True) == Recorded(ACTIVATED_AT, 21, 0)


def test_old_completions_do_not_count_for_the_guard_of_the_insert(pipeline: Pipeline) -> None:
    old = [completion(n, "2026-02-27T00:00:00") for n in range(10, 30)]
    add_completions(pipeline.warehouse, old)
    assert pipeline.detect(mass_send_limit=2) == Recorded(ACTIVATED_AT, 2, 20)


def test_a_request_that_is_repeated_at_the_same_time_moves_its_webhooks_once(
    pipeline: Pipeline,
) -> None:
    session = pipeline.warehouse
    pipeline.already_sent()

    def ask(who: Warehouse) -> Done:
        return Replay(state=ReplayState.DELIVERED).apply(
            who,
            pipeline.clock,
            confirmed=2,
            by="test",
            request_id="11111111-1111-4111-8111-111111111111",
        )

    def first_is_done() -> None:
        ask(session)
        pipeline.send()

    late = Joined(session, "begin", first_is_done)
    assert ask(late) == Done("11111111-1111-4111-8111-111111111111", 2)
    assert late.met
    pipeline.send()
    assert len(pipeline.target.received) == 2, "once more, and once"
