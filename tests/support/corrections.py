"""A warehouse with the real mart of corrections over stand-ins for the marts that it reads."""

from __future__ import annotations

from sync.ledger.tables import ensure_ledger
from sync.warehouse import Warehouse
from tests.support.dbt import Dbt
from tests.support.marts import create_marts
from tests.support.scenarios import Scenarios

MODELS = ("stg_sync__webhooks", "stg_sync__messages", "completion_corrections")


def stand_corrections(scenarios: Scenarios, dbt: Dbt) -> None:
    """The ledger and the marts without rows, and the views that find corrections."""

    def make(warehouse: Warehouse) -> None:
        ensure_ledger(warehouse)
        create_marts(warehouse)
        dbt("run", "--select", *MODELS)

    scenarios.stand("corrections", make)


def a_day_later(warehouse: Warehouse) -> None:
    """Move the ledger's corrections back by a day: the mart's only clock is the warehouse's."""
    warehouse.execute(
        "update analytics.sync.webhook_outbox set"
        " recorded_at = dateadd(day, -1, recorded_at),"
        " delivered_at = dateadd(day, -1, delivered_at)"
        " where event_type = 'course_completion_correction'"
    )
