"""The Dagster definitions for tests, from a manifest of their own: a stale one would lie."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import dagster as dg

NEW = "sync__newly_completed_enrollments"
ENRICHED = "sync__enriched_completions"
WEBHOOKS = "sync__completion_webhooks"


@cache
def load_definitions(target_path: Path) -> dg.Definitions:
    """The definitions that Dagster loads; dbt's artifacts go below ``target_path``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_TARGET_PATH", str(target_path / "dagster"))
        from orchestration.definitions import defs

    return defs


def run_config(
    *,
    detection: Mapping[str, Any] | None = None,
    enrichment: Mapping[str, Any] | None = None,
    delivery: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Run config as the launchpad takes it."""
    given = {NEW: detection, ENRICHED: enrichment, WEBHOOKS: delivery}
    return {"ops": {name: {"config": dict(values)} for name, values in given.items() if values}}
