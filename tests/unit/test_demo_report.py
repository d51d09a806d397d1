"""The demo's printed report."""

from __future__ import annotations

import json
import re
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sync.domain.states import Reason
from sync.local.demo_report import Round, print_report


def row(user_id: int, state: str = "delivered", **changes: Any) -> dict[str, Any]:
    """One row of the outbox with its endpoint's URL."""
    return {
        "webhook_id": f"id-{user_id:03}",
        "user_id": user_id,
        "courserun_key": "course-v1:ExampleX+DATA101+2026_T1",
        "occurred_at": datetime(2026, 3, 4, 10, user_id % 60),
        "state": state,
        "state_reason": None,
        "region": "OTHER",
        "payload_format": "v2",
        "enrichment_outcome": "found",
        "learning_time_seconds": 26_964,
        "body": json.dumps({"learner": {"user_id": user_id}}),
        "url": "http://127.0.0.1:8755/hooks/example-industries-other",
    } | changes


def printed(*rounds: Round, kept: Path | None = None) -> str:
    paper = StringIO()
    print_report(Console(width=120, file=paper), rounds, seconds=41.2, kept=kept)
    return paper.getvalue()


def test_a_round_shows_who_where_and_how_long() -> None:
    text = printed(Round(is_enriching=True, lines=10, run_id="run-1", rows=[row(7)]))
    for shown in ("enrichment on", "1 completions detected", "DATA101+2026_T1", "7.49", "03-04"):
        assert shown in text
    assert "example-industries" in text
    assert "v2 with learning time" in text


def test_every_outcome_is_among_the_few_rows_shown() -> None:
    """However many ordinary ones there are."""
    rows = [row(n) for n in range(30)]
    rows += [row(31, "held", state_reason="endpoint_invalid", body=None, url=None)]
    rows += [row(32, "suppressed", state_reason="no_endpoint", body=None, url=None)]
    text = printed(Round(is_enriching=False, lines=10, run_id="run-1", rows=rows))
    assert "held: endpoint_invalid" in text
    assert "suppressed: no_endpoint" in text
    assert "and 24 more" in text


def test_counts_and_bodies_are_there_for_machines() -> None:
    rows = [row(1), row(2, learning_time_seconds=None, enrichment_outcome="flag_off")]
    document = Round(is_enriching=True, lines=10, run_id="run-1", rows=rows).as_dict()
    assert document["detected"] == 2
    assert document["outcomes"] == {"delivered": 2}
    assert document["enrichment"] == {"found": 1, "flag_off": 1}
    assert set(document["bodies"]) == {"v2 with learning time", "v2"}


def test_it_says_where_to_look_next_and_what_was_kept() -> None:
    kept = Path("/srv/demo")
    one = Round(is_enriching=False, lines=0, run_id="run-1", rows=[])
    assert "make dev" in printed(one)
    assert str(kept) not in printed(one)
    assert str(kept) in printed(one, kept=kept)


@pytest.mark.parametrize("width", [80, 119, 120])
def test_nothing_is_cut_however_narrow_the_terminal(width: int) -> None:
    rows = [
        row(
            n,
            reason.state,
            state_reason=reason,
            body=None,
            url="http://x.example.com/hooks/rainy-day-insurance-other",
        )
        for n, reason in enumerate(Reason)
    ]
    for start in range(0, len(rows), 7):
        some = rows[start : start + 7]
        one = Round(is_enriching=False, lines=10, run_id="run-1", rows=some)
        paper = StringIO()
        console = Console(width=width, file=paper, force_terminal=True, color_system=None)
        print_report(console, [one], seconds=1, kept=None)
        for shown in some:
            # Once for the webhook and once for its outcome; a long one may take two lines.
            assert len(re.findall(rf"\b{shown['state_reason']}\b", paper.getvalue())) == 2
