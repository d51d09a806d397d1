"""The literal values of time limits that only make sense together, and the relations between them.

Each test elsewhere takes these constants from the code, so that none of them would notice another
value.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from sync import warehouse
from sync.contract.routing import LONGEST_TIMEOUT_SECONDS
from sync.detection import recording_lease
from sync.ledger import journal
from sync.sending.admission import LEASE_MARGIN
from sync.sending.pipeline import RECORD_AFTER_SECONDS
from sync.sending.sender import DispatchLimits
from sync.settings import PROJECT_ROOT, EmbeddedWarehouse
from sync.warehouse import connect_arguments

ARGUMENTS = connect_arguments(EmbeddedWarehouse(port=1, home=Path("/srv")), purpose="test")


def test_a_statement_is_stopped_after_four_minutes_and_given_up_a_minute_later() -> None:
    session = ARGUMENTS["session_parameters"]
    assert session["STATEMENT_TIMEOUT_IN_SECONDS"] == 240
    assert session["STATEMENT_QUEUED_TIMEOUT_IN_SECONDS"] == 240
    assert ARGUMENTS["network_timeout"] == 300, "later, so that Snowflake's own refusal comes first"
    assert ARGUMENTS["socket_timeout"] == 60, "longer than the 45 s after which it says it is busy"
    assert warehouse.LOGIN_TIMEOUT_SECONDS == 30


def test_a_warehouse_that_dies_for_good_ends_a_run_when_the_document_says() -> None:
    """The connector repeats for ``network_timeout``; its last try may last one silence more."""
    at_least = ARGUMENTS["network_timeout"]
    at_most = at_least + ARGUMENTS["socket_timeout"]
    text = (PROJECT_ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
    said = re.search(r"given up after (\d+)\s+to (\d+)\s+seconds", text)
    assert said is not None
    assert (int(said[1]), int(said[2])) == (at_least, at_most) == (300, 360)


def test_a_recording_lease_outlives_every_statement_that_was_sent_under_it() -> None:
    """Sent again for the network's patience, and at work for the statement's limit after that."""
    assert timedelta(minutes=10) == recording_lease.LEASE
    longest = ARGUMENTS["network_timeout"] + warehouse.STATEMENT_TIMEOUT_SECONDS
    assert recording_lease.LEASE.total_seconds() > longest == 540


def test_a_delivery_lease_outlives_what_happens_under_it() -> None:
    limits = DispatchLimits()
    lease, record = limits.lease.total_seconds(), RECORD_AFTER_SECONDS
    assert (lease, record, limits.time_budget.total_seconds()) == (600, 30, 240)
    assert (LONGEST_TIMEOUT_SECONDS, LEASE_MARGIN.total_seconds()) == (300, 30)
    claim = ARGUMENTS["network_timeout"] + warehouse.STATEMENT_TIMEOUT_SECONDS
    assert lease > claim, "a claim that comes late still leaves a lease"
    request = LONGEST_TIMEOUT_SECONDS + LEASE_MARGIN.total_seconds()
    assert lease > request, "else a webhook of a slow endpoint could never start"
    assert lease > limits.time_budget.total_seconds() + LONGEST_TIMEOUT_SECONDS + record, (
        "a request that starts last and takes longest is recorded before another run takes its row"
    )


def test_the_journal_keeps_twenty_megabytes_of_log_at_most() -> None:
    assert journal.CHECKPOINT_PAGES * journal.PAGE_BYTES == 20_480_000
