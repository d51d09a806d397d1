"""The graph that Dagster shows: one reviewed snapshot, unbroken lineage, and a cheap import.

After an intended change, regenerate the snapshot and review its diff:

    UPDATE_GRAPH_SNAPSHOT=1 python -m pytest tests/orchestration/test_graph.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.resources import DialResource
from orchestration.run_jobs import without_checks
from sync.settings import PROJECT_ROOT
from tests.support.definitions import STEPS

SNAPSHOT = Path(__file__).with_name("graph.json")
UPDATE = "UPDATE_GRAPH_SNAPSHOT"
SOURCES_THAT_MATTER = (
    "tracking/tracking_logs",
    "lms/auth_user",
    "lms/student_courseenrollment",
    "lms/student_courseaccessrole",
    "lms/course_overviews_courseoverview",
    "lms/grades_persistentcoursegrade",
    "lms/social_auth_usersocialauth",
    "enterprise/enterprise_enterprisecustomer",
    "enterprise/enterprise_enterprisecustomeruser",
    "enterprise/enterprise_enterprisecourseenrollment",
    "enterprise/enterprise_enterprisecustomeridentityprovider",
    "enterprise/consent_datasharingconsent",
    "enterprise/channel_integration_enterprisewebhookconfiguration",
)


def graph_of(defs: dg.Definitions, manifest: dict[str, Any]) -> dict[str, Any]:
    """Everything in the graph that a person should review before it changes."""
    graph = defs.resolve_asset_graph()
    assets = {
        key.to_user_string(): {
            "group": graph.get(key).group_name,
            "is_external": not graph.get(key).is_materializable,
            "deps": sorted(parent.to_user_string() for parent in graph.get(key).parent_keys),
            "pools": sorted(graph.get(key).pools or ()) if graph.get(key).is_executable else [],
            "checks": {
                check.name: "blocking" if graph.get(check).blocking else "not blocking"
                for check in sorted(graph.get_check_keys_for_assets({key}))
            },
        }
        for key in sorted(graph.get_all_asset_keys())
    }
    jobs = {
        job.name: sorted(key.to_user_string() for key in job.asset_layer.selected_asset_keys)
        for job in defs.resolve_all_job_defs()
        if not job.name.startswith("__")
    }
    schedules = {
        one.name: {
            "job": one.job_name,
            "cron": one.cron_schedule,
            "timezone": one.execution_timezone,
            "by default": one.default_status.value,
        }
        for one in defs.get_repository_def().schedule_defs
    }
    sensors = {
        one.name: {
            "jobs": sorted(target.job_name for target in one.targets),
            "by default": one.default_status.value,
        }
        for one in defs.get_repository_def().sensor_defs
    }
    exposures = {
        one["name"]: sorted(node.rpartition(".")[2] for node in one["depends_on"]["nodes"])
        for one in manifest["exposures"].values()
    }
    return {
        "assets": assets,
        "jobs": jobs,
        "schedules": schedules,
        "sensors": sensors,
        "exposures": exposures,
    }


@pytest.fixture(scope="module")
def graph(defs: dg.Definitions, manifest: dict[str, Any]) -> dict[str, Any]:
    return graph_of(defs, manifest)


def test_the_graph_is_the_reviewed_one(graph: dict[str, Any]) -> None:
    if os.environ.get(UPDATE):
        SNAPSHOT.write_text(json.dumps(graph, indent=2) + "\n", encoding="utf-8")
    assert graph == json.loads(SNAPSHOT.read_text(encoding="utf-8")), (
        f"if the change is wanted, run once with {UPDATE}=1 and review the diff of {SNAPSHOT.name}"
    )


def test_the_definitions_are_loadable(defs: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(defs)


def test_without_its_checks_a_job_builds_the_same_assets(defs: dg.Definitions) -> None:
    job = defs.resolve_job_def("learning_time_job")
    bare = without_checks(job).asset_layer
    assert bare.executable_asset_keys == job.asset_layer.executable_asset_keys
    assert job.asset_layer.asset_graph.asset_check_keys
    assert not bare.asset_graph.asset_check_keys


def test_every_asset_says_what_it_is_whose_it_is_and_where_its_code_stands(
    defs: dg.Definitions,
) -> None:
    graph = defs.resolve_asset_graph()
    for node in map(graph.get, graph.get_all_asset_keys()):
        assert node.description, node.key
        assert node.owners, node.key
        assert node.kinds, node.key
        references = node.metadata["dagster/code_references"].code_references
        assert references, node.key
        assert all(Path(one.file_path).is_relative_to(PROJECT_ROOT) for one in references), node.key
        assert all(Path(one.file_path).is_file() for one in references), node.key


def test_raw_tables_are_a_group_that_only_staging_reads(graph: dict[str, Any]) -> None:
    raw = {key for key, asset in graph["assets"].items() if asset["group"] == "raw"}
    assert set(SOURCES_THAT_MATTER) <= raw
    readers = {
        asset["group"] for asset in graph["assets"].values() if raw.intersection(asset["deps"])
    }
    assert readers == {"staging"}
    groups = {asset["group"] for asset in graph["assets"].values() if asset["is_external"]}
    assert groups == {"raw", "ledger"}


@pytest.mark.parametrize("source", SOURCES_THAT_MATTER)
def test_lineage_runs_from_the_source_through_the_webhooks_to_the_delivery_marts(
    graph: dict[str, Any], source: str
) -> None:
    reached = downstream(graph, source)
    for key in (*(step.to_user_string() for step in STEPS[1:]), "marts/webhook_deliveries"):
        assert key in reached, f"no path from {source} to {key}"


def test_completions_do_not_wait_for_learning_time(graph: dict[str, Any]) -> None:
    """A failed mart can stop learning time but never the message: detection reads only replicas."""
    detection = STEPS[0].to_user_string()
    assert detection not in downstream(graph, "tracking/tracking_logs")
    assert detection in downstream(graph, "lms/grades_persistentcoursegrade")


def test_every_asset_that_can_be_built_is_in_exactly_one_job(graph: dict[str, Any]) -> None:
    listed = [key for keys in graph["jobs"].values() for key in keys]
    assert len(listed) == len(set(listed))
    assert set(listed) == {
        key for key, asset in graph["assets"].items() if not asset["is_external"]
    }


def test_nothing_runs_by_itself_until_somebody_starts_it(graph: dict[str, Any]) -> None:
    """Opening the UI for the first time must not send a webhook."""
    defaults = {
        name: one["by default"]
        for kind in ("schedules", "sensors")
        for name, one in graph[kind].items()
    }
    assert defaults
    assert set(defaults.values()) == {"STOPPED"}


def test_every_schedule_asks_for_one_run_of_its_job(
    defs: dg.Definitions,
) -> None:
    repository = defs.get_repository_def()
    assert repository.schedule_defs
    with dg.instance_for_test() as instance:
        for schedule in repository.schedule_defs:
            with dg.build_schedule_context(
                instance=instance,
                repository_def=repository,
                resources={"dial": DialResource()},
                scheduled_execution_time=datetime(2026, 3, 10, 12, 10, tzinfo=UTC),
            ) as context:
                tick = schedule.evaluate_tick(context)
            assert tick.skip_message is None
            assert len(tick.run_requests or []) == 1


LOAD_WATCHED = """
import importlib, json, os, pkgutil, sys
import orchestration
seen = []
def watch(event, arguments):
    if event in ("socket.connect", "os.exec", "os.posix_spawn"):
        seen.append(f"{event} {arguments[1:]}")
    # The standard library's platform.architecture() asks `file` about the interpreter.
    elif event == "subprocess.Popen" and arguments[0] != "file":
        seen.append(f"{event} {arguments[1]}")
    elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        seen.append(f"open {arguments[0]} {arguments[1]}")
sys.addaudithook(watch)
for module in pkgutil.walk_packages(orchestration.__path__, "orchestration."):
    importlib.import_module(module.name)
os.environ["DBT_TARGET_PATH"] = sys.argv[1]
orchestration.definitions.defs()
print(json.dumps(seen))
"""


def test_loading_the_definitions_touches_no_network_no_process_and_no_file_for_writing(
    defs: dg.Definitions, dbt_target_path: Path
) -> None:
    """Importing needs no manifest; loading has one, as from the image build; the warehouse's port
    is closed."""
    environment = os.environ | {
        "DBT_TARGET_PATH": "/nowhere",
        "LTW_WAREHOUSE_PORT": "9",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", LOAD_WATCHED, str(dbt_target_path / "dagster")],
        cwd=PROJECT_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def downstream(graph: dict[str, Any], start: str) -> set[str]:
    """Every asset downstream of ``start``."""
    children: dict[str, list[str]] = {}
    for key, asset in graph["assets"].items():
        for parent in asset["deps"]:
            children.setdefault(parent, []).append(key)
    reached: set[str] = set()
    waiting = deque([start])
    while waiting:
        for child in children.get(waiting.popleft(), []):
            if child not in reached:
                reached.add(child)
                waiting.append(child)
    return reached
