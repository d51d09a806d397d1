"""Literal values of time limits that only make sense together, and their relations.

Tests elsewhere import these constants from the code, so none of them would notice a change.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import yaml
from pydantic.fields import FieldInfo

from orchestration.config import DeliveryConfig
from sync import warehouse
from sync.delivery.scheduler import LEASE_MARGIN, SETTLE_AFTER, Limits
from sync.domain.endpoint import LONGEST_TIMEOUT_SECONDS
from sync.domain.pacing import HORIZON
from sync.http.oauth import TOKEN_SECONDS
from sync.ledger import journal, recording_lease
from sync.settings import PROJECT_ROOT, EmbeddedWarehouse
from sync.warehouse import connect_arguments

STANDARD_FIRST_RETRY = 5
ARGUMENTS = connect_arguments(EmbeddedWarehouse(port=1, home=Path("/srv")), purpose="test")


def test_a_statement_is_stopped_after_four_minutes_and_given_up_a_minute_later() -> None:
    session = ARGUMENTS["session_parameters"]
    assert session["STATEMENT_TIMEOUT_IN_SECONDS"] == 240
    assert session["STATEMENT_QUEUED_TIMEOUT_IN_SECONDS"] == 240
    assert session["LOCK_TIMEOUT"] == 120, "before that, so that the error names the lock"
    assert ARGUMENTS["network_timeout"] == 300, "later, so that Snowflake's own refusal comes first"
    assert ARGUMENTS["socket_timeout"] == 60, "longer than the 45 s after which it says it is busy"
    assert warehouse.LOGIN_TIMEOUT_SECONDS == 30


def test_a_warehouse_that_dies_for_good_ends_a_run_when_the_document_says() -> None:
    """The connector retries for ``network_timeout``; its last try may add one socket timeout."""
    at_least = ARGUMENTS["network_timeout"]
    at_most = at_least + ARGUMENTS["socket_timeout"]
    text = (PROJECT_ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
    said = re.search(r"given up after (\d+)\s+to (\d+)\s+seconds", text)
    assert said is not None
    assert (int(said[1]), int(said[2])) == (at_least, at_most) == (300, 360)


def test_a_statement_without_its_lock_is_sent_again_for_half_a_minute() -> None:
    assert sum(warehouse.LOCK_PAUSES) < warehouse.LOCK_RETRY_SECONDS == 30
    assert ARGUMENTS["session_parameters"]["LOCK_TIMEOUT"] > warehouse.LOCK_RETRY_SECONDS


def test_a_recording_lease_outlives_every_statement_that_was_sent_under_it() -> None:
    """First without its lock, then retried for the network timeout, and then executed."""
    assert timedelta(minutes=10) == recording_lease.LEASE
    longest = ARGUMENTS["network_timeout"] + warehouse.STATEMENT_TIMEOUT_SECONDS
    longest += warehouse.LOCK_RETRY_SECONDS
    assert recording_lease.LEASE.total_seconds() > longest == 570


def test_a_delivery_lease_outlives_what_happens_under_it() -> None:
    limits = Limits()
    lease, record = limits.lease.total_seconds(), SETTLE_AFTER.total_seconds()
    assert (lease, record, limits.time_budget.total_seconds()) == (600, 15, 240)
    assert (LONGEST_TIMEOUT_SECONDS, LEASE_MARGIN.total_seconds()) == (300, 30)
    claim = ARGUMENTS["network_timeout"] + warehouse.STATEMENT_TIMEOUT_SECONDS
    claim += warehouse.LOCK_RETRY_SECONDS
    assert lease > claim, "a claim that comes late still leaves a lease"
    request = LONGEST_TIMEOUT_SECONDS + LEASE_MARGIN.total_seconds()
    assert lease > request, "else a webhook of a slow endpoint could never start"
    assert lease > limits.time_budget.total_seconds() + LONGEST_TIMEOUT_SECONDS + record, (
        "a request that starts last and takes longest is recorded before another run takes its row"
    )


def test_a_response_is_recorded_before_its_lease_can_end() -> None:
    """The last request may start ``LEASE_MARGIN`` and its own deadline before the lease ends."""
    assert TOKEN_SECONDS == 10, "beside the deadline of the request itself"
    statements = 5
    assert (
        TOKEN_SECONDS + SETTLE_AFTER.total_seconds() + statements
        <= LEASE_MARGIN.total_seconds()
        == 30
    )


def test_a_run_that_lingers_or_sends_as_long_as_it_may_is_not_taken_for_hanging() -> None:
    """Including its last request and the statements around it; Dagster terminates longer runs."""
    field = DeliveryConfig.model_fields
    default = DeliveryConfig().limits()
    assert (default.time_budget, default.linger) == (timedelta(minutes=4), timedelta(seconds=8))
    most = {name: _most(field[name]) for name in ("time_budget_seconds", "linger_seconds")}
    assert most == {"time_budget_seconds": 3_600, "linger_seconds": 60}
    allowed = yaml.safe_load((PROJECT_ROOT / "deploy" / "dagster.yaml").read_text("utf-8"))
    limit = allowed["run_monitoring"]["max_runtime_seconds"]
    statement = ARGUMENTS["network_timeout"] + ARGUMENTS["socket_timeout"]
    longest = most["time_budget_seconds"] + LONGEST_TIMEOUT_SECONDS + TOKEN_SECONDS + 3 * statement
    assert longest < limit == 7_200
    assert default.linger < default.lease
    assert timedelta(seconds=STANDARD_FIRST_RETRY * 1.2) < default.linger, "it waits for a retry"


def test_a_slot_is_never_taken_so_far_ahead_that_its_lease_ends_before_it() -> None:
    margin = LONGEST_TIMEOUT_SECONDS + LEASE_MARGIN.total_seconds()
    assert Limits().lease.total_seconds() - margin > HORIZON.total_seconds() == 30


def _most(field: FieldInfo) -> int:
    return next(one.le for one in field.metadata if hasattr(one, "le"))


def test_the_journal_keeps_twenty_megabytes_of_log_at_most() -> None:
    assert journal.CHECKPOINT_PAGES * journal.PAGE_BYTES == 20_480_000
