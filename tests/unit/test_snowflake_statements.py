"""The check that all tests run on the product's statements: what it finds, and what it lets by."""

from __future__ import annotations

import pytest

from tests.support.snowflake_statements import problems_of


@pytest.mark.parametrize(
    "sql",
    [
        "select json_extract_string(line, '$.a') from lines",
        "select list_extract(events, 1) from lines",
        "select a from t; select b from t",
        "select (a from t",
        "pragma table_info('t')",
        "select (select max(b.x) from b where b.id = a.id) as newest from a",
        "select * from a where exists (select 1 from b where b.id = a.id and b.x < a.x)",
        "select * from a where exists (select 1 from b where b.id = a.id or a.x = b.x)",
        "select * from a where exists (select 1 from b where b.id = coalesce(a.id, a.x))",
        "insert into t select m.value from table(flatten(input => parse_json(?))) as m"
        " where not exists (select 1 from t as known where known.id = m.value:id::varchar)",
    ],
)
def test_what_snowflake_refuses_is_found(sql: str) -> None:
    assert problems_of(sql) != ()


@pytest.mark.parametrize(
    "sql",
    [
        "begin",
        "select sysdate(), uuid_string(?, 'a')",
        "select value:id::number(38, 0) as id from table(flatten(input => parse_json(?)))",
        "select * from a where not exists (select 1 from b where b.id = a.id and b.x < ?)",
        "select * from a where a.id in (select b.id from b) and a.x = (select max(x) from b)",
        "update t as a set x = b.x from (select id, x from b) as b where a.id = b.id",
        "delete from t as a using (select id from b) as b where a.id = b.id",
        "select * from a qualify row_number() over (partition by id order by x) = 1",
        "put 'file:///x.log' @stage auto_compress = false",
    ],
)
def test_what_snowflake_takes_is_let_by(sql: str) -> None:
    assert problems_of(sql) == ()
