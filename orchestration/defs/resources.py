"""The resources of every asset, op, check and sensor."""

import dagster as dg

from orchestration.defs.dbt.project import dbt_cli, dbt_project
from orchestration.resources import AlertsResource, WarehouseResource


@dg.definitions
def resources() -> dg.Definitions:
    """The warehouse, dbt, and where alerts go."""
    return dg.Definitions(
        resources={
            "alerts": AlertsResource.from_environment(),
            "dbt": dbt_cli(dbt_project()),
            "warehouse": WarehouseResource.from_environment(),
        }
    )
