"""The resources of every asset, op, check and sensor."""

import dagster as dg

from orchestration.defs.dbt.project import dbt_cli, dbt_project
from orchestration.resources import AlertsResource, DialResource, WarehouseResource


@dg.definitions
def resources() -> dg.Definitions:
    """The warehouse, dbt, where alerts go, and the cost dial."""
    return dg.Definitions(
        resources={
            "alerts": AlertsResource.from_environment(),
            "dbt": dbt_cli(dbt_project()),
            "dial": DialResource.from_environment(),
            "warehouse": WarehouseResource.from_environment(),
        }
    )
