"""Waiting times of an operator: the demo, a sensor tick, a page of a used instance.

Run one of them alone with ``-k demo``, ``-k tick`` or ``-k page``.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from statistics import median

import pytest

from sync.local.sample_data import SampleSize
from sync.settings import PROJECT_ROOT
from tests.support.dev import Dev
from tests.support.processes import LTW
from tests.support.used_instance import used_instance

MATERIALIZATIONS = 10_000
RUNS = 2_000
DEMO_BUDGET, TICK_BUDGET, PAGE_BUDGET = 60.0, 1.0, 5.0
SELECTOR = {
    "repositoryName": "__repository__",
    "repositoryLocationName": "learning-time-webhooks",
}
DRY_RUN = """
mutation ($selector: SensorSelector!, $cursor: String) {
  sensorDryRun(selectorData: $selector, cursor: $cursor) {
    __typename
    ... on DryRunInstigationTick { evaluationResult { cursor skipReason error { message } } }
  }
}
"""
GRAPHQL_CALLS = """
return performance.getEntriesByType('resource')
  .filter((one) => one.name.includes('/graphql'))
  .map((one) => [
    one.duration, new URL(one.name).searchParams.get('op') ?? one.name, one.decodedBodySize
  ])
"""


def test_demo() -> None:
    done = subprocess.run(
        [*LTW, "demo", "--json"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    seconds = json.loads(done.stdout)["seconds"]
    steps = re.findall(r"^done (.+?) ([\d.]+) s$", done.stderr, flags=re.MULTILINE)
    print(f"\ndemo {seconds:.1f} s: " + "; ".join(f"{text} {took}" for text, took in steps))
    assert seconds < DEMO_BUDGET


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    directory = tmp_path_factory.mktemp("operation")
    with used_instance(
        directory, size=SampleSize(), materializations=MATERIALIZATIONS, runs=RUNS
    ) as (dev, _):
        yield dev


def test_sensor_tick(world: Dev) -> None:
    """Through web server and code server, like the daemon; nothing is launched."""
    selector = SELECTOR | {"sensorName": "completions_arrived"}
    times: dict[str, list[float]] = {"first": [], "idle": []}
    cursor = None
    for turn in range(11):
        started = time.perf_counter()
        answer = world.graphql(DRY_RUN, selector=selector, cursor=cursor)["sensorDryRun"]
        times["idle" if turn else "first"].append(time.perf_counter() - started)
        result = answer["evaluationResult"]
        assert result["error"] is None, result
        cursor = result["cursor"]
    print(f"\nsensor tick: first {times['first'][0]:.2f} s, idle {median(times['idle']):.2f} s")
    assert median(times["idle"]) < TICK_BUDGET


def test_page_of_a_used_instance(world: Dev) -> None:
    from tests.support.browser import missing_programs, open_browser

    if missing := missing_programs():
        pytest.skip(f"not on this machine: {', '.join(missing)}")
    pages = {
        "asset": ("/assets/sync/enriched_completions", "enriched_share"),
        "model": ("/assets/marts/learning_time", "Row count"),
        "asset, events": ("/assets/sync/completion_webhooks?view=events", "outbox_pending"),
        "runs": ("/runs", "completion_webhooks_job"),
        "lineage": ("/asset-groups/", "webhooks"),
    }
    print()
    slowest = 0.0
    with open_browser(world.ui) as browser:
        for name, (path, text) in pages.items():
            shown: list[float] = []
            calls: list[tuple[float, str, int]] = []
            for _ in range(5):
                browser.open("about:blank")
                started = time.perf_counter()
                browser.open(path)
                browser.wait_for(text)
                shown.append(time.perf_counter() - started)
                calls += [tuple(one) for one in browser.script(GRAPHQL_CALLS)]
            slowest = max(slowest, median(shown))
            longest, operation, size = max(calls)
            print(
                f"{name}: shown after {median(shown):.1f} s; of {len(calls)} GraphQL calls the "
                f"longest {longest:,.0f} ms, {operation} with {size / 1_000:,.0f} kB"
            )
    assert slowest < PAGE_BUDGET
