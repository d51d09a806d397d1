"""Both jobs over two waves of sample data, with the flag off, then on: what is sent and shown."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import dagster as dg
import pytest

from sync.warehouse import open_warehouse
from tests.support.dbt import Dbt
from tests.support.definitions import metadata_of
from tests.support.ledger_rows import WITH_MESSAGES
from tests.support.scenarios import Scenarios
from tests.support.world import Round, World, run_world

WIDEST = 42
"""Characters of an entry next to the longest name, at 1,400 pixels."""


@pytest.fixture(scope="module")
def world(
    scenarios: Scenarios,
    tmp_path_factory: pytest.TempPathFactory,
    defs: dg.Definitions,
    dbt: Dbt,
) -> Iterator[World]:
    scenarios.stand("nothing")
    with (
        open_warehouse(scenarios.settings, purpose="tests") as warehouse,
        run_world(warehouse, tmp_path_factory.mktemp("world"), defs, dbt) as played,
    ):
        yield played


@pytest.fixture(params=["off", "on"])
def each_round(request: pytest.FixtureRequest, world: World) -> Round:
    return getattr(world, request.param)


def bodies(one: Round) -> list[dict[str, Any]]:
    return [json.loads(request["body"]) for request in one.received]


def outbox(world: World, one: Round, columns: str = "*") -> list[dict[str, Any]]:
    return world.warehouse.rows(
        f"select {columns} from {WITH_MESSAGES} where recorded_run_id = ?",
        one.webhooks.run_id,
    )


def test_every_run_succeeds(world: World) -> None:
    assert world.off.webhooks.success
    assert world.models.success
    assert world.on.webhooks.success


def test_each_round_records_the_completions_that_became_eligible_in_it(world: World) -> None:
    for index, one in enumerate((world.off, world.on)):
        recorded = {(row["user_id"], row["courserun_key"]) for row in outbox(world, one)}
        assert recorded == {
            (promised.user_id, promised.courserun_key)
            for promised in world.data.completions
            if promised.eligible_from_wave == index
        }


def test_with_the_flag_off_no_body_carries_learning_time(world: World) -> None:
    assert bodies(world.off)
    assert not any("learning_time" in body for body in bodies(world.off))


def test_with_the_flag_on_every_body_carries_the_number_of_the_mart(world: World) -> None:
    """Including failed ones: the failing endpoint got the same kind of body."""
    mart = {
        (row["user_id"], row["courserun_key"]): int(row["learning_time_seconds"])
        for row in world.warehouse.rows("select * from analytics.marts.completion_learning_time")
    }
    sent = [
        (
            (body["learner"]["user_id"], body["course"]["course_key"]),
            body["learning_time"]["total_seconds"],
        )
        for request, body in zip(world.on.received, bodies(world.on), strict=True)
        if request["webhook_id"] in {row["webhook_id"] for row in outbox(world, world.on)}
    ]
    assert sent
    assert [seconds for _, seconds in sent] == [mart[key] for key, _ in sent]
    assert min(seconds for _, seconds in sent) > 0


def test_turning_the_flag_on_changes_no_message_that_was_built_before(world: World) -> None:
    """A retry in the second round repeats the bytes of the first."""
    first = {one["webhook_id"]: one["body_sha256"] for one in world.off.received}
    repeated = [one for one in world.on.received if one["webhook_id"] in first]
    assert [one["body_sha256"] for one in repeated] == [
        first[one["webhook_id"]] for one in repeated
    ]


def test_every_request_carries_a_signature_that_the_receiver_can_check(each_round: Round) -> None:
    assert {one["verification"] for one in each_round.received} == {"verified"}


def test_what_was_accepted_was_sent_once(world: World) -> None:
    accepted = [
        one["webhook_id"] for one in world.off.received + world.on.received if one["status"] == 200
    ]
    delivered = world.warehouse.rows(
        "select webhook_id from analytics.sync.webhook_outbox where state = 'delivered'"
    )
    assert sorted(accepted) == sorted(row["webhook_id"] for row in delivered)


def test_what_could_not_be_sent_says_why(world: World) -> None:
    """The sample's customers: one without an endpoint, one with a bad URL, one with 503s."""
    states = {
        (row["state"], row["state_reason"])
        for row in world.warehouse.rows("select * from analytics.sync.webhook_outbox")
    }
    assert ("suppressed", "no_endpoint") in states
    assert ("held", "endpoint_invalid") in states
    refused = world.warehouse.rows(
        "select status_code, outcome from analytics.sync.webhook_attempts "
        "where outcome <> 'delivered' group by status_code, outcome"
    )
    assert refused == [{"status_code": 503, "outcome": "retry"}]


def test_every_completion_is_accounted_for(world: World) -> None:
    rows = world.warehouse.rows("select * from analytics.marts.delivery_reconciliation")
    assert sum(int(row["completions"]) for row in rows) == len(
        [one for one in world.data.completions if one.eligible_from_wave is not None]
    )
    assert sum(int(row["undetected"]) for row in rows) == 0
    assert [row for row in rows if not row["is_balanced"]] == []


def test_no_check_failed(world: World) -> None:
    evaluations = [
        one
        for run in (world.off.webhooks, world.models, world.on.webhooks)
        for one in run.get_asset_check_evaluations()
    ]
    failed = [
        f"{one.asset_key.to_user_string()}: {one.check_name}"
        for one in evaluations
        if not one.passed and one.severity is dg.AssetCheckSeverity.ERROR
    ]
    checked = {one.asset_key.path[-1] for one in evaluations}
    assert checked >= {"newly_completed_enrollments", "completion_learning_time"}
    assert failed == []


def test_every_entry_fits_beside_its_name_at_1400_pixels(world: World) -> None:
    """The UI wraps texts at blanks and hyphens and cuts off anything wider: a table by the longest
    words of its columns, each with two characters of padding."""
    for one in (world.off, world.on):
        for facts in metadata_of(one.webhooks).values():
            for name, value in facts.items():
                widths = [max(map(longest_word, cells)) + 2 for cells in columns_of(value)]
                assert sum(widths) <= WIDEST, (name, widths)


def columns_of(value: Any) -> list[list[str]]:
    """Texts by column: of a table, of one in Markdown, or one column of a text."""
    if isinstance(value, dg.TableMetadataValue):
        return list(
            map(list, zip(*(map(str, one.data.values()) for one in value.records), strict=True))
        )
    rows = [one.strip("|").split("|") for one in str(value).splitlines() if one.startswith("|")]
    return list(map(list, zip(*rows, strict=True))) if rows else [[str(value)]]


def longest_word(text: str) -> int:
    """Characters that the UI does not wrap."""
    return max((len(one) for one in re.split(r"\s+|(?<=-)", text) if set(one) - {"-"}), default=0)


def test_a_run_says_which_rows_of_the_ledger_are_its_own(world: World) -> None:
    for one in (world.off, world.on):
        facts = metadata_of(one.webhooks)
        for asset, rows in (
            ("newly_completed_enrollments", facts["newly_completed_enrollments"]["recorded"]),
            ("completion_webhooks", len(one.received)),
        ):
            found = world.warehouse.rows(facts[asset]["ledger_rows_of_this_run"])
            assert len(found) >= rows
            assert {row.get("recorded_run_id", row.get("run_id")) for row in found} == {
                one.webhooks.run_id
            }


def test_the_metadata_counts_what_the_ledger_holds(world: World) -> None:
    for one in (world.off, world.on):
        shown = metadata_of(one.webhooks)
        rows = outbox(world, one)
        detected = shown["newly_completed_enrollments"]
        old = [row for row in rows if row["state_reason"] == "before_activation"]
        assert detected["suppressed_before_activation"] == len(old)
        assert detected["recorded"] == len(rows) - len(old)
        assert detected["held_back"] == 0
        assert one.webhooks.run_id in detected["ledger_rows_of_this_run"]
        assert len(detected["sample"].records) == min(len(rows), 20)
        building = shown["enriched_completions"]
        assert building["built"] == sum(row["body"] is not None for row in rows)
        sent = shown["completion_webhooks"]
        assert sent["attempts"] == len(one.received)
        assert sent["delivered"] == sum(got["status"] == 200 for got in one.received)
        assert sent["retry"] == sum(got["status"] == 503 for got in one.received)
    assert metadata_of(world.off.webhooks)["enriched_completions"]["enriched"] == 0
    building = metadata_of(world.on.webhooks)["enriched_completions"]
    assert building["enriched"] == building["built"]
    assert building["enriched_share"] == 1.0


def test_a_build_shows_the_columns_of_models_where_they_come_from_and_how_many_rows(
    world: World,
) -> None:
    shown = metadata_of(world.models)
    columns = {name: facts["dagster/column_schema"].columns for name, facts in shown.items()}
    assert [one.name.lower() for one in columns["learning_time_watermark"]] == [
        "computed_through",
        "newest_line_at",
        "newest_loaded_at",
    ]
    lineage = shown["completion_learning_time"]["dagster/column_lineage"].deps_by_column
    [source] = lineage["computed_through"]
    assert (source.asset_key.path[-1], source.column_name) == (
        "learning_time_watermark",
        "computed_through",
    )
    [counted] = world.warehouse.rows(
        "select count(*) as n from analytics.marts.completion_learning_time"
    )
    assert shown["completion_learning_time"]["dagster/row_count"] == counted["n"] > 0
    assert "column metadata" not in each_said(world)


def test_the_views_of_the_deliveries_are_built_with_the_other_models(
    world: World, defs: dg.Definitions
) -> None:
    """And not by each delivery run, which would resume a warehouse for them."""
    job = defs.resolve_job_def("learning_time_job")
    views = {"webhook_deliveries", "endpoint_health", "delivery_reconciliation"}
    assert views <= {key.path[-1] for key in job.asset_layer.executable_asset_keys}
    assert not views & metadata_of(world.on.webhooks).keys()


def test_the_report_is_a_file_with_pictures_that_the_ui_can_show(
    world: World, defs: dg.Definitions
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def("delivery_report_job").execute_in_process(instance=instance)
    shown = metadata_of(result)["delivery_report"]
    page = Path(shown["report"]).read_text(encoding="utf-8")
    assert "Webhooks by outcome" in page
    assert "is_cost_history_read" in page, "off, as the embedded warehouse costs nothing"
    (budget,) = result.get_asset_check_evaluations()
    assert (budget.check_name, budget.passed) == ("warehouse_costs_are_within_budget", True)
    delivered = world.warehouse.rows(
        "select count(*) as n from analytics.sync.webhook_outbox where state = 'delivered'"
    )[0]["n"]
    to_send = shown["recorded"] - shown["suppressed"]
    assert shown["delivered_share"] == round(delivered / to_send, 3)
    pictures = re.findall(r"data:image/svg[+]xml;base64,([^)]+)", shown["charts"])
    assert len(pictures) == 6
    for picture in pictures:
        ElementTree.fromstring(base64.b64decode(picture))  # noqa: S314
    assert people_named(world).findall(page + shown["charts"]) == []


def each_said(world: World) -> str:
    return world.off.said + world.on.said


def people_named(world: World) -> re.Pattern[str]:
    people = [
        row
        for wave in world.data.waves
        for row in wave.tables.get("auth_user", [])
        if row["username"]
    ]
    names = [row[column] for row in people for column in ("email", "username") if row[column]]
    return re.compile("|".join(rf"\b{re.escape(name)}\b" for name in sorted(set(names))))


def test_nothing_that_dagster_keeps_names_a_learner(each_round: Round, world: World) -> None:
    pattern = people_named(world)
    assert pattern.search(json.dumps(bodies(each_round))), "the search itself must work"
    assert len(each_round.said) > 10_000
    assert pattern.findall(each_round.said) == []
