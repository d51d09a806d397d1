"""Meaning: does the engine compute what our SQL relies on? All pins in one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sync.operations.doctor.check import Check, Finding, Visit, failed, ok, some
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
    others = [pin for pin, response in responses(visit.session(), asked).items() if response]
    left = len(PINS) - len(asked)
    known = f"; {left} that are known to differ here are left out" if left else ""
    if others:
        shown = some([f"{one.expression} ({one.used_in})" for one in others], "; ")
        return failed(
            f"{len(others)} of {len(asked)} expressions differ from what is recorded: {shown}",
            "do not send until it is understood: report these expressions and your version",
        )
    return ok(f"{len(asked)} expressions respond as recorded{known}")


def responses(warehouse: Warehouse, pins: Sequence[Pin]) -> Mapping[Pin, str]:
    """What is wrong with each pin; empty where nothing is.

    One statement where all are taken; a pin that is refused is found by halves.
    """
    try:
        row = warehouse.rows(question(pins))[0]
    except StatementFailed as error:
        if len(pins) == 1:
            return {pins[0]: str(error)}
        middle = len(pins) // 2
        return {**responses(warehouse, pins[:middle]), **responses(warehouse, pins[middle:])}
    found = [row[f"pin_{at}"] for at in range(len(pins))]
    return {
        pin: "" if given == pin.response else f"responds {given!r}"
        for pin, given in zip(pins, found, strict=True)
    }


CHECKS = (Check("Meaning", "pins", _pins),)
