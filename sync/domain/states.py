"""Webhook states and their reasons: the one source for Python, SQL, dbt and the documents.

After a change run ``python -m sync.operations.state_texts``, which writes the files of dbt and the
documents. A stored value never changes its meaning; a new meaning is a new member.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class State(StrEnum):
    """A webhook's state, in lifecycle order."""

    meaning: str
    ends: str
    """What moves it out of this state."""

    def __new__(cls, value: str, meaning: str, ends: str) -> State:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning, member.ends = meaning, ends
        return member

    AWAITING = (
        "awaiting",
        "recorded; the message is not built yet and may wait for learning time",
        "the next run, at the latest the first after `max_enrichment_wait_minutes`",
    )
    PENDING = (
        "pending",
        "built; due at `next_attempt_at`",
        "an attempt; `held` when its endpoint cannot be sent to",
    )
    DELIVERED = (
        "delivered",
        "the endpoint responded with 2xx",
        "nothing; a replay sends it once more and it stays delivered",
    )
    DEAD = ("dead", "a dead letter: given up", "a replay")
    HELD = ("held", "kept until something is fixed or switched on", "the first run after the fix")
    SUPPRESSED = (
        "suppressed",
        "never to be sent",
        "a replay of this state or a backfill, and nothing else",
    )


UNFINISHED = (State.AWAITING, State.PENDING, State.HELD)
"""States from which a webhook may still be sent automatically."""
FINISHED = (State.DELIVERED, State.DEAD, State.SUPPRESSED)
"""States from which only an operator can have a webhook sent."""


class Reason(StrEnum):
    """Why a webhook is dead, held or suppressed, or delivered without an attempt."""

    state: State
    meaning: str
    action: str
    """What an operator does about it."""

    def __new__(cls, value: str, state: State, meaning: str, action: str) -> Reason:
        member = str.__new__(cls, value)
        member._value_ = value
        member.state, member.meaning, member.action = state, meaning, action
        return member

    ENDPOINT_ROW_INVALID = (
        "endpoint_row_invalid",
        State.HELD,
        "the customer's endpoint, its settings or the file of its format cannot be read",
        "fix the column or the file that `ltw endpoints list` names",
    )
    NO_ACTIVE_ENDPOINT = (
        "no_active_endpoint",
        State.HELD,
        "not built: the customer's endpoint is switched off in the LMS",
        "none; switch the endpoint on to send it",
    )
    EU_FALLBACK_NOT_ALLOWED = (
        "eu_fallback_not_allowed",
        State.HELD,
        "not built: a learner in the EU, and no endpoint of region EU",
        "configure an endpoint of region EU, or `ltw endpoints set ID --eu-fallback`",
    )
    PAYLOAD_INVALID = (
        "payload_invalid",
        State.HELD,
        "not built: a fact is missing or breaks the body's schema, or the format has no such body",
        "fix the fact in the replica, or the file of the format, that the run's `problems` name",
    )
    IDENTITY_MISSING = (
        "identity_missing",
        State.HELD,
        "not built: the learner lacks an id that the endpoint's format needs",
        "for Percipio have the customer send `user` and `orgid` at single sign-on; for xAPI the "
        "account needs an email address, or the endpoint `--xapi-actor account`, set with "
        "`ltw endpoints set ID`",
    )
    ENDPOINT_MISSING = (
        "endpoint_missing",
        State.HELD,
        "the endpoint was deleted, or its id now belongs to another customer",
        "none for webhooks never tried: they are built again; `ltw reroute --endpoint ID` for "
        "those that were",
    )
    ENDPOINT_INACTIVE = (
        "endpoint_inactive",
        State.HELD,
        "built; the endpoint has been switched off in the LMS since",
        "none; switch the endpoint on to send it",
    )
    ENDPOINT_DISABLED = (
        "endpoint_disabled",
        State.HELD,
        "built; an operator, a 410 or five days of failures have disabled the endpoint",
        "ask the customer, then `ltw endpoints enable ID`",
    )
    ENDPOINT_INVALID = (
        "endpoint_invalid",
        State.HELD,
        "built; the address rules refuse the endpoint's URL",
        "fix `webhook_url` or `webhook_token_url` in the LMS; `ltw endpoints override ID` sends "
        "elsewhere until then",
    )
    SIGNING_KEY_MISSING = (
        "signing_key_missing",
        State.HELD,
        "built; the endpoint has no usable signing key",
        "add the key that `ltw endpoints list` names",
    )
    OAUTH_INCOMPLETE = (
        "oauth_incomplete",
        State.HELD,
        "built; the credentials of the endpoint are incomplete: OAuth, Basic or header",
        "add the setting or the secret that `ltw endpoints list` names",
    )
    INVALID_TARGET = (
        "invalid_target",
        State.HELD,
        "built; the address rules refuse an address of the endpoint's host",
        "have the customer publish a public address; it is checked again hourly",
    )
    REROUTED = (
        "rerouted",
        State.HELD,
        "moved to another endpoint of the customer",
        "none; the next run sends it",
    )
    NO_LONGER_REPORTABLE = (
        "no_longer_reportable",
        State.HELD,
        "the marts have lost the event: consent or link withdrawn, customer inactive, account "
        "retired or row deleted",
        "none; it is sent if the marts hold the event again",
    )
    BEFORE_ACTIVATION = (
        "before_activation",
        State.SUPPRESSED,
        "the event is from before the activation",
        "`ltw backfill`, if the customer wants it",
    )
    NO_ENDPOINT = (
        "no_endpoint",
        State.SUPPRESSED,
        "the customer has an endpoint neither for the learner's region nor for `OTHER`",
        "configure one, then `ltw replay --state suppressed`",
    )
    ENROLLMENT_EVENTS_OFF = (
        "enrollment_events_off",
        State.SUPPRESSED,
        "the endpoint takes no enrollment events",
        "none; the customer has not asked for it",
    )
    NOT_ASKED_FOR = (
        "not_asked_for",
        State.SUPPRESSED,
        "the endpoint has not asked for events of this type",
        "none; `ltw endpoints set ID --event-types`, then `ltw replay --state suppressed`, if it "
        "wants them",
    )
    CORRECTION_NOT_NEEDED = (
        "correction_not_needed",
        State.SUPPRESSED,
        "when the correction was built, the number was within the tolerance of the last one sent",
        "none; a correction is sent when it has moved again",
    )
    CORRECTION_WITHOUT_NUMBER = (
        "correction_without_number",
        State.SUPPRESSED,
        "when the correction was built, there was no learning time to send: the flag, the rollout "
        "or the endpoint's settings leave it out, or the mart had none when the wait ended",
        "none; a further correction may follow after a day",
    )
    FILTERED = (
        "filtered",
        State.SUPPRESSED,
        "the endpoint takes only other completions: its `only_...` settings",
        "none; after a change of the settings, `ltw replay --state suppressed`",
    )
    ERASED = ("erased", State.SUPPRESSED, "the learner was erased", "none; it is permanent")
    RECEIPT = (
        "receipt",
        State.DELIVERED,
        "the receiver confirmed that it has the event; the ledger has no successful attempt",
        "none; `ltw settle` settled it after a backup was restored",
    )
    ATTEMPTS_EXHAUSTED = (
        "attempts_exhausted",
        State.DEAD,
        "every attempt of the schedule has failed",
        "ask the customer, then `ltw replay --state dead`",
    )
    ENDPOINT_GONE = (
        "endpoint_gone",
        State.DEAD,
        "the endpoint responded with 410",
        "ask the customer for the new URL, then `ltw endpoints enable ID` and "
        "`ltw replay --state dead`",
    )
    FINAL_STATUS = (
        "final_status",
        State.DEAD,
        "the endpoint responded with one of its `final_status_codes`",
        "ask the customer what is wrong with the body, then `ltw replay --state dead`",
    )


def sql_list(words: Iterable[State | Reason]) -> str:
    """The values as an SQL list for ``in``: ``('awaiting', 'held')``."""
    return f"({', '.join(repr(one.value) for one in words)})"


def action_for(reason: str) -> str:
    """What an operator does about a stored reason; a reason of another release may be unknown."""
    try:
        return Reason(reason).action
    except ValueError:
        return "see the release that wrote it"
