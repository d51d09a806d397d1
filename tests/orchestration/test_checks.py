"""Checks around sending: one stops it, the others report; all say what to do."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.check_texts import OWNER, REMINDS
from orchestration.defs.report.report import within_budget
from orchestration.teams import Team, owner_of
from sync.clock import warehouse_clock
from sync.http.network import DEVELOPMENT_SETTING
from sync.operations.pauses import PauseSending
from sync.warehouse import Warehouse
from tests.support.definitions import STEPS, alert, run_config
from tests.support.ledger_rows import webhook, write_ledger
from tests.support.receiver import Receiver
from tests.support.report_figures import COSTS

LONG_AGO = datetime(2026, 3, 1)


def due(user_id: int, body: dict[str, object], **changes: object) -> dict[str, object]:
    return webhook(
        user_id,
        datetime.now(UTC).replace(tzinfo=None),
        body=json.dumps(body),
        state="pending",
        delivered_at=None,
        attempt_count=0,
        next_attempt_at=LONG_AGO.isoformat(),
        **changes,
    )


def run(job: dg.JobDefinition, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return job.execute_in_process(
        instance=instance,
        asset_selection=list(STEPS),
        run_config=run_config(
            detection={"activated_at": LONG_AGO.isoformat()}, delivery={"linger_seconds": 0}
        ),
        raise_on_error=False,
    )


def verdicts(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}


def test_an_event_that_is_recorded_twice_stops_the_send(
    ready: Warehouse, webhooks_job: dg.JobDefinition, instance: dg.DagsterInstance, target: Receiver
) -> None:
    write_ledger(ready, webhooks=[due(1, {"n": 1}), due(1, {"n": 2}), due(2, {"n": 3})])
    result = run(webhooks_job, instance)
    assert not result.success
    assert verdicts(result)["no_event_is_recorded_twice"] is False
    assert target.received == []
    assert not result.asset_materializations_for_node("sync__completion_webhooks")


def test_once_the_copy_is_gone_everything_is_sent(
    ready: Warehouse, webhooks_job: dg.JobDefinition, instance: dg.DagsterInstance, target: Receiver
) -> None:
    write_ledger(ready, webhooks=[due(1, {"n": 1}), due(2, {"n": 3})])
    result = run(webhooks_job, instance)
    assert result.success
    assert set(verdicts(result).values()) == {True}
    assert len(verdicts(result)) == 6
    assert len(target.received) == 2


def test_a_body_that_differs_is_told_of_and_holds_nobody_else_up(
    ready: Warehouse, webhooks_job: dg.JobDefinition, instance: dg.DagsterInstance, target: Receiver
) -> None:
    wrong = due(1, {"learning_time": {"total_seconds": 9}})
    write_ledger(ready, webhooks=[wrong, due(2, {"n": 3})])
    result = run(webhooks_job, instance)
    assert result.success
    assert [name for name, passed in verdicts(result).items() if not passed] == [
        "bodies_carry_the_recorded_number"
    ]
    [failed] = [one for one in result.get_asset_check_evaluations() if not one.passed]
    assert failed.metadata["webhooks"].value == 1
    assert str(wrong["webhook_id"]) in str(failed.metadata["some_of_them"].value)
    assert len(target.received) == 2


def test_a_file_that_is_no_format_is_named_and_holds_nobody_else_up(
    ready: Warehouse,
    webhooks_job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    target: Receiver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "acme.yml").write_text("bodies: {}")
    monkeypatch.setenv("LTW_FORMATS_DIR", str(tmp_path))
    write_ledger(ready, webhooks=[due(1, {"n": 1})])
    result = run(webhooks_job, instance)
    [failed] = [one for one in result.get_asset_check_evaluations() if not one.passed]
    assert failed.check_name == "format_files_can_be_read"
    assert "acme.yml: bodies: " in str(failed.metadata["problems"].value)
    assert len(target.received) == 1


def test_a_pause_is_told_by_its_check_and_beside_the_send_and_nothing_goes(
    ready: Warehouse, webhooks_job: dg.JobDefinition, instance: dg.DagsterInstance, target: Receiver
) -> None:
    write_ledger(ready, webhooks=[due(1, {"n": 1})])
    request = PauseSending(everything=True, reason="storm", requested_by="night")
    request.run(ready, warehouse_clock(ready))
    result = run(webhooks_job, instance)
    assert result.success
    assert target.received == []
    [failed] = [one for one in result.get_asset_check_evaluations() if not one.passed]
    assert (failed.check_name, failed.severity) == (
        "nothing_is_paused",
        dg.AssetCheckSeverity.WARN,
    )
    [sent] = result.asset_materializations_for_node("sync__completion_webhooks")
    for said in (failed.description, str(sent.metadata["paused"].value)):
        assert "everything has been paused since" in str(said)
        assert "by night: storm. To end it: `ltw resume --all`" in str(said)


def test_every_check_names_a_team_and_says_what_to_do(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    keys = graph.asset_check_keys
    assert len(keys) > 50
    silent = [
        key.name
        for key in keys
        if graph.get(key).metadata.get(OWNER) not in [*Team]
        or not (graph.get(key).description or "").partition("**What to do:** ")[2]
    ]
    assert silent == []


def test_a_check_and_its_asset_have_one_owner_and_one_name_for_it_on_every_screen(
    defs: dg.Definitions, manifest: dict[str, Any]
) -> None:
    groups = {one["owner"]["name"] for one in manifest["groups"].values()}
    assert groups == {str(one) for one in Team}
    graph = defs.resolve_asset_graph()
    differ = {
        key: (owner, graph.get(key.asset_key).owners)
        for key in graph.asset_check_keys
        if [owner_of(owner := str(graph.get(key).metadata[OWNER]))]
        != list(graph.get(key.asset_key).owners)
        or f"**Owner:** {owner}." not in (graph.get(key).description or "")
    }
    assert differ == {}
    owners = {one for key in graph.get_all_asset_keys() for one in graph.get(key).owners}
    assert owners == {owner_of(one) for one in Team}


def test_only_what_would_do_harm_blocks_outside_the_models(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    own = {key for key in graph.asset_check_keys if key.asset_key.path[0] == "sync"}
    assert {key.name for key in own if graph.get(key).blocking} == {"no_event_is_recorded_twice"}
    assert len(own) == 6


@pytest.mark.parametrize(("budget", "is_within"), [(61, False), (62, True)])
def test_a_month_above_the_budget_is_a_warning(budget: int, is_within: bool) -> None:
    """2 credits a day are 62 a month."""
    found = within_budget(COSTS, budget=budget)
    assert (found.passed, found.severity) == (is_within, dg.AssetCheckSeverity.WARN)
    assert found.metadata["credits_a_month"].value == 62


def test_what_is_not_measured_is_within_the_budget_and_says_so() -> None:
    found = within_budget(None, budget=1)
    assert found.passed
    assert "Not measured" in str(found.metadata["costs"].value)


@dg.asset
def shelf() -> None: ...


@pytest.mark.parametrize(
    ("reminds", "expected"),
    [
        pytest.param(False, [1, 1, 1, 2], id="as it begins"),
        pytest.param(True, [1, 2, 2, 3], id="as long as it lasts"),
    ],
)
def test_a_warning_is_told_when_it_begins_and_one_that_reminds_as_a_failure_is(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    target: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    reminds: bool,
    expected: list[int],
) -> None:
    """An endpoint that its customer closed causes a warning every five minutes, for days."""

    @dg.asset_check(asset=shelf, description="**Owner:** Librarians.", metadata={REMINDS: reminds})
    def shelf_is_full(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            passed="full" in context.run.tags,
            severity=dg.AssetCheckSeverity.WARN,
            description="three are lent",
        )

    monkeypatch.setenv(DEVELOPMENT_SETTING, target.host_port)
    monkeypatch.setenv("LTW_ALERT_URL", f"{target.url}/alerts")
    library = dg.Definitions(assets=[shelf], asset_checks=[shelf_is_full])
    told = []
    for tags in ({}, {}, {"full": "yes"}, {}):
        result = library.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, tags=tags
        )
        alert(defs, instance, result, of=library)
        told.append(len(target.received))
    assert told == expected
    text = json.loads(target.received[0].body)["text"]
    assert "check shelf_is_full of shelf warns" in text
    assert "three are lent. **Owner:** Librarians" in text


@pytest.fixture
def urls(target: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """One URL for everybody, and one for the team Integrations."""
    monkeypatch.setenv(DEVELOPMENT_SETTING, target.host_port)
    monkeypatch.setenv("LTW_ALERT_URL", f"{target.url}/everybody")
    monkeypatch.setenv("LTW_ALERT_URL_INTEGRATIONS", f"{target.url}/integrations")


@pytest.mark.usefixtures("urls")
def test_a_run_that_a_check_has_stopped_is_told_to_the_team_of_that_check(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    ready: Warehouse,
    webhooks_job: dg.JobDefinition,
    target: Receiver,
) -> None:
    write_ledger(ready, webhooks=[due(1, {"n": 1}), due(1, {"n": 2})])
    result = run(webhooks_job, instance)
    assert not result.success
    alert(defs, instance, result)
    assert [one.path for one in target.received] == ["/integrations"]


@pytest.mark.usefixtures("urls")
@pytest.mark.parametrize(
    ("owner", "path"), [("Integrations", "/integrations"), ("Librarians", "/everybody")]
)
def test_a_failed_check_is_told_to_its_team_or_to_everybody(
    defs: dg.Definitions, instance: dg.DagsterInstance, target: Receiver, owner: str, path: str
) -> None:
    @dg.asset_check(asset=shelf, metadata={OWNER: owner})
    def shelf_is_dusted() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False)

    library = dg.Definitions(assets=[shelf], asset_checks=[shelf_is_dusted])
    job = library.resolve_implicit_global_asset_job_def()
    alert(defs, instance, job.execute_in_process(instance=instance), of=library)
    assert [one.path for one in target.received] == [path]
