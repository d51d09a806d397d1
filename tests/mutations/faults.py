"""Single faults in a query, such as careless mistakes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import sqlglot
from sqlglot import exp

DIALECT = "snowflake"
Node = Any
"""A node of the parsed query; the parser's own types say less than its documentation."""
Change = tuple[str, Callable[[Node], Node | None]]
"""The replacement and its description; None removes the part."""

COMPARISONS: dict[type[Any], tuple[type[Any], ...]] = {
    exp.LT: (exp.LTE, exp.GTE),
    exp.LTE: (exp.LT, exp.GT),
    exp.GT: (exp.GTE, exp.LTE),
    exp.GTE: (exp.GT, exp.LT),
    exp.EQ: (exp.NEQ, exp.LTE, exp.GTE),
    exp.NEQ: (exp.LT, exp.GT, exp.EQ),
}
SWAPPED: dict[type[Any], type[Any]] = {
    exp.Max: exp.Min,
    exp.Min: exp.Max,
    exp.Sum: exp.Max,
    exp.Ceil: exp.Floor,
    exp.Floor: exp.Ceil,
}
UNWRAPPED = (exp.Not, exp.Abs, exp.Floor)
"""What can be forgotten in an expression."""
SIDES = ("", "LEFT", "RIGHT", "FULL")


def faults(sql: str, read: str) -> Iterator[tuple[str, str]]:
    """The difference, and the broken query.

    ``read`` is what is computed from the query's rows; a column that neither it nor the query reads
    again cannot be wrong, and is left alone.
    """
    tree = sqlglot.parse_one(sql, dialect=DIALECT)
    unread = {id(node) for one in _unread(tree, read) for node in one.walk()}
    seen: dict[str, int] = {}
    for place, node in enumerate(tree.walk()):
        if id(node) in unread:
            continue
        for label, change in _changes(node):
            broken = tree.copy()
            target = list(broken.walk())[place]
            changed = change(target)
            if changed is None:
                target.pop()
            elif changed is not target:
                target.replace(changed)
            text = f"{_text(node)} → {label}"
            seen[text] = seen.get(text, 0) + 1
            times = f" ({seen[text]})" if seen[text] > 1 else ""
            yield text + times, broken.sql(dialect=DIALECT)


def _changes(node: Node) -> Iterator[Change]:
    for kind in COMPARISONS.get(type(node), ()):
        yield kind.__name__, lambda it, kind=kind: kind(this=it.this, expression=it.expression)
    if isinstance(node, exp.EQ) and isinstance(node.expression, exp.Column):
        yield "true", lambda _: exp.true()
    if swapped := SWAPPED.get(type(node)):
        yield swapped.__name__, lambda it: swapped(this=it.this)
    if isinstance(node, UNWRAPPED):
        yield "left out", lambda it: it.this
    match node:
        case exp.Cast() if node.is_type("date"):
            yield "left out", lambda it: it.this
        case exp.And() | exp.Or():
            other = exp.Or if isinstance(node, exp.And) else exp.And
            yield other.__name__, lambda it: exp.paren(_joined(other, it.this, it.expression))
            yield "left", lambda it: it.this
            yield "right", lambda it: it.expression
        case exp.Is():
            yield "true", lambda _: exp.true()
            yield "false", lambda _: exp.false()
        case exp.Between():
            yield "no upper end", lambda it: exp.GTE(this=it.this, expression=it.args["low"])
            yield "no lower end", lambda it: exp.LTE(this=it.this, expression=it.args["high"])
        case exp.Coalesce():
            yield "first", lambda it: it.this
            yield "second", lambda it: it.expressions[0]
        case exp.Greatest() | exp.Least():
            yield "first", lambda it: it.this
            yield "second", lambda it: it.expressions[0]
        case exp.If():
            yield "first", lambda it: it.args["true"]
            yield "second", lambda it: it.args["false"]
        case exp.Where() | exp.Having() | exp.Order() | exp.Distinct():
            yield "left out", lambda _: None
        case exp.Ordered():
            yield "turned", lambda it: _with(it, desc=not it.args.get("desc"))
        case exp.Union():
            yield "first", lambda it: it.this
            yield "second", lambda it: it.expression
        case exp.Join() if node.args.get("on"):
            for side in SIDES:
                if side != node.side:
                    yield (
                        f"{side or 'inner'} join",
                        lambda it, side=side: _with(
                            it, side=side or None, kind=None if side else "INNER"
                        ),
                    )
        case exp.In():
            for at, one in enumerate(node.expressions):
                yield f"without {one.sql()}", lambda it, at=at: _without(it, at)
        case exp.Group():
            for at, one in enumerate(node.expressions):
                yield f"without {one.sql()}", lambda it, at=at: _ungrouped(it, at)
        case exp.Literal():
            yield from _literals(node)
        case _:
            return


def _literals(node: exp.Literal) -> Iterator[Change]:
    if node.is_string:
        yield "another text", lambda it: exp.Literal.string(it.name + "x")
    elif node.name.isdigit() and not isinstance(node.parent, exp.DataTypeParam):
        yield "one more", lambda it: exp.Literal.number(int(it.name) + 1)
        yield "one less", lambda it: exp.Literal.number(int(it.name) - 1)


def _joined(kind: type[Any], left: Node, right: Node) -> Node:
    return kind(this=left, expression=right)


def _with(node: Node, **arguments: object) -> Node:
    for name, value in arguments.items():
        node.set(name, value)
    return node


def _without(node: Node, at: int) -> Node:
    return _with(node, expressions=[one for i, one in enumerate(node.expressions) if i != at])


def _ungrouped(node: Node, at: int) -> Node:
    """A coarser grain: the column is neither selected nor in the GROUP BY."""
    query, dropped = node.parent_select, node.expressions[at]
    assert query is not None
    query.set("expressions", [one for one in query.expressions if one.unalias() != dropped])
    return _without(node, at)


def _unread(tree: Node, read: str) -> Iterator[Node]:
    """Selected expressions whose names nothing reads.

    Only ``read`` reads the resulting rows, and only their number if it is a count.
    """
    assert isinstance(tree, exp.Query)
    final = next((one.this for one in tree.ctes if one.alias == "final"), tree)
    outer = {*_names(sqlglot.parse_one(read, dialect=DIALECT))}
    for clause in ("where", "order"):
        if found := tree.args.get(clause):
            outer |= set(_names(found))
    for query in tree.find_all(exp.Select):
        is_final = query is final or query.parent is final
        for one in query.expressions:
            if not isinstance(one, exp.Alias | exp.Column):
                continue
            name = one.alias_or_name
            inside = [
                column.name
                for column in tree.find_all(exp.Column)
                if column.find_ancestor(exp.Alias) is not one and column is not one
            ]
            if name not in (outer if is_final else {*outer, *inside}):
                yield one


def _names(expression: Node) -> Iterator[str]:
    return (column.name for column in expression.find_all(exp.Column))


def _text(node: Node) -> str:
    if isinstance(node, exp.Literal) and node.parent is not None:
        return f"{node.sql(dialect=DIALECT, comments=False)} in {_short(node.parent)}"
    return _short(node)


def _short(node: Node) -> str:
    text = " ".join(node.sql(dialect=DIALECT, comments=False).split()).lower()
    return text if len(text) <= 100 else f"{text[:97]}..."
