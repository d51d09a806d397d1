"""Remove the conditions of the ledger's statements one by one; a test must fail for each.

``python -m tests.mutations.conditions`` runs the tests of the ledger. Each test that passes is run
again for each condition of the statements that it sends, with the statement changed on its way to
the warehouse, until one test has failed for each. It prints the conditions whose loss no test
notices and the functions with a statement that no test sent, and fails if there are any. Arguments
are test files, and parts of the names of senders.
"""

from __future__ import annotations

import ast
import re
import signal
import sys
from collections import Counter
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

FILES = (
    "tests/integration/test_ledger_conditions.py",
    "tests/integration/test_ledger.py",
    "tests/integration/test_twins.py",
    "tests/integration/test_dev_second_start.py",
)
"""Tests that send each statement, and tests that notice the loss of each condition."""
LONGEST_SECONDS = 60
"""A statement without its condition may find rows forever."""
PRUNES = "it keeps the warehouse from reading finished or older rows: tests/cost counts that"
SAME = {
    "sync/ledger/retention.py:apply_retention: old.updated_at < CAST(? AS TIMESTAMPNTZ)": (
        "the oldest come first, so that only those are chosen as long as there are any"
    ),
    "sync/ledger/retention.py:apply_retention: old.started_at < CAST(? AS TIMESTAMPNTZ)": (
        "the oldest come first, so that only those are chosen as long as there are any"
    ),
    "sync/delivery/record.py:_record: mine.event_type = ?": (
        "the owner of a lease is in the row of one type only"
    ),
    "sync/ledger/tables.py:_drop: NOT facts IS NULL": "it sets to NULL what is NULL",
    "sync/ledger/tables.py:_copy_messages: NOT outbox.body IS NULL": "it sets to NULL what is NULL",
    "sync/ledger/retention.py:apply_retention: NOT messages.body IS NULL": (
        "it sets to NULL what is NULL"
    ),
    "sync/ledger/erasures.py:empty_erased_messages: NOT messages.body IS NULL": (
        "it sets to NULL what is NULL"
    ),
    "sync/ledger/messages.py:write_messages: known.build_id >= ?": PRUNES,
    "sync/ledger/attempts.py:settle: logged.started_at >= CAST(? AS TIMESTAMPNTZ)": PRUNES,
    "sync/ledger/attempts.py:_move: NOT outbox.next_attempt_at IS NULL": PRUNES,
    "sync/ledger/attempts.py:settle_logged: started_at >= CAST(? AS TIMESTAMPNTZ)": PRUNES,
    "sync/ledger/outbox.py:Outbox.decide: NOT outbox.next_attempt_at IS NULL": PRUNES,
    "sync/ledger/outbox.py:Outbox.release: NOT outbox.lease_owner IS NULL": PRUNES,
    "sync/ledger/outbox.py:Outbox.hold_and_release: NOT outbox.next_attempt_at IS NULL": PRUNES,
    "sync/ledger/claims.py:Claims._claim: NOT due.next_attempt_at IS NULL": PRUNES,
    "sync/ledger/claims.py:Claims._claim: NOT outbox.next_attempt_at IS NULL": PRUNES,
    "sync/delivery/events.py:check_held: NOT outbox.next_attempt_at IS NULL": PRUNES,
    "sync/delivery/events.py:check_held: NOT old.next_attempt_at IS NULL": PRUNES,
    "sync/ledger/erasures.py:erase_from_ledger: NOT attempts.response_excerpt IS NULL": (
        "it sets to NULL what is NULL"
    ),
    "sync/operations/replay.py:Replay.move: outbox.state = 'held' AND outbox.state_reason ="
    " 'endpoint_missing'": "it names the cause, and the next case refuses what is held at all",
    "sync/operations/replay.py:Replay.move: outbox.state_reason = 'endpoint_missing'": (
        "what is held is refused anyway"
    ),
}
"""Conditions whose loss changes nothing, with the reason; the key is sender and condition."""
NOT_SENT = {
    "sync/ledger/journal.py:": "to the journal, a file with tests of its own",
    "sync/ledger/journal.py:open_journal": "to the journal, and without a condition",
    "sync/local/tracking_logs.py:_publish": "two inserts without a condition",
    "sync/local/demo.py:_rounds": "an insert without a condition",
}
"""Functions whose statements need no test here, with the reason."""
WRITES = re.compile(r"\s*(insert into|insert or|update|delete from|merge into)\s")
Id = tuple[str, str, str, int]
"""A condition: its sender, kind of statement, text, and number among equal ones."""


def senders() -> set[str]:
    """Every function of the product with the text of a statement that writes, as ``sender``."""
    found: set[str] = set()
    for path in sorted((PROJECT_ROOT / "sync").rglob("*.py")):
        name = str(path.relative_to(PROJECT_ROOT))
        _find(ast.parse(path.read_text(encoding="utf-8")), name, "", found)
    return found


def _find(node: ast.AST, path: str, within: str, found: set[str]) -> None:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.FunctionDef(name=name):
                _find(child, path, f"{within}{name}.<locals>.", found)
            case ast.ClassDef(name=name):
                _find(child, path, f"{within}{name}.", found)
            case (
                ast.Constant(value=str(text))
                | ast.JoinedStr(values=[ast.Constant(value=str(text)), *_])
            ):
                if WRITES.match(text):
                    found.add(f"{path}:{within.removesuffix('.<locals>.')}")
            case _:
                _find(child, path, within, found)


def conditions(statement: exp.Expr) -> list[exp.Expr]:
    """Every clause of WHERE, ON and QUALIFY, every case of a CASE in one, and operands of those."""
    found: list[exp.Expr] = []
    for clause in statement.find_all(exp.Where, exp.Join, exp.Qualify):
        root = clause.args.get("on") if isinstance(clause, exp.Join) else clause.this
        if root is None:
            continue
        found += _operands(root)
        if isinstance(clause, exp.Where):
            for case in root.find_all(exp.Case):
                for branch in case.args["ifs"]:
                    found.append(branch.this)
                    if isinstance(branch.this, exp.And | exp.Or):
                        found += _operands(branch.this)
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
    """The statement without a condition; it keeps all binds, so that they still fit."""
    statement = sqlglot.parse_one(sql, dialect="snowflake")
    if number >= 0:
        condition = conditions(statement)[number]
        outer = condition.parent
        while isinstance(outer, exp.Paren):
            outer = outer.parent
        kept = exp.paren(condition.copy())
        condition.replace(
            exp.paren(exp.and_(kept, exp.false()))
            if isinstance(outer, exp.Or | exp.If)
            else exp.paren(exp.or_(kept, exp.true()))
        )
    return statement.sql(dialect="snowflake")


@cache
def ids_of(who: str, sql: str) -> tuple[Id, ...]:
    """The conditions of a statement, by number; the same in each variant of the statement."""
    statement = sqlglot.parse_one(sql, dialect="snowflake")
    target = statement.find(exp.Table)
    kind = f"{type(statement).__name__} {target.name if target else ''}"
    seen: Counter[str] = Counter()
    ids: list[Id] = []
    for condition in conditions(statement):
        text = " ".join(condition.sql(dialect="snowflake").split())
        text = re.sub(r"'course_(completion|enrollment)'", "'event type'", text)
        seen[text] += 1
        ids.append((who, kind, text, seen[text]))
    return tuple(ids)


@cache
def key_of(sql: str) -> str:
    """The same for the same statement, whatever its numbers and ids."""
    plain = re.sub(r"'[^']*'|\d+", "?", " ".join(sql.split()))
    return sha256(plain.encode()).hexdigest()[:10]


def sender() -> str | None:
    """Which function of the product sends."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(str(PROJECT_ROOT / "sync")) and name != warehouse.__file__:
            return f"{Path(name).relative_to(PROJECT_ROOT)}:{frame.f_code.co_qualname}"
        frame = frame.f_back
    return None


class Conditions:
    """A pytest plugin between the product and the warehouse, below all checks of the tests."""

    def __init__(self, wanted: list[str]) -> None:
        self.wanted = wanted
        self.left: set[Id] = set()
        """Conditions whose loss no test has noticed yet."""
        self.same: set[str] = set()
        self.senders: set[str] = set()
        self.known: set[str] = set()
        self.missed: dict[Id, str] = {}
        self.changed_by_writing: list[str] = []
        self.failed: list[str] = []
        self._sent: dict[str, tuple[str, str]] = {}
        self._taken: tuple[str, int] | None = None
        send = Warehouse._run  # pyright: ignore[reportPrivateUsage]

        def run(this: Warehouse, sql: str, binds: tuple[object, ...]) -> Any:
            if sql.split(maxsplit=1)[0].lower() in ("update", "delete", "insert"):
                who = sender()
                if who is not None and any(one in who for one in wanted or [who]):
                    self.senders.add(who)
                    key = key_of(sql)
                    self._sent.setdefault(key, (who, sql))
                    if self._taken is not None and self._taken[0] == key:
                        sql = without(sql, self._taken[1])
            return send(this, sql, binds)

        Warehouse._run = run  # pyright: ignore

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Run a test, and again for each remaining condition of its statements."""
        self._sent = {}
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        if self._passes(item, None):
            for key, (who, sql) in list(self._sent.items()):
                self._meet(item, key, who, sql)
        else:
            self.failed.append(item.nodeid)
        item.session._setupstate.teardown_exact(nextitem)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _meet(self, item: pytest.Item, key: str, who: str, sql: str) -> None:
        ids = ids_of(who, sql)
        if key not in self.known:
            self.known.add(key)
            if not self._passes(item, (key, -1)):
                self.changed_by_writing.append(who)
                return
            for one in ids:
                if f"{who}: {one[2]}" in SAME:
                    self.same.add(f"{who}: {one[2]}")
                elif one[2] != "TRUE" and one not in self.missed:
                    self.left.add(one)
        for number, one in enumerate(ids):
            if one in self.left and not self._passes(item, (key, number)):
                self.left.remove(one)
                self.missed[one] = item.nodeid

    def _passes(self, item: pytest.Item, taken: tuple[str, int] | None) -> bool:
        self._taken = taken
        item._initrequest()  # type: ignore[attr-defined]  # pyright: ignore
        signal.alarm(LONGEST_SECONDS)
        try:
            # The next item's place in the tree, so that module and session fixtures stay.
            reports = runtestprotocol(item, log=taken is None, nextitem=item.parent)  # pyright: ignore
        except TookTooLong:
            return False
        finally:
            signal.alarm(0)
            self._taken = None
        return not any(report.failed for report in reports)


class TookTooLong(Exception):
    """A test that exceeded the limit."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise TookTooLong


def main() -> int:
    """Print the conditions whose loss no test notices; returns 1 if there are any."""
    signal.signal(signal.SIGALRM, _stop)
    files = [one for one in sys.argv[1:] if one.startswith("tests/")] or FILES
    plugin = Conditions([one for one in sys.argv[1:] if not one.startswith("tests/")])
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(PROJECT_ROOT)]
    code = pytest.main([*options, *(str(PROJECT_ROOT / one) for one in files)], plugins=[plugin])
    for one, test in sorted(plugin.missed.items()):
        print(f"missed by {test}\n    {_text(one)}")
    for one in sorted(plugin.left):
        print(f"NOT MISSED\n    {_text(one)}")
    for who in plugin.changed_by_writing:
        print(f"CANNOT BE WRITTEN AGAIN\n    {who}")
    stale: set[str] = set()
    if len(sys.argv) == 1:
        stale = (SAME.keys() - plugin.same) | (NOT_SENT.keys() - senders())
        stale |= senders() - plugin.senders - NOT_SENT.keys()
    for name in sorted(stale):
        print(f"{'NO SUCH CONDITION' if name in SAME else 'NO TEST SENDS IT'}\n    {name}")
    print(
        f"{len(plugin.missed)} conditions are missed when they are taken away, "
        f"{len(plugin.left)} are not; {len(plugin.senders)} functions send"
    )
    return int(bool(code or plugin.left or plugin.changed_by_writing or plugin.failed or stale))


def _text(one: Id) -> str:
    who, kind, text, number = one
    return f"{who} [{kind}, {number}]: {text}"


if __name__ == "__main__":
    sys.exit(main())
