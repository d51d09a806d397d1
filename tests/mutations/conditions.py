"""Take the conditions of the ledger's statements away, one by one; a test must notice each.

``python -m tests.mutations.conditions`` runs the tests of the ledger. Each test that passes is run
again for each condition of the statements that it sends, with the statement changed on its way to
the warehouse, until one test has failed for each. It prints the conditions that no test misses, and
fails if there are any. Arguments are files of tests, and parts of the names of senders.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import sqlglot
from _pytest.runner import runtestprotocol
from sqlglot import exp

from sync import warehouse
from sync.settings import PROJECT_ROOT
from sync.warehouse import Warehouse

SENDERS = tuple(
    str(PROJECT_ROOT / "sync" / name) for name in ("ledger", "detection", "operating", "messages")
)
FILES = (
    "tests/integration/test_ledger_conditions.py",
    "tests/integration/test_twins.py",
    "tests/integration/test_recording_lease.py",
    "tests/integration/test_replay.py",
    "tests/integration/test_backfill.py",
    "tests/integration/test_retention.py",
    "tests/integration/test_held_and_suppressed.py",
    "tests/integration/test_detection.py",
    "tests/integration/test_delivery.py",
)
LONGEST_SECONDS = 60
"""A statement without its condition may find rows for ever."""
SAME = {
    "sync/ledger/retention.py:apply_retention: old.updated_at < CAST(? AS TIMESTAMPNTZ)": (
        "the oldest come first, so that only those are chosen as long as there are any"
    ),
    "sync/ledger/retention.py:apply_retention: old.started_at < CAST(? AS TIMESTAMPNTZ)": (
        "the oldest come first, so that only those are chosen as long as there are any"
    ),
    "sync/detection/completions.py:_record: mine.event_type = ?": (
        "the owner of a lease is in the row of one type only"
    ),
    "sync/ledger/tables.py:_drop: NOT facts IS NULL": "it sets to NULL what is not NULL",
}
"""Conditions whose loss changes nothing, with the reason; the key is sender and condition."""


def conditions(statement: exp.Expr) -> list[exp.Expr]:
    """Every operand of AND and OR in a WHERE or an ON, and every such clause of one condition."""
    found: list[exp.Expr] = []
    for clause in statement.find_all(exp.Where, exp.Join):
        root = clause.this if isinstance(clause, exp.Where) else clause.args.get("on")
        if root is not None:
            found += _operands(root)
    return found


def _operands(node: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(node, exp.Paren):
        yield from _operands(node.this)
    elif isinstance(node, exp.And | exp.Or):
        for side in (node.left, node.right):
            if isinstance(side, type(node)):
                yield from _operands(side)
            else:
                yield side
                inner = side.this if isinstance(side, exp.Paren) else side
                if isinstance(inner, exp.And | exp.Or):
                    yield from _operands(inner)
    else:
        yield node


def without(sql: str, number: int) -> str:
    """The statement as if a condition were not there; its binds stay, so all of them still fit."""
    statement = sqlglot.parse_one(sql, dialect="snowflake")
    if number >= 0:
        condition = conditions(statement)[number]
        outer = condition.parent
        while isinstance(outer, exp.Paren):
            outer = outer.parent
        kept = exp.paren(condition.copy())
        condition.replace(
            exp.paren(exp.and_(kept, exp.false()))
            if isinstance(outer, exp.Or)
            else exp.paren(exp.or_(kept, exp.true()))
        )
    return statement.sql(dialect="snowflake")


@cache
def key_of(sql: str) -> str:
    """The same for the same statement, whatever its numbers and ids."""
    plain = re.sub(r"'[^']*'|\d+", "?", " ".join(sql.split()))
    return sha256(plain.encode()).hexdigest()[:10]


def sender() -> str | None:
    """Which function of the product sends, if it is one of the ledger's."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(str(PROJECT_ROOT / "sync")) and name != warehouse.__file__:
            path = Path(name).relative_to(PROJECT_ROOT)
            return f"{path}:{frame.f_code.co_qualname}" if name.startswith(SENDERS) else None
        frame = frame.f_back
    return None


class Conditions:
    """A pytest plugin between the product and the warehouse, below every check of the tests."""

    def __init__(self, wanted: list[str]) -> None:
        self.wanted = wanted
        self.left: dict[tuple[str, int], str] = {}
        """Conditions that no test has missed yet: statement and number, and what to print."""
        self.known: set[str] = set()
        self.missed: dict[str, str] = {}
        self.changed_by_writing: list[str] = []
        self.failed: list[str] = []
        self._sent: dict[str, tuple[str, str]] = {}
        self._taken: tuple[str, int] | None = None
        send = Warehouse._run  # pyright: ignore[reportPrivateUsage]

        def run(this: Warehouse, sql: str, binds: tuple[object, ...]) -> Any:
            if sql.split(maxsplit=1)[0].lower() in ("update", "delete", "insert"):
                who = sender()
                if who is not None and any(one in who for one in wanted or [who]):
                    key = key_of(sql)
                    self._sent.setdefault(key, (who, sql))
                    if self._taken is not None and self._taken[0] == key:
                        sql = without(sql, self._taken[1])
            return send(this, sql, binds)

        Warehouse._run = run  # pyright: ignore

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Run a test, and again for each condition of its statements that is left."""
        self._sent = {}
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        if self._passes(item, None):
            for key, (who, sql) in list(self._sent.items()):
                self._meet(item, key, who, sql)
            for key, number in [one for one in self.left if one[0] in self._sent]:
                if not self._passes(item, (key, number)):
                    self.missed[self.left.pop((key, number))] = item.nodeid
        else:
            self.failed.append(item.nodeid)
        item.session._setupstate.teardown_exact(nextitem)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _meet(self, item: pytest.Item, key: str, who: str, sql: str) -> None:
        if key in self.known:
            return
        self.known.add(key)
        if not self._passes(item, (key, -1)):
            self.changed_by_writing.append(who)
            return
        found = conditions(sqlglot.parse_one(sql, dialect="snowflake"))
        for number, condition in enumerate(found):
            text = " ".join(condition.sql(dialect="snowflake").split())
            name = f"{who} [{key}.{number}]: {text}"
            if text != "TRUE" and f"{who}: {text}" not in SAME:
                self.left[key, number] = name

    def _passes(self, item: pytest.Item, taken: tuple[str, int] | None) -> bool:
        self._taken = taken
        item._initrequest()  # type: ignore[attr-defined]  # pyright: ignore
        signal.alarm(LONGEST_SECONDS)
        try:
            # The next item's place in the tree: what the module and the session share stays.
            reports = runtestprotocol(item, log=taken is None, nextitem=item.parent)  # pyright: ignore
        except TookTooLong:
            return False
        finally:
            signal.alarm(0)
            self._taken = None
        return not any(report.failed for report in reports)


class TookTooLong(Exception):
    """A test that ran into the limit."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise TookTooLong


def main() -> int:
    """Print what no test misses; 1 if there is any."""
    signal.signal(signal.SIGALRM, _stop)
    files = [one for one in sys.argv[1:] if one.startswith("tests/")] or FILES
    plugin = Conditions([one for one in sys.argv[1:] if not one.startswith("tests/")])
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(PROJECT_ROOT)]
    code = pytest.main([*options, *(str(PROJECT_ROOT / one) for one in files)], plugins=[plugin])
    for name, test in sorted(plugin.missed.items()):
        print(f"missed by {test}\n    {name}")
    for name in sorted(plugin.left.values()):
        print(f"NOT MISSED\n    {name}")
    for who in plugin.changed_by_writing:
        print(f"CANNOT BE WRITTEN AGAIN\n    {who}")
    print(
        f"{len(plugin.missed)} conditions are missed when they are taken away, "
        f"{len(plugin.left)} are not"
    )
    return int(bool(code or plugin.left or plugin.changed_by_writing or plugin.failed))


if __name__ == "__main__":
    sys.exit(main())
