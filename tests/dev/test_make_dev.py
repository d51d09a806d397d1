"""``make dev`` from start to Ctrl-C: the tutorial's first part, and the Dagster UI.

One sequence: a reader follows the tutorial, in a terminal and in the UI; then an operator reads the
UI, changes something, and stops everything. Without a browser on this machine, the tests of pages
are skipped, and the tutorial's run is launched without one.
"""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing import resource_tracker
from pathlib import Path

import pytest
import yaml

from sync.local.embedded.lifecycle import Running, Stopped, status
from sync.warehouse import open_warehouse
from tests.support.browser import Browser, missing_programs
from tests.support.dbt import Dbt
from tests.support.dev import Dev, fetch, interrupt, wait_for_the_end
from tests.support.document_blocks import Block
from tests.support.processes import processes_of
from tests.support.walkthrough import Terminal, copy_of_the_project, parts, walk

JOB = "completion_webhooks_job"
JOBS = "/locations/__repository__@learning-time-webhooks/jobs"
FLAG = "enable_webhook_learning_time_enrichment"
RUN = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status runConfigYaml } } }"
SCHEDULES = """
{ schedulesOrError(repositorySelector: {
    repositoryName: "__repository__", repositoryLocationName: "learning-time-webhooks"
  }) { ... on Schedules { results { name scheduleState { status } } } } }
"""
DATA_TESTS = "--exclude-resource-type test"
"""``make demo`` runs them, on the same data."""
PLACES = ("LTW_HOME", "LTW_WAREHOUSE_PORT")
"""Settings that select the embedded warehouse."""
REPORT = """
{ assetNodeOrError(assetKey: {path: ["reports", "delivery_report"]}) {
    ... on AssetNode { assetMaterializations(limit: 1) { metadataEntries {
      label ... on PathMetadataEntry { path } } } } } }
"""


def launch(browser: Browser, dev: Dev, job: str, *, ends: str = "Success", **values: str) -> str:
    """Overwrite defaults in a job's launchpad and wait for its run; returns the run's id.

    An invalid value, entered first, is refused by the launchpad.
    """
    browser.open(f"{JOBS}/{job}/playground")
    flag = next(key for key, value in values.items() if value in {"true", "false"})
    browser.type_value(flag, "maybe")
    refusal = rf"Invalid scalar at path root:ops:\w+:config:{flag}\b"
    browser.wait(lambda: re.search(refusal, browser.text), what=refusal)
    assert "No errors" not in browser.text
    for key, value in values.items():
        browser.type_value(key, value)
    browser.wait_for("No errors")
    browser.press("Launch Run")
    browser.wait(lambda: "/runs/" in browser.driver.current_url, what="the page of the run")
    page = browser.driver.current_url
    run_id = page.split("/runs/")[1][:36]
    # The page of a run in progress keeps a CPU core busy.
    browser.rest()
    dev.wait_for(run_id)
    browser.open(page)
    browser.wait_for(ends)
    return run_id


@pytest.fixture(scope="module")
def flag_on(
    dev: Dev, dbt: Dbt, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> str:
    """The run of the tutorial's part 1, with the flag entered in the launchpad; returns its id."""
    directory = tmp_path_factory.mktemp("tutorial")
    folder = copy_of_the_project(directory)
    own_dbt = dbt.prepare(directory / "dbt", port=dev.settings.port, target="")
    own = {"PYTHONPATH": str(folder), "DBT_TARGET_PATH": str(own_dbt)}
    terminal = Terminal(folder, dict(dev.environment) | own)
    runs: list[str] = []

    def build(block: Block) -> None:
        terminal.run(replace(block, text=f"{block.text.rstrip()} {DATA_TESTS}"))

    def press_materialize(block: Block) -> None:
        config = yaml.safe_load(block.text)
        if missing_programs():
            runs.append(dev.run(JOB, config))
            return
        (op,) = config["ops"].values()
        typed = {name: json.dumps(value) for name, value in op["config"].items()}
        window: Browser = request.getfixturevalue("window")
        runs.append(launch(window, dev, JOB, **typed))
        window.rest()

    walk(terminal, parts()[0], {".venv/bin/dbt build": build, "ops:": press_materialize})
    (run_id,) = runs
    return run_id


@pytest.fixture(scope="module")
def report(dev: Dev, flag_on: str, dbt: Dbt, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Start a run that renders the report while other tests check pages; returns its id.

    First builds the views of deliveries that it reads, which the tutorial omits.
    """
    # dbt would start it with the settings below, and it runs as long as this process.
    resource_tracker.ensure_running()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in dev.environment.items():
            if name in PLACES:
                patch.setenv(name, value)
        replace(dbt, target_path=tmp_path_factory.mktemp("views"))(
            "run", "--select", "tag:delivery"
        )
    return dev.launch("delivery_report_job")


def test_all_three_respond(dev: Dev) -> None:
    assert "dagster_version" in json.loads(fetch(f"{dev.ui}/server_info") or "")
    assert "<html" in (fetch(f"{dev.receiver}/") or "")
    assert isinstance(status(dev.settings.port), Running)


def test_part_1_of_the_tutorial_ends_with_webhooks_that_carry_learning_time(
    dev: Dev, flag_on: str
) -> None:
    """With a browser, the launchpad refused a non-boolean flag before."""
    run = dev.graphql(RUN, id=flag_on)["runOrError"]
    assert run["status"] == "SUCCESS"
    assert f"{FLAG}: true" in run["runConfigYaml"]
    assert any("learning_time" in json.loads(one["body"]) for one in dev.webhooks)


@pytest.mark.usefixtures("report")
def test_the_asset_page_says_how_many_were_enriched(browser: Browser, flag_on: str) -> None:
    browser.open("/assets/sync/enriched_completions")
    text = browser.wait_for("enriched_share", "built: found")
    assert shown(text, "learning_time_enrichment") == "on"
    assert int(shown(text, "enriched")) > 0


def shown(text: str, name: str) -> str:
    """The value in the table of metadata: name, time with its year if that has ended, value."""
    time = r"\w+ \d+,(?: \d+,)? [\d:]+ [AP]M"
    found = re.search(rf"^{name}\s+{time}\s+(\S+)", text, flags=re.MULTILINE)
    assert found is not None, text
    return found[1]


def test_a_check_says_what_it_means_and_what_to_do(browser: Browser, flag_on: str) -> None:
    check = "no_unusual_number_of_completions"
    browser.open("/assets/sync/newly_completed_enrollments?view=checks&checkDetail=" + check)
    browser.wait_for(check, "Passed", "allow_mass_send")


def test_the_receiver_page_shows_learning_time(browser: Browser, dev: Dev, flag_on: str) -> None:
    browser.open(dev.receiver)
    browser.wait_for("Learning time")
    status = r"\t503$"
    browser.wait(lambda: re.search(status, browser.text, re.MULTILINE), what=status)


def test_a_replay_without_its_number_changes_nothing_and_its_page_says_what_to_type(
    browser: Browser, dev: Dev, flag_on: str
) -> None:
    """tests/orchestration/test_operations.py tests what it does with the number."""
    taken = (json.loads(one["body"]) for one in dev.webhooks if one["status"] == 200)
    enterprise = next(one["enterprise_customer"]["uuid"] for one in taken)
    chosen = {"state": "delivered", "enterprise": enterprise, "dry_run": "false"}
    launch(browser, dev, "replay_job", **chosen, ends="Failure")
    said = browser.wait_for("webhooks match. Nothing was changed.")
    (found,) = set(re.findall(r"(\d+) webhooks match\. Nothing was changed\.", said))
    assert f"confirm_count: {found}" in said
    assert replays(dev) == 0


def replays(dev: Dev) -> int:
    """Number of replay requests in the ledger."""
    with open_warehouse(dev.settings, purpose="tests") as session:
        return int(session.rows("select count(*) as n from analytics.sync.replays")[0]["n"])


def test_the_report_opens_in_a_browser(browser: Browser, dev: Dev, report: str) -> None:
    assert dev.wait_for(report) == "SUCCESS"
    browser.open("/assets/reports/delivery_report")
    browser.wait_for("delivered_share")
    entries = dev.graphql(REPORT)["assetNodeOrError"]["assetMaterializations"][0]["metadataEntries"]
    (path,) = (Path(one["path"]) for one in entries if one["label"] == "report")
    browser.open(path.as_uri())
    browser.wait(
        lambda: browser.script("return document.querySelectorAll('svg').length"), what="svg"
    )
    assert [one for one in browser.driver.get_log("browser") if one["level"] == "SEVERE"] == []


def test_a_schedule_is_off_until_somebody_switches_it_on(browser: Browser, dev: Dev) -> None:
    def status() -> set[str]:
        found = dev.graphql(SCHEDULES)["schedulesOrError"]["results"]
        return {one["scheduleState"]["status"] for one in found if one["name"] == "retention_daily"}

    assert status() == {"STOPPED"}
    browser.open("/automation")
    row = "//a[contains(@href, '/retention_daily')]/ancestor::*[count(.//input) = 2][1]"
    switch = f"({row}//input)[last()]"
    for wanted in ("RUNNING", "STOPPED"):
        # A switch accepts no further click until the page knows the result of the last one.
        browser.wait(
            lambda wanted=wanted: (
                browser.find(switch).is_enabled()
                and browser.find(switch).is_selected() is (wanted == "STOPPED")
            ),
            what=f"the switch before {wanted}",
        )
        browser.click(f"({row}//label)[last()]")
        browser.wait(lambda wanted=wanted: status() == {wanted}, what=wanted)


def test_one_interrupt_ends_all_three(dev: Dev, windows: ExitStack, home: Path) -> None:
    """The last test."""
    windows.close()
    assert interrupt(dev.process) in (0, 130), dev.log.read_text()
    assert isinstance(status(dev.settings.port), Stopped)
    assert fetch(f"{dev.receiver}/") is None
    assert fetch(f"{dev.ui}/server_info") is None
    wait_for_the_end(home)
    assert processes_of(home) == []
