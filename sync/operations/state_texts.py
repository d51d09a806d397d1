"""The states and reasons of ``sync.domain.states`` as dbt and readers see them.

``python -m sync.operations.state_texts`` writes the files; ``tests/documents/test_states.py``
fails when that is due.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path

from sync.domain.states import Reason, State
from sync.settings import PROJECT_ROOT

WRITTEN = "Written by `python -m sync.operations.state_texts` from sync/domain/states.py."


def files() -> Mapping[Path, str]:
    """Each file and what it says."""
    return {
        PROJECT_ROOT / "dbt_project" / "macros" / "webhook_states.sql": macros(),
        PROJECT_ROOT / "dbt_project" / "models" / "_states.md": docs_blocks(),
        PROJECT_ROOT / "docs" / "states.md": page(),
    }


def macros() -> str:
    """Macros: models name a member of the enum and get the stored value."""
    return f"""{{# {WRITTEN} #}}

{{% macro webhook_states() -%}}
    {{{{ return({{
{_entries(State)}
    }}) }}}}
{{%- endmacro %}}

{{% macro webhook_reasons() -%}}
    {{{{ return({{
{_entries(Reason)}
    }}) }}}}
{{%- endmacro %}}
"""


def docs_blocks() -> str:
    """Descriptions of the columns ``state`` and ``state_reason``."""
    states = ", ".join(f"`{one}` ({one.meaning})" for one in State)
    reasons = "Why it is in this state: " + ", ".join(f"`{one}`" for one in Reason)
    return "\n".join(
        [
            f"<!-- {WRITTEN} -->",
            "",
            _wrapped(f"{{% docs webhook_state %}}{states}.{{% enddocs %}}"),
            "",
            _wrapped(f"{{% docs state_reason %}}{reasons}.{{% enddocs %}}"),
            "",
        ]
    )


def page() -> str:
    """The page for operators."""
    lines = [
        f"<!-- {WRITTEN} -->",
        "",
        "# States of a webhook",
        "",
        "The columns `state` and `state_reason` of `sync.webhook_outbox` and of",
        "`marts.webhook_deliveries`. [Delivery](delivery.md) describes what moves a webhook.",
        "",
        "| state | meaning | ended by |",
        "|---|---|---|",
        *(f"| `{one}` | {one.meaning} | {one.ends} |" for one in State),
    ]
    for state in (State.HELD, State.SUPPRESSED, State.DEAD, State.DELIVERED):
        lines += [
            "",
            f"## Reasons of `{state}`",
            "",
            "| reason | meaning | what an operator does |",
            "|---|---|---|",
            *(f"| `{r}` | {r.meaning} | {r.action} |" for r in Reason if r.state is state),
        ]
    return "\n".join([*lines, ""])


def _entries(words: Iterable[StrEnum]) -> str:
    return "\n".join(f"        '{one.name.lower()}': '{one.value}'," for one in words)


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, width=100, break_long_words=False))


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
