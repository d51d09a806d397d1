"""The tool that removes conditions finds all of them, and every function that sends one."""

from __future__ import annotations

import pytest
import sqlglot

from tests.mutations.conditions import NOT_SENT, conditions, ids_of, senders, without

UPDATE = """
    update a.b.rows as mine set x = iff(mine.x > 1, 1, 2)
    from (
        select other.id from a.b.other as other inner join a.b.third as third on other.id = third.id
        where other.y = 1 qualify row_number() over (partition by other.id order by other.y) = 1
    ) as chosen
    where mine.id = chosen.id and (mine.y = 1 or mine.z = 2 and mine.w = 3)
        and case when mine.v = 1 and mine.u = 2 then 'no' else 'ok' end = 'ok'
"""


def test_each_operand_of_each_clause_is_a_condition() -> None:
    found = conditions(sqlglot.parse_one(UPDATE, dialect="snowflake"))
    texts = sorted(one.sql(dialect="snowflake") for one in found)
    assert texts == [
        "(mine.y = 1 OR mine.z = 2 AND mine.w = 3)",
        "CASE WHEN mine.v = 1 AND mine.u = 2 THEN 'no' ELSE 'ok' END = 'ok'",
        "ROW_NUMBER() OVER (PARTITION BY other.id ORDER BY other.y) = 1",
        "mine.id = chosen.id",
        "mine.u = 2",
        "mine.v = 1",
        "mine.v = 1 AND mine.u = 2",
        "mine.w = 3",
        "mine.y = 1",
        "mine.z = 2",
        "mine.z = 2 AND mine.w = 3",
        "other.id = third.id",
        "other.y = 1",
    ]


@pytest.mark.parametrize(
    ("sql", "number", "expected"),
    [
        ("delete from t where a = 1", 0, "((a = 1) OR TRUE)"),
        ("delete from t where a = 1 and b = 2", 1, "a = 1 AND ((b = 2) OR TRUE)"),
        ("delete from t where a = 1 or b = 2", 1, "a = 1 OR ((b = 2) AND FALSE)"),
        ("delete from t where case when a = 1 then 1 else 2 end = 2", 1, "((a = 1) AND FALSE)"),
    ],
)
def test_a_condition_is_taken_away_as_its_operator_ignores_it(
    sql: str, number: int, expected: str
) -> None:
    assert expected in without(sql, number)


def test_variants_of_a_statement_share_their_conditions_and_other_statements_do_not() -> None:
    one = ids_of("f", "delete from t where a = 'course_completion' and b = 1")
    assert set(one) < set(ids_of("f", "delete from t where a = 'course_enrollment' and b = 1 or c"))
    assert not set(one) & set(ids_of("f", "update t set x = 1 where b = 1"))


def test_every_function_that_writes_is_found_in_the_source() -> None:
    found = senders()
    assert found > NOT_SENT.keys()
    assert {
        "sync/ledger/claims.py:Claims._claim",
        "sync/delivery/record.py:_record",
        "sync/operations/erase.py:_empty_excerpts",
    } <= found
