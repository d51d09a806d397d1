"""The number that must be repeated: exactly that one, and the error says it."""

from __future__ import annotations

import pytest

from sync.operations.confirmation import NotConfirmed, require_confirmation


@pytest.mark.parametrize(
    ("found", "confirmed", "free"),
    [(0, None, 0), (0, 0, 0), (7, 7, 0), (20, None, 20), (21, 21, 20)],
)
def test_the_number_found_or_few_enough_is_agreed(
    found: int, confirmed: int | None, free: int
) -> None:
    require_confirmation(found, confirmed, setting="confirm_count:", free=free)


@pytest.mark.parametrize(
    ("found", "confirmed", "free"),
    [(1, None, 0), (7, 6, 0), (7, 8, 0), (21, None, 20), (0, 1, 0), (5, 3, 20)],
)
def test_anything_else_is_refused_and_names_the_number(
    found: int, confirmed: int | None, free: int
) -> None:
    """A wrong number is refused also where none is needed: it shows that something has changed."""
    with pytest.raises(NotConfirmed, match=f"run again with confirm_count: {found}"):
        require_confirmation(found, confirmed, setting="confirm_count:", free=free)
