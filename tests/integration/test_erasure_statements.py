"""The statements in docs/erasure.md for the raw log delete only one person's lines."""

from __future__ import annotations

import re

import pytest

from sync.settings import PROJECT_ROOT
from sync.warehouse import Warehouse

HERS = [
    '{"context": {"user_id": 90417}, "username": ""}',
    '{"context":{"user_id":90417.0}}',
    '{"context":{"user_id":"90417"}}',
    r"{\"context\": {\"user_id\": 90417}}",
    '{"username": "learner_90417", "time',
    '{"username": "Learner_90417"}',
    r"{\"username\":\"learner_90417\"}",
    r"{\u0022username\u0022:\u0022learner_90417\u0022}",
    "GET /u/learner_90417?x=1",
    "GET /u/learner_90417.",
    "username=%22learner_90417%22",
    "username%3Dlearner_90417",
    "learner_90417",
    "thanks, @learner_90417!\nsecond line",
    '{"to": "learner_90417@example.com"}',
    "to=Learner_90417%40Example.com&x",
    r"learner_90417\u0040example.com",
    "learner_90417&#64;example.com",
    "%3Clearner_90417@example.com%3E",
    "write to learner_90417@example.com.",
]
OTHERS = [
    '{"context": {"user_id": 904170}}',
    '{"context": {"user_id": 190417}}',
    '{"context": {"user_id": 9041}}',
    '{"context": {"user_id": 417}}',
    '{"context": {"user_id": 90417417}}',
    '{"context":{"user_id":null,"a":90417}}',
    '{"context": {"user_id": 8, "course": 90417}}',
    '{"username": "learner_904170"}',
    '{"username": "xlearner_90417"}',
    '{"username": "my_learner_90417"}',
    '{"username": "my-learner_90417"}',
    '{"username": "learner_90417-2"}',
    '{"username": "learner_90417_2"}',
    '{"username": "learnerx90417"}',
    '{"to": "xlearner_90417@example.com"}',
    '{"to": "x.learner_90417@example.com"}',
    '{"to": "learner_90417@example.org"}',
    '{"to": "learner_90417@example.com.au"}',
    '{"to": "learner_90417@examplexcom"}',
    '{"to": "learner_90417.smith@example.com"}',
    '{"to": "learner_90417+x@example.net"}',
]


@pytest.mark.parametrize(("lines", "remain"), [(HERS, 0), (OTHERS, len(OTHERS))])
def test_the_statement_for_the_log_takes_every_line_of_one_person_and_no_other(
    warehouse: Warehouse, lines: list[str], remain: int
) -> None:
    text = (PROJECT_ROOT / "docs" / "erasure.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```sql\n(.*?)```", text, flags=re.DOTALL)
    statement = block.split(";")[0]
    assert "raw.tracking.tracking_logs" in statement
    warehouse.execute("create database if not exists raw")
    warehouse.execute("create schema if not exists raw.tracking")
    warehouse.execute("create or replace table raw.tracking.tracking_logs (line varchar)")
    for line in lines:
        warehouse.execute("insert into raw.tracking.tracking_logs select ?", line)
    warehouse.execute(statement)
    left = [row["line"] for row in warehouse.rows("select line from raw.tracking.tracking_logs")]
    assert len(left) == remain, left if not remain else set(lines) - set(left)
