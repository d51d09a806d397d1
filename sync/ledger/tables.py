"""The ledger: what was recorded, what was sent, what the responses were. Versioned, idempotent DDL.

The tables are next to the marts but outside dbt: `dbt build --full-refresh` must never touch the
record of what a customer has already received.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sync.domain.states import FINISHED, State, sql_list
from sync.warehouse import RelationMissing, StatementFailed, Warehouse

OUTBOX = "webhook_outbox"
MESSAGES = "webhook_messages"
ATTEMPTS = "webhook_attempts"
ENDPOINT_STATE = "endpoint_state"
ENDPOINT_SETTINGS = "endpoint_settings"
ACTIVATIONS = "activations"
REPLAYS = "replays"
ERASURES = "erasures"
PAUSES = "pauses"
ENDPOINT_OVERRIDES = "endpoint_overrides"
MIGRATIONS_TABLE = "ledger_migrations"


@dataclass(frozen=True)
class Migration:
    """One schema version; its statements are idempotent."""

    version: int
    tables: tuple[tuple[str, str], ...] = ()
    """New tables: name and columns."""
    columns: tuple[tuple[str, str], ...] = ()
    """Columns added to existing tables: table and column."""
    row_ids: tuple[str, ...] = ()
    """Tables whose rows get a unique ``row_id``, including existing rows."""
    mints_identity: bool = False
    """Whether this migration gives the ledger its id."""
    dropped: tuple[tuple[str, str], ...] = ()
    """Columns dropped from existing tables, emptied first: table and column."""
    moves_messages: bool = False
    """Whether this migration moves messages out of the outbox."""


MIGRATIONS = (
    Migration(
        version=1,
        tables=(
            (
                OUTBOX,
                """
                webhook_id varchar(36) not null,
                event_type varchar(40) not null,
                enterprise_customer_uuid varchar(36) not null,
                user_id number(38, 0) not null,
                courserun_key varchar(255) not null,
                occurred_at timestamp_ntz not null,
                facts variant,
                recorded_at timestamp_ntz not null,
                recorded_run_id varchar(64),
                state varchar(16) not null,
                state_reason varchar(64),
                region varchar(10),
                endpoint_id number(38, 0),
                payload_format varchar(16),
                body varchar,
                frozen_at timestamp_ntz,
                enrichment_outcome varchar(32),
                learning_time_seconds number(38, 0),
                learning_time_computed_through timestamp_ntz,
                attempt_count number(38, 0) not null,
                next_attempt_at timestamp_ntz,
                delivered_at timestamp_ntz,
                lease_owner varchar(100),
                lease_expires_at timestamp_ntz,
                fence number(38, 0) not null,
                replay_id varchar(36),
                body_removed_at timestamp_ntz,
                updated_at timestamp_ntz not null
                """,
            ),
            (
                ATTEMPTS,
                """
                webhook_id varchar(36) not null,
                endpoint_id number(38, 0) not null,
                fence number(38, 0) not null,
                attempt_number number(38, 0) not null,
                run_id varchar(64),
                started_at timestamp_ntz not null,
                duration_ms number(38, 0),
                status_code number(38, 0),
                outcome varchar(16) not null,
                error_kind varchar(24),
                attribution varchar(8),
                response_excerpt varchar(1000),
                signing_key_ids varchar(400),
                replay_id varchar(36)
                """,
            ),
            (
                ENDPOINT_STATE,
                """
                endpoint_id number(38, 0) not null,
                version number(38, 0) not null,
                writer varchar(36),
                breaker_state varchar(16) not null,
                consecutive_failures number(38, 0) not null,
                failing_since timestamp_ntz,
                window_started_at timestamp_ntz,
                window_attempts number(38, 0) not null,
                window_failures number(38, 0) not null,
                open_count number(38, 0) not null,
                half_open_successes number(38, 0) not null,
                next_probe_at timestamp_ntz,
                rate_factor float not null,
                next_slot_at timestamp_ntz,
                paused_until timestamp_ntz,
                disabled_at timestamp_ntz,
                disabled_reason varchar(64),
                updated_at timestamp_ntz not null
                """,
            ),
            (
                ENDPOINT_SETTINGS,
                """
                endpoint_id number(38, 0) not null,
                payload_format varchar(16),
                is_learning_time_enabled boolean,
                is_eu_fallback_allowed boolean,
                final_status_codes varchar(200),
                updated_at timestamp_ntz
                """,
            ),
            (
                ACTIVATIONS,
                """
                event_type varchar(40) not null,
                activated_at timestamp_ntz not null,
                recorded_at timestamp_ntz not null
                """,
            ),
            (
                REPLAYS,
                """
                replay_id varchar(36) not null,
                requested_at timestamp_ntz not null,
                requested_by varchar(200) not null,
                selection variant not null,
                matched number(38, 0) not null
                """,
            ),
        ),
    ),
    Migration(
        version=2,
        columns=(
            (ACTIVATIONS, "lease_owner varchar(100)"),
            (ACTIVATIONS, "lease_expires_at timestamp_ntz"),
        ),
    ),
    Migration(
        version=3,
        columns=(
            (MIGRATIONS_TABLE, "ledger_id varchar(36)"),
            (ACTIVATIONS, "first_used_at timestamp_ntz"),
        ),
        row_ids=(ENDPOINT_STATE, ENDPOINT_SETTINGS, ACTIVATIONS),
        mints_identity=True,
    ),
    # The facts for a message are read from the marts when it is built: the only copy of a
    # learner's data in the ledger is the body itself.
    Migration(version=4, dropped=((OUTBOX, "facts"),)),
    Migration(
        version=5,
        tables=(
            (
                ERASURES,
                """
                erasure_id varchar(36) not null,
                person_key varchar(64) not null,
                requested_at timestamp_ntz not null,
                requested_by varchar(200) not null,
                reason varchar(200),
                finished_at timestamp_ntz,
                counts variant
                """,
            ),
        ),
    ),
    Migration(
        version=6,
        columns=(
            (ENDPOINT_STATE, "refused_target varchar(64)"),
            (ENDPOINT_STATE, "refused_at timestamp_ntz"),
        ),
    ),
    # Rows that change are kept small: messages are in their own table and written once.
    Migration(version=7, columns=((OUTBOX, "build_id varchar(40)"),), moves_messages=True),
    Migration(
        version=8,
        columns=(
            (ENDPOINT_SETTINGS, "success_status_codes varchar(200)"),
            (ENDPOINT_SETTINGS, "authentication varchar(16)"),
            (ENDPOINT_SETTINGS, "oauth_scope varchar(1000)"),
            (ENDPOINT_SETTINGS, "oauth_audience varchar(1000)"),
            (ENDPOINT_SETTINGS, "is_oauth_form boolean"),
            (ENDPOINT_SETTINGS, "auth_header varchar(64)"),
            (ENDPOINT_SETTINGS, "extra_headers varchar(4000)"),
            (ENDPOINT_SETTINGS, "duration_unit varchar(16)"),
            (ENDPOINT_SETTINGS, "xapi_course_iri varchar(1000)"),
            (ENDPOINT_SETTINGS, "xapi_actor varchar(16)"),
            (ENDPOINT_SETTINGS, "xapi_home_page varchar(1000)"),
            (ENDPOINT_SETTINGS, "only_organizations varchar(4000)"),
            (ENDPOINT_SETTINGS, "only_courserun_keys varchar(4000)"),
            (ENDPOINT_SETTINGS, "only_enrollment_modes varchar(1000)"),
        ),
    ),
    Migration(version=9, columns=((ENDPOINT_SETTINGS, "event_types varchar(4000)"),)),
    Migration(
        version=10,
        tables=(
            (
                PAUSES,
                """
                pause_id varchar(36) not null,
                enterprise_customer_uuid varchar(36),
                endpoint_id number(38, 0),
                reason varchar(200) not null,
                paused_at timestamp_ntz not null,
                paused_by varchar(200) not null,
                until_at timestamp_ntz,
                resumed_at timestamp_ntz,
                resumed_by varchar(200),
                updated_at timestamp_ntz not null
                """,
            ),
            (
                ENDPOINT_OVERRIDES,
                """
                override_id varchar(36) not null,
                endpoint_id number(38, 0) not null,
                url varchar(2048),
                timeout_seconds number(38, 0),
                reason varchar(200) not null,
                set_at timestamp_ntz not null,
                set_by varchar(200) not null,
                until_at timestamp_ntz not null,
                cleared_at timestamp_ntz,
                cleared_by varchar(200),
                updated_at timestamp_ntz not null
                """,
            ),
        ),
        columns=((ENDPOINT_STATE, "disabled_by varchar(200)"),),
    ),
    Migration(
        version=11,
        columns=(
            (OUTBOX, "corrects_webhook_id varchar(36)"),
            (OUTBOX, "correction_number number(38, 0)"),
        ),
    ),
    Migration(version=12, columns=((ENDPOINT_OVERRIDES, "enterprise_customer_uuid varchar(36)"),)),
)
MESSAGE_COLUMNS = {
    "frozen_at": "timestamp_ntz",
    "enrichment_outcome": "varchar(32)",
    "learning_time_seconds": "number(38, 0)",
    "learning_time_computed_through": "timestamp_ntz",
    "body": "varchar",
}
"""Columns of ``webhook_messages`` besides ``webhook_id`` and ``build_id``; before version 7 they
were in the outbox, and they are dropped there in this order."""


def ensure_ledger(warehouse: Warehouse) -> int:
    """Create or migrate the ledger tables; returns their version. One statement if all are current.

    Safe to call from any number of processes at once: every statement has "if not exists", and a
    version is recorded as applied only after its tables exist. Each process records versions in
    order, so the highest one implies all below it.

    Raises:
        StatementFailed: a table can be neither read nor created; with the engine's error.
    """
    history = warehouse.relation("sync", MIGRATIONS_TABLE)
    try:
        version = _version(warehouse, history)
    except RelationMissing:
        _create_history(warehouse, history)
        version = _version(warehouse, history)
    for migration in MIGRATIONS:
        if migration.version > version:
            for table, columns in migration.tables:
                relation = warehouse.relation("sync", table)
                warehouse.execute(f"create table if not exists {relation} ({columns})")
            for table, column in migration.columns:
                relation = warehouse.relation("sync", table)
                warehouse.execute(f"alter table {relation} add column if not exists {column}")
            for table in migration.row_ids:
                relation = warehouse.relation("sync", table)
                warehouse.execute(
                    f"alter table {relation} add column if not exists row_id varchar(36)"
                )
                fill_row_ids(warehouse, table)
            for table, column in migration.dropped:
                _drop(warehouse, warehouse.relation("sync", table), column)
            if migration.moves_messages:
                _move_messages(warehouse)
            warehouse.execute(
                f"insert into {history} (version, applied_at) select ?, sysdate()"
                if not migration.mints_identity
                else f"insert into {history} (version, applied_at, ledger_id)"
                " select ?, sysdate(), ?",
                migration.version,
                *([str(uuid.uuid4())] if migration.mints_identity else []),
            )
            version = migration.version
    return version


def fill_row_ids(warehouse: Warehouse, table: str) -> None:
    """Give an id to rows without one: from an earlier version, or added manually."""
    warehouse.execute(
        f"update {warehouse.relation('sync', table)} set row_id = uuid_string()"
        " where row_id is null"
    )


def ledger_ids(warehouse: Warehouse) -> frozenset[str]:
    """The ids of this ledger: one, or several where first runs created it at the same time.

    Ids never change, and a clone has those of its original.

    Raises:
        StatementFailed: the ledger does not exist, or is of an earlier version.
    """
    history = warehouse.relation("sync", MIGRATIONS_TABLE)
    rows = warehouse.rows(f"select ledger_id from {history} where ledger_id is not null")
    return frozenset(row["ledger_id"] for row in rows)


def _move_messages(warehouse: Warehouse) -> None:
    """Move messages from the outbox to their own table. Can be interrupted and repeated.

    Whether everything was copied is known from the column that is dropped first. The table is
    created with its rows or not at all, so only one of several processes creates it; a body is
    emptied only where a message has it, and columns are dropped only when no body is left.
    """
    outbox = warehouse.relation("sync", OUTBOX)
    messages = warehouse.relation("sync", MESSAGES)
    first, *_ = MESSAGE_COLUMNS
    while first in _columns(warehouse, outbox):
        is_made = bool(_columns(warehouse, messages))
        try:
            if not _copy_messages(warehouse, outbox, messages, is_made=is_made):
                break
        except StatementFailed:
            # Another run may have been faster: the table now exists, or the column is gone.
            if first in _columns(warehouse, outbox) and is_made == bool(
                _columns(warehouse, messages)
            ):
                raise
    for name in MESSAGE_COLUMNS:
        warehouse.execute(f"alter table {outbox} drop column if exists {name}")
    is_replayed = f"outbox.state = '{State.DELIVERED}' and outbox.replay_id is not null"
    # An open row has a time, and a finished one has none: see ``due.IS_OPEN``.
    warehouse.execute(
        f"""
        update {outbox} as outbox
        set next_attempt_at = iff(
            outbox.state in {sql_list(FINISHED)}, null, outbox.recorded_at
        )
        where (outbox.next_attempt_at is null) <> (outbox.state in {sql_list(FINISHED)})
            and not ({is_replayed})
        """
    )


def _copy_messages(warehouse: Warehouse, outbox: str, messages: str, *, is_made: bool) -> bool:
    """Copy messages and empty the bodies in the outbox; returns whether a body is left there."""
    # Build ids in order of time; copies of a row share one only if they share the body.
    warehouse.execute(
        f"""
        update {outbox} as outbox
        set build_id = coalesce(outbox.frozen_at, outbox.updated_at)::varchar
            || '-' || left(md5(coalesce(outbox.body, '')), 8)
        where outbox.build_id is null
            and (
                outbox.body is not null
                or outbox.frozen_at is not null and outbox.state in {sql_list(FINISHED)}
            )
        """
    )
    copied = ", ".join(f"outbox.{name}::{kind} as {name}" for name, kind in MESSAGE_COLUMNS.items())
    built = f"""
        select
            outbox.webhook_id::varchar(36) as webhook_id,
            outbox.build_id::varchar(40) as build_id,
            {copied}
        from {outbox} as outbox
        where outbox.build_id is not null
        qualify row_number() over (
            partition by outbox.webhook_id, outbox.build_id order by outbox.body nulls last
        ) = 1
    """
    columns = ", ".join(MESSAGE_COLUMNS)
    warehouse.execute(
        f"create table {messages} as {built}"
        if not is_made
        # Messages that an older version built since the table was created, if it still runs.
        else f"""
        insert into {messages} (webhook_id, build_id, {columns})
        select built.webhook_id, built.build_id, {columns}
        from ({built}) as built
        where not exists (
            select 1 from {messages} as known
            where known.webhook_id = built.webhook_id and known.build_id = built.build_id
        )
        """
    )
    # Dropping alone changes only Snowflake's metadata, as for ``_drop``.
    warehouse.execute(
        f"""
        update {outbox} as outbox
        set body = null
        where outbox.body is not null
            and exists (
                select 1 from {messages} as known
                where known.webhook_id = outbox.webhook_id
                    and known.build_id = outbox.build_id
                    and known.body = outbox.body
            )
        """
    )
    return bool(warehouse.rows(f"select 1 from {outbox} where body is not null limit 1"))


def _drop(warehouse: Warehouse, relation: str, column: str) -> None:
    """Empty a column and drop it. Dropping alone changes only Snowflake's metadata: the column's
    data would stay in the table's files."""
    if column not in _columns(warehouse, relation):
        return
    try:
        warehouse.execute(f"update {relation} set {column} = null where {column} is not null")
        warehouse.execute(f"alter table {relation} drop column if exists {column}")
    except StatementFailed:
        # Another run may have been faster.
        if column in _columns(warehouse, relation):
            raise


def _columns(warehouse: Warehouse, relation: str) -> set[str]:
    """Names of a table's columns, in lower case; empty when it does not exist."""
    database, schema, table = relation.split(".")
    rows = warehouse.rows(
        f"select lower(column_name) as name from {database}.information_schema.columns"
        " where upper(table_schema) = ? and upper(table_name) = ?",
        schema.upper(),
        table.upper(),
    )
    return {row["name"] for row in rows}


def _version(warehouse: Warehouse, history: str) -> int:
    return warehouse.value(f"select coalesce(max(version), 0) as version from {history}")


def _create_history(warehouse: Warehouse, history: str) -> None:
    create = (
        f"create table if not exists {history} (version number(38, 0), applied_at timestamp_ntz)"
    )
    try:
        warehouse.execute(create)
    except StatementFailed:
        # Only now: Snowflake requires the privilege to create schemas even where this one exists,
        # and a delivery run's role need not have it (deploy/snowflake/setup.sql).
        warehouse.execute(f"create schema if not exists {history.rsplit('.', 1)[0]}")
        warehouse.execute(create)
