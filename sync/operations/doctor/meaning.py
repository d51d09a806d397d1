"""Meaning: does the engine compute what our SQL relies on? All pins in one statement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sync.operations.doctor.check import Check, Finding, Session, Visit, failed, ok, some
from sync.operations.doctor.connect import idle
from sync.operations.doctor.pins import PINS, OnEmbedded, Pin, question
from sync.settings import EmbeddedWarehouse
from sync.warehouse import StatementFailed, Warehouse


def _pins(visit: Visit) -> Finding:
    is_embedded = isinstance(visit.settings, EmbeddedWarehouse)
    asked = [
        one
        for one in PINS
        if not is_embedded or one.on_embedded in (OnEmbedded.SAME, OnEmbedded.CURED)
    ]
    session = visit.session()
    if not is_embedded and (found := idle(visit, Session.DELIVERY)):
        return found
    given = responses(session, asked, is_late=lambda: visit.is_late)
    others = [pin for pin, response in given.items() if response]
    left = len(PINS) - len(asked)
    known = f"; {left} that are known to differ here are left out" if left else ""
    if others:
        shown = some([f"{one.expression} ({one.used_in})" for one in others], "; ")
        return failed(
            f"{len(others)} of {len(asked)} expressions differ from what is recorded: {shown}",
            "do not send until it is understood: report these expressions and your version",
        )
    return ok(f"{len(asked)} expressions respond as recorded{known}")


def responses(
    warehouse: Warehouse, pins: Sequence[Pin], *, is_late: Callable[[], bool] = lambda: False
) -> Mapping[Pin, str]:
    """What is wrong with each pin; empty if nothing is.

    One statement if all are accepted; a refused pin is found by bisection, until it is late.

    Raises:
        StatementFailed: one of several pins is refused, and it is late.
    """
    try:
        row = warehouse.rows(question(pins))[0]
    except StatementFailed as error:
        if len(pins) == 1:
            return {pins[0]: str(error)}
        if is_late():
            raise
        middle = len(pins) // 2
        return {
            **responses(warehouse, pins[:middle], is_late=is_late),
            **responses(warehouse, pins[middle:], is_late=is_late),
        }
    found = [row[f"pin_{at}"] for at in range(len(pins))]
    return {
        pin: "" if given == pin.response else f"responds {given!r}"
        for pin, given in zip(pins, found, strict=True)
    }


CHECKS = (Check("Meaning", "pins", _pins),)
