"""Rows of ``endpoint_state``, changed by compare and set: runs side by side lose no update."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from sync.errors import SyncError
from sync.ledger.tables import ENDPOINT_STATE
from sync.policies.breaker import Breaker, EndpointState
from sync.warehouse import Warehouse

TRIES = 30
"""Each try loses only to another run that succeeded; many runs may have the same endpoints."""
LONGEST_PAUSE_SECONDS = 0.5

COLUMNS = {
    "endpoint_id": "number(38, 0)",
    "version": "number(38, 0)",
    "breaker_state": "varchar",
    "consecutive_failures": "number(38, 0)",
    "failing_since": "timestamp_ntz",
    "window_started_at": "timestamp_ntz",
    "window_attempts": "number(38, 0)",
    "window_failures": "number(38, 0)",
    "open_count": "number(38, 0)",
    "half_open_successes": "number(38, 0)",
    "next_probe_at": "timestamp_ntz",
    "rate_factor": "float",
    "next_slot_at": "timestamp_ntz",
    "paused_until": "timestamp_ntz",
    "disabled_at": "timestamp_ntz",
    "disabled_reason": "varchar",
}


class TooMuchContention(SyncError):
    """Other runs kept changing the same endpoints."""


class EndpointStates:
    """Reads and writes states in batches: three statements, however many endpoints."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._table = warehouse.relation("sync", ENDPOINT_STATE)

    def load(self, endpoint_ids: Iterable[int]) -> dict[int, EndpointState]:
        """States by id; an endpoint that the ledger does not know yet has a fresh one."""
        wanted = sorted(set(endpoint_ids))
        states = {one: EndpointState(endpoint_id=one) for one in wanted}
        if not wanted:
            return states
        rows = self._warehouse.rows(
            f"select {', '.join(COLUMNS)} from {self._table} where endpoint_id in"
            " (select value::number(38, 0) from table(flatten(input => parse_json(?))))",
            str(wanted),
        )
        return states | {int(row["endpoint_id"]): _state(row) for row in rows}

    def change(
        self,
        endpoint_ids: Iterable[int],
        rule: Callable[[EndpointState], EndpointState],
    ) -> None:
        """Apply a rule to each state; it is applied anew to one that another run changed first.

        Raises:
            TooMuchContention: still not written after ``TRIES``.
        """
        left = set(endpoint_ids)
        for tried in range(TRIES):
            if tried:
                # At random, or runs that met once would meet again at each try.
                time.sleep(random.uniform(0, min(0.02 * 2**tried, LONGEST_PAUSE_SECONDS)))
            before = self.load(left)
            after = {key: rule(state) for key, state in before.items()}
            changed = [after[key] for key, state in before.items() if after[key] != state]
            if not changed:
                return
            self._insert_missing(one for one in changed if before[one.endpoint_id].version == 0)
            left = {one.endpoint_id for one in changed} - self._compare_and_set(changed)
            if not left:
                return
        raise TooMuchContention(f"endpoints {sorted(left)} are changed by other runs all the time")

    def _insert_missing(self, states: Iterable[EndpointState]) -> None:
        fresh = [
            _row(EndpointState(endpoint_id=state.endpoint_id)) | {"writer": str(uuid.uuid4())}
            for state in states
        ]
        inserted = self._warehouse.bulk(
            f"""
            insert into {self._table} ({", ".join(COLUMNS)}, writer, updated_at)
            select new.*, sysdate()
            from (
                select
                    {", ".join(_value(name) for name in COLUMNS)},
                    value:writer::varchar as writer
                from table(flatten(input => parse_json(?)))
            ) as new
            where not exists (
                select 1 from {self._table} as known
                where known.endpoint_id = new.endpoint_id
            )
            """,
            fresh,
        )
        if inserted:
            self._remove_twins()

    def _remove_twins(self) -> None:
        """Leave one row of an endpoint for which two runs inserted one at the same moment.

        Snowflake does not keep an INSERT from missing what another one is about to commit. The
        last of them to get here sees all rows; all of them would keep the same one.
        """
        self._warehouse.execute(
            f"""
            delete from {self._table} as endpoint
            using (
                select
                    endpoint_id, version, writer,
                    row_number() over (
                        partition by endpoint_id order by version desc, writer desc
                    ) as place
                from {self._table}
            ) as ranked
            where endpoint.endpoint_id = ranked.endpoint_id
                and endpoint.version = ranked.version
                and endpoint.writer = ranked.writer
                and ranked.place > 1
            """
        )

    def _compare_and_set(self, states: Iterable[EndpointState]) -> set[int]:
        """Write states whose version still stands; the ids that were written."""
        others = [name for name in COLUMNS if name not in ("endpoint_id", "version")]
        writer = str(uuid.uuid4())
        self._warehouse.bulk(
            f"""
            update {self._table} as endpoint
            set
                {", ".join(f"{name} = new.{name}" for name in others)},
                version = endpoint.version + 1,
                writer = ?,
                updated_at = sysdate()
            from (
                select {", ".join(_value(name) for name in COLUMNS)}
                from table(flatten(input => parse_json(?)))
            ) as new
            where endpoint.endpoint_id = new.endpoint_id and endpoint.version = new.version
            """,
            (_row(state) for state in states),
            before=(writer,),
        )
        # Not the row count: it says how many were written, not which.
        rows = self._warehouse.rows(
            f"select endpoint_id from {self._table} where writer = ?", writer
        )
        return {int(row["endpoint_id"]) for row in rows}


def _value(name: str) -> str:
    kind = COLUMNS[name]
    text = "::varchar" if kind == "timestamp_ntz" else ""
    return f"value:{name}{text}::{kind} as {name}"


def _state(row: Mapping[str, Any]) -> EndpointState:
    values: dict[str, Any] = {name: row[name] for name in COLUMNS}
    values["breaker_state"] = Breaker(row["breaker_state"])
    return EndpointState(**values)


def _row(state: EndpointState) -> dict[str, object]:
    values = {one.name: getattr(state, one.name) for one in fields(state)}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
    }
