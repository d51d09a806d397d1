# ruff: noqa: E501  (a pin a line)
"""What Snowflake responds to expressions that this product's SQL relies on.

The tests run each pin on the embedded warehouse, and the doctor on an account: all of them in one
statement (``question``). A pin's verdict states what applies if the engines differ.

Evidence, strongest first: ``recorded`` responses of an account, published in the test corpus of
github.com/mlorek/frostlake (Apache-2.0); Snowflake's ``documentation``; what that project's own
documents and tests ``state``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

DOCS = "https://docs.snowflake.com/en/sql-reference/"
RECORDED = "recorded: "
STATED = "stated: "


class OnEmbedded(StrEnum):
    """What the embedded warehouse responds to a pin, and what keeps a difference harmless."""

    SAME = "same"
    CURED = "cured"
    """The same, because ``sync/local`` changes the engine's own response."""
    AVOIDED = "avoided"
    """Different; none of our SQL depends on it, which a test proves."""
    DOCUMENTED = "documented"
    """Different; docs/architecture.md describes the consequences."""


@dataclass(frozen=True)
class Pin:
    """One expression without a table, and Snowflake's response to it as text."""

    subject: str
    """Function, operator or cast (``::TYPE``) that the pin is about."""
    expression: str
    response: str | None
    """As ``to_varchar`` writes it; None for NULL. Never depends on a session parameter."""
    source: str
    """Address of the documentation, or ``recorded:`` or ``stated:`` and where in the corpus."""
    used_in: str
    """A file whose SQL uses the subject."""
    on_embedded: OnEmbedded = OnEmbedded.SAME


def question(pins: Sequence[Pin]) -> str:
    """One SELECT of one row with all pins: columns ``pin_0``, ``pin_1``, … of VARCHAR."""
    columns = (f"to_varchar({pin.expression}) as pin_{at}" for at, pin in enumerate(pins))
    return "select " + ", ".join(columns)


def _pins(
    subject: str,
    used_in: str,
    source: str,
    pins: Iterable[tuple[str, str | None] | tuple[str, str | None, OnEmbedded]],
) -> Iterable[Pin]:
    for expression, response, *verdict in pins:
        yield Pin(subject, expression, response, source, used_in, *verdict)


CURED, AVOIDED, DOCUMENTED = OnEmbedded.CURED, OnEmbedded.AVOIDED, OnEmbedded.DOCUMENTED

# fmt: off
PINS: tuple[Pin, ...] = (
    *_pins("IFF", "dbt_project/macros/activity_kinds.sql", f"{DOCS}functions/iff", [
        ("iff(null, 1, 0)", "0"),
    ]),
    *_pins("SUM", "dbt_project/macros/changed_batches.sql", f"{DOCS}functions/sum", [
        ("(select sum(v)::number(38, 0) from (select 86400000001 as v union all select 2))", "86400000003"),
    ]),
    *_pins("REPLACE", "dbt_project/macros/normalize.sql", f"{DOCS}functions/replace", [
        ("replace('a%3Ab%3A', '%3A', ':')", "a:b:"),
        ("replace(null::varchar, 'a', 'b')", None),
    ]),
    *_pins("REGEXP_LIKE", "dbt_project/macros/normalize.sql", f"{DOCS}functions/regexp_like", [
        ("regexp_like('abc', 'b')", "false"),
        ("regexp_like('abc', '.*b.*')", "true"),
        ("regexp_like('a', 'a|b') and regexp_like('b', 'a|b')", "true"),
        ("regexp_like('xa', 'a|b') or regexp_like('ax', 'a|b')", "false"),
        ("regexp_like('A', 'a')", "false"),
        ("regexp_like('A', 'a', 'i')", "true"),
        ("regexp_like('a' || chr(10) || 'b', 'a.b')", "false"),
        ("regexp_like('a' || chr(10) || 'b', 'a.b', 's')", "true"),
        ("regexp_like('a' || chr(10), 'a')", "false"),
        ("regexp_like('a' || chr(9) || chr(10) || chr(13), 'a[[:space:]]+')", "true"),
        ("regexp_like(null::varchar, 'a')", None),
    ]),
    *_pins("REGEXP_LIKE", "dbt_project/macros/normalize.sql", f"{RECORDED}functions-regexp", [
        ("REGEXP_LIKE('hello123', '[a-z]+[0-9]+')", "true"),
        ("REGEXP_LIKE('hello', '[0-9]+')", "false"),
        ("REGEXP_LIKE('HELLO', 'hello', 'i')", "true"),
        ("REGEXP_LIKE(NULL, 'x')", None),
    ]),
    *_pins("REGEXP_REPLACE", "dbt_project/macros/normalize.sql", f"{DOCS}functions/regexp_replace", [
        ("regexp_replace('a1b22', '[0-9]')", "ab"),
        ("regexp_replace(' a b ' || chr(10), '^[[:space:]]+|[[:space:]]+$')", "a b"),
        ("regexp_replace('0123abcd', '(.{4})(.{4})', '\\\\1-\\\\2')", "0123-abcd"),
        ("regexp_replace('.1234567', '([.][0-9]{6})[0-9]+', '\\\\1')", ".123456"),
        ("regexp_replace(null::varchar, 'a')", None),
    ]),
    *_pins("REGEXP_REPLACE", "dbt_project/macros/normalize.sql", f"{RECORDED}functions-regexp", [
        ("REGEXP_REPLACE('hello', 'el+', 'XXX')", "hXXXo"),
        ("REGEXP_REPLACE('acacac', 'a', 'X')", "XcXcXc"),
        ("REGEXP_REPLACE('ab', '(a)(b)', '[\\\\2][\\\\1]')", "[b][a]"),
        ("REGEXP_REPLACE('aaa', 'a', 'X', 1, 2)", "aXa", AVOIDED),
        ("REGEXP_REPLACE('aaaa', 'a', 'X', 3, 1)", "aaXa", AVOIDED),
        ("REGEXP_REPLACE('0123abcd', '(.{4})(.{4})', '\\\\1-\\\\2')", "0123-abcd"),
    ]),
    *_pins("REGEXP_SUBSTR", "dbt_project/macros/courserun_in_url.sql", f"{DOCS}functions/regexp_substr", [
        ("regexp_substr('/courses/course-v1:A+B+C/x', 'course-v1:[^/]+')", "course-v1:A+B+C"),
        ("regexp_substr('/x/(a)+b', '/x/([^+]+)[+]', 1, 1, 'e', 1)", "(a)"),
        ("regexp_substr('/x/ccx-v1:a', '/x/((c|ccx)-v1:[a-z]+)', 1, 1, 'e', 1)", "ccx-v1:a"),
        ("regexp_substr('/y/a', '/x/([^+]+)', 1, 1, 'e', 1)", None),
        ("regexp_substr(null::varchar, '[0-9]')", None),
    ]),
    *_pins("REGEXP_SUBSTR", "dbt_project/macros/courserun_in_url.sql", f"{RECORDED}functions-regexp", [
        ("REGEXP_SUBSTR('abc123def', '[0-9]+')", "123"),
        ("REGEXP_SUBSTR('a=20;b=30', '[0-9]+', 1, 2)", "30"),
        ("REGEXP_SUBSTR('a=20;b=30', '[0-9]+', 5)", "30"),
        ("REGEXP_SUBSTR('abc', '[0-9]+')", None),
        ("REGEXP_SUBSTR('a=20;b=30', '([a-z])=([0-9]+)', 1, 1, 'e', 2)", "20"),
        ("REGEXP_SUBSTR('a=20;b=30', '([a-z])=([0-9]+)', 1, 1, 'e', 1)", "a"),
    ]),
    *_pins("TRY_CAST", "dbt_project/macros/parse_utc_timestamp.sql", f"{DOCS}functions/try_cast", [
        ("try_cast('0012' as number(38, 0))", "12"),
        ("try_cast('x' as number(38, 0))", None),
        ("try_cast('1' as boolean)", "true"),
        ("try_cast('0' as boolean)", "false"),
        ("try_cast('true' as boolean)", "true"),
        ("try_cast('unknown' as boolean)", None),
        ("try_cast('2026-02-30T00:00:00+00:00' as timestamp_tz)", None),
        ("try_cast('soon' as timestamp_tz)", None),
    ]),
    *_pins("TRY_CAST", "dbt_project/macros/parse_utc_timestamp.sql", f"{RECORDED}functions-try-cast", [
        ("TRY_CAST('123' AS INTEGER)", "123"),
        ("TRY_CAST('1.5' AS FLOAT)", "1.5"),
        ("TRY_CAST('abc' AS INTEGER)", None),
        ("TRY_CAST('not_a_number' AS NUMBER)", None),
        ("TRY_CAST(NULL AS INTEGER)", None),
        ("TRY_CAST('405.958' AS NUMBER)", "406"),
        ("'<' || TRY_CAST('405.958' AS NUMBER(10,2)) || '>'", "<405.96>"),
        ("TRY_CAST(SPLIT_PART('sev:42', ':', 2) AS INTEGER)", "42"),
        ("'<' || TRY_CAST('1.23456789' AS NUMBER(18,6)) || '>'", "<1.234568>"),
    ]),
    *_pins("TRY_CAST", "dbt_project/macros/parse_utc_timestamp.sql", f"{STATED}docs/functions.md", [
        ("TRY_CAST('yes' AS BOOLEAN)", "true"),
        ("TRY_CAST('on' AS BOOLEAN)", "true"),
        ("TRY_CAST('off' AS BOOLEAN)", "false"),
        ("TRY_CAST('2' AS BOOLEAN)", None),
        ("TRY_CAST('1.0' AS BOOLEAN)", None),
        ("TRY_CAST(' true ' AS BOOLEAN)", "true", AVOIDED),
        ("TRY_CAST('' AS BOOLEAN)", None),
    ]),
    *_pins("IS_ARRAY", "dbt_project/macros/tracking_envelopes.sql", f"{DOCS}functions/is_array", [
        ("is_array(parse_json('[1]'))", "true"),
        ("is_array(parse_json('{\"a\": [1]}'))", "false"),
        ("is_array(null::variant)", None),
    ]),
    *_pins("LOWER", "dbt_project/macros/normalize.sql", f"{DOCS}functions/lower", [
        ("lower('ÅSA')", "åsa"),
    ]),
    *_pins("UPPER", "dbt_project/macros/replica_values.sql", f"{DOCS}functions/upper", [
        ("upper('åsa')", "ÅSA"),
    ]),
    *_pins("LEFT", "dbt_project/macros/line_facts.sql", f"{DOCS}functions/left", [
        ("left('é12', 2)", "é1"),
        ("left('a', 5)", "a"),
        ("left(null::varchar, 1)", None),
    ]),
    *_pins("RIGHT", "dbt_project/macros/line_facts.sql", f"{DOCS}functions/right", [
        ("right('12é', 2)", "2é"),
        ("right('a', 5)", "a"),
    ]),
    *_pins("LENGTH", "dbt_project/macros/parse_utc_timestamp.sql", f"{DOCS}functions/length", [
        ("length('é€')", "2"),
        ("length(null::varchar)", None),
    ]),
    *_pins("SUBSTR", "dbt_project/macros/activity_kinds.sql", f"{DOCS}functions/substr", [
        ("substr('', 2)", ""),
        ("substr('abc', 2)", "bc"),
        ("substr('abc', 0)", "abc"),
        ("substr('é€', 2)", "€"),
    ]),
    *_pins("TRIM", "dbt_project/macros/line_facts.sql", f"{DOCS}functions/trim", [
        ("trim('  a  ')", "a"),
        ("trim(chr(10) || 'a')", "\na"),
    ]),
    *_pins("LTRIM", "dbt_project/macros/scalar_or_first.sql", f"{DOCS}functions/ltrim", [
        ("ltrim('  [1]')", "[1]"),
    ]),
    *_pins("SPLIT_PART", "dbt_project/macros/normalize.sql", f"{DOCS}functions/split_part", [
        ("split_part('a+b', '+', 1)", "a"),
        ("split_part('a:b:c', ':', -1)", "c"),
        ("split_part('a', ':', -1)", "a"),
        ("split_part('a', '+', 2)", ""),
        ("split_part(null::varchar, '+', 1)", None),
    ]),
    *_pins("STARTSWITH", "dbt_project/macros/tracking_envelopes.sql", f"{DOCS}functions/startswith", [
        ("startswith('/x', '/')", "true"),
        ("startswith('Abc', 'a')", "false"),
        ("startswith(null::varchar, 'a')", None),
    ]),
    *_pins("POSITION", "dbt_project/macros/normalize.sql", f"{DOCS}functions/position", [
        ("position('{' in 'a{')", "2"),
        ("position('{' in 'a')", "0"),
        ("position('{' in null::varchar)", None),
    ]),
    *_pins("DATEADD", "dbt_project/macros/changed_batches.sql", f"{DOCS}functions/dateadd", [
        ("to_varchar(dateadd('microsecond', 1, '2026-03-04 23:59:59.999999'::timestamp_ntz), 'YYYY-MM-DD HH24:MI:SS.FF6')", "2026-03-05 00:00:00.000000"),
        ("to_varchar(dateadd(day, -3, '2026-03-02 01:00:00'::timestamp_ntz), 'YYYY-MM-DD HH24:MI:SS.FF6')", "2026-02-27 01:00:00.000000"),
        ("to_varchar(dateadd(minute, -10, '2026-03-02 00:05:00'::timestamp_ntz), 'YYYY-MM-DD HH24:MI:SS.FF6')", "2026-03-01 23:55:00.000000"),
        ("dateadd(second, 3600, null::timestamp_ntz)", None),
    ]),
    *_pins("DATEDIFF", "dbt_project/models/intermediate/learning_time/int_learning_gaps.sql", f"{DOCS}functions/datediff", [
        ("datediff('microsecond', '2026-03-04 23:59:59.700001'::timestamp_ntz, '2026-03-05 00:00:00.200000'::timestamp_ntz)", "499999"),
        ("datediff('microsecond', null::timestamp_ntz, '2026-03-05'::timestamp_ntz)", None),
    ]),
    *_pins("DATEDIFF", "dbt_project/models/intermediate/learning_time/int_learning_gaps.sql", f"{RECORDED}functions-datediff-boundary", [
        ("DATEDIFF(DAY, '2026-07-26 23:00:00'::TIMESTAMP, '2026-07-27 01:00:00'::TIMESTAMP)", "1"),
        ("DATEDIFF(DAY, '2026-07-26 01:00:00'::TIMESTAMP, '2026-07-27 23:00:00'::TIMESTAMP)", "1"),
        ("DATEDIFF(DAY, '2026-07-26 00:00:00'::TIMESTAMP, '2026-07-26 23:59:59'::TIMESTAMP)", "0"),
        ("DATEDIFF(DAY, '2026-07-27 01:00:00'::TIMESTAMP, '2026-07-26 23:00:00'::TIMESTAMP)", "-1"),
        ("DATEDIFF(HOUR, '2026-07-26 10:59:00'::TIMESTAMP, '2026-07-26 11:01:00'::TIMESTAMP)", "1"),
        ("DATEDIFF(HOUR, '2026-07-26 10:01:00'::TIMESTAMP, '2026-07-26 10:59:00'::TIMESTAMP)", "0"),
        ("DATEDIFF(MINUTE, '2026-07-26 10:00:59'::TIMESTAMP, '2026-07-26 10:01:01'::TIMESTAMP)", "1"),
        ("DATEDIFF(SECOND, '2026-07-26 10:00:00.900'::TIMESTAMP, '2026-07-26 10:00:01.100'::TIMESTAMP)", "1"),
        ("DATEDIFF(QUARTER, '2026-02-15'::DATE, '2026-04-15'::DATE)", "1"),
        ("DATEDIFF(QUARTER, '2026-01-01'::DATE, '2026-03-31'::DATE)", "0"),
        ("DATEDIFF(QUARTER, '2025-11-30'::DATE, '2026-10-01'::DATE)", "4"),
        ("DATEDIFF(WEEK, '2026-07-25'::DATE, '2026-07-27'::DATE)", "1"),
        ("DATEDIFF(WEEK, '2026-07-20'::DATE, '2026-07-26'::DATE)", "0"),
        ("DATEDIFF(MONTH, '2026-01-31'::DATE, '2026-02-01'::DATE)", "1"),
        ("DATEDIFF(YEAR, '2025-12-31'::DATE, '2026-01-01'::DATE)", "1"),
    ]),
    *_pins("TRY_PARSE_JSON", "dbt_project/macros/json_texts.sql", f"{DOCS}functions/try_parse_json", [
        ("try_parse_json('{cut') is null", "true"),
        ("try_parse_json('') is null", "true"),
        ("try_parse_json(null::varchar) is null", "true"),
        ("try_parse_json('{\"a\": \"x\"}'):a::varchar", "x"),
        ("try_parse_json('{\"a\": 12}'):a::varchar", "12"),
        ("try_parse_json('{\"a\": null}'):a::varchar", None),
        ("try_parse_json('{\"a\": {\"b\": true}}'):a.b::varchar", "true"),
        ("try_parse_json('{\"a\": [1, \"x\"]}'):a::varchar", "[1,\"x\"]"),
        ("try_parse_json('{\"a\": [\"x\"]}'):a[0]::varchar", "x"),
        ("try_parse_json('{\"a\": 1}'):b::varchar", None),
        ("try_parse_json('{\"a\": 1}'):a.b::varchar", None),
        ("try_parse_json('[1]'):a::varchar", None),
    ]),
    *_pins("TRY_PARSE_JSON", "dbt_project/macros/json_texts.sql", f"{STATED}docs/functions.md", [
        ("TRY_PARSE_JSON('{a:1}') IS NULL", "false", AVOIDED),
        ("TRY_PARSE_JSON('[1,2,]') IS NULL", "false"),
        ("TRY_PARSE_JSON('{\"a\":1,}') IS NULL", "false"),
        ("TRY_PARSE_JSON('{\"a\":,\"b\":1}') IS NULL", "true"),
        ("TRY_PARSE_JSON('{\"a\":NaN}') IS NULL", "false"),
        ("TRY_PARSE_JSON('{\"a\":True}'):a::VARCHAR", "true", AVOIDED),
        ("TRY_PARSE_JSON('{\"a\":undefined}') IS NULL", "false", AVOIDED),
        ("TRY_PARSE_JSON('') IS NULL", "true"),
        ("TRY_PARSE_JSON('  ') IS NULL", "true"),
    ]),
    *_pins("TRY_PARSE_JSON", "dbt_project/macros/json_texts.sql", f"{DOCS}functions/try_parse_json", [
        ("try_parse_json('{\"a\": 1, \"a\": 2}', 'd'):a::varchar", "2", CURED),
        ("try_parse_json('{\"a\": 1, \"a\": 2}') is null", "true", AVOIDED),
    ]),
    *_pins("REGEXP_LIKE", "dbt_project/macros/json_texts.sql", f"{DOCS}functions-regexp", [
        ("regexp_like('\"a' || chr(92) || '\"b\"', '\"([^\"\\\\\\\\[:cntrl:]]|\\\\\\\\\")*\"')", "true"),
        ("regexp_like('\"a' || chr(9) || '\"', '\"([^\"\\\\\\\\[:cntrl:]])*\"')", "false"),
        ("regexp_like('[{}]', '[[{]*[]}]*')", "true"),
    ]),
    *_pins("PARSE_JSON", "dbt_project/macros/tracking_envelopes.sql", f"{DOCS}functions/parse_json", [
        ("parse_json('[0]')[0]::varchar", "0"),
    ]),
    *_pins("PARSE_JSON", "dbt_project/macros/tracking_envelopes.sql", f"{STATED}functions/ContainerScaleNormalisationTest.java", [
        ("PARSE_JSON('{\"k\":12.0}'):k::VARCHAR", "12", DOCUMENTED),
    ]),
    *_pins("PARSE_JSON", "dbt_project/macros/tracking_envelopes.sql", f"{STATED}docs/functions.md", [
        ("PARSE_JSON('null') IS NULL", "false"),
        ("PARSE_JSON('null')::VARCHAR IS NULL", "true", AVOIDED),
        ("PARSE_JSON('{\"a\":null}'):a IS NULL", "false"),
        ("PARSE_JSON('{\"a\":1}'):b IS NULL", "true"),
    ]),
    *_pins("CONTAINS", "dbt_project/macros/line_facts.sql", f"{DOCS}functions/contains", [
        ("contains('abc', 'b')", "true"),
        ("contains('abc', '.')", "false"),
        ("contains(null::varchar, 'a')", None),
    ]),
    *_pins("OBJECT_KEYS", "dbt_project/macros/tracking_envelopes.sql", f"{DOCS}functions/object_keys", [
        ("object_keys(parse_json('{\"a\": 1}'))[0]::varchar", "a"),
    ]),
    *_pins("FILTER", "dbt_project/macros/tracking_envelopes.sql", f"{DOCS}functions/filter", [
        ("filter(object_keys(parse_json('{\"a\": 1, \"b\": 2}')), name -> contains(name, 'b'))[0]::varchar", "b"),
        ("filter(object_keys(parse_json('{}')), name -> contains(name, 'b'))[0]::varchar", None),
    ]),
    *_pins("GET", "dbt_project/macros/tracking_envelopes.sql", f"{DOCS}functions/get", [
        ("get(parse_json('{\"a\": {\"b\": 1}}'), 'a')::varchar", "{\"b\":1}"),
        ("get(parse_json('{\"a\": 1}'), null::varchar)::varchar", None),
    ]),
    *_pins("ARRAY_SIZE", "dbt_project/macros/tracking_envelopes.sql", f"{DOCS}functions/array_size", [
        ("array_size(parse_json('[1, 2]'))", "2"),
        ("array_size(parse_json('{\"a\": 1}'))", None),
        ("array_size(try_parse_json(null::varchar))", None),
    ]),
    *_pins("ARRAY_SIZE", "dbt_project/macros/tracking_envelopes.sql", f"{STATED}docs/functions.md", [
        ("ARRAY_SIZE(PARSE_JSON('[1,2,]'))", "3", AVOIDED),
    ]),
    *_pins("ARRAY_GENERATE_RANGE", "dbt_project/macros/tracking_envelopes.sql", f"{DOCS}functions/array_generate_range", [
        ("array_generate_range(0, 3)[2]::int", "2"),
        ("array_size(array_generate_range(0, 0))", "0"),
    ]),
    *_pins("FLATTEN", "dbt_project/macros/tracking_envelopes.sql", f"{DOCS}functions/flatten", [
        ("(select listagg(child.index || ':' || child.value::varchar, ',') within group (order by child.index) from table(flatten(input => parse_json('[\"a\", {\"b\": 1}]'))) as child)", "0:a,1:{\"b\":1}"),
    ]),
    *_pins("FLATTEN", "dbt_project/macros/tracking_envelopes.sql", f"{STATED}docs/functions.md", [
        ("(SELECT SUM(value::number(38,0)) FROM TABLE(FLATTEN(input => PARSE_JSON('[1,2,3]'))))", "6"),
        ("(SELECT COUNT(*) FROM TABLE(FLATTEN(input => PARSE_JSON('5'))))", "0", AVOIDED),
    ]),
    *_pins("LEAST", "dbt_project/macros/credited_microseconds.sql", f"{DOCS}functions/least", [
        ("least(1, null::number)", None),
        ("least('2026-03-04'::timestamp_ntz, null::timestamp_ntz)", None),
    ]),
    *_pins("GREATEST", "dbt_project/models/intermediate/learning_time/int_learning_time_to_completion.sql", f"{DOCS}functions/greatest", [
        ("greatest(1, null::number)", None),
        ("greatest(-5, 0)", "0"),
    ]),
    *_pins("GREATEST", "dbt_project/models/intermediate/learning_time/int_learning_time_to_completion.sql", f"{RECORDED}functions-conditional", [
        ("GREATEST(100, 200)", "200"),
        ("GREATEST('Alice', 'Bob', 'Charlie')", "Charlie"),
    ]),
    *_pins("ROUND", "dbt_project/macros/calendar.sql", f"{DOCS}functions/round", [
        ("round(499999 / 1000000)::number(38, 0)", "0"),
        ("round(500000 / 1000000)::number(38, 0)", "1"),
        ("round(1500000 / 1000000)::number(38, 0)", "2"),
        ("round(2500000 / 1000000)::number(38, 0)", "3"),
        ("round(86399499999 / 1000000)::number(38, 0)", "86399"),
    ]),
    *_pins("HEX_ENCODE", "dbt_project/macros/replica_values.sql", f"{DOCS}functions/hex_encode", [
        ("hex_encode(to_binary('0aff', 'HEX'))", "0AFF"),
        ("hex_encode(null::varchar)", None),
    ]),
    *_pins("HEX_DECODE_STRING", "dbt_project/macros/replica_values.sql", f"{DOCS}functions/hex_decode_string", [
        ("hex_decode_string('48454C4C4F')", "HELLO"),
    ]),
    *_pins("ABS", "dbt_project/macros/replica_values.sql", f"{DOCS}functions/abs", [
        ("abs(-3)", "3"),
        ("abs(null::number)", None),
    ]),
    *_pins("SYSDATE", "sync/ledger/tables.py", f"{DOCS}functions/sysdate", [
        ("abs(datediff('second', sysdate(), convert_timezone('UTC', current_timestamp())::timestamp_ntz)) <= 1", "true"),
    ]),
    *_pins("FLOOR", "dbt_project/macros/replica_values.sql", f"{DOCS}functions/floor", [
        ("floor(1000 * 1 / 3)::number(38, 0)", "333"),
        ("floor(1000 * 20 / 1000)::number(38, 0)", "20"),
    ]),
    *_pins("CEIL", "dbt_project/tests/singular/assert_few_webhooks_are_given_up.sql", f"{DOCS}functions/ceil", [
        ("ceil(1000 * 20 / 1000)::number(38, 0)", "20"),
        ("ceil(1000 * 1 / 99)::number(38, 0)", "11"),
        ("ceil(135.135)::number(38, 0)", "136"),
        ("ceil(-975.975)::number(38, 0)", "-975"),
        ("ceil(null::number)", None),
    ]),
    *_pins("CHR", "dbt_project/macros/replica_values.sql", f"{DOCS}functions/chr", [
        ("chr(31)", "\x1f"),
        ("replace('{' || chr(0) || '}', chr(0), '')", "{}"),
    ]),
    *_pins("SHA2", "dbt_project/macros/person_key.sql", f"{DOCS}functions/sha2", [
        ("sha2('', 256)", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("sha2('é', 256)", "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"),
        ("sha2(null::varchar, 256)", None),
    ]),
    *_pins("MD5", "dbt_project/models/intermediate/learning_time/int_tracking_events.sql", f"{DOCS}functions/md5", [
        ("md5('')", "d41d8cd98f00b204e9800998ecf8427e"),
        ("md5('å' || chr(31))", "8b834e37758ca3a34f68c07c9776fba0"),
    ]),
    *_pins("LAG", "dbt_project/models/intermediate/learning_time/int_learning_gaps.sql", f"{DOCS}functions/lag", [
        ("(select lag(v) over (order by v) from (select 1 as v))", None),
    ]),
    *_pins("LEAD", "dbt_project/models/intermediate/learning_time/int_learning_gaps.sql", f"{DOCS}functions/lead", [
        ("(select lead(v) over (order by v) from (select 1 as v))", None),
    ]),
    *_pins("CONVERT_TIMEZONE", "dbt_project/macros/calendar.sql", f"{DOCS}functions/convert_timezone", [
        ("to_varchar(convert_timezone('UTC', try_cast('2026-03-04T09:00:00.25+05:30' as timestamp_tz))::timestamp_ntz, 'YYYY-MM-DD HH24:MI:SS.FF6')", "2026-03-04 03:30:00.250000"),
        ("to_varchar(convert_timezone('UTC', 'America/New_York', '2026-03-08 06:59:59'::timestamp_ntz), 'YYYY-MM-DD HH24:MI:SS.FF6')", "2026-03-08 01:59:59.000000"),
        ("to_varchar(convert_timezone('UTC', 'America/New_York', '2026-03-08 07:00:00'::timestamp_ntz), 'YYYY-MM-DD HH24:MI:SS.FF6')", "2026-03-08 03:00:00.000000"),
        ("to_varchar(convert_timezone('America/New_York', 'UTC', '2026-03-09'::date::timestamp_ntz), 'YYYY-MM-DD HH24:MI:SS.FF6')", "2026-03-09 04:00:00.000000"),
        ("convert_timezone('UTC', try_cast(null::varchar as timestamp_tz))::timestamp_ntz", None),
    ]),
    *_pins("::VARCHAR", "dbt_project/macros/json_texts.sql", f"{DOCS}data-type-conversion", [
        ("12::number(38, 0)::varchar", "12"),
        ("true::varchar", "true"),
    ]),
    *_pins("::NUMBER", "dbt_project/macros/calendar.sql", f"{DOCS}data-type-conversion", [
        ("'12'::number(38, 0)", "12"),
        ("2.5::number(38, 0)", "3"),
        ("true::int", "1"),
    ]),
    *_pins("::INT", "dbt_project/macros/tracking_envelopes.sql", f"{DOCS}data-type-conversion", [
        ("false::int", "0"),
        ("null::boolean::int", None),
    ]),
    *_pins("::TIMESTAMP_NTZ", "dbt_project/macros/parse_utc_timestamp.sql", f"{DOCS}data-type-conversion", [
        ("to_varchar('2026-03-04'::date::timestamp_ntz, 'YYYY-MM-DD HH24:MI:SS.FF6')", "2026-03-04 00:00:00.000000"),
        ("to_varchar('2026-03-04 01:02:03.000004'::timestamp_ntz, 'YYYY-MM-DD HH24:MI:SS.FF6')", "2026-03-04 01:02:03.000004"),
    ]),
    *_pins("::TIMESTAMP_NTZ", "dbt_project/macros/parse_utc_timestamp.sql", f"{STATED}functions/AutoTemporalDetectionTest.java", [
        ("'2013-04-28T20:57:01.123456+07:00'::TIMESTAMP_NTZ = '2013-04-28 20:57:01.123456'::TIMESTAMP_NTZ", "true"),
        ("'2024-02-09T12:24:12'::TIMESTAMP_NTZ = '2024-02-09 12:24:12.000'::TIMESTAMP_NTZ", "true"),
        ("'2024-03-29  15:00:11'::TIMESTAMP_NTZ = '2024-03-29 15:00:11'::TIMESTAMP_NTZ", "true"),
    ]),
    *_pins("::DATE", "dbt_project/macros/calendar.sql", f"{DOCS}data-type-conversion", [
        ("to_varchar('2026-03-04 23:59:59.999999'::timestamp_ntz::date, 'YYYY-MM-DD')", "2026-03-04"),
    ]),
    *_pins("::FLOAT", "dbt_project/macros/replica_values.sql", f"{DOCS}data-type-conversion", [
        ("'0.9'::float", "0.9"),
    ]),
    *_pins("::VARIANT", "dbt_project/macros/tracking_envelopes.sql", f"{DOCS}data-type-conversion", [
        ("array_generate_range(0, 2)::variant[1]::int", "1"),
    ]),
    *_pins("||", "dbt_project/macros/normalize.sql", f"{DOCS}functions/concat", [
        ("'a' || null::varchar", None),
    ]),
    *_pins("<>", "dbt_project/macros/changed_batches.sql", f"{DOCS}operators-comparison", [
        ("1 <> null::number", None),
    ]),
    *_pins("/", "dbt_project/macros/calendar.sql", f"{DOCS}operators-arithmetic", [
        ("round(1 / 2, 1)", "0.5"),
        ("1 / 1000000 * 1000000 = 1", "true"),
    ]),
    *_pins("/", "dbt_project/macros/courserun_in_url.sql", f"{STATED}functions/DivisionDeclaredScaleTest.java", [
        ("(1/3)::VARCHAR", "0.333333", DOCUMENTED),
        ("(7/2)::VARCHAR", "3.500000", DOCUMENTED),
        ("(1.0000000/3.0)::VARCHAR", "0.333333", DOCUMENTED),
    ]),
    *_pins("ORDER BY", "dbt_project/models/intermediate/learning_time/int_learning_gaps.sql", f"{DOCS}constructs/order-by", [
        ("(select listagg(coalesce(v::varchar, 'null'), ',') within group (order by n) from (select v, row_number() over (order by v desc nulls last) as n from (select 1 as v union all select null union all select 2)))", "2,1,null"),
    ]),
    *_pins("UUID_STRING", "sync/delivery/record.py", f"{RECORDED}functions-uuid-string", [
        ("UUID_STRING('fe971b24-9572-4005-b22f-351e9c09274d', 'foo')", "dc0b6f65-fca6-5b4b-9d37-ccc3fde1f3e2"),
        ("UUID_STRING('fe971b24-9572-4005-b22f-351e9c09274d', 42) = UUID_STRING('fe971b24-9572-4005-b22f-351e9c09274d', '42')", "true", CURED),
        ("(SELECT COUNT(DISTINCT UUID_STRING()) FROM TABLE(GENERATOR(ROWCOUNT => 50)))", "50"),
        ("UUID_STRING('fe971b24-9572-4005-b22f-351e9c09274d', NULL)", "5218e289-d8a6-5159-a111-bdcf3110899a", CURED),
        ("IFF(UUID_STRING() <> UUID_STRING(), 'differ', 'same')", "differ"),
    ]),
    *_pins("TO_JSON", "sync/delivery/events.py", f"{STATED}functions/ContainerScaleNormalisationTest.java", [
        ("TO_JSON(PARSE_JSON('{\"k\":1.00}'))", "{\"k\":1}", DOCUMENTED),
        ("TO_JSON(OBJECT_CONSTRUCT('k', 1.5::FLOAT))", "{\"k\":1.500000000000000e+00}", AVOIDED),
        ("TO_JSON(OBJECT_CONSTRUCT('k', 1.0::FLOAT))", "{\"k\":1.000000000000000e+00}", AVOIDED),
        ("TO_JSON(OBJECT_CONSTRUCT('k', 1.00))", "{\"k\":1}", DOCUMENTED),
    ]),
    *_pins("TO_JSON", "sync/delivery/events.py", f"{STATED}docs/functions.md", [
        ("TO_JSON(PARSE_JSON('{\"b\":1,\"a\":2}'))", "{\"a\":2,\"b\":1}", DOCUMENTED),
        ("TO_JSON(OBJECT_CONSTRUCT('a', NULL, 'b', 1))", "{\"b\":1}"),
    ]),
    *_pins("TO_VARCHAR", "sync/domain/event_types.py", f"{STATED}functions/ContainerScaleNormalisationTest.java", [
        ("TO_VARCHAR(PARSE_JSON('1.00'))", "1", DOCUMENTED),
    ]),
    *_pins("TO_VARCHAR", "sync/domain/event_types.py", f"{STATED}docs/functions.md", [
        ("TO_VARCHAR(PARSE_JSON('{\"k\":\"[3,4]\"}'):k)", "[3,4]", DOCUMENTED),
    ]),
    *_pins("COALESCE", "dbt_project/macros/changed_batches.sql", f"{STATED}docs/functions.md", [
        ("COALESCE(PARSE_JSON('{\"o\":null,\"c\":5}'):o, PARSE_JSON('{\"o\":null,\"c\":5}'):c)::VARCHAR IS NULL", "true", AVOIDED),
    ]),
    *_pins("::BOOLEAN", "dbt_project/macros/replica_values.sql", f"{STATED}docs/functions.md", [
        ("1.5::BOOLEAN", "true"),
    ]),
    *_pins("COUNT_IF", "sync/delivery/record.py", f"{STATED}docs/functions.md", [
        ("(SELECT COUNT_IF(v > 1) FROM (SELECT 1 AS v UNION ALL SELECT 2 UNION ALL SELECT NULL))", "1"),
        ("(SELECT COALESCE(COUNT_IF(v > 1), 0) FROM (SELECT 1 AS v WHERE 1 = 0))", "0"),
    ]),
    *_pins("PERCENTILE_CONT", "sync/operations/report/figures.py", f"{STATED}docs/functions.md", [
        ("(SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY v) FROM (SELECT 1 AS v UNION ALL SELECT 2))", "1.5"),
        ("(SELECT PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY v) FROM (SELECT 0 AS v UNION ALL SELECT 1 UNION ALL SELECT 3))", "2.800", DOCUMENTED),
    ]),
)
# fmt: on
