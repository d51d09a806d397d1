"""Headers that tell a receiver why a webhook comes. They are not signed: hints, never proof."""

from __future__ import annotations

REPLAY_HEADER = "webhook-replay"
"""``true`` on a webhook that an operator asked for: again, or later than usual."""
TEST_HEADER = "webhook-test"
"""``true`` on a sample event that tells of no learner."""
MARKED = "true"
