"""The resources of every asset, op, check and sensor."""

import dagster as dg

from orchestration.defs.dbt.project import dbt_cli, dbt_project
from orchestration.resources import WarehouseResource


@dg.definitions
def resources() -> dg.Definitions:
    """The warehouse and dbt."""
    return dg.Definitions(
        resources={"dbt": dbt_cli(dbt_project()), "warehouse": WarehouseResource()}
    )
