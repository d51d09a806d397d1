"""Erase one learner from the ledger, from the tables of the models, and from later data.

The raw tables belong to whoever fills them; ``docs/erasure.md`` has the statements for them. Until
they are run, the record of the erasure keeps the learner out of every later recording and build.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from sync.clock import Clock
from sync.delivery.send import recover_journals
from sync.errors import SyncError
from sync.ledger.erasures import (
    begin_erasure,
    erase_from_ledger,
    finish_erasure,
    in_ledger,
    is_erased,
    person_key,
    person_key_sql,
)
from sync.ledger.identity import ledger_identity
from sync.ledger.tables import OUTBOX
from sync.operations.operation import (
    Change,
    CommandLine,
    Done,
    Plan,
    require_confirmation,
)
from sync.settings import ModelSchema, SnowflakeWarehouse, build_settings, journal_directory
from sync.warehouse import RelationMissing, StatementFailed, Warehouse, open_warehouse

KEY = re.compile(r"[0-9a-f]{64}")
EVENTS = "int_tracking_events"
WITH_EXCERPTS: tuple[tuple[ModelSchema, str], ...] = (
    ("intermediate", EVENTS),
    ("intermediate", "int_tracking_line_counts"),
    ("marts", "quarantined_lines"),
)
"""Schemas and tables that keep excerpts of unreadable lines."""
SHORTEST_NAME = 4
"""A shorter user name would match too many words in a line."""


class EraseIncomplete(SyncError):
    """A part could not be emptied; the text names it. Run the command again to continue there."""


@contextmanager
def build_session(
    warehouse: Warehouse, environ: Mapping[str, str] = os.environ
) -> Iterator[Warehouse]:
    """A session that may change what dbt has built: with dbt's role, if that is a separate one.

    Raises:
        WarehouseUnavailable: the login with ``SNOWFLAKE_DBT_ROLE`` was refused.
    """
    settings = warehouse.settings
    if not isinstance(settings, SnowflakeWarehouse) or not environ.get("SNOWFLAKE_DBT_ROLE"):
        yield warehouse
        return
    with open_warehouse(build_settings(settings, environ), purpose="erase") as session:
        yield session


def as_key(learner: object) -> object:
    """The learner's key; of an id, only this fingerprint is kept.

    Raises:
        ValueError: it is neither an id nor a key.
    """
    if isinstance(learner, int) and learner > 0:
        return person_key(learner)
    if isinstance(learner, str) and KEY.fullmatch(learner):
        return learner
    raise ValueError(
        "name the learner by the positive id in auth_user, or by the key of 64 lowercase hex "
        "digits that `ltw erase --user ID --dry-run` shows"
    )


class Erase(Change):
    """Permanently erase one learner from the ledger and the models. For raw tables see
    docs/erasure.md.

    Ids and states stay. Dagster keeps the config of every run, so its job takes the learner's key,
    never an id.
    """

    name: ClassVar[str] = "erase"
    results: ClassVar[tuple[str, str]] = ("erasure_id", "erased")
    noun: ClassVar[str] = "rows"
    ask_above: ClassVar[int | None] = -1
    """Always: it cannot be undone, and an unknown id is recorded too."""

    person_key: Annotated[
        str,
        BeforeValidator(as_key),
        CommandLine("--user", type=int, help="The learner's id in the LMS: auth_user.id."),
    ] = Field(
        description="The learner's key, as `ltw erase --user ID --dry-run` shows it. Never an id."
    )
    reason: str = Field(
        default="", description="For the audit trail, such as a ticket; it must not name anybody."
    )

    def plan(self, warehouse: Warehouse, clock: Clock) -> Plan:
        """Rows of the ledger and of the models, by table."""
        ledger = in_ledger(warehouse, self.person_key, now=clock())
        models = {
            table: n
            for table in _tables_of_learners(warehouse)
            if (n := _count(warehouse, table, self.person_key))
        }
        matched = ledger.webhooks + sum(models.values())
        was_erased = is_erased(warehouse, self.person_key)
        lines = [f"the learner's key: {self.person_key}"]
        if was_erased:
            lines.append("this learner was erased before")
        elif not matched:
            lines.append(
                "nothing of this learner was found: check the id, since an erased one is never "
                "recorded"
            )
        counts = {
            "webhook_outbox": ledger.webhooks,
            "of these yet to be sent": ledger.to_be_sent,
            **models,
        }
        return Plan(
            matched=matched,
            document={
                "person_key": self.person_key,
                "was_erased": was_erased,
                "found": {
                    "webhooks": ledger.webhooks,
                    "to_be_sent": ledger.to_be_sent,
                    **models,
                },
                "erased": {},
                "may_still_arrive": ledger.under_way,
                "may_still_arrive_until": ledger.under_way_until,
            },
            lines=lines,
            tables={"found": [{"table": name, "rows": n} for name, n in counts.items()]},
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
        environ: Mapping[str, str] = os.environ,
    ) -> Done:
        """Erase a learner. If it is interrupted, running it again continues where it stopped.

        First the record of the erasure, which keeps new events of the learner from being recorded;
        then the webhooks to be sent; then what was built. The request is a row of
        ``sync.erasures``.

        Raises:
            NotConfirmed: the number confirmed is not the number that match; nothing was changed.
            EraseIncomplete: a table could not be emptied; names it.
            StatementFailed: the ledger cannot be written.
            JournalFailed: a journal of a dead run cannot be read.
        """
        key, now = self.person_key, clock()
        plan = self.plan(warehouse, clock)
        require_confirmation(plan.matched, confirmed, setting=setting, noun=self.noun)
        if plan.document["was_erased"] and not plan.matched:
            return Done(outcome="the learner was erased before, and nothing is left here")
        erasure_id = begin_erasure(
            warehouse, key, requested_by=self.requested_by or by, reason=self.reason, now=now
        )
        named, binds = _excerpts_of(warehouse, key)
        # Responses that dead runs left on this machine are emptied with the rest.
        recover_journals(
            warehouse, ledger_identity(warehouse), journal_directory(environ), clock=clock
        )
        counts = Counter(webhook_outbox=erase_from_ledger(warehouse, key, now=now))
        with build_session(warehouse, environ) as session:
            for table in _tables_of_learners(session):
                counts[_name(table)] += _empty(session, table, key)
            for table in (session.relation(*one) for one in WITH_EXCERPTS):
                counts[_name(table)] += _empty_excerpts(session, table, named, binds)
        finish_erasure(warehouse, key, counts=counts, now=clock())
        outcome = f"erased: {counts.total():,} rows, as {erasure_id}"
        if claimed := plan.document["may_still_arrive"]:
            outcome += (
                f"; {claimed:,} webhooks were claimed by a run, which may send them until "
                f"{plan.document['may_still_arrive_until']:%Y-%m-%d %H:%M:%S} UTC"
            )
        return Done(
            erasure_id,
            counts.total(),
            document={"erasure_id": erasure_id, "erased": dict(counts)},
            outcome=f"{outcome}. For raw tables, backups and copies of others see docs/erasure.md",
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
    return warehouse.value(
        f"select count(*) as n from {table} where {person_key_sql('user_id')} = ?", key
    )


def _name(table: str) -> str:
    return table.rsplit(".", 1)[-1].lower()


def _empty(warehouse: Warehouse, table: str, key: str) -> int:
    """Delete a learner's rows from one table; lines of the log stay, without the learner."""
    mine = f"{person_key_sql('user_id')} = ?"
    with _named(table):
        if _name(table) != EVENTS:
            return warehouse.execute(f"delete from {table} where {mine}", key)
        return warehouse.execute(
            f"""
            update {table}
            set
                outcome = 'dropped', screening = 'user_erased',
                user_id = null, courserun_key = null, event_at = null, event_category = null,
                event_key = null, video_id = null, video_played_from = null,
                video_played_to = null, video_speed = null, unselected_event_name = null,
                line_excerpt = null
            where {mine}
            """,
            key,
        )


def _empty_excerpts(warehouse: Warehouse, table: str, named: str, binds: Sequence[str]) -> int:
    """Empty excerpts of unreadable lines that nevertheless name the learner."""
    with _named(table):
        try:
            return warehouse.execute(f"update {table} set line_excerpt = '' where {named}", *binds)
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
            "run the command again. Everything before it is done"
        ) from error


def _excerpts_of(warehouse: Warehouse, key: str) -> tuple[str, Sequence[str]]:
    """As ``_that_name``, with what the tables still know about the learner."""
    mine = f"{person_key_sql('{id}')} = ?"
    known = warehouse.rows(
        f"select distinct user_id, null as username, null as email"
        f" from {warehouse.relation('sync', OUTBOX)} where {mine.format(id='user_id')}",
        key,
    )
    # The replica may be gone already, or out of reach of this role.
    with suppress(StatementFailed):
        known += warehouse.rows(
            f"select id::number(38, 0) as user_id, username, email"
            f" from {warehouse.raw_relation('lms', 'auth_user')}"
            f" where {mine.format(id='id::number(38, 0)')}",
            key,
        )
    names = {one for row in known for one in (row["username"], row["email"]) if one}
    return _that_name({int(row["user_id"]) for row in known}, names)


def _that_name(user_ids: Iterable[int], names: Iterable[str]) -> tuple[str, Sequence[str]]:
    """The condition that an excerpt names the learner by an id, a name or an address; its binds."""
    patterns = [rf".*user_id[^0-9]{{1,12}}{one}([^0-9].*|)" for one in sorted(user_ids)]
    texts = [one for one in sorted(names) if len(one) >= SHORTEST_NAME]
    conditions = ["regexp_like(line_excerpt, ?, 's')"] * len(patterns)
    conditions += ["position(lower(?) in lower(line_excerpt)) > 0"] * len(texts)
    return " or ".join(conditions) or "false", [*patterns, *texts]
