"""Rows of ``endpoint_state``, changed by compare-and-set: concurrent runs lose no update."""

from __future__ import annotations

import random
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any, get_args, get_type_hints

from sync.domain.circuit_breaker import Breaker, EndpointState
from sync.errors import SyncError
from sync.ledger.tables import ENDPOINT_STATE, fill_row_ids
from sync.warehouse import Warehouse, json_rows

TRIES = 30
"""A try fails only because another run succeeded; many runs may share the same endpoints."""
LONGEST_PAUSE_SECONDS = 0.5

COLUMNS = tuple(one.name for one in fields(EndpointState))


class TooMuchContention(SyncError):
    """Other runs kept changing the same endpoints."""


class EndpointStates:
    """Reads and writes states in batches: two statements for any number of endpoints."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._table = warehouse.relation("sync", ENDPOINT_STATE)

    def load(self, endpoint_ids: Iterable[int]) -> dict[int, EndpointState]:
        """States by id; an endpoint that is not in the ledger yet gets a new one."""
        wanted = set(endpoint_ids)
        known = {key: _state(row) for key, row in self._rows(wanted)[0].items()}
        return {one: EndpointState(endpoint_id=one) for one in sorted(wanted)} | known

    def change(
        self,
        endpoint_ids: Iterable[int],
        rule: Callable[[EndpointState], EndpointState],
    ) -> None:
        """Apply a rule to each state; it is applied again to one that another run changed first.

        Raises:
            TooMuchContention: still not written after ``TRIES``.
        """
        left = set(endpoint_ids)
        for tried in range(TRIES):
            if tried:
                # With jitter, or runs that collided once would collide again at each try.
                time.sleep(random.uniform(0, min(0.02 * 2**tried, LONGEST_PAUSE_SECONDS)))
            rows = self._rows_to_change(left)
            before = {key: EndpointState(endpoint_id=key) for key in sorted(left)}
            before |= {key: _state(row) for key, row in rows.items()}
            changed = [after for state in before.values() if (after := rule(state)) != state]
            if not changed:
                return
            missing = {one.endpoint_id for one in changed} - set(rows)
            if missing:
                self._insert(missing)
                # Another run may have inserted rows in between: read them, then set.
                rows = self._rows_to_change(one.endpoint_id for one in changed)
            left = {one.endpoint_id for one in changed} - self._compare_and_set(changed, rows)
            if not left:
                return
        raise TooMuchContention(f"other runs keep changing endpoints {sorted(left)}")

    def _rows(self, endpoint_ids: Iterable[int]) -> tuple[dict[int, dict[str, Any]], bool]:
        """The row that applies for each endpoint, and whether any row has duplicates or no id."""
        wanted = sorted(set(endpoint_ids))
        if not wanted:
            return {}, False
        found = self._warehouse.rows(
            f"select {', '.join(COLUMNS)}, row_id from {self._table} where endpoint_id in"
            " (select value::number(38, 0) from table(flatten(input => parse_json(?))))"
            # The row that duplicate removal keeps comes last.
            " order by version, row_id nulls first, writer nulls first",
            str(wanted),
        )
        rows = {int(row["endpoint_id"]): row for row in found}
        return rows, len(rows) < len(found) or any(row["row_id"] is None for row in found)

    def _rows_to_change(self, endpoint_ids: Iterable[int]) -> dict[int, dict[str, Any]]:
        """One row per endpoint. Two runs that set different duplicates would lose a change."""
        wanted = set(endpoint_ids)
        rows, is_untidy = self._rows(wanted)
        if is_untidy:
            fill_row_ids(self._warehouse, ENDPOINT_STATE)
            self._remove_twins()
            rows, _ = self._rows(wanted)
        return rows

    def _insert(self, endpoint_ids: Iterable[int]) -> None:
        fresh = [
            _row(EndpointState(endpoint_id=key))
            | {"writer": str(uuid.uuid4()), "row_id": str(uuid.uuid4())}
            for key in sorted(endpoint_ids)
        ]
        columns = ", ".join((*COLUMNS, "writer", "row_id"))
        inserted = self._warehouse.bulk(
            f"""
            insert into {self._table} ({columns}, updated_at)
            select {columns}, sysdate()
            from {_stated()} as new
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
        """Keep one row of an endpoint for which two runs inserted a row at the same time.

        On Snowflake an INSERT can miss what another one is about to commit. The last run to get
        here sees all rows, and every run would keep the same one. A run that changed both gave
        them the same version and writer, so only the row's id tells them apart.
        """
        self._warehouse.execute(
            f"""
            delete from {self._table} as endpoint
            using (
                select
                    endpoint_id, version, writer, row_id,
                    row_number() over (
                        partition by endpoint_id
                        order by version desc, row_id desc nulls last, writer desc nulls last
                    ) as place
                from {self._table}
            ) as ranked
            where endpoint.row_id = ranked.row_id
                and endpoint.version = ranked.version
                and coalesce(endpoint.writer, '') = coalesce(ranked.writer, '')
                and ranked.place > 1
            """
        )

    def _compare_and_set(
        self, states: Iterable[EndpointState], rows: Mapping[int, dict[str, Any]]
    ) -> set[int]:
        """Write states into their rows where the version is unchanged; returns the ids written."""
        others = [name for name in COLUMNS if name not in ("endpoint_id", "version")]
        writer = str(uuid.uuid4())
        stated = [
            _row(state) | {"row_id": rows[state.endpoint_id]["row_id"]}
            for state in states
            if state.endpoint_id in rows
        ]
        count = self._warehouse.bulk(
            f"""
            update {self._table} as endpoint
            set
                {", ".join(f"{name} = new.{name}" for name in others)},
                version = endpoint.version + 1,
                writer = ?,
                updated_at = sysdate()
            from {_stated()} as new
            where endpoint.row_id = new.row_id and endpoint.version = new.version
            """,
            stated,
            before=(writer,),
        )
        if count == len(stated):
            return {int(str(one["endpoint_id"])) for one in stated}
        # Another run was first for some, or the response was lost and the repetition changed none.
        written = self._warehouse.rows(
            f"select endpoint_id from {self._table} where writer = ?", writer
        )
        return {int(row["endpoint_id"]) for row in written}


def _state(row: Mapping[str, Any]) -> EndpointState:
    values: dict[str, Any] = {name: row[name] for name in COLUMNS}
    values["breaker_state"] = Breaker(row["breaker_state"])
    return EndpointState(**values)


def _row(state: EndpointState) -> dict[str, object]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in vars(state).items()
    }


@cache
def _stated() -> str:
    """States from JSON, with columns by the Python types of the fields, plus row id and writer."""
    kinds = {int: "number", float: "real", datetime: "time"}
    names: defaultdict[str, str] = defaultdict(str)
    names["text"] = "row_id writer"
    for name, hint in get_type_hints(EndpointState).items():
        kind = next((kinds[one] for one in (hint, *get_args(hint)) if one in kinds), "text")
        names[kind] += f" {name}"
    return json_rows(**names)
