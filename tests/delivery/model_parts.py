"""State of the outbox model besides the ledger: workers, and keys in rotation."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sync.domain.responses import Attribution, ErrorKind, Failure, Response
from sync.domain.work import Attempt, Claim
from sync.http.headers import request_headers
from sync.http.signing import parse_key
from sync.local.verification import Verified, verify
from tests.support.attempts import made

START = datetime(2026, 3, 12, 8, 0)
SILENCE = Failure(ErrorKind.TIMEOUT, Attribution.RECEIVER, "no answer in time")
NETWORK_DOWN = Failure(ErrorKind.DNS, Attribution.SENDER, "no name server answers")
OLD, NEW = (parse_key("whsec_" + base64.b64encode(letter * 32).decode()) for letter in (b"o", b"n"))
ROTATION = [([OLD], OLD), ([NEW, OLD], OLD), ([NEW, OLD], NEW), ([NEW], NEW)]
"""The sender's live keys, and the receiver's one key, at each step of a rotation."""


@dataclass
class Worker:
    """What a delivery process has in memory, and its journal on disk."""

    untried: list[Claim] = field(default_factory=list)
    made: list[Attempt] = field(default_factory=list)
    lease_ends_at: datetime = START


def is_verified(claim: Claim, rotation: int, now: datetime) -> bool:
    """Whether the receiver accepts the signature with its key at this step."""
    live, held = ROTATION[rotation]
    headers = request_headers(
        webhook_id=claim.webhook_id, body=claim.body, keys=live, clock=lambda: now
    )
    unix = int(now.replace(tzinfo=UTC).timestamp())
    return isinstance(verify(headers, claim.body, keys=[held], now=unix), Verified)


def attempt_of(
    claim: Claim, verdict: str, *, run_id: str, started_at: datetime, now: datetime
) -> Attempt:
    """The attempt for a status, or for no response; "lost" was accepted but not acknowledged."""
    result: Response | Failure
    match verdict:
        case "silence" | "lost":
            result = SILENCE
        case "ours":
            result = NETWORK_DOWN
        case status:
            result = Response(int(status), None, "")
    return made(claim, result, run_id=run_id, started_at=started_at, ended_at=now)
