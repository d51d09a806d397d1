"""The only place that opens a connection to the warehouse."""

from __future__ import annotations

import json
import math
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, get_args

from sync.engine_errors import safe_text
from sync.errors import ConfigurationError, SyncError
from sync.settings import (
    EmbeddedWarehouse,
    ModelSchema,
    RawSchema,
    SnowflakeWarehouse,
    WarehouseSettings,
    model_relation,
    raw_relation,
)

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.errors import Error

LOGIN_TIMEOUT_SECONDS = 30
EMBEDDED_LOGIN_SECONDS = 5
STATEMENT_TIMEOUT_SECONDS = 240
NETWORK_PATIENCE = 1.25
"""Multiple of the statement timeout: how long one statement may take with the connector's own
retries, which by default never end. Above 1, so that Snowflake's own clear error comes first."""
SOCKET_TIMEOUT_SECONDS = 60
"""Longest silence from the warehouse; it responds to a running statement within 45 s."""
DOES_NOT_EXIST = 2003
"""Snowflake's code for "does not exist or not authorized"; the embedded engine uses it too."""
CANCELED = frozenset({604, 630})
"""Snowflake's codes for a statement stopped by request or by its timeout."""
LOCKED = frozenset({615, 625})
"""Snowflake's codes for a statement whose transaction was aborted
(github.com/snowflakedb/snowflake-connector-net/issues/560), and for one that did not get its
table's lock: too many statements wait for it (github.com/brooklyn-data/dbt_artifacts/issues/431),
or it waited for LOCK_TIMEOUT. The embedded engine uses the second for a conflict."""
LOCK_PATIENCE = 0.5
"""Multiple of the statement timeout for LOCK_TIMEOUT, whose default is twelve hours. Shorter than
the timeout, so that the error names the lock."""
LOCK_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 14.0)
"""Maximum seconds before each retry of a statement that was LOCKED."""
LOCK_RETRY_SECONDS = 30
"""No retry starts later than this, so a statement that waited for LOCK_TIMEOUT is not retried."""
NO_RESPONSE = frozenset({250001, 250002, 250003, 250005, 251011, *range(290_400, 290_600)})
"""The connector's codes for a connection that is refused, closed, failing or without a response,
and for HTTP statuses (290000 + status) that it retried in vain."""
NOT_IN_PYTHON = 252005
"""The connector's code for a row without a Python value, such as a time of the year 0 or 10000."""
_TIME_TYPES = frozenset({3, 4, 6, 7, 8, 12})
"""The connector's type codes of DATE, the four TIMESTAMP types and TIME."""
MEANING: Mapping[str, str | int | bool] = {
    "TIMEZONE": "UTC",
    "TIMESTAMP_INPUT_FORMAT": "AUTO",
    "DATE_INPUT_FORMAT": "AUTO",
    "TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_NTZ",
    "QUOTED_IDENTIFIERS_IGNORE_CASE": False,
    "ROWS_PER_RESULTSET": 0,
}
"""Parameters of every session, including dbt's, that change what a statement means: an account may
have other values. dbt's come from the user (``deploy/snowflake/setup.sql``). Snowflake may refuse a
parameter that is not in https://docs.snowflake.com/en/sql-reference/parameters."""
BULK_BIND_BYTES = 900_000
"""Snowflake truncates a statement's text in its history above 1 MB, including binds."""


# One shared encoder: ``json.dumps`` creates a new one for each row.
_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class WarehouseUnavailable(SyncError):
    """The warehouse could not be reached or refused the login."""


class StatementFailed(SyncError):
    """A statement was refused; the text is the engine's, without what could quote a row."""


class RelationMissing(StatementFailed):
    """A table or view does not exist, or the role may not see it."""


class StatementTimedOut(StatementFailed):
    """The warehouse stopped a statement at its time limit."""


class TableBlocked(StatementFailed):
    """Another transaction blocked a statement from its table; the statement changed nothing."""


class NoResponse(StatementFailed):
    """The warehouse did not respond to a statement in time, or the connection to it is gone."""


class Warehouse:
    """One open session in autocommit mode. Not thread-safe; open one per thread."""

    def __init__(
        self,
        settings: WarehouseSettings,
        connection: SnowflakeConnection,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings
        self._connection = connection
        self._sleep = sleep
        self._is_in_transaction = False
        self.statements = 0
        """Statements sent so far: a run's cost, which must grow with batches, not with rows."""

    def rows(self, sql: str, *binds: object) -> list[dict[str, Any]]:
        """Run a query; rows as dicts with lower-case keys. TIMESTAMP_NTZ arrives naive, in UTC.

        Raises:
            StatementFailed: the engine refused the statement or did not respond in time, or a row
                has a time outside the years 1 to 9999; the text names the columns to check.
        """
        cursor = self._run(sql, binds)
        names = [column.name.lower() for column in cursor.description]
        fetched = _completed(sql, cursor.fetchall, columns=cursor.description)
        return [dict(zip(names, row, strict=True)) for row in fetched]

    def value(self, sql: str, *binds: object) -> Any:
        """Run a query; returns the first value of its first row, or None without a row.

        Raises:
            StatementFailed: as for ``rows``.
        """
        rows = self.rows(sql, *binds)
        return next(iter(rows[0].values())) if rows else None

    def execute(self, sql: str, *binds: object) -> int:
        """Run a statement; returns how many rows it changed.

        Raises:
            StatementFailed: as for ``rows``.
        """
        return self._run(sql, binds).rowcount or 0

    def bulk(
        self,
        sql: str,
        rows: Iterable[Mapping[str, object]],
        *,
        before: tuple[object, ...] = (),
        after: tuple[object, ...] = (),
    ) -> int:
        """Run ``sql`` once per chunk of rows; returns how many rows it changed in total.

        The statement reads its chunk with ``json_rows``; ``before`` and ``after`` are the binds
        around that one. One JSON bind per chunk is the only bulk write that is fast on both
        engines: array binding costs the embedded one 2.7 ms per row.
        """
        return sum(self.execute(sql, *before, chunk, *after) for chunk in json_chunks(rows))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements inside commit together or not at all."""
        self.execute("begin")
        self._is_in_transaction = True
        try:
            yield
            self.execute("commit")
        except BaseException:
            # The first error shows what happened; on a lost connection the rollback fails too.
            with suppress(StatementFailed):
                self.execute("rollback")
            raise
        finally:
            self._is_in_transaction = False

    def relation(self, schema: ModelSchema, table: str) -> str:
        """Qualified name of a mart or a ledger table."""
        return model_relation(self.settings, schema, table)

    def raw_relation(self, schema: RawSchema, table: str) -> str:
        """Qualified name of a replicated table."""
        return raw_relation(schema, table)

    def _run(self, sql: str, binds: tuple[object, ...]) -> Any:
        """Send a statement; retry it with backoff and jitter when it did not get its lock.

        That is safe for every statement here, unlike after a lost response: an aborted statement
        changed nothing. Claiming and settling check their conditions again on the current row, and
        an INSERT checks again for existing rows. In a transaction with several statements, the
        caller must restart it.
        """
        started = time.monotonic()
        for pause in (*LOCK_PAUSES, None):
            self.statements += 1
            try:
                return _completed(
                    sql, lambda: self._connection.cursor().execute(sql, binds or None)
                )
            except TableBlocked:
                is_late = time.monotonic() - started > LOCK_RETRY_SECONDS
                if pause is None or is_late or self._is_in_transaction:
                    raise
            self._sleep(random.uniform(pause / 2, pause))
        raise AssertionError("unreachable: the last attempt returns or raises")


def _completed(sql: str, call: Callable[[], Any], *, columns: Sequence[Any] = ()) -> Any:
    """The call's result; its errors become ours, without anything that could quote a row."""
    import snowflake.connector.errors as errors

    try:
        return call()
    except errors.Error as error:
        failure = _failed(sql, error, columns)
    # Outside the handler: otherwise a traceback would print the engine's own text as the context.
    raise failure


def _what_makes_it(sql: str) -> str:
    """How to create the relation that a statement did not find."""
    asked = sql.lower()
    if any(raw_relation(schema, "").lower() in asked for schema in get_args(RawSchema)):
        return (
            "If it is a raw table, check the replication of the LMS, the names in the vars of "
            "dbt_project.yml, and the role's privileges; on a laptop run `ltw warehouse start`"
        )
    return "If it is a mart, build the models first: run learning_time_job, or `dbt build`"


def _failed(sql: str, error: Error, columns: Sequence[Any]) -> StatementFailed:
    said = safe_text(str(error.msg), code=error.errno, state=error.sqlstate, sql=sql)
    text = f"statement '{sql.strip().splitlines()[0][:80]}…' failed: {said}"
    if error.errno == NOT_IN_PYTHON:
        times = [one.name.lower() for one in columns if one.type_code in _TIME_TYPES]
        return StatementFailed(
            f"{text}. A row has a time outside the years 1 to 9999 in one of its columns "
            f"({', '.join(times)}); find it there with `< '0001-01-02'` or `> '9999-12-30'` and "
            "correct or delete it"
        )
    if error.errno == DOES_NOT_EXIST:
        return RelationMissing(f"{text} {_what_makes_it(sql)}")
    if error.errno in CANCELED:
        return StatementTimedOut(text)
    if error.errno in LOCKED:
        return TableBlocked(
            f"{text} Nothing was changed, and the next run repeats it. An open transaction holds "
            "the table: `show locks in account`, as ACCOUNTADMIN, names it, and `select "
            "system$abort_transaction(<transaction>)` ends it. Snowflake ends it by itself once it "
            "has been idle for 5 minutes, such as that of a client which was killed"
        )
    if error.errno in NO_RESPONSE:
        return NoResponse(text)
    return StatementFailed(text)


def json_chunks(
    rows: Iterable[Mapping[str, object]], limit: int = BULK_BIND_BYTES
) -> Iterator[str]:
    """JSON arrays of at most ``limit`` bytes, or of one row if that row alone is larger."""
    chunk: list[str] = []
    size = 0
    for row in rows:
        text = _json(row)
        length = len(text.encode("utf-8")) + 1
        if chunk and size + length > limit:
            yield f"[{','.join(chunk)}]"
            chunk, size = [], 0
        chunk.append(text)
        size += length
    if chunk:
        yield f"[{','.join(chunk)}]"


def json_rows(
    *, text: str = "", number: str = "", real: str = "", time: str = "", boolean: str = ""
) -> str:
    """A query in parentheses for the rows of one bind of ``json_chunks``.

    Each argument names the columns of one type, which are keys of a row, separated by spaces.
    """
    kinds = {
        "varchar": text,
        "number(38, 0)": number,
        "float": real,
        "varchar::timestamp_ntz": time,
        "boolean": boolean,
    }
    columns = ", ".join(
        f"value:{name}::{kind} as {name}" for kind, names in kinds.items() for name in names.split()
    )
    return f"(select {columns} from table(flatten(input => parse_json(?))))"


@contextmanager
def open_warehouse(
    settings: WarehouseSettings,
    *,
    purpose: str,
    statement_timeout_seconds: int = STATEMENT_TIMEOUT_SECONDS,
) -> Iterator[Warehouse]:
    """Connect, and close at the end. ``purpose`` becomes the query tag.

    A statement that takes longer than ``statement_timeout_seconds``, including time in the queue,
    fails; so does one without a response for ``NETWORK_PATIENCE`` times as long.

    Raises:
        WarehouseUnavailable: no response, or the login was refused; names what to check.
        ConfigurationError: the private key cannot be read.
    """
    import snowflake.connector
    import snowflake.connector.errors as errors

    arguments = connect_arguments(
        settings, purpose=purpose, statement_timeout_seconds=statement_timeout_seconds
    )
    if isinstance(settings, EmbeddedWarehouse):
        keep_loopback_direct(os.environ)
    silence = arguments["socket_timeout"]
    # A login is confirmed quickly or never; its own timeout does not end a wait for a response.
    arguments["socket_timeout"] = min(silence, arguments["login_timeout"])
    try:
        connection = snowflake.connector.connect(**arguments)
    except (errors.Error, OSError) as error:
        raise WarehouseUnavailable(_unavailable(settings, error)) from error
    vars(connection)["_socket_timeout"] = silence
    try:
        yield Warehouse(settings, connection)
    finally:
        connection.close()


def keep_loopback_direct(environ: MutableMapping[str, str]) -> None:
    """Exempt loopback from this environment's proxy, for the connector and for dbt and Dagster,
    which inherit the environment. No proxy reaches this machine's own ports."""
    spelled = {name.lower(): value for name, value in environ.items() if value}
    if not spelled.keys() & {"http_proxy", "all_proxy"}:
        return
    known = [one.strip() for one in spelled.get("no_proxy", "").split(",") if one.strip()]
    excepted = ",".join(dict.fromkeys([*known, "127.0.0.1", "localhost"]))
    environ["NO_PROXY"] = environ["no_proxy"] = excepted


def connect_arguments(
    settings: WarehouseSettings,
    *,
    purpose: str,
    statement_timeout_seconds: int = STATEMENT_TIMEOUT_SECONDS,
) -> dict[str, Any]:
    """Arguments of ``snowflake.connector.connect``, the same for both engines but the address."""
    network_timeout = math.ceil(statement_timeout_seconds * NETWORK_PATIENCE)
    common: dict[str, Any] = {
        "database": settings.database,
        "schema": settings.schema,
        "paramstyle": "qmark",
        "autocommit": True,
        "login_timeout": LOGIN_TIMEOUT_SECONDS,
        "network_timeout": network_timeout,
        "socket_timeout": min(network_timeout, SOCKET_TIMEOUT_SECONDS),
        "application": "learning_time_webhooks",
        "log_imported_packages_in_telemetry": False,
        "session_parameters": {
            **MEANING,
            "QUERY_TAG": f"learning-time-webhooks:{purpose}",
            "STATEMENT_TIMEOUT_IN_SECONDS": statement_timeout_seconds,
            "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS": statement_timeout_seconds,
            "LOCK_TIMEOUT": math.ceil(statement_timeout_seconds * LOCK_PATIENCE),
        },
    }
    match settings:
        case EmbeddedWarehouse():
            return common | {
                "account": "embedded",
                "user": "embedded",
                "password": "embedded",
                "host": "127.0.0.1",
                "port": settings.port,
                "protocol": "http",
                "login_timeout": EMBEDDED_LOGIN_SECONDS,
                # Otherwise each login queries the metadata services of three clouds.
                "platform_detection_timeout_seconds": 0.0,
            }
        case SnowflakeWarehouse():
            return common | {
                "account": settings.account,
                "user": settings.user,
                "role": settings.role,
                "warehouse": settings.warehouse,
                "authenticator": "SNOWFLAKE_JWT",
                "private_key": private_key_der(settings),
                # Without one the connector derives it from the account.
                **({"host": settings.host} if settings.host else {}),
            }


def private_key_der(settings: SnowflakeWarehouse) -> bytes:
    """The user's key as PKCS#8 DER, the form the connector takes.

    A literal ``\\n`` in an environment value is read as a line break: secret managers write it that
    way.

    Raises:
        ConfigurationError: no such file, not a PEM key, or the wrong passphrase.
    """
    from pathlib import Path

    from cryptography.hazmat.primitives import serialization

    name = "SNOWFLAKE_PRIVATE_KEY" if settings.private_key else "SNOWFLAKE_PRIVATE_KEY_PATH"
    try:
        if settings.private_key:
            pem = settings.private_key.replace("\\n", "\n").encode("utf-8")
        else:
            pem = Path(settings.private_key_path).read_bytes()
        passphrase = settings.private_key_passphrase.encode("utf-8") or None
        key = serialization.load_pem_private_key(pem, password=passphrase)
    except OSError as error:
        raise ConfigurationError(f"{name}: cannot read the file: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{name}: not a PEM private key, or SNOWFLAKE_PRIVATE_KEY_PASSPHRASE does not match it"
        ) from error
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _unavailable(settings: WarehouseSettings, error: Exception) -> str:
    match settings:
        case EmbeddedWarehouse():
            return (
                f"the embedded warehouse does not respond on 127.0.0.1:{settings.port}. Start it "
                "with `learning-time-webhooks warehouse start`, or set LTW_WAREHOUSE_PORT to the "
                "port it listens on"
            )
        case SnowflakeWarehouse():
            return (
                f"cannot log in to Snowflake account {settings.account} as {settings.user} "
                f"({error}). Check SNOWFLAKE_ACCOUNT, SNOWFLAKE_HOST, SNOWFLAKE_USER, the key "
                "pair, SNOWFLAKE_ROLE and the network policy"
            )
