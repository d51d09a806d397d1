"""Rows of endpoint_state: one per endpoint, even with concurrent writers."""

from __future__ import annotations

from dataclasses import replace

from sync.domain.circuit_breaker import EndpointState
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.tables import ensure_ledger
from sync.warehouse import Warehouse

TABLE = "analytics.sync.endpoint_state"


class Late(Warehouse):
    """A session whose first INSERT coincides with that of another run that saw no row either."""

    has_met = False

    def execute(self, sql: str, *binds: object) -> int:
        changed = super().execute(sql, *binds)
        if sql.strip().startswith("insert") and not self.has_met:
            self.has_met = True
            super().execute(
                f"insert into {TABLE} select * replace ('another run' as writer) from {TABLE}"
            )
        return changed


def slower(state: EndpointState) -> EndpointState:
    return replace(state, rate_factor=state.rate_factor / 2)


def test_two_runs_that_meet_a_new_endpoint_at_once_leave_one_row(warehouse: Warehouse) -> None:
    ensure_ledger(warehouse)
    late = Late(warehouse.settings, warehouse._connection)
    EndpointStates(late).change([7, 8], slower)
    assert late.has_met
    EndpointStates(warehouse).change([7], slower)
    rows = warehouse.rows(
        f"select endpoint_id, rate_factor, version from {TABLE} order by endpoint_id"
    )
    assert [(int(row["endpoint_id"]), row["rate_factor"], row["version"]) for row in rows] == [
        (7, 0.25, 2),
        (8, 0.5, 1),
    ]


class Beaten(Warehouse):
    """A session before whose first UPDATE another run changes endpoint 7."""

    has_met = False

    def execute(self, sql: str, *binds: object) -> int:
        if sql.strip().startswith("update") and not self.has_met:
            self.has_met = True
            EndpointStates(Warehouse(self.settings, self._connection)).change([7], slower)
        return super().execute(sql, *binds)


class Repeated(Warehouse):
    """A session that loses the responses to an UPDATE, so its retry finds nothing to change."""

    def execute(self, sql: str, *binds: object) -> int:
        changed = super().execute(sql, *binds)
        return 0 if sql.strip().startswith("update") else changed


def rates_and_versions(warehouse: Warehouse) -> list[tuple[float, int]]:
    rows = warehouse.rows(f"select rate_factor, version from {TABLE} order by endpoint_id")
    return [(row["rate_factor"], row["version"]) for row in rows]


def test_a_rule_is_applied_anew_only_where_another_run_was_first(warehouse: Warehouse) -> None:
    ensure_ledger(warehouse)
    beaten = Beaten(warehouse.settings, warehouse._connection)
    EndpointStates(beaten).change([7, 8], slower)
    assert beaten.has_met
    assert rates_and_versions(warehouse) == [(0.25, 2), (0.5, 1)]


def test_a_rule_is_applied_once_where_the_response_was_lost(warehouse: Warehouse) -> None:
    ensure_ledger(warehouse)
    repeated = Repeated(warehouse.settings, warehouse._connection)
    EndpointStates(repeated).change([7, 8], slower)
    assert rates_and_versions(warehouse) == [(0.5, 1), (0.5, 1)]


def test_a_change_that_meets_nobody_takes_two_statements(warehouse: Warehouse) -> None:
    ensure_ledger(warehouse)
    states = EndpointStates(warehouse)
    states.change([7, 8], slower)
    before = warehouse.statements
    states.change([7, 8], slower)
    assert warehouse.statements - before == 2
