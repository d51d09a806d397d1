"""Snowflake's HTTP protocol on DuckDB, from fakesnow's server with ten of its traps fixed.

The stock server (0.12.1) returns a NULL timestamp as 1970, responds to an unsupported expression
with HTTP 500, which the connector repeats without limit, keeps its databases in memory, keeps
every result for ever, gives up on the first update conflict, is silent until a statement ends, so
that the connector sends one of more than a minute again, translates a repeated statement anew,
plans each statement a second time to name its columns, explains what it has not translated, and
reads two functions otherwise than Snowflake (``mean_as_snowflake``). Each fix has a test in
``tests/integration/test_embedded_warehouse.py``, or a pin that says so; the version is pinned
because the fixes lean on its internals.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
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
"""Statements kept as DuckDB takes them; a dbt build and a delivery run have half as many texts."""
KEPT_RESULTS = 50
"""Results kept for a later fetch by id; each is a whole table in memory."""
CONFLICT_ATTEMPTS = 12
"""Doubling pauses from 2 ms to 0.2 s: about a second in all before a conflict is reported."""
ANSWER_WITHIN_SECONDS = 45.0
"""How long a request may stay open: Snowflake's own time, below the connector's 60 s."""
IN_PROGRESS = "333334"
"""Snowflake's code for a statement that still runs; the connector then asks for its result."""
SESSION_SETTINGS = [r"^alter session", r"^grant ", r"^use (warehouse|role|secondary)"]
"""Statements without a meaning here; they succeed and do nothing."""


TO_TIMESTAMP = Template("""
    create or replace macro ${catalog}._fs_to_timestamp(val, scale) as (
        coalesce(
            to_timestamp(try_cast(val as bigint) / 10 ** scale)::timestamp, cast(val as timestamp)
        )
    )
""")
"""What reads a time, by fakesnow's name for it, in half the words: each of its uses is planned anew
with each statement, which took half of the time of a statement with many times."""


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
    """Statements as DuckDB takes them, by their text and the session's database and schema.

    sqlglot parses a statement twice and walks its tree 70 times: 5 ms for a short one, half a
    second for a model. The trees kept here are shared: nothing may change one.
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
        """What DuckDB is to run for a statement; translated already where that can be kept."""
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
                # With whose text it is: a copy of the tree may be changed, and copies this too.
                part.meta["written"] = (id(part), part.sql(dialect="duckdb"))
            self._translated[key] = translated
        return translated

    def translated(self, cursor: Any, statement: Any, params: Any) -> Any:
        """A part of ``split``, translated."""
        if statement.meta.get("translated"):
            return statement
        return self._transform(cursor, statement, params)

    def written(self, dialect: Any, statement: Any, copy: bool = True, **options: Any) -> str:
        """The text of a part for DuckDB; writing it anew takes as long as running a short one."""
        owner, text = statement.meta.get("written", (None, ""))
        if owner == id(statement) and not options:
            return text
        return self._write(dialect, statement, copy=copy, **options)

    def _explained(self, cursor: Any, statement: Any) -> list[Any]:
        """EXPLAIN of what DuckDB would run; the parser takes what stands behind it for a text."""
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
        """Whether the translation depends on nothing but the key: not on a bind, nor on a table."""
        import sqlglot.expressions

        exp: Any = sqlglot.expressions
        if isinstance(statement, exp.Create) and isinstance(statement.this, exp.Schema):
            query = statement.expression and statement.expression.unnest()
            if query and query.is_star:
                return False
        kinds = exp.Query | exp.DML | exp.Create | exp.Drop | exp.Alter
        return isinstance(statement, kinds) and "identifier(" not in statement.meta["text"].lower()


def mean_as_snowflake(statement: Any) -> None:
    """Have functions mean what they mean there; each has a pin that says ``CURED``.

    ``uuid_string`` reads a name that is NULL as the empty one, and a number as its text. Of two
    values of one key ``try_parse_json(…, 'd')`` keeps the last, and sorts the keys.
    """
    import sqlglot.expressions

    exp: Any = sqlglot.expressions
    for call in list(statement.find_all(exp.Uuid)):
        if name := call.args.get("name"):
            text = exp.cast(name, "varchar")
            call.set("name", exp.Coalesce(this=text, expressions=[exp.Literal.string("")]))
    # By its name: the type itself would become JSON, which the engine keeps as text.
    variant = exp.DataType(this=exp.DataType.Type.USERDEFINED, kind="VARIANT")
    for call in list(statement.find_all(exp.ParseJSON)):
        if call.args.get("safe"):
            document = exp.TryCast(this=call.this, to=exp.DataType.build("json"))
            whole = exp.Cast(this=document, to=variant.copy())
            call.replace(exp.Cast(this=whole, to=exp.DataType.build("json")))


class Columns:
    """Columns of the newest results, by query id, as DuckDB names them with the result itself."""

    def __init__(self, cursor: Any) -> None:
        self._execute = cursor._execute
        self._columns = Newest(KEPT_RESULTS)

    def execute(self, cursor: Any, statement: Any, params: Any = None) -> None:
        """Run a statement; one that shows an earlier result again takes over that one's id."""
        self._execute(cursor, statement, params)
        if cursor._sfqid not in self._columns:
            self._columns[cursor._sfqid] = [
                (name, str(kind), None, None, None, None)
                for name, kind, *_ in cursor._duck_conn.description
            ]

    def of(self, cursor: Any) -> list[tuple[object, ...]]:
        """Rows as of ``describe``, for the newest statement of a cursor."""
        return self._columns[cursor._sfqid]


def once(ask: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Ask once of each tree that ``Translations`` keeps: the scopes of all its queries are made."""

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
    """Turn engine errors into failed statements, and let update conflicts wait their turn."""
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
    """Statements whose requests got a response before they had ended, by the id in their URL."""

    def __init__(self, handle: Callable[[Request], Awaitable[Response]]) -> None:
        self._handle = handle
        self._tasks: dict[str, asyncio.Future[Response]] = {}

    async def start(self, request: Request) -> Response:
        """Run a statement; its result, or where to ask for it."""
        return await self._answer(uuid4().hex, asyncio.ensure_future(self._handle(request)))

    async def result(self, request: Request) -> Response:
        """Wait on for a statement; 404 when its result was fetched or the server is a new one."""
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
    """Serve until told to stop; statements that still run then are interrupted and fail."""
    import fakesnow.server
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            super().handle_exit(sig, frame)
            for session in fakesnow.server.sessions.values():
                session._duck_conn.interrupt()

    app = application(directory)
    # A collection walks over everything that is kept: modules, and the trees of all statements.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    Server(uvicorn.Config(app, host=HOST, port=port, log_level="warning")).run()
