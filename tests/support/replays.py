"""Requests to send again, as an operator makes them in tests."""

from __future__ import annotations

from sync.operations.replay import Replay, replay
from sync.operations.replay_selection import ReplayState, Selection
from tests.support.operator import World

DEAD = Selection(state=ReplayState.DEAD)
DELIVERED = Selection(state=ReplayState.DELIVERED)


def ask(world: World, selection: Selection, **options: object) -> Replay:
    """A request of this selection."""
    return replay(
        world.warehouse,
        selection,
        requested_by="an operator",
        clock=world.clock,
        **options,  # pyright: ignore[reportArgumentType]
    )


def dead_letters(world: World, *users: int) -> set[str]:
    """Dead letters, and what their endpoints answered before is forgotten."""
    world.target.answers["/hooks"] = (500, {})
    ids = world.complete(*users)
    world.deliver()
    world.kill_off()
    world.warehouse.execute("delete from analytics.sync.endpoint_state")
    world.target.answers.clear()
    return ids
