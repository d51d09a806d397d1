"""One word per thing: replaced words do not reappear in documents, models and code."""

from __future__ import annotations

import re

import pytest

from sync.settings import PROJECT_ROOT

SAY = {
    r"freez(e|es|ing)|froze|frozen": "build",
    r"judg(e|es|ed|ing|ment)|thaw\w*": "decide",
    r"enqueue\w*": "record",
    r"dispatch(es|ed|ing)?": "send",
    r"mend(s|ed|ing)?": "fix",
    r"moments?": "time",
    r"telephones?": "mobile device",
    r"clockwork": "orchestration",
    r"knock(s|ed|ing)?": "half-open",
    r"seat belts?": "confirmation",
    r"glanc(e|es|ed|ing)": "connect",
}
LEGITIMATE = re.compile(
    r"frozen=True|is not frozen|strict, frozen models|frozen dataclass|gc\.freeze|adapter\.dispatch"
)
"""Terms of Python, pydantic and dbt."""
SOURCES = [
    path
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "docs/**/*.yml",
        "deploy/**/*.y*ml",
        "deploy/**/*.sql",
        "dbt_project/**/*.sql",
        "dbt_project/**/*.yml",
        "dbt_project/**/*.md",
        "sync/**/*.py",
        "sync/**/*.j2",
        "sync/**/*.html",
        "orchestration/**/*.py",
        "orchestration/**/*.y*ml",
    )
    for path in PROJECT_ROOT.glob(pattern)
    if path.name != "CHANGELOG.md"
]


@pytest.mark.parametrize("words", SAY, ids=SAY.values())
def test_a_word_that_was_replaced_is_used_no_more(words: str) -> None:
    assert len(SOURCES) > 200
    found = [
        f"{path.relative_to(PROJECT_ROOT)}: {match[0]}, say {SAY[words]}"
        for path in SOURCES
        for match in re.finditer(
            rf"(?i)\b({words})\b", LEGITIMATE.sub("", path.read_text(encoding="utf-8"))
        )
    ]
    assert found == []
