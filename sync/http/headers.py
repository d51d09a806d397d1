"""The headers of a request, the same for every way in which a webhook is sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

from sync.clock import Clock
from sync.http.signing import SigningKey, headers_for

# They tell a receiver why a webhook comes. They are not signed: hints, never proof.
REPLAY_HEADER = "webhook-replay"
"""``true`` on a webhook that an operator asked for: again, or later than usual."""
TEST_HEADER = "webhook-test"
"""``true`` on a sample event about no learner."""
MARKED = "true"


def request_headers(
    *,
    webhook_id: str,
    body: bytes,
    keys: Sequence[SigningKey],
    clock: Clock,
    markers: Sequence[str] = (),
) -> dict[str, str]:
    """Content type, signature at the time of this call, and the markers that apply.

    Raises:
        SigningError: as for ``sync.http.signing.sign``.
    """
    now = clock().replace(tzinfo=UTC)
    return {
        "Content-Type": "application/json",
        **headers_for(msg_id=webhook_id, timestamp=int(now.timestamp()), body=body, keys=keys),
        **dict.fromkeys(markers, MARKED),
    }
