"""How dbt nodes appear in Dagster: groups, owners, freshness, check texts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject

from orchestration.check_texts import OWNER, dbt_check_text
from orchestration.teams import owner_of

WATERMARK = dg.AssetKey(["marts", "learning_time_watermark"])
NUMBER_FRESHNESS = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(hours=2), fail_window=timedelta(hours=12)
)
"""It is built every 30 minutes. No check can notice that nothing runs."""


class Translator(DagsterDbtTranslator):
    """How a dbt node appears in Dagster."""

    def __init__(self) -> None:
        super().__init__(
            DagsterDbtTranslatorSettings(
                enable_code_references=True,
                enable_source_tests_as_checks=True,
                # The three ledger tables are one asset here: completion_webhooks writes them.
                enable_duplicate_source_asset_keys=True,
            )
        )

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetSpec:
        spec = super().get_asset_spec(manifest, unique_id, project)
        spec = spec.replace_attributes(
            group_name=_group(manifest, unique_id), owners=_teams(manifest, unique_id)
        )
        source = manifest["sources"].get(unique_id)
        if source is not None:
            spec = spec.replace_attributes(description=source["description"], kinds={"snowflake"})
        if spec.key == WATERMARK:
            spec = spec.replace_attributes(freshness_policy=NUMBER_FRESHNESS)
        return spec

    def get_asset_check_spec(
        self,
        asset_spec: dg.AssetSpec,
        manifest: Mapping[str, Any],
        unique_id: str,
        project: DbtProject | None,
    ) -> dg.AssetCheckSpec | None:
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        if spec is None:
            return None
        text = dbt_check_text(manifest, unique_id)
        return spec._replace(
            description=text.description(), metadata={**spec.metadata, OWNER: text.owner}
        )


TRANSLATOR = Translator()
"""Shared by all: it caches the specs that it has created."""


def _group(manifest: Mapping[str, Any], unique_id: str) -> str:
    """The folder below ``models``: staging, intermediate, marts or delivery; for sources, by
    writer."""
    node = manifest["nodes"].get(unique_id)
    if node is None:
        return "ledger" if manifest["sources"][unique_id]["source_name"] == "sync" else "raw"
    if "delivery" in node["tags"]:
        return "delivery"
    return "seeds" if node["resource_type"] == "seed" else node["fqn"][1]


def _teams(manifest: Mapping[str, Any], unique_id: str) -> list[str]:
    """The owner of the node's dbt group; for a source, the owners of the groups that read it."""
    nodes = [manifest["nodes"].get(one) for one in (unique_id, *manifest["child_map"][unique_id])]
    own = nodes[:1] if nodes[0] else nodes[1:]
    names = {node["config"].get("group") for node in own if node}
    teams = {one["owner"]["name"] for one in manifest["groups"].values() if one["name"] in names}
    return [owner_of(team) for team in sorted(teams)]
