"""A customer's report: all of their data, none of another's, nothing for operators only."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sync.domain.event_types import event_types
from sync.domain.states import Reason, State
from sync.errors import ConfigurationError
from sync.http.signing import parse_key
from sync.ledger.pauses import add_pause
from sync.ledger.tables import ensure_ledger
from sync.operations.customer_report import CustomerReport, read_customer
from sync.operations.customer_webhooks import REASONS
from sync.operations.report.customer import render
from sync.warehouse import Warehouse, open_warehouse
from tests.support.command_line import Command
from tests.support.completions import COURSE_RUN, ENTERPRISE, completion
from tests.support.delivery import SECRET
from tests.support.event_types import COMPLETIONS, ENROLLMENTS
from tests.support.events import XAPI
from tests.support.ledger_rows import attempt, endpoint_state, webhook, write_ledger
from tests.support.marts import create_marts, endpoint
from tests.support.page import Page
from tests.support.scenarios import Scenarios

NOW = datetime(2026, 3, 31, 12)
HOUR = timedelta(hours=1)
NAME = "Zoë & Co <img src=x onerror=alert(1)> \"'\u202e'; drop table customers; --"
LEARNER = 987_654_321
BODY = json.dumps({"learner": {"email": "learner@example.com", "name": "</pre><script>1</script>"}})
SETTINGS = {
    "LTW_SECRET_WEBHOOK_SIGNING_1": SECRET,
    "LTW_SENDING_ADDRESSES": "203.0.113.64/26",
    "LTW_SUPPORT_CONTACT": "webhooks@example.com",
}
CORRECTED = "2ec0acb6-9811-54aa-9664-a87ac95ae27f"
OTHERS = 1_000
MARK = re.compile(r"n\d{4}x")
HOSTILE_IDS = (
    ENTERPRISE.upper(),
    ENTERPRISE[:-1],
    ENTERPRISE[:-1] + "%",
    ENTERPRISE[:-1] + "_",
    ENTERPRISE.replace("-", ""),
    " " + ENTERPRISE[1:],
    ENTERPRISE[:-1] + "\u200b",
    ENTERPRISE[:-1] + " ",
    ENTERPRISE[:18] + "' or '1'='1",
    ENTERPRISE[:8],
    "%",
    "' union select * from x --",
    "<script>alert(1)</script>",
    "\u202e" + ENTERPRISE[:30],
)
UNREADABLE = "00000000-0000-4000-8000-000000000001"
HOSTILE_NAMES = (
    "<script>alert('{}')</script>",
    "{} '; drop table webhook_outbox; --",
    '{}" onmouseover="alert(1)',
    "\u202e{}\u202c",
    "{{{{ {} }}}}",
    "{}\x00\n\t",
    NAME + "{}",
)


def other_id(n: int) -> str:
    """Every second one is a UUID; the others look as similar to ours as the column allows."""
    plain = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{n}.example.com"))
    return plain if n % 2 else HOSTILE_IDS[n // 2 % len(HOSTILE_IDS)]


def others() -> Iterator[tuple[int, str, str]]:
    """Numbers, marks and ids."""
    return ((n, f"n{n:04}x", other_id(n)) for n in range(OTHERS))


def fill(warehouse: Warehouse) -> None:
    ensure_ledger(warehouse)
    at = NOW - 3 * HOUR
    ours = [
        webhook(LEARNER, at, endpoint_id=1, body=BODY),
        webhook(LEARNER + 1, at, endpoint_id=1, state="pending", delivered_at=None, body=BODY)
        | {"next_attempt_at": (NOW + HOUR).isoformat(), "attempt_count": 3},
        webhook(LEARNER + 2, at, endpoint_id=2, state="pending", delivered_at=None),
        webhook(LEARNER + 3, at, state="dead", state_reason="endpoint_gone", delivered_at=None),
        webhook(LEARNER + 4, at, state="held", state_reason="payload_invalid", endpoint_id=None),
        webhook(LEARNER + 5, at, state="held", state_reason="no_longer_reportable", body=BODY),
        webhook(LEARNER + 6, at, state="awaiting", endpoint_id=None, frozen_at=None),
        webhook(LEARNER + 7, at, state="suppressed", state_reason="before_activation"),
        webhook(LEARNER + 8, NOW - timedelta(days=40), state="held", endpoint_id=2),
        webhook(LEARNER + 9, NOW - timedelta(days=40)),
        webhook(-5, at, endpoint_id=1, body=None, body_removed_at=at.isoformat()),
        webhook(LEARNER + 10, at, endpoint_id=4, state="pending", delivered_at=None)
        | {"event_type": "course_completion_correction", "corrects_webhook_id": CORRECTED},
    ]
    theirs = [
        webhook(
            n, at, enterprise_customer_uuid=key, courserun_key=f"course-v1:{mark}", state=state,
            endpoint_id=10 + n, event_type=mark, webhook_id=mark, body=json.dumps({"a": mark}),
        )
        for n, mark, key in others()
        for state in [list(State)[n % len(State)]]
    ]  # fmt: skip
    create_marts(
        warehouse,
        completions=[
            *(
                completion(n, "2026-03-01T00:00:00", enterprise_customer_uuid=key)
                | {"enterprise_customer_name": HOSTILE_NAMES[n % 7].format(mark), "username": mark}
                for n, mark, key in others()
            ),
        ],
        endpoints=[
            endpoint(1, "https://user:word@hooks.example.com:8443/in/t0ken?key=t0ken")
            | {"enterprise_customer_name": NAME},
            endpoint(2, "https://lrs.example.com/t0ken", payload_format="xapi", **XAPI)
            | {"is_enrollment_events_enabled": True},
            endpoint(3, "https://gone.example.com/", is_active=False),
            endpoint(4, "http://paused.example.com?t0ken"),
            endpoint(5, "https://hooks.example.com/", region="MOON")
            | {"enterprise_customer_uuid": UNREADABLE},
            *(
                endpoint(10 + n, f"https://{mark}.example.com/", enterprise_customer_uuid=key)
                | {"enterprise_customer_name": HOSTILE_NAMES[n % 7].format(mark)}
                for n, mark, key in others()
            ),
        ][::-1],  # The report lists them by id, in whatever order the table has them.
    )
    failed = {"outcome": "retry", "status_code": None, "response_excerpt": "excerpt t0ken"}
    write_ledger(
        warehouse,
        webhooks=[*ours, *theirs],
        attempts=[
            attempt(ours[0], signing_key_ids="v1-aaaaaaaaaaaa,v1-bbbbbbbbbbbb"),
            attempt(ours[1], **failed, error_kind="E_TIMEOUT", attribution="theirs"),
            attempt(ours[1], **failed, error_kind="E_INTERNAL", attribution="ours"),
            attempt(ours[5], **failed, error_kind="E_DNS", attribution="theirs"),
            *(attempt(row, signing_key_ids=str(row["webhook_id"])) for row in theirs),
        ],
        endpoint_states=[
            endpoint_state(1, NOW, paused_until=(NOW + 2 * HOUR).isoformat()),
            endpoint_state(2, NOW, disabled_at=at.isoformat(), disabled_reason="a word of ours"),
            *(endpoint_state(10 + n, NOW, disabled_reason=mark) for n, mark, _ in others()),
        ],
    )
    pause = {"by": "a word of ours", "reason": "a word of ours", "now": at, "enterprise": None}
    add_pause(warehouse, endpoint_id=4, until=NOW + 5 * HOUR, **pause)


@pytest.fixture(scope="module")
def filled(scenarios: Scenarios) -> Iterator[Warehouse]:
    scenarios.stand("customers", fill)
    with open_warehouse(scenarios.settings, purpose="tests") as opened:
        yield opened


def read(warehouse: Warehouse, *, is_personal: bool = False, **given: Any) -> dict[str, Any]:
    asked = {"enterprise": ENTERPRISE, "days": 7, "now": NOW} | given
    return read_customer(warehouse, SETTINGS, is_personal=is_personal, **asked)


@pytest.fixture(scope="module")
def document(filled: Warehouse) -> dict[str, Any]:
    return read(filled)


@pytest.fixture(scope="module")
def personal(filled: Warehouse) -> dict[str, Any]:
    return read(filled, is_personal=True)


def both(document: dict[str, Any]) -> str:
    """The customer's report, as page and as JSON."""
    return render(document) + json.dumps(document, default=str, ensure_ascii=False)


def test_of_a_thousand_other_customers_a_report_has_nothing(
    filled: Warehouse, document: dict[str, Any], personal: dict[str, Any]
) -> None:
    assert MARK.findall(both(document)) == []
    assert MARK.findall(both(personal)) == []
    theirs = read(filled, enterprise=other_id(1), is_personal=True)
    assert set(MARK.findall(both(theirs))) == {"n0001x"}, "the marks would be seen"


@pytest.mark.parametrize("text", [*HOSTILE_IDS, *HOSTILE_NAMES, "", " ", "None"])
def test_an_id_that_is_no_uuid_is_refused_and_another_spelling_is_the_same_customer(
    text: str,
) -> None:
    spellings = (ENTERPRISE.upper(), ENTERPRISE.replace("-", ""))
    if text in spellings:
        assert CustomerReport.read({"enterprise": text}).enterprise == ENTERPRISE
    else:
        with pytest.raises(ConfigurationError, match="enterprise"):
            CustomerReport.read({"enterprise": text})


def test_the_number_of_statements_does_not_grow_with_the_customers(filled: Warehouse) -> None:
    before = filled.statements
    read(filled, is_personal=True, days=90)
    assert filled.statements - before == 6


def test_a_customer_that_nobody_knows_has_no_report(filled: Warehouse) -> None:
    with pytest.raises(ConfigurationError, match="has no endpoint and no webhook"):
        read(filled, enterprise="00000000-0000-4000-8000-000000000000")


def test_a_customer_whose_only_endpoint_cannot_be_read_is_told_why(filled: Warehouse) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing has been sent .* endpoint 5: region"):
        read(filled, enterprise=UNREADABLE)


def test_names_and_bodies_are_text_and_never_markup(personal: dict[str, Any]) -> None:
    html = render(personal)
    page = Page(html)
    assert page.count("img") == page.count("script") == 0
    assert page.links() == ["data:,"]
    assert f"Webhooks of {NAME}" in page.text, "in an element that keeps its direction to itself"
    assert "<bdi>Zoë" in html
    assert "</pre><script>" not in html
    assert "&lt;/pre&gt;&lt;script&gt;" in html


def test_what_became_of_each_webhook_is_said_in_the_customers_words(
    document: dict[str, Any],
) -> None:
    rows = {row["state"]: row for row in document["webhooks"]}
    assert [row["state"] for row in document["webhooks"]].count("held") == 1
    assert rows["dead"]["why"] == "your endpoint responded with 410: tell us its new URL"
    assert rows["held"]["why"] == "held until we fix something on our side"
    assert rows["delivered"]["delivered_at"] == NOW - 3 * HOUR
    assert "suppressed" not in rows
    assert f"course_completion_correction of {CORRECTED}" in render(document)
    assert document["states"] == {
        "awaiting": 1, "pending": 3, "delivered": 2, "dead": 1, "held": 2, "suppressed": 1,
    }  # fmt: skip
    assert document["unfinished_from_before"] == 1
    assert [day["delivered"] for day in document["by_day"]] == [0, 0, 0, 0, 0, 0, 2]


def test_the_next_try_is_that_of_the_webhook_and_of_its_endpoint(document: dict[str, Any]) -> None:
    tries = {
        row["endpoint_id"]: row["next_try_at"]
        for row in document["webhooks"]
        if row["state"] == "pending"
    }
    assert tries == {1: NOW + 2 * HOUR, 2: None, 4: NOW + 5 * HOUR}


def test_attempts_say_what_came_back_and_whose_failure_it_was(document: dict[str, Any]) -> None:
    assert sorted((one["result"], one["status"]) for one in document["attempts"]) == [
        ("accepted", 200),
        ("an error on our side, which does not count", None),
        ("no response in time", None),
    ]
    (taken,) = (one for one in document["attempts"] if one["status"])
    assert taken["signing_key_ids"] == ["v1-aaaaaaaaaaaa", "v1-bbbbbbbbbbbb"]


def test_endpoints_have_their_key_ids_and_hosts_and_no_secret(document: dict[str, Any]) -> None:
    found = {one["endpoint_id"]: one for one in document["endpoints"]}
    assert [(one["host"], one["condition"]) for one in found.values()] == [
        ("hooks.example.com", "waiting"),
        ("lrs.example.com", "disabled"),
        ("gone.example.com", "off"),
        ("paused.example.com", "paused"),
    ]
    assert found[1]["signing_key_ids"] == [parse_key(SECRET).key_id]
    assert found[2]["signing_key_ids"] == []
    said = both(document)
    for secret in (SECRET, SECRET.removeprefix("whsec_"), "t0ken", "word@", "8443"):
        assert secret not in said


def test_there_is_a_sample_of_each_event_that_an_endpoint_gets(
    filled: Warehouse, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(found: dict[str, Any]) -> set[tuple[int, str]]:
        assert all(one["body"] for one in found["samples"])
        return {(one["endpoint_id"], one["event_type"]) for one in found["samples"]}

    completions = {(n, COMPLETIONS.name) for n in (1, 2, 3, 4)}
    assert shown(document) == completions
    on = {ENROLLMENTS.name: ENROLLMENTS.model_copy(update={"enabled": True})}
    monkeypatch.setattr("sync.operations.samples.event_types", lambda: {**event_types(), **on})
    assert shown(read(filled)) == completions | {(2, ENROLLMENTS.name)}


def test_from_where_we_send_and_whom_to_ask_is_said(document: dict[str, Any]) -> None:
    text = Page(render(document)).text
    assert "203.0.113.64/26" in text
    assert "webhooks@example.com" in text


def test_personal_data_is_there_only_when_asked_for_and_only_of_what_was_delivered(
    document: dict[str, Any], personal: dict[str, Any]
) -> None:
    assert "learner@example.com" not in both(document)
    assert str(LEARNER) not in both(document)
    learners = {row["user_id"] for row in personal["webhooks"]}
    assert learners == {LEARNER, None}
    assert both(personal).count(str(LEARNER + 1)) == 0, "not delivered"
    (delivered,) = (row["body"] for row in personal["webhooks"] if row["body"])
    assert delivered == json.loads(BODY)
    assert "-5" not in {str(row["user_id"]) for row in personal["webhooks"]}, "erased"


def test_nothing_is_said_that_is_for_operators_only(document: dict[str, Any]) -> None:
    said = both(document)
    for reason in Reason:
        assert reason.meaning not in said
        assert reason.action not in said
        assert f'"{reason.value}"' not in said
    words = r"ltw |LMS|ledger|outbox|Snowflake|warehouse|dbt|operator|a word of ours|excerpt"
    assert re.findall(words, Page(render(document)).text + json.dumps(document, default=str)) == []
    assert set(REASONS) <= set(Reason)


def test_the_command_writes_both_files(
    filled: Warehouse, ltw: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTW_REPORTS_DIR", str(tmp_path))
    said = ltw("customer-report", "--enterprise", ENTERPRISE.upper(), "--json")
    assert said.code == 0
    page, data = Path(said.document["html"]), Path(said.document["json"])
    assert page == tmp_path / f"customer-{ENTERPRISE}.html"
    assert COURSE_RUN not in said.out
    assert json.loads(data.read_text(encoding="utf-8"))["customer"]["name"] == NAME
    assert Page(page.read_text(encoding="utf-8")).count("h1") == 1
    refused = ltw("customer-report", "--enterprise", ENTERPRISE, "--to", tmp_path / "x.json")
    assert (refused.code, "--to: must end with .html" in refused.text) == (2, True)
