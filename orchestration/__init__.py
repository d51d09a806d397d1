"""The clockwork: Dagster definitions. Wiring only; logic lives in `sync`."""
