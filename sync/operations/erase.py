"""Erase one learner: from the ledger, from what the models have built, and from what comes later.

The raw tables belong to whoever fills them; ``docs/erasure.md`` has their statements. Until they
are run, the note of the erasure keeps the learner out of every later recording and build.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from sync.clock import Clock
from sync.delivery.send import recover_journals
from sync.errors import SyncError
from sync.ledger.erasures import (
    InLedger,
    begin_erasure,
    erase_from_ledger,
    finish_erasure,
    in_ledger,
    is_erased,
    person_key,
    person_key_sql,
)
from sync.ledger.identity import ledger_identity
from sync.operations.operation import (
    Change,
    CommandLine,
    Done,
    Plan,
    Rows,
    require_confirmation,
)
from sync.settings import SnowflakeWarehouse, journal_directory
from sync.warehouse import RelationMissing, StatementFailed, Warehouse, open_warehouse

KEY = re.compile(r"[0-9a-f]{64}")
EVENTS = "int_tracking_events"
QUARANTINE = "quarantined_lines"
SHORTEST_NAME = 4
"""A shorter user name is part of too many words to be looked for in a line."""


class EraseIncomplete(SyncError):
    """A part could not be emptied; the text names it. Run the command again: it goes on there."""


@dataclass(frozen=True, kw_only=True)
class ErasePlan(Plan):
    """What an erasure would empty now: rows in all, of the ledger and of the models."""

    key: str
    ledger: InLedger
    models: Mapping[str, int]
    """Rows by table that the models have built, those without any left out."""
    was_erased: bool
    """Whether the same learner was erased before."""

    def document(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "person_key": self.key,
            "matched": self.matched,
            "was_erased": self.was_erased,
            "found": {
                "webhooks": self.ledger.webhooks,
                "to_be_sent": self.ledger.to_be_sent,
                **self.models,
            },
            "erasure_id": None,
            "erased": {},
            "may_still_arrive": self.ledger.under_way,
            "may_still_arrive_until": None,
        }

    def lines(self) -> list[str]:
        """The key, and what is unusual."""
        said = [f"the learner's key: {self.key}"]
        if self.was_erased:
            said.append("this learner was erased before")
        elif not self.matched:
            said.append(
                "nothing of this learner is here: check the id, since an erased one is never "
                "recorded"
            )
        return said

    def tables(self) -> dict[str, Rows]:
        """Rows by table."""
        counts = {
            "webhook_outbox": self.ledger.webhooks,
            "of these yet to be sent": self.ledger.to_be_sent,
            **self.models,
        }
        return {"found": [{"table": name, "rows": count} for name, count in counts.items()]}


@dataclass(frozen=True, kw_only=True)
class Erasure(Done):
    """An erasure that was done; without an id when nothing was left to erase."""

    counts: Mapping[str, int] = field(default_factory=dict)
    """Rows emptied, by table."""
    may_still_arrive: int = 0
    """Webhooks that a run held when they were stopped: requests in flight may still arrive."""
    may_still_arrive_until: datetime | None = None


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


def _as_key(learner: object) -> object:
    """A fingerprint; of an id only that is kept.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(learner, int) and learner > 0:
        return person_key(learner)
    if isinstance(learner, str) and KEY.fullmatch(learner):
        return learner
    raise ValueError(
        "name the learner by the positive id in auth_user, or by 64 digits of lower-case hex as "
        "`ltw erase --user ID --dry-run` shows them"
    )


class Erase(Change):
    """Erase one learner from the ledger and the models, for good. For raw tables see
    docs/erasure.md.

    Ids and states stay. Dagster keeps the config of every run, so its job takes the learner's key,
    never an id.
    """

    name: ClassVar[str] = "erase"
    noun: ClassVar[str] = "rows"
    ask_above: ClassVar[int | None] = -1
    """Always: it cannot be undone, and of an unknown id it is remembered as well."""

    person_key: Annotated[
        str,
        BeforeValidator(_as_key),
        CommandLine("--user", type=int, help="The learner's id in the LMS: auth_user.id."),
    ] = Field(
        description="The learner's key, as `ltw erase --user ID --dry-run` shows it. Never an id."
    )
    reason: str = Field(
        default="", description="For the audit, such as a ticket; it must name nobody."
    )

    def plan(self, warehouse: Warehouse, clock: Clock) -> ErasePlan:
        """What ``apply`` would do now; reads only.

        Raises:
            StatementFailed: the ledger cannot be read.
        """
        ledger = in_ledger(warehouse, self.person_key, now=clock())
        models = {
            table: n
            for table in _tables_of_learners(warehouse)
            if (n := _count(warehouse, table, self.person_key))
        }
        return ErasePlan(
            matched=ledger.webhooks + sum(models.values()),
            key=self.person_key,
            ledger=ledger,
            models=models,
            was_erased=is_erased(warehouse, self.person_key),
        )

    def apply(
        self,
        warehouse: Warehouse,
        clock: Clock,
        *,
        confirmed: int | None,
        by: str,
        request_id: str | None = None,
        setting: str = "confirm_count:",
        journals: Path | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> Erasure:
        """Erase a learner. Broken off, it goes on where it stopped when it is repeated.

        First the note, which keeps new events of the learner from being recorded; then the
        webhooks that are to be sent; then what was built. The request is a row of
        ``sync.erasures``.

        Raises:
            NotConfirmed: the number confirmed is not the number that match; nothing was changed.
            EraseIncomplete: a table could not be emptied; names it.
            StatementFailed: the ledger cannot be written.
            JournalFailed: a journal of a dead run cannot be read.
        """
        key = self.person_key
        plan = self.plan(warehouse, clock)
        require_confirmation(plan.matched, confirmed, setting=setting, noun=self.noun)
        if plan.was_erased and not plan.matched:
            return Erasure(outcome="the learner was erased before, and nothing is left here")
        now = clock()
        erasure_id = begin_erasure(
            warehouse, key, requested_by=self.requested_by or by, reason=self.reason, now=now
        )
        person = _person(warehouse, key)
        # Responses that dead runs of this machine have left behind are emptied with the rest.
        recover_journals(
            warehouse,
            ledger_identity(warehouse),
            journals or journal_directory(environ),
            clock=clock,
        )
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
        return _erasure(erasure_id, counts, plan.ledger)


def _erasure(erasure_id: str, counts: Mapping[str, int], ledger: InLedger) -> Erasure:
    changed, until = sum(counts.values()), ledger.under_way_until
    outcome = f"erased: {changed:,} rows, as {erasure_id}"
    if ledger.under_way:
        outcome += (
            f"; {ledger.under_way:,} webhooks were claimed by a run, which may send them until "
            f"{until:%Y-%m-%d %H:%M:%S} UTC"
        )
    return Erasure(
        request_id=erasure_id,
        changed=changed,
        document={
            "erasure_id": erasure_id,
            "erased": dict(counts),
            "may_still_arrive": ledger.under_way,
            "may_still_arrive_until": until,
        },
        outcome=f"{outcome}. Raw tables, backups and copies of others: docs/erasure.md",
        counts=counts,
        may_still_arrive=ledger.under_way,
        may_still_arrive_until=until,
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
