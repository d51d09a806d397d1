"""Production: what `deploy/` and its documents promise."""
