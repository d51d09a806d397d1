"""What a check means, who owns it, what to do: the same words in Dagster and in docs/checks.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

OWNER = "owner"
"""Name of the metadata that says which team a check belongs to."""
REMINDS = "reminds"
"""Name of the metadata that says whether a warning is told again as long as it lasts."""


@dataclass(frozen=True)
class CheckText:
    """One check for whoever reads of it."""

    meaning: str
    """What holds while it passes."""
    owner: str
    """The team that gets the alert, which is that of the asset."""
    action: str
    """What they do."""

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
        """The declaration of a check that is no dbt test; it looks ``after`` these assets, too."""
        return dg.AssetCheckSpec(
            name,
            asset=asset,
            additional_deps=list(after),
            blocking=blocking,
            description=self.description(),
            metadata={OWNER: self.owner, REMINDS: reminds},
        )


def dbt_check_text(manifest: Mapping[str, Any], unique_id: str) -> CheckText:
    """The texts of a dbt test: its own, else those of its kind; the owner is that of its model.

    ``action`` stands in the ``meta`` of a test or of the macro of its kind, and so does ``owner``,
    the name of a dbt group, for a test of a source, which belongs to none.
    """
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
    """The group of the model that the test is attached to, or is shown under in Dagster."""
    shown = test["config"].get("meta", {}).get("dagster", {}).get("ref", {}).get("name")
    for parent in [test.get("attached_node"), *test["depends_on"]["nodes"]]:
        node = manifest["nodes"].get(parent or "")
        if node is not None and shown in (None, node["name"]):
            return node["config"]["group"]
    return ""


def _sentence(text: str) -> str:
    return " ".join(text.split())
