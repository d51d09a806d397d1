"""States and reasons have one source, from which dbt's and the documents' texts are generated."""

from __future__ import annotations

import re

from sync.domain.states import FINISHED, UNFINISHED, Reason, State, action_for
from sync.operations.state_texts import files
from sync.settings import PROJECT_ROOT

WORDS = sorted({*State, *Reason} - {Reason.NO_ENDPOINT, Reason.ERASED, State.DELIVERED})
"""Two reasons are also words of other vocabularies; an attempt can be ``delivered``, too."""


def test_what_dbt_and_readers_see_is_up_to_date() -> None:
    for path, text in files().items():
        assert path.read_text(encoding="utf-8") == text, (
            "run: python -m sync.operations.state_texts"
        )


def test_no_style_of_a_page_spells_a_state() -> None:
    """Marks and colors are keyed by state, so that a renamed state keeps them."""
    spelled = re.compile(rf"(?:--|[.])(?:{'|'.join(State)})\b")
    templates = [*PROJECT_ROOT.glob("sync/**/*.j2")]
    assert templates
    found = [one.name for one in templates if spelled.search(one.read_text(encoding="utf-8"))]
    assert found == []


def test_a_statement_in_a_document_selects_a_state_that_exists() -> None:
    """A state that is not there any more selects nothing, and nobody notices."""
    found = [
        (path.name, text)
        for path in [*PROJECT_ROOT.glob("docs/**/*.md"), PROJECT_ROOT / "README.md"]
        for text in re.findall(r"\bstate = '(\w+)'", path.read_text(encoding="utf-8"))
    ]
    assert found, "there is something to check"
    assert [one for one in found if one[1] not in [*State]] == []


def test_every_state_is_finished_or_not() -> None:
    assert sorted((*FINISHED, *UNFINISHED)) == sorted(State)


def test_no_statement_and_no_model_spells_a_state_or_reason() -> None:
    spelled = re.compile(rf"'({'|'.join(WORDS)})'")
    sources = [*PROJECT_ROOT.glob("sync/**/*.py"), *PROJECT_ROOT.glob("orchestration/**/*.py")]
    sources += PROJECT_ROOT.glob("dbt_project/**/*.sql")
    found = {
        f"{path.relative_to(PROJECT_ROOT)}: {match[0]}"
        for path in sources
        if path.name not in ("states.py", "webhook_states.sql")
        for match in spelled.finditer(path.read_text(encoding="utf-8"))
    }
    assert not found


def test_a_text_that_names_a_state_or_reason_takes_it_from_its_source() -> None:
    """Otherwise a printed command would select a state that no longer exists."""
    spelled = re.compile(
        rf"(?:--state|--reason|the state|such as|\bprint\(f?\") ?(?:{'|'.join(WORDS)})\b"
    )
    sources = [*PROJECT_ROOT.glob("sync/**/*.py"), *PROJECT_ROOT.glob("orchestration/**/*.py")]
    found = {
        f"{path.relative_to(PROJECT_ROOT)}: {match[0]}"
        for path in sources
        if path.name != "states.py"
        for match in spelled.finditer(path.read_text(encoding="utf-8"))
    }
    assert not found


def test_an_operator_is_told_what_to_do_about_each_reason() -> None:
    assert all(action_for(one.value) == one.action != "" for one in Reason)
    assert "release" in action_for("of another release")
