"""An error of the warehouse names the column, and quotes no value of a row."""

from __future__ import annotations

import traceback

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from sync.engine_errors import safe_text
from sync.warehouse import StatementFailed, Warehouse
from tests.support.examples import examples

TABLE = "analytics.marts.people"
CASTS = (
    "select cast(email as number(38, 0)) as n from {table}",
    "select email::number(2, 0) as n from {table}",
    "select email::timestamp_ntz as n from {table}",
    "select email::date as n from {table}",
    "select email::boolean as n from {table}",
    "select id as n from {table} where id = email",
    "select email::variant:x::number(38, 0) as n from {table}",
)
OTHERS = (
    "select to_timestamp(email, 'YYYY-MM-DD') as n from {table}",
    "select parse_json(email) as n from {table}",
    "select object_construct('a', email):a::number(38, 0) as n from {table}",
)
SECRET = "jane"
SQL = "update a.b.c set email = ?"


def failure(warehouse: Warehouse, sql: str) -> str:
    """Everything that a log may contain about it: the text, the causes and the contexts."""
    with pytest.raises(StatementFailed) as caught:
        warehouse.rows(sql)
    # This test's frames contain the statement; only the errors are checked.
    chain, one = [], caught.value
    while one is not None:
        chain.append("".join(traceback.format_exception_only(one)))
        one = one.__cause__ or one.__context__
    return "\n".join(chain)


@pytest.fixture
def people(warehouse: Warehouse) -> Warehouse:
    warehouse.execute("create schema if not exists analytics.marts")
    warehouse.execute(f"create table {TABLE} (id number(38, 0) not null, email varchar)")
    return warehouse


@settings(max_examples=examples(5, 200))
@example(before="", after=".o'neil@example.com")
@example(before='O"', after="'")
@example(before="12' to INT64 when casting from source column ", after="")
@example(before="(a\n^\n", after=" when casting from source column JANE")
@example(before="x when casting from source column ", after="\nfoo")
@example(before="x when casting from source column ", after="\n^\n\n\n")
@example(before="SQL compilation error: ", after='"')
@example(before="00\x80\x80\x80𐀀𐀀𐀀𐀀", after="00\x80\x80\x80𐀀𐀀𐀀ࠀ")
@given(before=st.text(max_size=9), after=st.text(max_size=9))
def test_no_value_is_in_the_error_whatever_quotes_it_holds(
    people: Warehouse, before: str, after: str
) -> None:
    value = f"{before}{SECRET}{after}".replace("\0", "")
    # That would be no error: '"jane"' is JSON.
    assume(people.value("select try_parse_json(?) as document", value) is None)
    people.execute(f"delete from {TABLE}")
    people.execute(f"insert into {TABLE} select 1, ?", value)
    for sql in (*CASTS, *OTHERS):
        said = failure(people, sql.format(table=TABLE))
        assert SECRET not in said.lower(), sql
        assert "(22" in said or "001003" in said, "the code says what kind of error it is"
        # The embedded server truncates DuckDB's multi-line text, and DuckDB cuts longer input even
        # within a character, which leaves no text.
        if sql in CASTS and not {"\n", "\r"} & set(value) and len(value.encode()) <= 50:
            assert "in column EMAIL" in said, sql


def test_a_value_that_is_bound_is_not_in_the_error(warehouse: Warehouse) -> None:
    with pytest.raises(StatementFailed) as caught:
        warehouse.rows("select cast(? as number(38, 0)) as n", "jane@example.com")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        (f"select mail from {TABLE}", "MAIL"),
        ("select 1 as one from analytics.marts.nothing_there", "NOTHING_THERE"),
        (f"insert into {TABLE} (id) select null", " ID "),
        (f"select nobody.x from {TABLE}", "NOBODY"),
    ],
)
def test_what_a_statement_lacks_is_named(people: Warehouse, sql: str, name: str) -> None:
    assert name in failure(people, sql).upper()


@pytest.mark.parametrize(
    ("code", "state", "said", "column"),
    [
        (100038, "22018", "Numeric value 'jane' is not recognized", ""),
        (
            100038,
            "22018",
            "DML operation to table A.B.C failed on column EMAIL with error: Numeric value 'jane' "
            "is not recognized",
            " in column EMAIL",
        ),
        (100090, "42P18", 'Duplicate row detected during DML action\nRow Values: [5, "jane"]', ""),
        (100069, "22P02", 'Error parsing JSON: unknown keyword "jane", pos 5', ""),
        (100078, "22000", "String 'jane' is too long and would be truncated", ""),
        (100071, "22000", 'Failed to cast variant value "jane" to FIXED', ""),
        (904, "22023", "invalid value [jane]", ""),
    ],
)
def test_what_snowflake_quotes_of_a_row_is_left_out(
    code: int, state: str, said: str, column: str
) -> None:
    query = "01b2c3d4-0000-1111-0000-0000deadbeef"
    text = safe_text(f"{code:06d} ({state}): {query}: {said}", code=code, state=state, sql=SQL)
    assert text.startswith(f"{code:06d} ({state}): a value{column} cannot be used; ")
    assert SECRET not in text


@pytest.mark.parametrize(
    ("code", "state", "said"),
    [
        (904, "42000", "SQL compilation error: error line 2 at position 7\ninvalid identifier 'X'"),
        (2003, "42S02", "SQL compilation error:\nObject 'T' does not exist or not authorized."),
        (3001, "42501", "SQL access control error:\nInsufficient privileges to operate on 'T'"),
        (630, "57014", "Statement reached its statement or warehouse timeout of 240 second(s)"),
        (250001, "08001", "Could not connect to Snowflake backend after 2 attempt(s)."),
    ],
)
def test_what_snowflake_says_of_names_and_limits_stays(code: int, state: str, said: str) -> None:
    message = f"{code:06d} ({state}): {said}"
    assert safe_text(message, code=code, state=state, sql=SQL) == message


@pytest.mark.parametrize(
    "value",
    [
        "'0000-01-01 00:00:00'::timestamp_ntz",
        "'12345-01-01 00:00:00'::timestamp_ntz",
        "'0001-01-01 00:00:00 +1400'::timestamp_tz",
        "'10000-01-01'::date",
    ],
)
def test_a_time_that_python_has_none_for_is_named_with_its_column(
    warehouse: Warehouse, value: str
) -> None:
    with pytest.raises(StatementFailed, match=r"years 1 to 9999 .*\(passed_at\).* correct"):
        warehouse.rows(f"select 7 as user_id, {value} as passed_at, 'x' as name")
    assert warehouse.rows("select null::timestamp_ntz as passed_at") == [{"passed_at": None}]
