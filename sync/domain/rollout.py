"""Which completions get learning time while the flag is on: a percentage, or some customers only.

A learner's course run has a fixed place in the rollout, computed from its key alone. A course run
that is in at 10 percent is therefore in at 11, on every machine and in every run.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from sync.errors import ConfigurationError

EVERYBODY_PERCENTAGE = 100


class LeftOut(StrEnum):
    """Why a completion is not part of the rollout; both are ``not_in_rollout`` in the ledger."""

    ENTERPRISE = "enterprise_not_in_allowlist"
    SHARE = "outside_rollout_percentage"


@dataclass(frozen=True)
class Rollout:
    """Which completions are enriched. Without limits, all of them.

    Raises:
        ConfigurationError: the percentage is not between 0 and 100.
    """

    percentage: int = EVERYBODY_PERCENTAGE
    enterprises: frozenset[str] = frozenset()
    """Lower-case UUIDs with hyphens; empty means all."""

    def __post_init__(self) -> None:
        if not 0 <= self.percentage <= EVERYBODY_PERCENTAGE:
            raise ConfigurationError(
                f"rollout_percentage is {self.percentage}; it must lie between 0 and 100"
            )

    def leaves_out(
        self, enterprise_customer_uuid: str, user_id: int, courserun_key: str
    ) -> LeftOut | None:
        """Why this completion gets no learning time; None when it gets it."""
        if self.enterprises and enterprise_customer_uuid not in self.enterprises:
            return LeftOut.ENTERPRISE
        if place_of(user_id, courserun_key) >= self.percentage:
            return LeftOut.SHARE
        return None


EVERYBODY = Rollout()


def place_of(user_id: int, courserun_key: str) -> int:
    """The place of a learner's course run, from 0 to 99, each with about one in a hundred.

    From the first eight bytes of SHA-256 over ``<user_id>|<courserun_key>``. Python's own ``hash``
    has a new seed in every process, and a random draw would enrich a different share in every run.
    The enterprise is not part of it: a learner of two customers is treated the same for both.
    """
    digest = hashlib.sha256(f"{user_id}|{courserun_key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") * 100 >> 64


def enterprise_uuids(texts: Iterable[str], *, setting: str) -> tuple[str, ...]:
    """Customers' UUIDs in the ledger's spelling, each once, in order.

    Accepts every spelling that ``uuid.UUID`` does: upper case, without hyphens, in braces, as URN.

    Raises:
        ConfigurationError: a text is not a UUID; names ``setting`` and the text.
    """
    found = []
    for text in texts:
        try:
            found.append(str(uuid.UUID(text.strip())))
        except ValueError as error:
            raise ConfigurationError(
                f"{setting}: {text!r} is not an enterprise UUID; it must look like "
                "7d3f1c52-0b6e-4a83-9c41-5e2a90d7f6b8"
            ) from error
    return tuple(dict.fromkeys(found))
