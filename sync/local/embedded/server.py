"""Snowflake's HTTP protocol on DuckDB: fakesnow's server with ten of its defects fixed.

The stock server (0.12.1) returns a NULL timestamp as 1970; responds to an unsupported expression
with HTTP 500, which the connector retries without limit; keeps its databases in memory; keeps every
result indefinitely; gives up on the first update conflict; sends nothing until a statement ends, so
the connector resends one that takes more than a minute; translates a repeated statement again;
plans each statement a second time to name its columns; explains a statement untranslated; and
interprets two functions differently from Snowflake (``mean_as_snowflake``). Each fix has a test in
``tests/integration/test_embedded_warehouse.py``, or a pin that names it; the version is pinned
because the fixes depend on its internals.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from socket import socket
from string import Template
from types import FrameType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

HOST = "127.0.0.1"
SERVICE = "learning-time-webhooks embedded warehouse"
DATABASES = ("ANALYTICS", "RAW")
KEPT_TRANSLATIONS = 1_000
"""Translated statements kept; a dbt build plus a delivery run have half as many texts."""
KEPT_RESULTS = 50
"""Results kept for a later fetch by id; each is a whole table in memory."""
CONFLICT_ATTEMPTS = 12
"""Exponential backoff from 2 ms to 0.2 s: about a second in total before a conflict is reported."""
ANSWER_WITHIN_SECONDS = 45.0
"""How long a request may stay open: the same as Snowflake, below the connector's 60 s."""
IN_PROGRESS = "333334"
"""Snowflake's code for a statement that is still running; the connector then polls its result."""
SESSION_SETTINGS = [r"^alter session", r"^grant ", r"^use (warehouse|role|secondary)"]
"""Statements that have no effect here; they succeed and do nothing."""


TO_TIMESTAMP = Template("""
    create or replace macro ${catalog}._fs_to_timestamp(val, scale) as (
        coalesce(
            to_timestamp(try_cast(val as bigint) / 10 ** scale)::timestamp, cast(val as timestamp)
        )
    )
""")
"""fakesnow's macro for reading a time, at half the length: each use is planned again with each
statement, which took half of the time of a statement with many times."""


class Newest(OrderedDict[Any, Any]):
    """The newest ``limit`` entries."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        while len(self) > self._limit:
            self.popitem(last=False)


class Translations:
    """Statements translated for DuckDB, by their text and the session's database and schema.

    sqlglot parses a statement twice and walks its tree 70 times: 5 ms for a short one, half a
    second for a model. The cached trees are shared, so no code may change them.
    """

    def __init__(self, cursor: Any, parse: Callable[[str], Any], write: Callable[..., str]) -> None:
        self._parse, self._write = parse, write
        self._split, self._transform = cursor._transform_explode, cursor._transform
        self._parsed = Newest(KEPT_TRANSLATIONS)
        self._translated = Newest(KEPT_TRANSLATIONS)

    def parsed(self, text: str) -> Any:
        """The tree of a Snowflake statement."""
        if (statement := self._parsed.get(text)) is None:
            statement = self._parse(text)
            mean_as_snowflake(statement)
            statement.meta["text"] = text
            self._parsed[text] = statement
        return statement

    def split(self, cursor: Any, statement: Any) -> list[Any]:
        """What DuckDB runs for a statement; already translated where the translation is cached."""
        if statement.key == "command" and statement.this.upper() == "EXPLAIN":
            return self._explained(cursor, statement)
        if not self._is_lasting(statement):
            return self._split(cursor, statement.copy())
        key = (statement.meta["text"], cursor._conn.database, cursor._conn.schema)
        if (translated := self._translated.get(key)) is None:
            parts = self._split(cursor, statement.copy())
            translated = [self._transform(cursor, part, None) for part in parts]
            for part in translated:
                part.meta["translated"] = True
                # With the id of its tree: a copy of the tree may be changed, and has this copied.
                part.meta["written"] = (id(part), part.sql(dialect="duckdb"))
            self._translated[key] = translated
        return translated

    def translated(self, cursor: Any, statement: Any, params: Any) -> Any:
        """A part of ``split``, translated."""
        if statement.meta.get("translated"):
            return statement
        return self._transform(cursor, statement, params)

    def written(self, dialect: Any, statement: Any, copy: bool = True, **options: Any) -> str:
        """A part's text for DuckDB; generating it takes as long as running a short statement."""
        owner, text = statement.meta.get("written", (None, ""))
        if owner == id(statement) and not options:
            return text
        return self._write(dialect, statement, copy=copy, **options)

    def _explained(self, cursor: Any, statement: Any) -> list[Any]:
        """EXPLAIN of what DuckDB would run; the parser treats the statement after it as a text."""
        parts = [
            type(statement)(
                this="EXPLAIN",
                expression=self.translated(cursor, part, None).sql(dialect="duckdb"),
            )
            for part in self.split(cursor, self.parsed(statement.expression.name))
        ]
        for part in parts:
            part.meta["translated"] = True
        return parts

    @staticmethod
    def _is_lasting(statement: Any) -> bool:
        """Whether the translation depends only on the key: not on a bind, and not on a table."""
        import sqlglot.expressions

        exp: Any = sqlglot.expressions
        if isinstance(statement, exp.Create) and isinstance(statement.this, exp.Schema):
            query = statement.expression and statement.expression.unnest()
            if query and query.is_star:
                return False
        kinds = exp.Query | exp.DML | exp.Create | exp.Drop | exp.Alter
        return isinstance(statement, kinds) and "identifier(" not in statement.meta["text"].lower()


def mean_as_snowflake(statement: Any) -> None:
    """Make functions behave as in Snowflake; each has a pin marked ``CURED``.

    ``uuid_string`` reads a NULL name as the empty one, and a number as its text. For a duplicate
    key ``try_parse_json(…, 'd')`` keeps the last value; it also sorts the keys.
    """
    import sqlglot.expressions

    exp: Any = sqlglot.expressions
    for call in list(statement.find_all(exp.Uuid)):
        if name := call.args.get("name"):
            text = exp.cast(name, "varchar")
            call.set("name", exp.Coalesce(this=text, expressions=[exp.Literal.string("")]))
    # By name: the type itself would become JSON, which the engine stores as text.
    variant = exp.DataType(this=exp.DataType.Type.USERDEFINED, kind="VARIANT")
    for call in list(statement.find_all(exp.ParseJSON)):
        if call.args.get("safe"):
            document = exp.TryCast(this=call.this, to=exp.DataType.build("json"))
            whole = exp.Cast(this=document, to=variant.copy())
            call.replace(exp.Cast(this=whole, to=exp.DataType.build("json")))


class Columns:
    """Columns of the newest results, by query id, as DuckDB returns them with the result."""

    def __init__(self, cursor: Any) -> None:
        self._execute = cursor._execute
        self._columns = Newest(KEPT_RESULTS)

    def execute(self, cursor: Any, statement: Any, params: Any = None) -> None:
        """Run a statement; one that returns an earlier result again takes over its id."""
        self._execute(cursor, statement, params)
        if cursor._sfqid not in self._columns:
            self._columns[cursor._sfqid] = [
                (name, str(kind), None, None, None, None)
                for name, kind, *_ in cursor._duck_conn.description
            ]

    def of(self, cursor: Any) -> list[tuple[object, ...]]:
        """Rows like those of ``describe``, for a cursor's newest statement."""
        return self._columns[cursor._sfqid]


def once(ask: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Call once per tree kept by ``Translations``: each call builds the scopes of all queries."""

    def asked(statement: Any) -> Any:
        if "asked" not in statement.meta:
            statement.meta["asked"] = ask(statement)
        return statement.meta["asked"]

    return asked


def null_safe(encode: Callable[..., Any]) -> Callable[..., Any]:
    """Keep NULL timestamps NULL on the wire: the encoder drops the validity mask of its input."""
    import pyarrow as pa

    def encoded(timestamps: Any) -> Any:
        if isinstance(timestamps, pa.ChunkedArray):
            timestamps = timestamps.combine_chunks()
        struct = encode(timestamps)
        return pa.StructArray.from_arrays(
            struct.flatten(), fields=list(struct.type), mask=timestamps.is_null()
        )

    return encoded


def final(call: Callable[..., Any], attempts: int = 1) -> Callable[..., Any]:
    """Turn engine errors into failed statements, and retry update conflicts."""
    import duckdb
    from snowflake.connector.errors import Error, ProgrammingError

    def called(*args: Any, **kwargs: Any) -> Any:
        for attempt in range(attempts):
            try:
                return call(*args, **kwargs)
            except Error:
                raise
            except duckdb.TransactionException as error:
                if attempt + 1 == attempts or "onflict" not in str(error):
                    raise ProgrammingError(msg=str(error), errno=625, sqlstate="57014") from error
                time.sleep(min(0.2, 0.002 * 2**attempt))
            except Exception as error:
                text = f"{type(error).__name__}: {error}"
                raise ProgrammingError(msg=text, errno=1003, sqlstate="42000") from error
        raise AssertionError("unreachable: the last attempt returns or raises")

    return called


class RunningStatements:
    """Statements that were still running when their request got a response, by id in the URL."""

    def __init__(self, handle: Callable[[Request], Awaitable[Response]]) -> None:
        self._handle = handle
        self._tasks: dict[str, asyncio.Future[Response]] = {}

    async def start(self, request: Request) -> Response:
        """Run a statement; returns its result, or the URL to poll for it."""
        return await self._answer(uuid4().hex, asyncio.ensure_future(self._handle(request)))

    async def result(self, request: Request) -> Response:
        """Wait for a statement; 404 if its result was already fetched or the server restarted."""
        from starlette.responses import Response

        key = request.path_params["key"]
        task = self._tasks.pop(key, None)
        return Response(status_code=404) if task is None else await self._answer(key, task)

    async def _answer(self, key: str, task: asyncio.Future[Response]) -> Response:
        from starlette.responses import JSONResponse

        await asyncio.wait({task}, timeout=ANSWER_WITHIN_SECONDS)
        if task.done():
            return task.result()
        self._tasks[key] = task
        data = {"queryId": key, "getResultUrl": f"/queries/{key}/result"}
        return JSONResponse({"code": IN_PROGRESS, "data": data, "message": None, "success": False})


def application(directory: Path) -> Any:
    """The server's Starlette application on the database files in ``directory``."""
    import fakesnow.arrow
    import fakesnow.checks
    import fakesnow.cursor
    import fakesnow.macros
    import fakesnow.server
    import sqlglot.dialects.duckdb
    from fakesnow.instance import FakeSnow
    from starlette.responses import JSONResponse
    from starlette.routing import Route, request_response

    fakesnow.macros.FS_TO_TIMESTAMP = TO_TIMESTAMP
    server: Any = fakesnow.server
    cursors: Any = fakesnow.cursor
    checks: Any = fakesnow.checks
    directory.mkdir(parents=True, exist_ok=True)
    store = FakeSnow(db_path=directory, nop_regexes=SESSION_SETTINGS)
    store.results_cache = Newest(KEPT_RESULTS)
    existing = {path.stem for path in directory.glob("*.db")}
    for database in sorted({*DATABASES, *existing}):
        store.connect(database)
    server.shared_fs = store

    fakesnow.arrow.timestamp_to_sf_struct = null_safe(fakesnow.arrow.timestamp_to_sf_struct)
    cursor = cursors.FakeSnowflakeCursor
    duckdb: Any = sqlglot.dialects.duckdb.DuckDB
    known = Translations(cursor, server.parse_one, duckdb.generate)
    columns = Columns(cursor)
    duckdb.generate = lambda dialect, *given, **options: known.written(dialect, *given, **options)
    server.parse_one = final(known.parsed)
    server.describe_as_rowtype = final(server.describe_as_rowtype)
    server.to_sf = final(server.to_sf)
    cursors.parse_one = known.parsed
    cursor._transform_explode = lambda self, statement: known.split(self, statement)
    cursor._transform = lambda self, statement, params: known.translated(self, statement, params)
    cursor._execute = lambda self, *given: columns.execute(self, *given)
    cursor._describe_last_sql = lambda self: columns.of(self)
    cursor.execute = final(cursor.execute, CONFLICT_ATTEMPTS)

    checks.is_unqualified_table_expression = once(checks.is_unqualified_table_expression)
    inline = cursor._inline_variables
    cursor._inline_variables = lambda self, text: inline(self, text) if "$" in text else text

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"service": SERVICE, "pid": os.getpid(), "directory": str(directory)})

    app: Any = server.app
    statements = RunningStatements(server.query_request)
    (queries,) = (route for route in app.routes if route.path == "/queries/v1/query-request")
    queries.app = request_response(statements.start)
    app.routes.append(Route("/queries/{key}/result", statements.result))
    app.routes.append(Route("/health", health))
    return app


def serve(port: int, directory: Path) -> None:
    """Serve until told to stop; statements still running then are interrupted and fail."""
    import fakesnow.server
    import uvicorn
    from fakesnow.transforms.stage import LOCAL_BUCKET_PATH

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            super().handle_exit(sig, frame)
            for session in fakesnow.server.sessions.values():
                session._duck_conn.interrupt()

        async def shutdown(self, sockets: list[socket] | None = None) -> None:
            # A temporary directory for stage files, which nothing else removes.
            shutil.rmtree(LOCAL_BUCKET_PATH, ignore_errors=True)
            await super().shutdown(sockets)

    app = application(directory)
    # Each garbage collection scans everything kept: modules and the trees of all statements.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    Server(uvicorn.Config(app, host=HOST, port=port, log_level="warning")).run()
