"""The dbt tests that people are told of: each fails on bad rows, and none on good ones or nothing.

All of them run at once over three states of one warehouse, so a state costs one invocation.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sync.settings import PROJECT_ROOT, EmbeddedWarehouse
from sync.warehouse import Warehouse, open_warehouse
from tests.conftest import Dbt
from tests.dbt.check_states import bad, healthy, worse
from tests.dbt.scenario import prepare
from tests.support.clean import drop_all_schemas

CHECKS = (
    "assert_completions_are_detected",
    "assert_due_webhooks_are_sent",
    "assert_few_webhooks_are_given_up",
    "assert_learning_time_keeps_up",
    "assert_no_new_event_is_left_out",
    "assert_no_webhook_is_held_for_long",
    "assert_sent_numbers_still_hold",
    "delivery_reconciliation_balances",
    "endpoint_health_no_active_endpoint_is_disabled",
    "endpoint_health_no_endpoint_fails_for_long",
    "stg_lms__course_grades_are_being_replicated",
    "stg_sync__webhooks_one_row_per_event",
    "stg_sync__webhooks_one_row_per_id",
    "stg_sync__webhooks_state_is_known",
    "tracking_logs_are_being_loaded",
)
Statuses = dict[str, str]
Judge = Callable[[], Statuses]


@pytest.fixture(scope="module")
def built(warehouse_settings: EmbeddedWarehouse, dbt: Dbt) -> Iterator[Warehouse]:
    """Every model over empty tables."""
    with open_warehouse(warehouse_settings, purpose="tests") as opened:
        drop_all_schemas(opened)
        prepare(opened)
        dbt("build", "--resource-type", "model", "--resource-type", "seed")
        yield opened


@pytest.fixture(scope="module")
def judge(dbt: Dbt, dbt_target_path: Path) -> Judge:
    """Run all checks on the rows as they are; name to pass, warn or fail."""

    def run() -> Statuses:
        with suppress(AssertionError):
            dbt("test", "--select", *CHECKS)
        results = json.loads((dbt_target_path / "run_results.json").read_text(encoding="utf-8"))
        return {one["unique_id"].split(".")[2]: one["status"] for one in results["results"]}

    return run


@pytest.fixture(scope="module")
def states(built: Warehouse, judge: Judge) -> dict[str, Statuses]:
    """What the checks say of an empty, a healthy and a bad warehouse, one after the other."""
    found = {"empty": judge()}
    healthy(built)
    found["healthy"] = judge()
    bad(built)
    found["bad"] = judge()
    worse(built)
    found["worse"] = judge()
    return found


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("state", ["empty", "healthy"])
def test_there_is_no_false_alarm(states: dict[str, Statuses], state: str, check: str) -> None:
    assert states[state][check] == "pass"


WARNED = (
    "assert_due_webhooks_are_sent",
    "assert_few_webhooks_are_given_up",
    "assert_learning_time_keeps_up",
    "assert_no_new_event_is_left_out",
    "assert_no_webhook_is_held_for_long",
    "assert_sent_numbers_still_hold",
    "endpoint_health_no_active_endpoint_is_disabled",
    "endpoint_health_no_endpoint_fails_for_long",
    "stg_lms__course_grades_are_being_replicated",
    "tracking_logs_are_being_loaded",
)
FAILED = (
    "delivery_reconciliation_balances",
    "stg_sync__webhooks_one_row_per_event",
    "stg_sync__webhooks_one_row_per_id",
    "stg_sync__webhooks_state_is_known",
)


@pytest.mark.parametrize("check", WARNED)
def test_a_state_of_the_world_that_needs_a_person_warns(
    states: dict[str, Statuses], check: str
) -> None:
    assert states["bad"][check] == "warn"


@pytest.mark.parametrize("check", FAILED)
def test_a_broken_promise_of_ours_fails(states: dict[str, Statuses], check: str) -> None:
    assert states["bad"][check] == "fail"


@pytest.mark.parametrize(
    ("check", "status"),
    [
        ("assert_due_webhooks_are_sent", "fail"),
        ("assert_few_webhooks_are_given_up", "fail"),
        ("assert_completions_are_detected", "warn"),
    ],
)
def test_what_concerns_everybody_fails_at_its_higher_threshold(
    states: dict[str, Statuses], check: str, status: str
) -> None:
    assert states["worse"][check] == status


def test_every_check_was_seen_failing(states: dict[str, Statuses]) -> None:
    seen = {name for one in states.values() for name, status in one.items() if status != "pass"}
    assert seen == set(CHECKS)


def test_the_commands_of_the_document_work(states: dict[str, Statuses], dbt: Dbt) -> None:
    """On the last state, in which the webhook due for five hours fails even a wider threshold."""
    text = (PROJECT_ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
    test, show = (shlex.split(line)[1:] for line in re.findall(r"^\.venv/bin/dbt .*$", text, re.M))
    with pytest.raises(AssertionError, match="assert_due_webhooks_are_sent"):
        dbt(*test)
    dbt(*show)
