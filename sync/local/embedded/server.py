"""Snowflake's HTTP protocol on DuckDB, from fakesnow's server with five of its traps cured.

The stock server (0.12.1) returns a NULL timestamp as 1970, answers an unsupported expression with
HTTP 500, which the connector repeats without limit, keeps its databases in memory, keeps every
result for ever, and gives up on the first update conflict. Each cure has a test in
``tests/integration/test_embedded_warehouse.py``; the version is pinned because the cures lean on
its internals.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
SERVICE = "learning-time-webhooks embedded warehouse"
DATABASES = ("ANALYTICS", "RAW")
KEPT_RESULTS = 50
"""Results kept for a later fetch by id; each is a whole table in memory."""
CONFLICT_ATTEMPTS = 12
"""Doubling pauses from 2 ms to 0.2 s: about a second in all before a conflict is reported."""
SESSION_SETTINGS = [r"^alter session", r"^grant ", r"^use (warehouse|role|secondary)"]
"""Statements without a meaning here; they succeed and do nothing."""


class BoundedResults(OrderedDict[str, Any]):
    """The newest ``KEPT_RESULTS`` results by query id."""

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        while len(self) > KEPT_RESULTS:
            self.popitem(last=False)


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


def application(directory: Path) -> Any:
    """The server's Starlette application on the database files in ``directory``."""
    import fakesnow.arrow
    import fakesnow.server
    from fakesnow.cursor import FakeSnowflakeCursor as Cursor
    from fakesnow.instance import FakeSnow
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    server: Any = fakesnow.server
    directory.mkdir(parents=True, exist_ok=True)
    store = FakeSnow(db_path=directory, nop_regexes=SESSION_SETTINGS)
    store.results_cache = BoundedResults()
    existing = {path.stem for path in directory.glob("*.db")}
    for database in sorted({*DATABASES, *existing}):
        store.connect(database)
    server.shared_fs = store

    fakesnow.arrow.timestamp_to_sf_struct = null_safe(fakesnow.arrow.timestamp_to_sf_struct)
    server.parse_one = final(server.parse_one)
    server.describe_as_rowtype = final(server.describe_as_rowtype)
    server.to_sf = final(server.to_sf)
    cursor: Any = Cursor
    cursor.execute = final(cursor.execute, CONFLICT_ATTEMPTS)
    cursor._describe_last_sql = final(cursor._describe_last_sql)

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"service": SERVICE, "pid": os.getpid(), "directory": str(directory)})

    app: Any = server.app
    app.routes.append(Route("/health", health))
    return app


def serve(port: int, directory: Path) -> None:
    """Serve until told to stop."""
    import uvicorn

    uvicorn.run(application(directory), host=HOST, port=port, log_level="warning")
