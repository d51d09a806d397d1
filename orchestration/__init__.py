"""Orchestration: Dagster definitions. Wiring only; logic lives in `sync`."""
