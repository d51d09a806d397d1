"""Values of replicas: every unambiguous spelling is read, and no other is guessed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.warehouse import Warehouse, open_warehouse
from tests.reference import replica_values as reference
from tests.support.dbt import Dbt
from tests.support.examples import examples
from tests.support.replicas import compiled
from tests.support.scenarios import Scenarios

READ_ALL = """
with

given as (
    select
        value:n::number(38, 0) as n,
        {{ given_text('value:text::varchar', 'text') }} as given,
        {{ spelled_as_iso('value:text::varchar') }} as iso
    from table(flatten(input => parse_json(?)))
)

select
    n,
    {{ read_boolean('given', 'text') }} as a_boolean,
    {{ read_integer('given', 'text') }} as an_integer,
    {{ read_fraction('given', 'text') }} as a_fraction,
    {{ read_uuid('given', 'text') }} as a_uuid,
    to_varchar({{ read_timestamp('given', 'text', 'iso') }}, 'YYYY-MM-DD"T"HH24:MI:SS.FF6')
        as a_timestamp
from given
order by n
"""
AT = "2026-03-04T03:06:07.123456"
TYPED = [
    # kind, SQL of the column, macro, meaning
    ("boolean", "true", "read_boolean", True),
    ("number", "1::number(1, 0)", "read_boolean", True),
    ("number", "0::number(10, 3)", "read_boolean", False),
    ("number", "1.0::float", "read_boolean", True),
    ("number", "2::number(1, 0)", "read_boolean", None),
    ("number", "-1::number(1, 0)", "read_boolean", None),
    ("binary", "to_binary('01', 'HEX')", "read_boolean", True),
    ("binary", "to_binary('00', 'HEX')", "read_boolean", False),
    ("binary", "to_binary('31', 'HEX')", "read_boolean", True),
    ("binary", "to_binary('02', 'HEX')", "read_boolean", None),
    ("variant", "parse_json('true')", "read_boolean", True),
    ("variant", "parse_json('0')", "read_boolean", False),
    ("variant", "parse_json('\"1.0\"')", "read_boolean", True),
    ("variant", "parse_json('null')", "read_boolean", None),
    ("date", "'2026-03-04'::date", "read_boolean", None),
    ("text", "chr(1)", "read_boolean", True),
    ("text", "chr(0)", "read_boolean", False),
    ("timestamp", f"'{AT}'::timestamp_ntz", "read_timestamp", AT),
    ("zoned", "'2026-03-04 05:06:07.123456 +0200'::timestamp_tz", "read_timestamp", AT),
    ("zoned", "'2026-03-04 05:06:07.123456 +0200'::timestamp_ltz", "read_timestamp", AT),
    ("variant", f"parse_json('\"{AT}Z\"')", "read_timestamp", AT),
    ("variant", "parse_json('1772593567123456')", "read_timestamp", AT),
    ("number", "1772593567123456::number(38, 0)", "read_timestamp", AT),
    ("number", "1772593567123::number(38, 0)", "read_timestamp", "2026-03-04T03:06:07.123000"),
    ("number", "1772593567::float", "read_timestamp", "2026-03-04T03:06:07.000000"),
    ("number", "1772593567.123456::number(38, 6)", "read_timestamp", AT),
    ("number", "20260304030607::number(38, 0)", "read_timestamp", None),
    ("number", "58769::number(38, 0)", "read_timestamp", None),
    ("timestamp", "'0001-01-01 00:00:00'::timestamp_ntz", "read_timestamp", None),
    ("timestamp", "'1970-01-01 00:00:00'::timestamp_ntz", "read_timestamp", None),
    ("timestamp", "'9999-12-31 00:00:00'::timestamp_ntz", "read_timestamp", None),
    ("date", "'2026-03-04'::date", "read_timestamp", None),
    ("number", "12.0::float", "read_integer", 12),
    ("number", "12.5::float", "read_integer", None),
    ("variant", "parse_json('12.0')", "read_integer", 12),
    ("boolean", "true", "read_integer", None),
    ("number", "0.875::number(5, 3)", "read_fraction", "0.875000"),
    ("number", "88::number(5, 0)", "read_fraction", None),
    ("number", "'nan'::float", "read_fraction", None),
    ("variant", "parse_json('0.875')", "read_fraction", "0.875000"),
    (
        "binary",
        "to_binary('ABCDEF0123454678890AABCDEF012345', 'HEX')",
        "read_uuid",
        "abcdef01-2345-4678-890a-abcdef012345",
    ),
    ("number", "12::number(38, 0)", "read_uuid", None),
    ("variant", "parse_json('{\"a\": 1}')", "read_json", '{"a":1}'),
]


@pytest.fixture(scope="module")
def engine(scenarios: Scenarios) -> Any:
    """An open session."""
    scenarios.stand("nothing")
    with open_warehouse(scenarios.settings, purpose="tests") as opened:
        yield opened


@pytest.fixture(scope="module")
def statement(engine: Warehouse, dbt: Dbt) -> str:
    """The statement that reads texts as each type."""
    return compiled(dbt, READ_ALL)


def read(engine: Warehouse, statement: str, texts: Sequence[str]) -> list[dict[str, Any]]:
    """Each text read as each type."""
    rows = json.dumps([{"n": n, "text": text} for n, text in enumerate(texts)])
    return list(engine.rows(statement, rows))


WORDS = sorted(reference.TRUE | reference.FALSE)
CASES = st.sampled_from([str.lower, str.upper, str.title])
PADDING = st.sampled_from(["", " ", "  "])
BOOLEANS = st.one_of(
    st.builds(
        lambda word, case, pad: pad + case(word) + pad, st.sampled_from(WORDS), CASES, PADDING
    ),
    st.sampled_from(["1", "0", "1.0", "0.0", "01", "+1", "1.", "0.000", "1e0", "1.000e+00", "-0"]),
    st.sampled_from(
        ["2", "-1", "10", "0.1", "1e1", "tr", "yess", "true false", "nan", "null", "1 0"]
    ),
    # Without the characters of the spellings in BITS.
    st.text(
        st.characters(codec="ascii", min_codepoint=32, exclude_characters="\"'\\=xX"), max_size=4
    ),
)
INTEGERS = st.one_of(
    st.builds(
        lambda n, tail: f"{n}{tail}",
        st.integers(-(10**17), 10**17),
        st.sampled_from(["", ".0", ".", ".00"]),
    ),
    st.sampled_from(["12.5", "12,0", "1 2", "0x1f", "twelve", "--1", "."]),
)
TIMES = st.datetimes(datetime(2001, 1, 1), datetime(2099, 1, 1))
OFFSETS = st.integers(-12 * 4, 14 * 4).map(lambda quarters: timedelta(minutes=15 * quarters))


@st.composite
def spelled_timestamps(draw: st.DrawFn) -> tuple[str, datetime]:
    """A text and the time in UTC that it means, at microseconds."""
    at = draw(TIMES)
    offset = draw(OFFSETS)
    separator = draw(st.sampled_from(["T", " ", "t"]))
    digits = draw(st.integers(0, 9))
    fraction = f"{at.microsecond:06d}000"[:digits]
    at = at.replace(microsecond=int(fraction[:6].ljust(6, "0")) if fraction else 0)
    local = at.replace(tzinfo=UTC).astimezone(timezone(offset))
    sign, minutes = "-" if offset < timedelta(0) else "+", abs(offset) // timedelta(minutes=1)
    hours, rest = divmod(minutes, 60)
    zones = [f"{sign}{hours:02d}:{rest:02d}", f"{sign}{hours:02d}{rest:02d}"]
    zones += [f" {zone}" for zone in zones] + ([f"{sign}{hours:02d}"] if rest == 0 else [])
    if offset == timedelta(0):
        zones += ["", "Z", "z", " Z", " UTC", "UTC", " GMT"]
    point = draw(st.sampled_from([".", ","])) if fraction else ""
    text = (
        local.strftime(f"%Y-%m-%d{separator}%H:%M:%S")
        + point
        + fraction
        + draw(st.sampled_from(zones))
    )
    return text, at


@st.composite
def unix_times(draw: st.DrawFn) -> tuple[str, datetime]:
    """Unix time in one of its units, and what it means."""
    at = draw(TIMES)
    digits = draw(st.sampled_from([0, 3, 6]))
    at = at.replace(microsecond=at.microsecond // 10 ** (6 - digits) * 10 ** (6 - digits))
    number = (at - datetime(1970, 1, 1)) // timedelta(microseconds=10 ** (6 - digits))
    return f"{number}{draw(st.sampled_from(['', '.0']))}", at


@settings(max_examples=examples(2, 100))
@given(st.lists(BOOLEANS, min_size=100), st.lists(INTEGERS, min_size=30))
def test_one_bit_and_whole_numbers_are_read_as_python_reads_them(
    engine: Warehouse, statement: str, bits: list[str], numbers: list[str]
) -> None:
    found = read(engine, statement, [*bits, *numbers])
    assert [(text, row["a_boolean"]) for text, row in zip(bits, found, strict=False)] == [
        (text, reference.boolean(text)) for text in bits
    ]
    wanted = [(text, reference.integer(text)) for text in numbers]
    assert [
        (text, None if row["an_integer"] is None else int(row["an_integer"]))
        for text, row in zip(numbers, found[len(bits) :], strict=True)
    ] == wanted


@settings(max_examples=examples(2, 100))
@given(st.lists(st.one_of(spelled_timestamps(), unix_times()), min_size=100))
def test_a_timestamp_means_the_same_time_however_it_is_spelled(
    engine: Warehouse, statement: str, spelled: list[tuple[str, datetime]]
) -> None:
    found = read(engine, statement, [text for text, _ in spelled])
    assert [(text, row["a_timestamp"]) for (text, _), row in zip(spelled, found, strict=True)] == [
        (text, at.isoformat(timespec="microseconds")) for text, at in spelled
    ]
    assert [reference.timestamp(text) for text, _ in spelled] == [at for _, at in spelled]


@settings(max_examples=examples(2, 100))
@given(
    st.lists(
        st.one_of(
            st.text(st.sampled_from("0123456789-:T Z+./"), max_size=26),
            st.builds(
                lambda at, at_char, put: at[:at_char] + put + at[at_char + 1 :],
                TIMES.map(lambda at: at.isoformat() + "+02:00"),
                st.integers(0, 30),
                st.sampled_from(["", "9", "x", " ", "-", ":"]),
            ),
        ),
        min_size=100,
    )
)
def test_a_broken_timestamp_is_never_guessed(
    engine: Warehouse, statement: str, texts: list[str]
) -> None:
    for text, row in zip(texts, read(engine, statement, texts), strict=True):
        wanted = reference.timestamp(text)
        assert row["a_timestamp"] in (None, wanted and wanted.isoformat(timespec="microseconds")), (
            text
        )


@settings(max_examples=examples(2, 100))
@given(st.lists(st.uuids(), min_size=20))
def test_an_id_is_one_id_in_any_dress(engine: Warehouse, statement: str, ids: list[UUID]) -> None:
    spelled = [
        text
        for one in ids
        for text in (
            *(str(one), one.hex, one.hex.upper(), f"{{{one}}}", one.urn, f"0x{one.hex}"),
            *(f'"{one}"', f" {one} "),
        )
    ]
    found = read(engine, statement, spelled)
    assert [row["a_uuid"] for row in found] == [str(one) for one in ids for _ in range(8)]
    broken = read(engine, statement, [text[:-2] + "g" for text in spelled])
    assert {row["a_uuid"] for row in broken} == {None}


BITS: dict[str, bool | None] = {
    **dict.fromkeys(("b'\\x01'", "\\x01", "0x01", "AQ==", "b'1'", '"true"'), True),
    **dict.fromkeys(("b'\\x00'", "\\x00", "0x0", "AA==", "x'00'"), False),
    **dict.fromkeys(("", "NULL", "\\N", "None", "ja", "01/02", "11")),
}


def test_a_bit_is_read_in_the_spellings_of_bytes(engine: Warehouse, statement: str) -> None:
    found = read(engine, statement, list(BITS))
    assert {text: row["a_boolean"] for text, row in zip(BITS, found, strict=True)} == BITS


AMBIGUOUS = [
    *("2026-03-04", "03/04/2026 05:06:07", "04.03.2026 05:06", "2026-13-04T05:06:07Z"),
    *("2026-02-30 05:06:07", "2026-03-04T25:06:07Z", "2026-03-04T05:06:60Z", "soon"),
    *("0001-01-01T00:00:00Z", "1970-01-01 00:00:00", "9999-12-31 23:59:59", "58769", "0"),
    *("20260304050607", "0000-00-00 00:00:00", "2026-03-04T05:06:07 Europe/Berlin"),
]


def test_a_timestamp_that_could_be_several_is_none(engine: Warehouse, statement: str) -> None:
    found = read(engine, statement, AMBIGUOUS)
    assert {text: row["a_timestamp"] for text, row in zip(AMBIGUOUS, found, strict=True)} == (
        dict.fromkeys(AMBIGUOUS)
    )


GRADES = {
    "0.88": "0.88",
    ".5": "0.5",
    "1": "1",
    "8.8e-1": "0.88",
    "1.0": "1",
    **dict.fromkeys(("88", "88%", "0,88", "-0.1", "inf", "A")),
}


def test_a_grade_is_a_share_of_one_or_refused(engine: Warehouse, statement: str) -> None:
    found = read(engine, statement, list(GRADES))
    assert {text: row["a_fraction"] for text, row in zip(GRADES, found, strict=True)} == {
        text: value and Decimal(value) for text, value in GRADES.items()
    }


def test_each_type_of_the_warehouse_is_read_as_what_it_says(engine: Warehouse, dbt: Dbt) -> None:
    """Numbers, FLOAT, BINARY, VARIANT, DATE and the three kinds of TIMESTAMP."""
    selects = []
    for n, (kind, sql, macro, _) in enumerate(TYPED):
        value = f"{{{{ {macro}('given', '{kind}') }}}}"
        if macro == "read_timestamp":
            value = f"{{{{ read_timestamp('given', '{kind}', 'iso') }}}}"
            value = f"to_varchar({value}, 'YYYY-MM-DD\"T\"HH24:MI:SS.FF6')"
        as_text = kind in ("text", "variant", "binary")
        first = f'{{{{ given_text("held", "{kind}") }}}}' if as_text else "held"
        iso = '{{ spelled_as_iso("held::varchar") }}' if as_text else "null"
        selects.append(
            f"select {n} as n, {value}::varchar as found "
            f"from (select {first} as given, {iso} as iso from (select {sql} as held))"
        )
    rows = engine.rows(compiled(dbt, " union all ".join(selects) + " order by n"))
    found = {int(row["n"]): row["found"] for row in rows}
    assert [(*one[:3], found[n]) for n, one in enumerate(TYPED)] == [
        (
            kind,
            sql,
            macro,
            value
            if value is None
            else str(value).lower()
            if isinstance(value, bool)
            else str(value),
        )
        for kind, sql, macro, value in TYPED
    ]
