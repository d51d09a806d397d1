"""How new events enter the outbox: each once, and none that is old."""
