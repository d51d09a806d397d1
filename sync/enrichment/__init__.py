"""The look-up of learning time, and who is part of the rollout."""
