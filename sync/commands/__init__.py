"""The commands of ``learning-time-webhooks``, one small module per group."""
