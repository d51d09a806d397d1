"""``docs/your-replica.md``: its settings work, and its tables match the macros."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from sync.settings import PROJECT_ROOT
from sync.warehouse import Warehouse
from tests.dbt.scenario import prepare
from tests.support.dbt import Dbt
from tests.support.document_blocks import blocks_of, documents
from tests.support.replicas import compiled, replicate

DOCUMENT = PROJECT_ROOT / "docs" / "your-replica.md"
ROWS = [
    (1, "gone", 1), (1, "here", 2), (2, "here", 1), (2, "Removed", 2), (3, "here", 1),
]  # fmt: skip
"""Key, value of the mark, batch."""
SETTINGS = {"deletion_marks", "not_deletion_marks", "newest_row_by"}


@pytest.fixture
def facts(dbt: Dbt) -> Any:
    """What the macros support: replicas, marks and orders."""
    names = ("replica_tables", "known_marks", "known_orders")
    listed = ", ".join(f"'{name}': {name}()" for name in names)
    return json.loads(compiled(dbt, f"{{{{ {{ {listed} }} | tojson }}}}"))


def test_every_block_of_settings_is_one_that_dbt_takes(warehouse: Warehouse, dbt: Dbt) -> None:
    """All of them together: the newest row by batch counts, and the mark deletes it."""
    blocks = [yaml.safe_load(one.text) for one in blocks_of(DOCUMENT) if one.language == "yaml"]
    project = yaml.safe_load((PROJECT_ROOT / "dbt_project.yml").read_text(encoding="utf-8"))
    parameters: dict[str, Any] = {}
    for block in blocks:
        (name,) = block["vars"]
        assert name == project["name"]
        parameters |= block["vars"][name]
    assert set(parameters) == SETTINGS
    assert set(parameters) <= set(project["vars"][project["name"]])
    prepare(warehouse)
    tool = {
        "record_state": "varchar",
        "record_state_before_delete": "varchar",
        "batch_id": "number(38, 0)",
    }
    replicate(
        warehouse,
        "auth_user",
        tool,
        [
            (str(key), "'ada'", "null", "1", "0", "0", "null", "null", f"'{mark}'", "'x'", str(at))
            for key, mark, at in ROWS
        ],
    )
    query = "with {{ replica('auth_user') }} select id from replica order by id"

    kept = warehouse.rows(compiled(dbt, query, json.dumps(parameters)))
    assert [int(row["id"]) for row in kept] == [1, 3]
    chosen = ("--select", "replica_is_readable_stg_lms__users_auth_user")
    dbt("test", *chosen, "--vars", json.dumps(parameters))
    with pytest.raises(AssertionError, match="record_state_before_delete looks like"):
        dbt("test", *chosen)


def test_every_block_of_vars_in_a_document_is_for_this_project() -> None:
    """dbt ignores vars under any other name, and the models use their defaults."""
    project = yaml.safe_load((PROJECT_ROOT / "dbt_project.yml").read_text(encoding="utf-8"))
    blocks = [one for path in documents() for one in blocks_of(path) if "vars:\n" in one.text]
    wrong = {
        str(block): name
        for block in blocks
        for scope, values in yaml.safe_load(block.text)["vars"].items()
        for name in values
        if scope != project["name"] or name not in project["vars"][project["name"]]
    }
    assert wrong == {}
    assert {block.document for block in blocks} >= {"docs/first-day.md", "docs/your-replica.md"}


def test_the_table_of_columns_is_the_one_of_the_macros(facts: Any) -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.+?) \| .*\|$", text_below("Tables"), re.M)
    written = {
        table: (key, set(re.findall(r"`(\w+)`", columns)), set(re.findall(r"\(`(\w+)`\)", columns)))
        for table, key, columns in rows
    }
    assert written == {
        table: (
            spec["key"],
            set(spec["columns"]) - {spec["key"]},
            set(spec.get("optional", [])),
        )
        for table, spec in facts["replica_tables"].items()
    }


def test_every_name_of_a_tool_is_known(facts: Any) -> None:
    rows = re.findall(r"^\| [A-Z].*? \| (.*?) \| (.*?) \| .*\|$", text_below("By tool"), re.M)[1:]
    assert len(rows) > 12
    for column, known in enumerate((facts["known_marks"], facts["known_orders"])):
        names = {name for row in rows for name in re.findall(r"`([^`]+)`", row[column])}
        bare = {re.sub("[^a-z0-9]", "", name.lower()): name for name in names}
        assert {name for key, name in bare.items() if key not in known} == set()


def text_below(heading: str) -> str:
    """The document from a heading to the next."""
    found = re.search(rf"^## {heading}.*?(?=^## |\Z)", DOCUMENT.read_text("utf-8"), re.S | re.M)
    assert found
    return found[0]
