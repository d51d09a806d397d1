"""Why a change leaves out a requested webhook: one text each, for every operation."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from sync.domain.states import Reason, State


class Refusal(StrEnum):
    """Those that are also a state or a reason of the ledger share its value and its meaning."""

    text: str
    """What it means and what to do."""

    def __new__(cls, value: str, text: str) -> Refusal:
        member = str.__new__(cls, value)
        member._value_, member.text = value, text
        return member

    ERASED = (
        Reason.ERASED.value,
        f"{Reason.ERASED.meaning} permanently, see docs/erasure.md",
    )
    BODY_REMOVED = (
        "body_removed",
        "retention has removed the body, and it is never built again",
    )
    NOT_BUILT = ("not_built", "the message is not built yet; the next run decides about it")
    SUPPRESSED = (
        State.SUPPRESSED.value,
        f"{State.SUPPRESSED.meaning}; to send it anyway, select the state {State.SUPPRESSED}",
    )
    ALREADY_DUE = ("already_due", "it is already due to be sent")
    HELD = (State.HELD.value, f"{State.HELD.meaning}; {State.HELD.ends} sends it")
    ENDPOINT_MISSING = (
        Reason.ENDPOINT_MISSING.value,
        f"{Reason.ENDPOINT_MISSING.meaning}: create one for the customer and the next run sends "
        "what was never tried; `ltw reroute` moves what was tried to the new endpoint",
    )
    NO_LONGER_REPORTABLE = (
        Reason.NO_LONGER_REPORTABLE.value,
        f"{Reason.NO_LONGER_REPORTABLE.meaning}. If it comes back, what is held is sent; the "
        "rest needs a new replay",
    )
    NEVER_SENT = (
        "never_sent",
        "never sent: the next run builds it again, if the customer has an endpoint",
    )
    NO_ENDPOINT = (
        Reason.NO_ENDPOINT.value,
        "the customer has no active endpoint for its region: create one in the LMS, or let the one "
        "for OTHER take EU learners with `ltw endpoints set`",
    )
    FILTERED = (
        Reason.FILTERED.value,
        "the new endpoint filters it out, or filters by enrollment mode, which a built message "
        "does not carry: clear the filter with `ltw endpoints set`, reroute, and set it again",
    )
    FORMAT_DIFFERS = (
        "format_differs",
        "it was tried, so its bytes stay, and the new endpoint has another format: set the "
        "format with `ltw endpoints set`, reroute, wait until it is sent, and set it back",
    )
    IN_A_RUN = ("in_a_run", "a run is working on it: repeat this when the run has finished")


def refusal_lines(refused: Mapping[Refusal, int], *, verb: str) -> list[str]:
    """A sentence for each; ``verb`` is what was not done to that number of them."""
    return [f"{n:,} not {verb} ({one}): {one.text}" for one, n in refused.items()]
