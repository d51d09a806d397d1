"""Replay requests of an operator, for tests."""

from __future__ import annotations

from sync.operations.operation import Done, Plan
from sync.operations.replay import Replay, ReplayState
from tests.support.operator import World, carry_out

DEAD = Replay(state=ReplayState.DEAD)
DELIVERED = Replay(state=ReplayState.DELIVERED)


def plan(world: World, request: Replay) -> Plan:
    """The plan of the request."""
    return request.plan(world.warehouse, world.clock)


def ask(
    world: World, request: Replay, *, confirmed: int | None = None, request_id: str | None = None
) -> Done:
    """Make the request, and confirm its plan."""
    return carry_out(
        world.warehouse, world.clock, request, confirmed=confirmed, request_id=request_id
    )


def dead_letters(world: World, *users: int) -> set[str]:
    """Start with dead letters whose endpoint has no recorded failures."""

    def die(world: World) -> None:
        world.target.answers["/hooks"] = (500, {})
        world.complete(*users)
        world.deliver()
        world.kill_off()
        world.warehouse.execute("delete from analytics.sync.endpoint_state")
        world.target.answers.clear()

    world.stand("-".join(["dead", *map(str, users)]), die)
    return world.ids(*users)
