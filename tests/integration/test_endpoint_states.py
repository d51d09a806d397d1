"""Rows of endpoint_state: one for each endpoint, whoever writes at the same time."""

from __future__ import annotations

from dataclasses import replace

from sync.domain.circuit_breaker import EndpointState
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.tables import ensure_ledger
from sync.warehouse import Warehouse

TABLE = "analytics.sync.endpoint_state"


class Late(Warehouse):
    """A session whose first INSERT is joined by one of another run that saw no row either."""

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
