"""Meaning, owner and action of a check: the same words in Dagster and in docs/checks.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

OWNER = "owner"
"""Name of the metadata with the team that owns a check."""
REMINDS = "reminds"
"""Name of the metadata that sets whether an ongoing warning is repeated."""


@dataclass(frozen=True)
class CheckText:
    """What people read about one check."""

    meaning: str
    """What holds while it passes."""
    owner: str
    """The team that gets the alert: the owner of the asset."""
    action: str
    """What the team should do."""

    def description(self) -> str:
        """As Dagster shows it, in Markdown."""
        return f"{self.meaning}\n\n**Owner:** {self.owner}.\n\n**What to do:** {self.action}"

    def spec(
        self,
        name: str,
        asset: dg.AssetKey,
        *,
        blocking: bool = False,
        reminds: bool = False,
        after: Iterable[dg.AssetKey] = (),
    ) -> dg.AssetCheckSpec:
        """The declaration of a check other than a dbt test; it also runs ``after`` these assets."""
        return dg.AssetCheckSpec(
            name,
            asset=asset,
            additional_deps=list(after),
            blocking=blocking,
            description=self.description(),
            metadata={OWNER: self.owner, REMINDS: reminds},
        )


def dbt_check_text(manifest: Mapping[str, Any], unique_id: str) -> CheckText:
    """The texts of a dbt test, else those of its kind; the owner is that of its model.

    ``action`` is in the ``meta`` of a test or of the macro of its kind. So is ``owner``, the name
    of a dbt group, for a test of a source, which belongs to no group."""
    test = manifest["nodes"][unique_id]
    kind = test.get("test_metadata", {}).get("name", "")
    macro = next(
        (one for key, one in manifest["macros"].items() if key.endswith(f".test_{kind}")), {}
    )
    meta = {**macro.get("meta", {}), **test["config"].get("meta", {})}
    group = meta.get(OWNER) or _group(manifest, test)
    owners = {one["name"]: one["owner"]["name"] for one in manifest["groups"].values()}
    return CheckText(
        meaning=_sentence(test.get("description") or macro.get("description", "")),
        owner=owners.get(group, "nobody"),
        action=_sentence(meta.get("action", "")),
    )


def _group(manifest: Mapping[str, Any], test: Mapping[str, Any]) -> str:
    """The group of the model that the test is attached to or shown under in Dagster."""
    shown = test["config"].get("meta", {}).get("dagster", {}).get("ref", {}).get("name")
    for parent in [test.get("attached_node"), *test["depends_on"]["nodes"]]:
        node = manifest["nodes"].get(parent or "")
        if node is not None and shown in (None, node["name"]):
            return node["config"]["group"]
    return ""


def _sentence(text: str) -> str:
    return " ".join(text.split())
