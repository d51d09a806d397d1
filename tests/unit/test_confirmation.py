"""The number that must be repeated: exactly that one, and the error says it."""

from __future__ import annotations

import pytest

from sync.operations.operation import NotConfirmed, require_confirmation


@pytest.mark.parametrize(("found", "confirmed"), [(0, None), (0, 0), (7, 7)])
def test_the_number_found_is_confirmed(found: int, confirmed: int | None) -> None:
    require_confirmation(found, confirmed, setting="confirm_count:", noun="webhooks")


@pytest.mark.parametrize(("found", "confirmed"), [(1, None), (7, 6), (7, 8), (0, 1)])
def test_anything_else_is_refused_and_names_the_number(found: int, confirmed: int | None) -> None:
    """A wrong number is refused also where none is needed: it shows that something has changed."""
    with pytest.raises(NotConfirmed, match=f"run again with confirm_count: {found}"):
        require_confirmation(found, confirmed, setting="confirm_count:", noun="webhooks")
