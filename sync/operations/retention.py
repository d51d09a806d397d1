"""Empty the personal data of webhooks that finished some time ago."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from sync.clock import Clock
from sync.ledger.retention import DEFAULT_DAYS, apply_retention
from sync.operations.operation import Action, Report
from sync.warehouse import Warehouse


class Retention(Action):
    """Empty bodies and response excerpts of finished webhooks; keep ids, states and numbers."""

    name: ClassVar[str] = "retention"

    days: int = Field(default=DEFAULT_DAYS, ge=1, description="Days since the last change.")
    dry_run: bool = Field(default=False, description="Count; change nothing.")

    def run(self, warehouse: Warehouse, clock: Clock) -> Report:
        """As ``apply_retention`` does."""
        found = apply_retention(warehouse, clock=clock, days=self.days, dry_run=self.dry_run)
        verb = "would be emptied" if self.dry_run else "emptied"
        return Report(
            document=vars(found) | {"dry_run": self.dry_run},
            lines=[
                f"unchanged since {found.cutoff:%Y-%m-%d %H:%M} UTC",
                f"bodies {verb}: {found.bodies:,}",
                f"response excerpts {verb}: {found.excerpts:,}",
            ],
        )
