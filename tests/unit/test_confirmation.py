"""The number to confirm must match exactly, and the error shows it."""

from __future__ import annotations

from datetime import datetime

import pytest

from sync.cli.operations import _confirmed
from sync.errors import ConfigurationError
from sync.ledger.erasures import person_key
from sync.operations.backfill import Backfill
from sync.operations.erase import Erase
from sync.operations.operation import Change, NotConfirmed, require_confirmation
from sync.operations.replay import Replay, ReplayState


@pytest.mark.parametrize(("found", "confirmed"), [(0, None), (0, 0), (7, 7)])
def test_the_number_found_is_confirmed(found: int, confirmed: int | None) -> None:
    require_confirmation(found, confirmed, setting="confirm_count:", noun="webhooks")


@pytest.mark.parametrize(("found", "confirmed"), [(1, None), (7, 6), (7, 8), (0, 1)])
def test_anything_else_is_refused_and_names_the_number(found: int, confirmed: int | None) -> None:
    """A wrong number is refused even if none is required: it shows that something has changed."""
    with pytest.raises(NotConfirmed, match=f"run again with confirm_count: {found}"):
        require_confirmation(found, confirmed, setting="confirm_count:", noun="webhooks")


REPLAY, ERASE = Replay(state=ReplayState.DEAD), Erase(person_key=person_key(7))
BACKFILL = Backfill(since=datetime(2026, 1, 1), until=datetime(2026, 2, 1))


@pytest.mark.parametrize(
    ("request_", "matched", "is_agreed", "confirmed"),
    [
        pytest.param(REPLAY, 20, False, 20, id="few need no question"),
        pytest.param(REPLAY, 21, True, 21, id="--yes"),
        pytest.param(REPLAY.model_copy(update={"confirm_count": 3}), 21, False, 3, id="number"),
        pytest.param(REPLAY.model_copy(update={"dry_run": True}), 1, True, None, id="--dry-run"),
        pytest.param(BACKFILL, 1, False, None, id="a backfill wants the number"),
        pytest.param(BACKFILL.model_copy(update={"confirm_count": 2}), 1, False, 2, id="has it"),
        pytest.param(ERASE, 0, True, 0, id="an erasure is agreed to, whatever it finds"),
    ],
)
def test_the_command_line_takes_a_number_a_yes_or_few_enough(
    request_: Change, matched: int, is_agreed: bool, confirmed: int | None
) -> None:
    found = _confirmed(request_, matched, is_agreed=is_agreed, may_ask=False)
    assert found == confirmed


@pytest.mark.parametrize(("request_", "matched"), [(REPLAY, 21), (ERASE, 0)])
def test_where_it_may_not_ask_it_says_how_to_agree(request_: Change, matched: int) -> None:
    with pytest.raises(ConfigurationError, match=f"--yes or --confirm-count {matched}"):
        _confirmed(request_, matched, is_agreed=False, may_ask=False)


@pytest.mark.parametrize(("is_agreed", "confirmed"), [(True, 21), (False, None)])
def test_on_a_terminal_it_asks_with_the_number(
    monkeypatch: pytest.MonkeyPatch, is_agreed: bool, confirmed: int | None
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("typer.confirm", lambda text: asked.append(text) or is_agreed)
    assert _confirmed(REPLAY, 21, is_agreed=False, may_ask=True) == confirmed
    assert asked == ["Change 21 webhooks?"]
