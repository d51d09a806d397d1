"""Runs large libraries without coverage's tracer, which slows each of their lines by half.

Coverage measures ``sync`` and ``orchestration``, but the interpreter calls it at every line. The
calls wrapped here never reach those two packages, so none of their lines is missed.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from functools import wraps
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

from snowflake.connector.connection import SnowflakeConnection
from snowflake.connector.cursor import SnowflakeCursor
from snowflake.connector.vendored.requests import sessions

P = ParamSpec("P")
R = TypeVar("R")
PATIENCE = 1_000
PROXIES = [form(f"{name}_proxy") for name in ("http", "https", "all") for form in (str, str.upper)]
OURS = frozenset({"orchestration", "sync", "tests"})
"""Measured packages, and packages that import them."""


def untraced(call: Callable[P, R]) -> Callable[P, R]:
    """The call, without coverage."""

    # Not a context manager: tracing must stop and restart in one frame, or coverage loses count.
    @wraps(call)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        tracer = sys.gettrace()
        if tracer is None:
            return call(*args, **kwargs)
        _trace_by(None)
        try:
            return call(*args, **kwargs)
        finally:
            _trace_by(tracer)

    return called


def _trace_by(tracer: Any) -> None:
    """Python 3.11 refuses this while another thread does the same."""
    for _ in range(PATIENCE):
        try:
            sys.settrace(tracer)
            return
        except RuntimeError:
            time.sleep(0.001)
    sys.settrace(tracer)


def untraced_with_its_threads(call: Callable[P, R]) -> Callable[P, R]:
    """The same for a call that starts threads; no other thread may start any during it."""

    @wraps(call)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        tracer = threading.gettrace()
        threading.settrace(None)  # pyright: ignore[reportArgumentType]
        try:
            return untraced(call)(*args, **kwargs)
        finally:
            threading.settrace(tracer)  # pyright: ignore[reportArgumentType]

    return called


def leave_imports_untraced() -> None:
    """Imports of libraries, which are a third of each worker's collection time."""
    traced = SourceFileLoader.exec_module
    bare = untraced(traced)

    def exec_module(self: SourceFileLoader, module: ModuleType) -> None:
        ours = module.__name__.partition(".")[0] in OURS
        (traced if ours else bare)(self, module)

    SourceFileLoader.exec_module = exec_module


def leave_the_connector_untraced() -> None:
    """The connector, which accounts for nearly all of a statement's cost in this process."""
    SnowflakeConnection.__init__ = untraced(SnowflakeConnection.__init__)
    SnowflakeConnection.close = untraced(SnowflakeConnection.close)
    SnowflakeCursor.execute = untraced(SnowflakeCursor.execute)
    SnowflakeCursor.fetchall = untraced(SnowflakeCursor.fetchall)


def look_for_proxies_by_name() -> None:
    """Instead of the connector's scan of the whole environment per statement, 1/4 of its time."""
    where: Any = sessions
    stock = where.get_environ_proxies

    def proxies(url: str, no_proxy: str | None = None) -> dict[str, str]:
        return stock(url, no_proxy) if any(name in os.environ for name in PROXIES) else {}

    where.get_environ_proxies = proxies
