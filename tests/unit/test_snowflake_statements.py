"""The check that all tests run on the product's statements: what it finds and what it allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from sync.settings import EmbeddedWarehouse
from sync.warehouse import MEANING, connect_arguments
from tests.support.snowflake_rules import RULES, SESSION_PARAMETERS, Rule, broken_rules
from tests.support.snowflake_statements import problems_of


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_statement_that_breaks_a_rule_is_found_by_it_and_by_no_other(rule: Rule) -> None:
    found = [one for one in broken_rules(rule.example) if "cannot read it" not in one]
    assert len(found) == 1
    assert found[0].endswith(f": {rule.name} ({rule.source})")


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
        "select coalesce((v:a), 'x') from t",
        "select coalesce(v['a'], 'x') from t",
        "select coalesce(get(v, 'a'), 'x') from t",
        "select nvl2(v:a, 1, 0) from t",
        "select decode(v:a, null, 0, 1) from t",
        "select equal_null(v:a, v:b) from t",
        "select localtimestamp",
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
        "select coalesce(v:a:b::varchar, get(v, 'a')::varchar, v['a']::varchar, '') from t",
        "select value:id::number(38, 0) as id from table(flatten(input => parse_json(?)))",
        "select * from a where not exists (select 1 from b where b.id = a.id and b.x < ?)",
        "select * from a where a.id in (select b.id from b) and a.x = (select max(x) from b)",
        "update t as a set x = b.x from (select id, x from b) as b where a.id = b.id",
        "delete from t as a using (select id from b) as b where a.id = b.id",
        "select uuid_string(?, 'a|' || seen.k) from seen where seen.k is not null",
        "select * from a qualify row_number() over (partition by id order by x) = 1",
        "put 'file:///x.log' @stage auto_compress = false",
    ],
)
def test_what_snowflake_takes_is_let_by(sql: str) -> None:
    assert problems_of(sql) == ()


def test_our_sessions_set_what_decides_a_meaning_and_only_what_snowflake_documents() -> None:
    """Those of dbt: ``test_all_that_dbt_sends_for_snowflake_keeps_its_rules``."""
    settings = EmbeddedWarehouse(port=1, home=Path("/srv"))
    parameters = connect_arguments(settings, purpose="test")["session_parameters"]
    assert parameters.keys() <= SESSION_PARAMETERS
    assert MEANING.items() <= parameters.items()
    assert "CLIENT_TELEMETRY_ENABLED" not in SESSION_PARAMETERS
