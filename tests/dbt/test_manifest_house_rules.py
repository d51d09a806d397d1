"""House rules of the dbt project, read from its manifest. Each failure lists every offender."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from dbt.cli.main import dbtRunner

from sync.settings import PROJECT_ROOT, EmbeddedWarehouse

Manifest = dict[str, Any]
Node = dict[str, Any]

NAMES = {
    "staging": r"stg_(tracking|lms|enterprise|sync|snowflake)__[a-z_]+",
    "intermediate": r"int_[a-z_]+",
    "marts": r"(?!stg_|int_)[a-z_]+",
}
"""Allowed model names by layer (folder and schema)."""


def nodes(manifest: Manifest, kind: str) -> Iterator[Node]:
    """Nodes of one kind of this project."""
    return (
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] == kind and node["package_name"] == "learning_time_webhooks"
    )


def models(manifest: Manifest, layer: str | None = None) -> list[Node]:
    """Models of a layer, or all of them."""
    return [one for one in nodes(manifest, "model") if layer in (None, layer_of(one))]


def layer_of(model: Node) -> str:
    return model["path"].split("/")[0]


def data_tests_of(manifest: Manifest, model: Node) -> list[Node]:
    """Generic tests on the model; singular ones are attached to nothing."""
    return [
        one for one in nodes(manifest, "test") if one.get("attached_node") == model["unique_id"]
    ]


def names(found: Iterable[Node]) -> list[str]:
    return sorted(one["name"] for one in found)


def test_plain_dbt_finds_its_profile_and_connects_in_the_checkout(
    warehouse_settings: EmbeddedWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBT_LOG_PATH", str(tmp_path))
    assert dbtRunner().invoke(["--quiet", "debug"]).success


def test_every_path_of_the_project_file_exists() -> None:
    project = yaml.safe_load((PROJECT_ROOT / "dbt_project.yml").read_text(encoding="utf-8"))
    named = [path for key, paths in project.items() if key.endswith("-paths") for path in paths]
    assert [one for one in named if not (PROJECT_ROOT / one).is_dir()] == []


def test_names_tell_the_layer(manifest: Manifest) -> None:
    wrong = [one for one in models(manifest) if not re.fullmatch(NAMES[layer_of(one)], one["name"])]
    assert names(wrong) == []


def test_each_layer_has_its_own_schema(manifest: Manifest) -> None:
    assert names(one for one in models(manifest) if one["schema"] != layer_of(one)) == []


def test_no_two_relations_share_a_name(manifest: Manifest) -> None:
    """Dagster, people and queries find a table by name."""
    found = [one["name"] for kind in ("model", "seed") for one in nodes(manifest, kind)]
    assert len(found) == len(set(found))


@pytest.mark.parametrize("kind", ["model", "seed"])
def test_everything_is_described_with_the_grain_first(manifest: Manifest, kind: str) -> None:
    wrong = [
        one
        for one in nodes(manifest, kind)
        if not re.match(r"One row( per|:) ", one["description"].strip())
    ]
    assert names(wrong) == []


def test_the_docs_open_with_our_own_overview_and_every_name_in_it_exists(
    manifest: Manifest,
) -> None:
    overview = manifest["docs"]["doc.learning_time_webhooks.__overview__"]["block_contents"]
    named = set(re.findall(r"`([a-z_]+)`", overview))
    known = {one["name"] for kind in ("model", "seed") for one in nodes(manifest, kind)}
    assert len(named) >= 10
    assert named - known == set()


def test_sources_and_macros_are_described(manifest: Manifest) -> None:
    sources = [one for one in manifest["sources"].values() if not one["description"]]
    macros = [
        one
        for one in manifest["macros"].values()
        if one["package_name"] == "learning_time_webhooks" and not one["description"]
    ]
    assert names([*sources, *macros]) == []


READS: Mapping[str, set[str]] = {
    "staging": {"source"},
    "intermediate": {"staging", "intermediate", "seed"},
    "marts": {"staging", "intermediate", "marts", "seed"},
}
"""What models may read, by layer."""


def test_a_layer_reads_nothing_above_it_and_only_staging_reads_sources(manifest: Manifest) -> None:
    def kind(parent: str) -> str:
        resource_type = parent.partition(".")[0]
        return layer_of(manifest["nodes"][parent]) if resource_type == "model" else resource_type

    wrong = [
        f"{one['name']} reads {parent}"
        for one in models(manifest)
        for parent in one["depends_on"]["nodes"]
        if kind(parent) not in READS[layer_of(one)]
    ]
    assert wrong == []


def test_staging_joins_nothing(manifest: Manifest) -> None:
    wrong = [
        one
        for one in models(manifest, "staging")
        if len(one["depends_on"]["nodes"]) > 1 or " join " in one["raw_code"]
    ]
    assert names(wrong) == []


def test_every_model_belongs_to_a_group(manifest: Manifest) -> None:
    assert names(one for one in models(manifest) if not one["config"]["group"]) == []


def test_public_models_have_a_contract_and_a_tested_key(manifest: Manifest) -> None:
    public = [one for one in models(manifest) if one["config"]["access"] == "public"]
    assert {one["unique_id"] for one in public} == {
        one["unique_id"] for one in models(manifest, "marts")
    }
    key_tests = {"unique_combination_of_columns", "has_one_row"}
    wrong = [
        one
        for one in public
        if not one["config"]["contract"]["enforced"]
        or not any(column["data_type"] for column in one["columns"].values())
        or not any(
            test["test_metadata"]["name"] in key_tests and test["config"]["severity"] == "ERROR"
            for test in data_tests_of(manifest, one)
            if test.get("test_metadata")
        )
    ]
    assert names(wrong) == []


def test_columns_that_name_a_person_are_tagged(manifest: Manifest) -> None:
    """Ids are not: without the LMS they identify nobody."""
    personal = {
        "username", "username_key", "email", "raw_line",
        "payload_text", "agent", "page", "download_url",
    }  # fmt: skip
    columns = [
        (f"{model['name']}.{name}", name in personal, column["tags"])
        for model in models(manifest)
        for name, column in model["columns"].items()
    ]
    assert sum(is_personal for _, is_personal, _ in columns) >= len(personal)
    wrong = [
        name for name, is_personal, tags in columns if is_personal != ("personal_data" in tags)
    ]
    assert wrong == []


def test_a_text_that_several_models_share_is_written_once(manifest: Manifest) -> None:
    """Two copies of a description drift apart; a doc block cannot."""
    written: dict[tuple[str, str], list[str]] = {}
    for model in models(manifest):
        for name, column in model["columns"].items():
            if not column["doc_blocks"]:
                written.setdefault((name, column["description"]), []).append(model["name"])
    assert {column[0]: where for column, where in written.items() if len(where) > 1} == {}


def test_every_group_has_an_owner_who_can_be_written_to(manifest: Manifest) -> None:
    groups = {one["name"]: one["owner"] for one in manifest["groups"].values()}
    used = {one["config"]["group"] for one in models(manifest)}
    assert used == set(groups)
    assert all(owner["name"] and "@" in owner["email"] for owner in groups.values())


def test_one_macro_alone_asks_which_engine_this_is_and_no_model_does(manifest: Manifest) -> None:
    """A model with two branches is two models; only the macros of embedded.sql may branch."""
    branching = re.compile(r"target\.(name|type|profile_name)|is_embedded")
    asking = [
        one["name"]
        for one in manifest["macros"].values()
        if one["package_name"] == "learning_time_webhooks" and "target.name" in one["macro_sql"]
    ]
    code = [*models(manifest), *nodes(manifest, "test")]
    assert names(one for one in code if branching.search(one["raw_code"])) == []
    assert asking == ["is_embedded"]


def test_every_incremental_model_states_how_it_finds_its_work(manifest: Manifest) -> None:
    incremental = [
        one for one in models(manifest) if one["config"]["materialized"] == "incremental"
    ]
    assert len(incremental) == 6
    wrong = [
        one
        for one in incremental
        if "Watermark" not in one["raw_code"]
        or "Invalid" not in one["raw_code"]
        or one["config"]["on_schema_change"] != "fail"
        or one["config"]["incremental_strategy"] != "delete+insert"
    ]
    assert names(wrong) == []


def test_a_warning_says_why_it_is_no_error(manifest: Manifest) -> None:
    """Each has a comment: above `severity: warn`, or at the top of the test."""
    wrong = []
    for test in nodes(manifest, "test"):
        if test["config"]["severity"].lower() != "warn":
            continue
        text = (PROJECT_ROOT / test["original_file_path"]).read_text(encoding="utf-8")
        lines = [line.strip() for line in text.splitlines()]
        above = [before for before, line in pairwise(lines) if line == "severity: warn"]
        if not all(line.startswith("#") for line in above) or (
            not above and "{#" not in text.partition("config(")[0]
        ):
            wrong.append(test)
    assert names(wrong) == []


def test_each_webhook_is_an_exposure_of_public_models(manifest: Manifest) -> None:
    exposures = {one["name"]: one for one in manifest["exposures"].values()}
    parents = {
        name: {parent.rpartition(".")[2] for parent in one["depends_on"]["nodes"]}
        for name, one in exposures.items()
    }
    assert parents == {
        "completion_webhook": {
            "completed_enrollments",
            "completion_learning_time",
            "webhook_endpoints",
        },
        "enrollment_webhook": {"enterprise_enrollments", "webhook_endpoints"},
        "certificate_webhook": {"awarded_certificates", "webhook_endpoints"},
    }
    for one in exposures.values():
        assert one["type"] == "application"
        assert one["description"]
        assert one["owner"] in [group["owner"] for group in manifest["groups"].values()]


def test_detection_needs_no_learning_time(manifest: Manifest) -> None:
    """A failed learning-time model must never stop a completion: the view reads none of them."""
    parents = manifest["parent_map"]
    seen: set[str] = set()
    queue = ["model.learning_time_webhooks.completed_enrollments"]
    while queue:
        node = queue.pop()
        if node not in seen:
            seen.add(node)
            queue += parents.get(node, [])
    above = {manifest["nodes"][one]["name"] for one in seen if one.startswith("model.")}
    assert above
    assert not {name for name in above if "tracking" in name or "learning" in name}
    assert all(
        manifest["nodes"][one]["config"]["materialized"] == "view"
        for one in seen
        if one.startswith("model.")
    )


def test_every_parameter_of_the_rule_is_documented_with_somebody_who_changes_it(
    manifest: Manifest,
) -> None:
    """An unneeded option is removed, not documented."""
    macro = manifest["macros"]["macro.learning_time_webhooks.learning_time_parameters"]
    parameters = set(re.findall(r"^        '(\w+)': ", macro["macro_sql"], re.MULTILINE))
    document = (PROJECT_ROOT / "docs" / "learning-time.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?:seed )?`(\w+)` \|.*\| ([^|]+) \|$", document, re.MULTILINE)
    users = ("a site", "a younger site", "a customer", "customers", "learners")
    named = {name for name, who in rows if who.startswith(users)}
    assert len(parameters) == 12
    assert parameters - named == set()


def test_a_completion_reads_each_intermediate_view_on_one_path(manifest: Manifest) -> None:
    """A view read on three paths is computed three times, at every detection."""

    def paths(node: str, target: str) -> int:
        if node == target:
            return 1
        return sum(paths(parent, target) for parent in manifest["parent_map"].get(node, []))

    mart = "model.learning_time_webhooks.completed_enrollments"
    found = {one["name"]: paths(mart, one["unique_id"]) for one in models(manifest, "intermediate")}
    read = {name: number for name, number in found.items() if number}
    assert "int_enterprise_enrollments" in read
    assert {name: number for name, number in read.items() if number > 1} == {}


def test_every_purpose_that_costs_are_told_apart_by_is_one_of_a_session(manifest: Manifest) -> None:
    """A renamed purpose would silently count as an operator's."""
    macro = manifest["macros"]["macro.learning_time_webhooks.cost_parts"]["macro_sql"]
    parts = dict(re.findall(r"'(\w+)': \[(.*?)\]", macro))
    named = {part: re.findall(r"[\w-]+", purposes) for part, purposes in parts.items()}
    files = [PROJECT_ROOT / "profiles.yml", *(PROJECT_ROOT / "orchestration").rglob("*.py")]
    files += (PROJECT_ROOT / "sync").rglob("*.py")
    code = "".join(one.read_text(encoding="utf-8") for one in files)
    used = set(re.findall(r'(?:purpose="|query_tag: learning-time-webhooks:)([\w-]+)', code))
    assert {one for purposes in named.values() for one in purposes} - used == set()
    document = (PROJECT_ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `(\w+)` \| ((?:`[\w-]+`(?:, )?)+) \|$", document, re.MULTILINE)
    assert {part: re.findall(r"[\w-]+", purposes) for part, purposes in table} == named


def test_the_overview_of_dbt_docs_fits_at_1400_pixels(manifest: Manifest) -> None:
    """The page would break a longer line of its diagram anywhere."""
    overview = manifest["docs"]["doc.learning_time_webhooks.__overview__"]["block_contents"]
    _, picture, *_ = overview.split("```")
    assert max(map(len, picture.splitlines())) <= 125
