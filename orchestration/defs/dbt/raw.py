"""The tables that dbt reads but does not write, as external assets: replicas, log, ledger."""

import dagster as dg
from dagster_dbt.dbt_manifest import validate_manifest

from orchestration.defs.dbt.project import dbt_project
from orchestration.defs.dbt.translator import TRANSLATOR
from orchestration.keys import WEBHOOKS


@dg.definitions
def raw_tables() -> dg.Definitions:
    """Every source that a model reads, except those written by an asset of this project."""
    project = dbt_project()
    manifest = validate_manifest(project.manifest_path)
    read = [
        unique_id
        for unique_id in manifest["sources"]
        if any(child.startswith("model.") for child in manifest["child_map"][unique_id])
    ]
    specs = [TRANSLATOR.get_asset_spec(manifest, unique_id, project) for unique_id in read]
    return dg.Definitions(
        assets=[
            # The metadata of dagster-dbt is for builds, and nothing here builds these.
            spec.replace_attributes(
                metadata={k: v for k, v in spec.metadata.items() if k.startswith("dagster/")}
            )
            for spec in specs
            if spec.key != WEBHOOKS
        ]
    )
