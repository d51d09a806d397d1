"""The Dagster UI as an operator uses it: a run with the flag changed, and what it says after."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sync.warehouse import open_warehouse
from tests.support.browser import Browser
from tests.support.dev import Dev

JOBS = "/locations/__repository__@learning-time-webhooks/jobs"
FLAG = "enable_webhook_learning_time_enrichment"
RUN_SECONDS = 150.0
RUN = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status runConfigYaml } } }"
SCHEDULES = """
{ schedulesOrError(repositorySelector: {
    repositoryName: "__repository__", repositoryLocationName: "learning-time-webhooks"
  }) { ... on Schedules { results { name scheduleState { status } } } } }
"""
REPORT = """
{ assetNodeOrError(assetKey: {path: ["reports", "delivery_report"]}) {
    ... on AssetNode { assetMaterializations(limit: 1) { metadataEntries {
      label ... on PathMetadataEntry { path } } } } } }
"""


def launch(browser: Browser, job: str, *, ends: str = "Success", **values: str) -> str:
    """Type values over the defaults of a job's launchpad and see how its run ends; the run's id."""
    browser.open(f"{JOBS}/{job}/playground")
    for key, value in values.items():
        browser.type_value(key, value)
    browser.wait_for("No errors")
    browser.press("Launch Run")
    browser.wait(lambda: "/runs/" in browser.driver.current_url, what="the page of the run")
    browser.wait(
        lambda: {"Success", "Failure"} & set(browser.text.split("\n")),
        what="the end of the run",
        seconds=RUN_SECONDS,
    )
    browser.wait_for(ends)
    return browser.driver.current_url.split("/runs/")[1][:36]


@pytest.fixture(scope="session")
def flag_on(dev: Dev, window: Browser, number: str) -> str:
    """A run with the flag typed into the launchpad, after the number is there; its id."""
    assert dev.wait_for(number) == "SUCCESS"
    # The sample's endpoint that is out of order would be waited for.
    return launch(window, "completion_webhooks_job", **{FLAG: "true", "linger_seconds": "0"})


@pytest.fixture(scope="session")
def report(dev: Dev, flag_on: str) -> str:
    """A run that draws the report, started only: other tests look at pages meanwhile; its id."""
    return dev.launch("delivery_report_job")


def test_a_value_that_is_none_cannot_be_launched(browser: Browser) -> None:
    browser.open(f"{JOBS}/completion_webhooks_job/playground")
    browser.type_value(FLAG, "maybe")
    browser.wait_for(f"Invalid scalar at path root:ops:sync__enriched_completions:config:{FLAG}")
    assert "No errors" not in browser.text


@pytest.mark.usefixtures("report")
def test_the_run_has_taken_what_was_typed(dev: Dev, flag_on: str) -> None:
    run = dev.graphql(RUN, id=flag_on)["runOrError"]
    assert run["status"] == "SUCCESS"
    assert f"{FLAG}: true" in run["runConfigYaml"]


def test_the_asset_page_says_how_many_were_enriched(browser: Browser, flag_on: str) -> None:
    browser.open("/assets/sync/enriched_completions")
    text = browser.wait_for("enriched_share", "built: found")
    assert shown(text, "learning_time_enrichment") == "on"
    assert int(shown(text, "enriched")) > 0


def shown(text: str, name: str) -> str:
    """The value in the table of metadata: name, time, value."""
    found = re.search(rf"^{name}\s+\w+ \d+, [\d:]+ [AP]M\s+(\S+)", text, flags=re.MULTILINE)
    assert found is not None, text
    return found[1]


def test_a_check_says_what_it_means_and_what_to_do(browser: Browser, flag_on: str) -> None:
    check = "no_unusual_number_of_completions"
    browser.open("/assets/sync/newly_completed_enrollments?view=checks&checkDetail=" + check)
    browser.wait_for(check, "Passed", "allow_mass_send")


def test_the_receiver_page_shows_learning_time(browser: Browser, dev: Dev, flag_on: str) -> None:
    browser.open(dev.receiver)
    browser.wait_for("503", "Learning time")
    assert any("learning_time" in json.loads(one["body"]) for one in dev.webhooks)


def test_a_replay_changes_nothing_until_it_is_told_to(
    browser: Browser, dev: Dev, flag_on: str
) -> None:
    taken = (json.loads(one["body"]) for one in dev.webhooks if one["status"] == 200)
    enterprise = next(one["enterprise_customer"]["uuid"] for one in taken)
    chosen = {"state": "delivered", "enterprise": enterprise}
    launch(browser, "replay_job", **chosen)
    found = re.search(r"^matched\s+(\d+)$", browser.wait_for("matched"), flags=re.MULTILINE)
    assert found is not None
    launch(browser, "replay_job", **chosen, dry_run="false", ends="Failure")
    browser.wait_for(f"{found[1]} webhooks match. Nothing was changed.")
    assert replays(dev) == 0
    run_id = launch(browser, "replay_job", **chosen, dry_run="false", confirm_count=found[1])
    browser.wait_for("replay_id", run_id)
    assert replays(dev) == 1


def replays(dev: Dev) -> int:
    """How many requests to send again the ledger knows."""
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
    for wanted in ("RUNNING", "STOPPED"):
        browser.click(f"({row}//label)[last()]")
        browser.wait(lambda wanted=wanted: status() == {wanted}, what=wanted)
