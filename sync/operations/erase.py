"""Erase one learner: from the ledger, from what the models have built, and from what comes later.

The raw tables belong to whoever fills them; ``docs/erasure.md`` has their statements. Until they
are run, the note of the erasure keeps the learner out of every later recording and build.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sync.clock import Clock
from sync.delivery.dispatch import recover_journals
from sync.errors import ConfigurationError, SyncError
from sync.ledger.erasures import (
    InLedger,
    begin_erasure,
    erase_from_ledger,
    finish_erasure,
    in_ledger,
    is_erased,
    person_key_sql,
)
from sync.ledger.identity import ledger_identity
from sync.settings import SnowflakeWarehouse
from sync.warehouse import RelationMissing, StatementFailed, Warehouse, open_warehouse

KEY = re.compile(r"[0-9a-f]{64}")
EVENTS = "int_tracking_events"
QUARANTINE = "quarantined_lines"
SHORTEST_NAME = 4
"""A shorter user name is part of too many words to be looked for in a line."""


class EraseIncomplete(SyncError):
    """A part could not be emptied; the text names it. Run the command again: it goes on there."""


@dataclass(frozen=True, kw_only=True)
class ErasePlan:
    """What an erasure would empty now; nothing was changed."""

    ledger: InLedger
    models: Mapping[str, int]
    """Rows by table that the models have built, those without any left out."""
    was_erased: bool
    """Whether the same learner was erased before."""

    @property
    def found(self) -> int:
        """Rows in all."""
        return self.ledger.webhooks + sum(self.models.values())


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """An erasure that was done; without an id when the learner had been erased before."""

    erasure_id: str | None
    counts: Mapping[str, int]
    """Rows emptied, by table."""
    may_still_arrive: int
    """Webhooks that a run held when they were stopped: requests under way may still arrive."""
    may_still_arrive_until: datetime | None


@dataclass(frozen=True)
class _Person:
    """How the rows of a learner are found; nothing of it is written anywhere."""

    key: str
    user_ids: tuple[int, ...]
    names: tuple[str, ...]


@contextmanager
def build_session(
    warehouse: Warehouse, environ: Mapping[str, str] = os.environ
) -> Iterator[Warehouse]:
    """A session that may change what dbt has built: with its role, where that is another one.

    Raises:
        WarehouseUnavailable: the login with ``SNOWFLAKE_DBT_ROLE`` was refused.
    """
    settings = warehouse.settings
    role = environ.get("SNOWFLAKE_DBT_ROLE")
    if not isinstance(settings, SnowflakeWarehouse) or not role:
        yield warehouse
        return
    own = replace(
        settings,
        role=role,
        warehouse=environ.get("SNOWFLAKE_DBT_WAREHOUSE") or settings.warehouse,
    )
    with open_warehouse(own, purpose="erase") as session:
        yield session


def plan_erase(warehouse: Warehouse, key: str, *, clock: Clock) -> ErasePlan:
    """What ``erase`` would do; reads only.

    Raises:
        ConfigurationError: the key is no fingerprint of a learner.
        StatementFailed: the ledger cannot be read.
    """
    _check(key)
    return ErasePlan(
        ledger=in_ledger(warehouse, key, now=clock()),
        models={
            table: n
            for table in _tables_of_learners(warehouse)
            if (n := _count(warehouse, table, key))
        },
        was_erased=is_erased(warehouse, key),
    )


def erase(
    warehouse: Warehouse,
    key: str,
    *,
    requested_by: str,
    reason: str,
    clock: Clock,
    journals: Path,
    environ: Mapping[str, str] = os.environ,
) -> Erasure:
    """Erase a learner by fingerprint. Broken off, it goes on where it stopped when it is repeated.

    First the note, which keeps new events of the learner from being recorded; then the webhooks
    that are to be sent; then what was built. ``reason`` is for the audit and must name nobody.

    Raises:
        ConfigurationError: the key is no fingerprint of a learner.
        EraseIncomplete: a table could not be emptied; names it.
        StatementFailed: the ledger cannot be written.
        JournalFailed: a journal of a dead run cannot be read.
    """
    plan = plan_erase(warehouse, key, clock=clock)
    if plan.was_erased and not plan.found:
        return Erasure(erasure_id=None, counts={}, may_still_arrive=0, may_still_arrive_until=None)
    now = clock()
    erasure_id = begin_erasure(warehouse, key, requested_by=requested_by, reason=reason, now=now)
    person = _person(warehouse, key)
    # Responses that dead runs of this machine have left behind are emptied with the rest.
    recover_journals(warehouse, ledger_identity(warehouse), journals, clock=clock)
    counts = {"webhook_outbox": erase_from_ledger(warehouse, key, now=now)}
    with build_session(warehouse, environ) as session:
        for table in _tables_of_learners(session):
            counts[table] = _empty(session, table, person)
        for table in (
            session.relation("intermediate", EVENTS),
            session.relation("marts", QUARANTINE),
        ):
            name = table.rsplit(".", 1)[1].lower()
            counts[name] = counts.get(name, 0) + _empty_excerpts(session, table, person)
    counts = {table.rsplit(".", 1)[-1].lower(): n for table, n in counts.items()}
    finish_erasure(warehouse, key, counts=counts, now=clock())
    return Erasure(
        erasure_id=erasure_id,
        counts=counts,
        may_still_arrive=plan.ledger.under_way,
        may_still_arrive_until=plan.ledger.under_way_until,
    )


def _check(key: str) -> None:
    if not KEY.fullmatch(key):
        raise ConfigurationError(
            "the learner's key must be 64 digits of lower-case hex, as `ltw erase --user ID "
            "--dry-run` shows it"
        )


def _tables_of_learners(warehouse: Warehouse) -> list[str]:
    """Tables that the models have built with a row per learner, by name; views hold nothing."""
    found = []
    for schema in ("intermediate", "marts"):
        database, name, _ = warehouse.relation(schema, "x").split(".")
        rows = warehouse.rows(
            f"""
            select tables.table_name
            from {database}.information_schema.tables as tables
            inner join {database}.information_schema.columns as columns
                on tables.table_schema = columns.table_schema
                and tables.table_name = columns.table_name
            where upper(tables.table_schema) = ?
                and tables.table_type like '%TABLE%'
                and upper(columns.column_name) = 'USER_ID'
            order by tables.table_name
            """,
            name.upper(),
        )
        found += [warehouse.relation(schema, row["table_name"]) for row in rows]
    return found


def _count(warehouse: Warehouse, table: str, key: str) -> int:
    rows = warehouse.rows(
        f"select count(*) as n from {table} where {person_key_sql('user_id')} = ?", key
    )
    return int(rows[0]["n"])


def _empty(warehouse: Warehouse, table: str, person: _Person) -> int:
    """Delete a learner's rows of one table; lines of the log stay, as lines of nobody."""
    mine = f"{person_key_sql('user_id')} = ?"
    with _named(table):
        if not table.lower().endswith(f".{EVENTS}"):
            return warehouse.execute(f"delete from {table} where {mine}", person.key)
        return warehouse.execute(
            f"""
            update {table}
            set
                outcome = 'dropped', screening = 'user_erased',
                user_id = null, courserun_key = null, event_at = null, event_category = null,
                event_key = null, video_id = null, video_played_from = null,
                video_played_to = null, video_speed = null, line_excerpt = null
            where {mine}
            """,
            person.key,
        )


def _empty_excerpts(warehouse: Warehouse, table: str, person: _Person) -> int:
    """Empty excerpts of lines that nobody could read and that name the learner all the same."""
    conditions = ["regexp_like(line_excerpt, ?, 's')"] * len(person.user_ids)
    conditions += ["position(lower(?) in lower(line_excerpt)) > 0"] * len(person.names)
    if not conditions:
        return 0
    binds = [rf".*user_id[^0-9]{{1,12}}{one}([^0-9].*|)" for one in person.user_ids]
    with _named(table):
        try:
            return warehouse.execute(
                f"update {table} set line_excerpt = '' where {' or '.join(conditions)}",
                *binds,
                *person.names,
            )
        except RelationMissing:
            return 0


@contextmanager
def _named(table: str) -> Iterator[None]:
    try:
        yield
    except RelationMissing:
        raise
    except StatementFailed as error:
        raise EraseIncomplete(
            f"{table} could not be emptied: set SNOWFLAKE_DBT_ROLE to the role that owns it, and "
            "run the same again. Everything before it is done"
        ) from error


def _person(warehouse: Warehouse, key: str) -> _Person:
    """Ids and names to look for in excerpts of lines, as far as the tables still know them."""
    ids: set[int] = set()
    names: set[str] = set()
    outbox = warehouse.relation("sync", "webhook_outbox")
    users = warehouse.raw_relation("lms", "auth_user")
    for row in warehouse.rows(
        f"select distinct user_id from {outbox} where {person_key_sql('user_id')} = ?", key
    ):
        ids.add(int(row["user_id"]))
    try:
        for row in warehouse.rows(
            f"select id::number(38, 0) as user_id, username, email from {users}"
            f" where {person_key_sql('id::number(38, 0)')} = ?",
            key,
        ):
            ids.add(int(row["user_id"]))
            names |= {one for one in (row["username"], row["email"]) if one}
    except StatementFailed:
        # The replica may be gone already, or out of reach of this role.
        pass
    return _Person(
        key, tuple(sorted(ids)), tuple(sorted(one for one in names if len(one) >= SHORTEST_NAME))
    )
