"""Expressions with the value that Snowflake documents, by the function, type or operator they pin.

Only what engines read differently. The tests beside this file hold the models against it.
"""

from __future__ import annotations

import hashlib
from datetime import date, datetime

PINS: dict[str, list[tuple[str, object]]] = {
    "IFF": [("iff(null, 1, 0)", 0)],
    "SUM": [
        (
            "(select sum(v)::number(38, 0) from (select 86400000001 as v union all select 2))",
            86_400_000_003,
        )
    ],
    "REPLACE": [("replace('a%3Ab%3A', '%3A', ':')", "a:b:"), ("replace(null, 'a', 'b')", None)],
    "REGEXP_LIKE": [
        ("regexp_like('abc', 'b')", False),
        ("regexp_like('abc', '.*b.*')", True),
        ("regexp_like('a', 'a|b') and regexp_like('b', 'a|b')", True),
        ("regexp_like('xa', 'a|b') or regexp_like('ax', 'a|b')", False),
        ("regexp_like('A', 'a')", False),
        ("regexp_like('A', 'a', 'i')", True),
        ("regexp_like('a' || chr(10) || 'b', 'a.b')", False),
        ("regexp_like('a' || chr(10) || 'b', 'a.b', 's')", True),
        ("regexp_like('a' || chr(10), 'a')", False),
        ("regexp_like('a' || chr(9) || chr(10) || chr(13), 'a[[:space:]]+')", True),
        ("regexp_like(null, 'a')", None),
    ],
    "REGEXP_REPLACE": [
        ("regexp_replace('a1b22', '[0-9]')", "ab"),
        ("regexp_replace(' a b ' || chr(10), '^[[:space:]]+|[[:space:]]+$')", "a b"),
        ("regexp_replace('0123abcd', '(.{4})(.{4})', '\\\\1-\\\\2')", "0123-abcd"),
        ("regexp_replace('.1234567', '([.][0-9]{6})[0-9]+', '\\\\1')", ".123456"),
        ("regexp_replace(null, 'a')", None),
    ],
    "REGEXP_SUBSTR": [
        ("regexp_substr('/courses/course-v1:A+B+C/x', 'course-v1:[^/]+')", "course-v1:A+B+C"),
        ("regexp_substr('/x/(a)+b', '/x/([^+]+)[+]', 1, 1, 'e', 1)", "(a)"),
        ("regexp_substr('/x/ccx-v1:a', '/x/((c|ccx)-v1:[a-z]+)', 1, 1, 'e', 1)", "ccx-v1:a"),
        ("regexp_substr('/y/a', '/x/([^+]+)', 1, 1, 'e', 1)", None),
        ("regexp_substr(null, '[0-9]')", None),
    ],
    "TRY_CAST": [
        ("try_cast('0012' as number(38, 0))", 12),
        ("try_cast('x' as number(38, 0))", None),
        ("try_cast('1' as boolean)", True),
        ("try_cast('0' as boolean)", False),
        ("try_cast('true' as boolean)", True),
        ("try_cast('unknown' as boolean)", None),
        ("try_cast('2026-02-30T00:00:00+00:00' as timestamp_tz)", None),
        ("try_cast('soon' as timestamp_tz)", None),
    ],
    "IS_ARRAY": [
        ("is_array(parse_json('[1]'))", True),
        ("is_array(parse_json('{\"a\": [1]}'))", False),
        ("is_array(null::variant)", None),
    ],
    "LOWER": [("lower('ÅSA')", "åsa")],
    "UPPER": [("upper('åsa')", "ÅSA")],
    "LEFT": [("left('é12', 2)", "é1"), ("left('a', 5)", "a"), ("left(null, 1)", None)],
    "RIGHT": [("right('12é', 2)", "2é"), ("right('a', 5)", "a")],
    "LENGTH": [("length('é€')", 2), ("length(null)", None)],
    "SUBSTR": [
        ("substr('', 2)", ""),
        ("substr('abc', 2)", "bc"),
        ("substr('abc', 0)", "abc"),
        ("substr('é€', 2)", "€"),
    ],
    "TRIM": [("trim('  a  ')", "a"), ("trim(chr(10) || 'a')", "\na")],
    "LTRIM": [("ltrim('  [1]')", "[1]")],
    "SPLIT_PART": [
        ("split_part('a+b', '+', 1)", "a"),
        ("split_part('a:b:c', ':', -1)", "c"),
        ("split_part('a', ':', -1)", "a"),
        ("split_part('a', '+', 2)", ""),
        ("split_part(null, '+', 1)", None),
    ],
    "STARTSWITH": [
        ("startswith('/x', '/')", True),
        ("startswith('Abc', 'a')", False),
        ("startswith(null, 'a')", None),
    ],
    "POSITION": [
        ("position('{' in 'a{')", 2),
        ("position('{' in 'a')", 0),
        ("position('{' in null)", None),
    ],
    "DATEADD": [
        (
            "dateadd('microsecond', 1, '2026-03-04 23:59:59.999999'::timestamp_ntz)",
            datetime(2026, 3, 5),
        ),
        ("dateadd(day, -3, '2026-03-02 01:00:00'::timestamp_ntz)", datetime(2026, 2, 27, 1)),
        (
            "dateadd(minute, -10, '2026-03-02 00:05:00'::timestamp_ntz)",
            datetime(2026, 3, 1, 23, 55),
        ),
        ("dateadd(second, 3600, null::timestamp_ntz)", None),
    ],
    "DATEDIFF": [
        (
            "datediff('microsecond', '2026-03-04 23:59:59.700001'::timestamp_ntz, "
            "'2026-03-05 00:00:00.200000'::timestamp_ntz)",
            499_999,
        ),
        ("datediff('microsecond', null::timestamp_ntz, '2026-03-05'::timestamp_ntz)", None),
    ],
    "TRY_PARSE_JSON": [
        ("try_parse_json('{cut') is null", True),
        ("try_parse_json('') is null", True),
        ("try_parse_json(null) is null", True),
        ('try_parse_json(\'{"a": "x"}\'):a::varchar', "x"),
        ("try_parse_json('{\"a\": 12}'):a::varchar", "12"),
        ("try_parse_json('{\"a\": null}'):a::varchar", None),
        ('try_parse_json(\'{"a": {"b": true}}\'):a.b::varchar', "true"),
        ('try_parse_json(\'{"a": [1, "x"]}\'):a::varchar', '[1,"x"]'),
        ('try_parse_json(\'{"a": ["x"]}\'):a[0]::varchar', "x"),
        ("try_parse_json('{\"a\": 1}'):b::varchar", None),
        ("try_parse_json('{\"a\": 1}'):a.b::varchar", None),
        ("try_parse_json('[1]'):a::varchar", None),
    ],
    "PARSE_JSON": [("parse_json('[0]')[0]::varchar", "0")],
    "CONTAINS": [
        ("contains('abc', 'b')", True),
        ("contains('abc', '.')", False),
        ("contains(null, 'a')", None),
    ],
    "OBJECT_KEYS": [("object_keys(parse_json('{\"a\": 1}'))[0]::varchar", "a")],
    "FILTER": [
        (
            "filter(object_keys(parse_json('{\"a\": 1, \"b\": 2}')), name -> contains(name, 'b'))"
            "[0]::varchar",
            "b",
        ),
        ("filter(object_keys(parse_json('{}')), name -> contains(name, 'b'))[0]::varchar", None),
    ],
    "GET": [
        ("get(parse_json('{\"a\": {\"b\": 1}}'), 'a')::varchar", '{"b":1}'),
        ("get(parse_json('{\"a\": 1}'), null)::varchar", None),
    ],
    "ARRAY_SIZE": [
        ("array_size(parse_json('[1, 2]'))", 2),
        ("array_size(parse_json('{\"a\": 1}'))", None),
        ("array_size(try_parse_json(null))", None),
    ],
    "ARRAY_GENERATE_RANGE": [
        ("array_generate_range(0, 3)[2]::int", 2),
        ("array_size(array_generate_range(0, 0))", 0),
    ],
    "FLATTEN": [
        (
            "(select listagg(child.index || ':' || child.value::varchar, ',') "
            "within group (order by child.index) "
            'from lateral flatten(input => parse_json(\'["a", {"b": 1}]\')) as child)',
            '0:a,1:{"b":1}',
        ),
    ],
    "LEAST": [
        ("least(1, null)", None),
        ("least('2026-03-04'::timestamp_ntz, null::timestamp_ntz)", None),
    ],
    "GREATEST": [("greatest(1, null)", None), ("greatest(-5, 0)", 0)],
    "ROUND": [
        ("round(499999 / 1000000)::number(38, 0)", 0),
        ("round(500000 / 1000000)::number(38, 0)", 1),
        ("round(1500000 / 1000000)::number(38, 0)", 2),
        ("round(2500000 / 1000000)::number(38, 0)", 3),
        ("round(86399499999 / 1000000)::number(38, 0)", 86_399),
    ],
    "HEX_ENCODE": [("hex_encode(to_binary('0aff', 'HEX'))", "0AFF"), ("hex_encode(null)", None)],
    "HEX_DECODE_STRING": [("hex_decode_string('48454C4C4F')", "HELLO")],
    "ABS": [("abs(-3)", 3), ("abs(null)", None)],
    # The same time in UTC, without a zone, whatever the session's own zone is.
    "SYSDATE": [
        (
            "abs(datediff('second', sysdate(), "
            "convert_timezone('UTC', current_timestamp())::timestamp_ntz)) <= 1",
            True,
        ),
    ],
    "FLOOR": [
        ("floor(1000 * 1 / 3)::number(38, 0)", 333),
        ("floor(1000 * 20 / 1000)::number(38, 0)", 20),
    ],
    "CEIL": [
        ("ceil(1000 * 20 / 1000)::number(38, 0)", 20),
        ("ceil(1000 * 1 / 99)::number(38, 0)", 11),
        ("ceil(135.135)::number(38, 0)", 136),
        ("ceil(-975.975)::number(38, 0)", -975),
        ("ceil(null)", None),
    ],
    "CHR": [("chr(31)", "\x1f"), ("replace('{' || chr(0) || '}', chr(0), '')", "{}")],
    "SHA2": [
        ("sha2('', 256)", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("sha2('é', 256)", hashlib.sha256("é".encode()).hexdigest()),
        ("sha2(null, 256)", None),
    ],
    "MD5": [
        ("md5('')", "d41d8cd98f00b204e9800998ecf8427e"),
        ("md5('å' || chr(31))", hashlib.md5("å\x1f".encode(), usedforsecurity=False).hexdigest()),
    ],
    "LAG": [("(select lag(v) over (order by v) from (select 1 as v))", None)],
    "LEAD": [("(select lead(v) over (order by v) from (select 1 as v))", None)],
    "CONVERT_TIMEZONE": [
        (
            "convert_timezone('UTC', try_cast('2026-03-04T09:00:00.25+05:30' as timestamp_tz))"
            "::timestamp_ntz",
            datetime(2026, 3, 4, 3, 30, 0, 250_000),
        ),
        (
            "convert_timezone('UTC', 'America/New_York', '2026-03-08 06:59:59'::timestamp_ntz)",
            datetime(2026, 3, 8, 1, 59, 59),
        ),
        (
            "convert_timezone('UTC', 'America/New_York', '2026-03-08 07:00:00'::timestamp_ntz)",
            datetime(2026, 3, 8, 3),
        ),
        (
            "convert_timezone('America/New_York', 'UTC', '2026-03-09'::date::timestamp_ntz)",
            datetime(2026, 3, 9, 4),
        ),
        ("convert_timezone('UTC', try_cast(null as timestamp_tz))::timestamp_ntz", None),
    ],
}
CASTS: dict[str, list[tuple[str, object]]] = {
    "VARCHAR": [("12::number(38, 0)::varchar", "12"), ("true::varchar", "true")],
    "DECIMAL": [("'12'::number(38, 0)", 12), ("2.5::number(38, 0)", 3), ("true::int", 1)],
    "INT": [("false::int", 0), ("null::boolean::int", None)],
    "TIMESTAMPNTZ": [
        ("'2026-03-04'::date::timestamp_ntz", datetime(2026, 3, 4)),
        ("'2026-03-04 01:02:03.000004'::timestamp_ntz", datetime(2026, 3, 4, 1, 2, 3, 4)),
    ],
    "DATE": [("'2026-03-04 23:59:59.999999'::timestamp_ntz::date", date(2026, 3, 4))],
    "TIMESTAMPTZ": [],  # under TRY_CAST and CONVERT_TIMEZONE
    "BOOLEAN": [],  # under TRY_CAST
    "DOUBLE": [("'0.9'::float", 0.9)],
    "VARIANT": [("array_generate_range(0, 2)::variant[1]::int", 1)],
}
OPERATORS: dict[str, list[tuple[str, object]]] = {
    "||": [("'a' || null", None)],
    "<>": [("1 <> null", None)],
    "/": [("round(1 / 2, 1)", 0.5), ("1 / 1000000 * 1000000", 1)],
    "ORDER BY": [
        (
            "(select listagg(coalesce(v::varchar, 'null'), ',') within group (order by n) from "
            "(select v, row_number() over (order by v desc nulls last) as n from "
            "(select 1 as v union all select null union all select 2)))",
            "2,1,null",
        )
    ],
}
