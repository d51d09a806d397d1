"""The catalog is up to date with the models. `make mutations` shows that each is caught."""

from __future__ import annotations

from pathlib import Path

import pytest

from sync.settings import PROJECT_ROOT
from tests.mutations.catalog import MUTATIONS
from tests.mutations.mutation import Edit, Mutation, StaleMutation, apply


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[one.name for one in MUTATIONS])
def test_every_mutation_finds_the_text_it_breaks(mutation: Mutation, tmp_path: Path) -> None:
    for edit in mutation.edits:
        copy = tmp_path / edit.path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((PROJECT_ROOT / edit.path).read_bytes())
    before = {edit.path: (tmp_path / edit.path).read_text("utf-8") for edit in mutation.edits}

    apply(mutation, tmp_path)

    assert all((tmp_path / path).read_text("utf-8") != text for path, text in before.items())


@pytest.mark.parametrize("text", ["select 1", "select 2 select 2"], ids=["gone", "twice"])
def test_a_text_that_is_not_there_once_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.sql").write_text(text, encoding="utf-8")
    stale = Mutation("drop the two", (Edit("model.sql", "select 2", ""),), ())

    with pytest.raises(
        StaleMutation, match=r"'drop the two': model.sql has [02] times(.|\n)*select 2"
    ):
        apply(stale, tmp_path)


def test_every_mutation_is_in_the_documentation() -> None:
    documented = (PROJECT_ROOT / "docs" / "learning-time.md").read_text(encoding="utf-8")
    assert [one.name for one in MUTATIONS if f"| {one.name} |" not in documented] == []


def test_every_test_that_catches_exists() -> None:
    missing = []
    for node in sorted({node for one in MUTATIONS for node in one.caught_by}):
        path, _, name = node.partition("::")
        if f"def {name}" not in (PROJECT_ROOT / path).read_text(encoding="utf-8"):
            missing.append(node)
    assert missing == []
