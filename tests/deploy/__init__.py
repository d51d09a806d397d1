"""Production: what `deploy/` and its documents guarantee."""
