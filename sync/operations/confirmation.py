"""A number that must be repeated before much is sent: the protection that nobody can skip."""

from __future__ import annotations

from sync.errors import SyncError

ASK_ABOVE = 20
"""So many webhooks a slip may send again; more are confirmed."""


class NotConfirmed(SyncError):
    """The number that was agreed to is missing, or is not the one found; nothing was changed."""


def require_confirmation(
    found: int, confirmed: int | None, *, setting: str, free: int = 0, what: str = "webhooks"
) -> None:
    """Refuse unless ``confirmed`` is the number found. Up to ``free`` webhooks need no number.

    Raises:
        NotConfirmed: says the number, and under which ``setting`` to repeat it.
    """
    if confirmed == found or (confirmed is None and found <= free):
        return
    if confirmed is None:
        raise NotConfirmed(
            f"{found} {what} match. Nothing was changed. If that is the number you expect, run "
            f"again with {setting} {found}"
        )
    raise NotConfirmed(
        f"{setting.rstrip(':')} is {confirmed}, but {found} {what} match now. Nothing was "
        f"changed. Look again with a dry run; if {found} is right, run again with {setting} {found}"
    )
