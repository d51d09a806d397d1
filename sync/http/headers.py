"""The headers of a request, the same for every way of sending a webhook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC

from sync.clock import Clock
from sync.http.signing import SigningKey, headers_for

# These tell a receiver why a webhook was sent. They are not signed: hints, never proof.
REPLAY_HEADER = "webhook-replay"
"""``true`` on a webhook that an operator requested: sent again, or later than usual."""
TEST_HEADER = "webhook-test"
"""``true`` on a test event, which is not about a learner."""
MARKED = "true"
USER_AGENT = "LearningTimeWebhooks/1.0"
"""Sent with every request, including token requests."""


def request_headers(
    *,
    webhook_id: str,
    body: bytes,
    keys: Sequence[SigningKey],
    clock: Clock,
    markers: Sequence[str] = (),
    extra: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Content type, signature at the time of this call, the markers that apply, and the endpoint's
    ``extra`` headers, which replace none of ours.

    Raises:
        SigningError: as for ``sync.http.signing.sign``.
    """
    now = clock().replace(tzinfo=UTC)
    return {
        **(extra or {}),
        "Content-Type": "application/json",
        **headers_for(msg_id=webhook_id, timestamp=int(now.timestamp()), body=body, keys=keys),
        **dict.fromkeys(markers, MARKED),
    }
