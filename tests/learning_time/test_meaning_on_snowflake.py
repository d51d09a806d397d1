"""What engines read differently is pinned to Snowflake's result (``operations.doctor.pins``).

The models run on two engines. A model that uses a function without a pin fails the first test: add
the pin, or say below why none is needed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import TokenType, exp

from sync.domain.event_types import event_types
from sync.operations.doctor.pins import PINS, OnEmbedded, Pin, question
from sync.settings import PROJECT_ROOT, EmbeddedWarehouse
from sync.warehouse import StatementFailed, Warehouse, open_warehouse
from tests.dbt.scenario import prepare
from tests.support.dbt import EVERY_OPTION, Dbt
from tests.support.examples import examples
from tests.support.replicas import EVERY_READING
from tests.support.replicas import compiled as replica_sql
from tests.support.scenarios import Scenarios
from tests.support.snowflake_rules import broken_rules
from tests.support.snowflake_statements import unpinned_functions
from tests.support.vectors import load_vectors

TYPE_NAMES = {
    "DECIMAL": "NUMBER",
    "DOUBLE": "FLOAT",
    "TIMESTAMPNTZ": "TIMESTAMP_NTZ",
    "TIMESTAMPTZ": "TIMESTAMP_TZ",
}
"""Snowflake's names of types, where the parser has a different one."""
NEVER_NULL = {f"{column} desc" for column in ("started_at", "attempt_number")} | {
    f"{key}_id desc" for key in ("course_enrollment", "course_grade", "consent", "sso_account")
}
"""Orders without NULLS FIRST or LAST: the columns are keys, or always written."""


@pytest.fixture(scope="module")
def compiled(
    scenarios: Scenarios,
    dbt: Dbt,
) -> list[str]:
    """All statements as they are compiled for Snowflake: with the defaults, and with options."""
    # Tables of one rule prevent compilation under another
    scenarios.stand("nothing")
    with open_warehouse(scenarios.settings, purpose="tests") as opened:
        prepare(opened)
    found = [
        path.read_text("utf-8")
        for options in ({}, EVERY_OPTION)
        for path in dbt.compiled("snowflake", **options)
    ]
    assert len(found) > 120
    # The sample replicas have the LMS's types; a tool's types need other functions.
    return [*dict.fromkeys(found), replica_sql(dbt, EVERY_READING)]


@pytest.fixture(scope="module")
def engine(warehouse_settings: EmbeddedWarehouse) -> Iterator[Warehouse]:
    """An open session; these tests need no table."""
    with open_warehouse(warehouse_settings, purpose="tests") as opened:
        yield opened


@pytest.fixture(scope="module")
def trees(compiled: list[str]) -> list[exp.Expr]:
    """Each statement, parsed once, since parsing takes longer than any check."""
    return [sqlglot.parse_one(statement, read="snowflake") for statement in compiled]


def test_every_function_of_a_model_is_pinned_or_known_to_be_harmless(compiled: list[str]) -> None:
    used = {name for statement in compiled for name in unpinned_functions(statement)}
    assert used == set()


def test_every_type_that_a_model_casts_to_is_pinned(trees: list[exp.Expr]) -> None:
    used = {TYPE_NAMES.get(cast.to.this.name, cast.to.this.name) for cast in calls(trees, exp.Cast)}
    assert "TIMESTAMP_NTZ" in used
    pinned = {pin.subject.removeprefix("::") for pin in PINS}
    assert used - pinned - {"TIMESTAMP_TZ"} == set()


@pytest.fixture(scope="module")
def responses(engine: Warehouse) -> dict[str, object]:
    """The embedded engine's result by expression; ``refused`` if it has none."""

    def ask(pins: Sequence[Pin]) -> list[object]:
        try:
            (row,) = engine.rows(question(pins))
        except StatementFailed:
            return ["refused"] if len(pins) == 1 else [one for pin in pins for one in ask([pin])]
        return list(row.values())

    same = [one for one in PINS if one.on_embedded in (OnEmbedded.SAME, OnEmbedded.CURED)]
    groups = [same, *([one] for one in PINS if one not in same)]
    return {
        pin.expression: response
        for group in groups
        for pin, response in zip(group, ask(group), strict=True)
    }


@pytest.mark.parametrize("pin", PINS, ids=lambda pin: pin.expression)
def test_the_verdict_on_a_pin_is_still_true(responses: dict[str, object], pin: Pin) -> None:
    """An avoided pin that no longer differs is the same; it may also be refused here."""
    response = responses[pin.expression]
    is_same = response == pin.response
    assert is_same == (pin.on_embedded in (OnEmbedded.SAME, OnEmbedded.CURED)), response


def test_each_documented_difference_stands_on_the_page_of_the_architecture() -> None:
    page = (PROJECT_ROOT / "docs" / "architecture.md").read_text("utf-8")
    differences = page.split("## The embedded warehouse")[1].split("\n## ")[0]
    documented = {one.subject for one in PINS if one.on_embedded is OnEmbedded.DOCUMENTED}
    assert {one for one in documented if f"`{one.lower()}`" not in differences} == set()


def test_all_pins_are_asked_in_one_statement(engine: Warehouse) -> None:
    pins = [one for one in PINS if one.on_embedded is OnEmbedded.SAME]
    (row,) = engine.rows(question(pins))
    assert list(row.values()) == [one.response for one in pins]


def test_every_pin_names_a_file_that_uses_what_it_is_about() -> None:
    for pin in PINS:
        text = (PROJECT_ROOT / pin.used_in).read_text("utf-8").lower()
        assert pin.subject.removeprefix("::").lower() in text, pin


def test_every_recorded_answer_about_what_is_used_is_a_pin() -> None:
    """Statements that an account refuses cannot be pinned; others of functions without a pin do not
    matter here."""
    rows: Any = load_vectors("snowflake_answers.json")
    pinned = {"".join(pin.expression.lower().split()) for pin in PINS}
    asked = [
        one for one in rows if isinstance(one.get("answer"), str | None) and "error" not in one
    ]
    missing = []
    for one in asked:
        query = one["sql"]
        if unpinned_functions(query):
            continue
        (select,) = sqlglot.parse(query, read="snowflake")
        assert isinstance(select, exp.Select)
        expression = f"({query})" if select.args.get("from_") else query.removeprefix("SELECT ")
        alias = select.expressions[0].alias
        bare = expression.removesuffix(f" as {alias}") if alias else expression
        if "".join(bare.lower().split()) not in pinned:
            missing.append(query)
    assert len(asked) > 50
    assert missing == []


def calls(trees: Sequence[exp.Expr], kind: type[exp.Expr]) -> Iterator[Any]:
    """All nodes of a kind."""
    for tree in trees:
        yield from tree.find_all(kind)


def test_no_statement_asks_for_an_answer_that_is_avoided(trees: list[exp.Expr]) -> None:
    """How each is avoided, by subject of the pin. The statements of ``sync`` follow the same rules
    for ``uuid_string``, and pass only their own lists to ``parse_json`` and ``flatten``."""
    positions = [one.args.get("position") for one in calls(trees, exp.RegexpReplace)]
    sized = {type(one.this) for one in calls(trees, exp.ArraySize)}
    parsed = {one.this.sql() for one in calls(trees, exp.ParseJSON) if not one.args.get("safe")}
    tried = {one.to.this for one in calls(trees, exp.TryCast)}
    avoided = {
        "REGEXP_REPLACE": positions and not any(positions),
        "ARRAY_SIZE": sized == {exp.Filter} or sized == {exp.ArrayFilter},
        "PARSE_JSON": parsed == {"'[0]'"},
        "FLATTEN": parsed == {"'[0]'"},
        "TRY_CAST": tried and exp.DType.BOOLEAN not in tried,
        "TRY_PARSE_JSON": all(
            isinstance(one.parent, exp.If) and isinstance(one.parent.this, exp.RegexpLike)
            # The last one is compiled for the embedded engine.
            for one in calls(trees[:-1], exp.ParseJSON)
            if one.args.get("safe")
        ),
        "TO_JSON": "test_no_fact_of_a_message_is_a_float" in globals(),
        "COALESCE": broken_rules("select coalesce(v:a, v:b) from t") != (),
    }
    subjects = {one.subject for one in PINS if one.on_embedded is OnEmbedded.AVOIDED}
    assert {one: avoided.get(one) for one in subjects} == dict.fromkeys(subjects, True)


def test_learning_time_is_measured_in_microseconds_only(trees: list[exp.Expr]) -> None:
    """DATEDIFF counts boundaries crossed: 0.9 to 1.1 is one second on both engines.

    This is acceptable for how long an endpoint has been failing, but not for a gap.
    """
    coarse = [
        one.sql("snowflake").lower()
        for one in calls(trees, exp.DateDiff)
        if one.args["unit"].name.lower() != "microsecond"
    ]
    assert [one for one in coarse if "event_at" in one or "piece_" in one] == []


def test_no_order_depends_on_where_null_is_put(trees: list[exp.Expr]) -> None:
    """Snowflake puts NULL first when descending; others do not."""
    descending = {
        one.sql("snowflake").lower() for one in calls(trees, exp.Ordered) if one.args.get("desc")
    }
    undecided = {one.split(".")[-1] for one in descending if not one.endswith("nulls last")}
    assert undecided - NEVER_NULL == set()


def test_no_statement_of_a_model_makes_a_float(trees: list[exp.Expr]) -> None:
    """In JSON, Snowflake writes floats with 16 digits and an exponent: to_json has a pin."""
    floats = {
        cast.sql("snowflake")
        for cast in calls(trees, exp.Cast)
        if cast.to.this is exp.DType.DOUBLE and not isinstance(cast.parent, exp.Cast | exp.Between)
    }
    assert floats == set()


def test_no_fact_of_a_message_is_a_float(manifest: dict[str, Any]) -> None:
    for source in event_types().values():
        columns = manifest["nodes"][f"model.learning_time_webhooks.{source.mart}"]["columns"]
        types = {name: columns[name]["data_type"] for name in source.facts_class.model_fields}
        assert "float" not in types.values(), types


def test_every_json_text_is_parsed_with_its_last_value_of_a_key(compiled: list[str]) -> None:
    """Without the parameter, Snowflake refuses a text with a duplicate key."""
    ends = Counter(end for statement in compiled for end in ends_of_calls(statement))
    assert ends.keys() == {", 'd'"}


def ends_of_calls(statement: str, name: str = "TRY_PARSE_JSON") -> Iterator[str]:
    """The last two tokens within each call of a function."""
    tokens = sqlglot.Dialect.get_or_raise("snowflake").tokenize(statement)
    for at, token in enumerate(tokens):
        if token.text.upper() == name:
            depth = 0
            for end in range(at + 1, len(tokens)):
                kind = tokens[end].token_type
                depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
                if depth == 0:
                    yield statement[tokens[end - 2].start : tokens[end - 1].end + 1]
                    break


STRICT = r"""
{} [] [1] {"a":1} {"a":{"b":[1,-0.5,2e+10,{"c":null}],"d":[]},"e":{}} {"a":NaN,"b":-Infinity}
{"a":"x\"y\\"} {"a":"\u00e9\ud83d\ude00","b":"\/\b\f\n\r\t"} [{"a":1},[2,[3]],"[{,:"] {"a":1,} [1,]
"""
LENIENT = r"""
{a:1} {'a':1} {"a":True} {"a":undefined} [1,,2] [,] [,1] {"a":,"b":1} {,} {"a":01} {"a":.5}
{"a":1.} {"a":+1} {"a":0x10} {"a":"\d"} {"a":"\'"} {"a":"\ud83d"} {"a":"\ude00x"} {"a":/**/1}
{"a":1;} {"a":$1} {"a":nul} {"a":"b} {"a":1,,}
"""


@pytest.fixture(scope="module")
def strictly(engine: Warehouse, dbt: Dbt) -> Callable[[Sequence[str]], list[tuple[bool, bool]]]:
    """For each text: whether the pattern matches, and whether the embedded engine reads it."""
    pattern = replica_sql(dbt, "{{ strict_json() }}")

    def ask(texts: Sequence[str]) -> list[tuple[bool, bool]]:
        rows = engine.rows(
            f"select regexp_like(replace(given, chr(127), ''), '{pattern}') as taken, "
            "json_valid(given) as is_read from (select index as n, value::varchar as given "
            "from table(flatten(input => parse_json(?)))) order by n",
            json.dumps(list(texts)),
        )
        return [(row["taken"], row["is_read"]) for row in rows]

    return ask


def test_what_only_snowflake_would_read_as_json_is_read_on_neither_engine(
    strictly: Callable[[Sequence[str]], list[tuple[bool, bool]]],
) -> None:
    strict = STRICT.split()
    lenient = [*LENIENT.split(), "", " ", '{"a":"\t"}', '{"a":"\n"}']
    assert strictly(strict) == [(True, True)] * len(strict)
    assert strictly(lenient) == [(False, False)] * len(lenient)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@settings(max_examples=examples(3, 100))
@given(st.lists(JSON, min_size=20), st.booleans())
def test_all_that_python_writes_as_json_is_read(
    strictly: Callable[[Sequence[str]], list[tuple[bool, bool]]], values: list[Any], is_ascii: bool
) -> None:
    texts = [json.dumps([value], ensure_ascii=is_ascii) for value in values]
    # The embedded engine's texts cannot contain NUL
    texts = [text for text in texts if "\0" not in text]
    for text, (taken, is_read) in zip(texts, strictly(texts), strict=True):
        assert taken == is_read, text
