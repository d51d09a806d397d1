"""Printed tables: at 80 columns, at 120, and in a file."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from sync.cli.common import age, print_table
from sync.cli.endpoints import listed_rows
from sync.domain.circuit_breaker import EndpointState
from sync.domain.destination import NotReady
from sync.domain.endpoint import Endpoint, Region
from sync.domain.pauses import Pause
from sync.domain.states import Reason
from sync.operations.endpoints import Listed

NOW = datetime(2026, 3, 5, 9)
ENDPOINT = Endpoint(
    endpoint_id=7,
    enterprise_customer_uuid="7d3f1c52-0b6e-4a83-9c41-5e2a90d7f6b8",
    enterprise_customer_name="Example Industries",
    region=Region.OTHER,
    url="https://hooks.example.com/a-token",
    timeout_seconds=5,
    max_requests_per_minute=60,
    is_active=True,
    is_enrollment_events_enabled=False,
)
WEBHOOK = "2ec0acb6-9811-54aa-9664-a87ac95ae27f"
ENTERPRISE = "7d3f1c52-0b6e-4a83-9c41-5e2a90d7f6b8"
ROWS: list[Mapping[str, Any]] = [
    {"webhook_id": WEBHOOK, "enterprise": ENTERPRISE, "state": "held", "why": "no [key]"},
    {"webhook_id": WEBHOOK, "enterprise": ENTERPRISE, "state": "pending", "why": None},
]
TABLE = f"""\
 webhook_id                            enterprise                            state    why
 {WEBHOOK}  {ENTERPRISE}  held     no [key]
 {WEBHOOK}  {ENTERPRISE}  pending
"""
RECORDS = f"""\
webhook_id  {WEBHOOK}
enterprise  {ENTERPRISE}
state       held
why         no [key]

webhook_id  {WEBHOOK}
enterprise  {ENTERPRISE}
state       pending

"""


def shown(rows: Sequence[Mapping[str, Any]], *, width: int, is_terminal: bool) -> str:
    """The output, without trailing blanks."""
    stream = io.StringIO()
    console = Console(
        file=stream, width=width, force_terminal=is_terminal, color_system=None, highlight=False
    )
    print_table(rows, console)
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())


def test_a_table_that_fits_is_a_table():
    assert shown(ROWS, width=120, is_terminal=True) == TABLE


def test_one_that_does_not_is_records_and_nothing_is_cut():
    assert shown(ROWS, width=80, is_terminal=True) == RECORDS


def test_a_text_in_the_last_column_is_wrapped_between_words():
    row = {"check": "pins", "found": f"{WEBHOOK} is one of a few words that take more than a line"}
    assert shown([row], width=60, is_terminal=True) == (
        " check  found\n"
        f" pins   {WEBHOOK} is one of a\n"
        "        few words that take more than a line\n"
    )


def test_what_is_no_terminal_gets_the_full_width():
    assert shown(ROWS, width=80, is_terminal=False) == TABLE


PAUSE = Pause(
    pause_id="1",
    endpoint_id=7,
    reason="they asked",
    paused_at=NOW,
    paused_by="night",
    ends_at=NOW + timedelta(hours=8),
)
GONE = EndpointState(endpoint_id=7, disabled_at=NOW, disabled_reason="endpoint_gone")
LISTED = [
    Listed(endpoint=ENDPOINT, state=EndpointState(endpoint_id=7), waits=None, due=1, held=0),
    Listed(
        endpoint=ENDPOINT,
        state=EndpointState(endpoint_id=7),
        waits=None,
        due=0,
        held=0,
        pause=PAUSE,
    ),
    Listed(
        endpoint=ENDPOINT,
        state=GONE,
        waits=None,
        due=0,
        held=12,
        not_ready=NotReady(Reason.ENDPOINT_DISABLED, "it is disabled"),
    ),
]
ENABLE = (
    "disabled since 2026-03-05 09:00 UTC after its own 410. To do: ask the customer for the new "
    "URL and set it in the LMS, then `ltw endpoints enable 7` and `ltw replay --state dead "
    "--reason endpoint_gone --endpoint 7`"
)
RESUME = (
    "endpoint 7 has been paused since 2026-03-05 09:00 UTC by night, until 2026-03-05 17:00 UTC: "
    "they asked. To end it: `ltw resume --endpoint 7`"
)
HEAD = (
    " endpoint  customer            host               region  format  condition  due  held  why\n"
)
FIRST = " 7         Example Industries  hooks.example.com  OTHER   v2      "


def test_the_list_of_endpoints_in_a_file_is_a_table_of_full_lines():
    assert shown(listed_rows(LISTED), width=80, is_terminal=False) == (
        f"{HEAD}{FIRST}ready      1    0\n"
        f"{FIRST}paused     0    0     {RESUME}\n"
        f"{FIRST}disabled   0    12    {ENABLE}\n"
    )


def test_the_list_of_endpoints_on_120_columns_wraps_only_its_last_column():
    lines = shown(listed_rows(LISTED[1:2]), width=120, is_terminal=True).splitlines()
    assert f"{lines[0]}\n" == HEAD
    assert all(len(line) <= 120 for line in lines)
    assert " ".join(line[HEAD.index("why") :] for line in lines[1:]) == RESUME


def test_the_list_of_endpoints_on_80_columns_is_records():
    assert shown(listed_rows(LISTED[2:]), width=80, is_terminal=True) == (
        "endpoint   7\n"
        "customer   Example Industries\n"
        "host       hooks.example.com\n"
        "region     OTHER\n"
        "format     v2\n"
        "condition  disabled\n"
        "due        0\n"
        "held       12\n"
        f"why        {ENABLE}\n\n"
    )


def test_no_rows_are_nothing():
    assert shown([], width=80, is_terminal=True) == ""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3_599, "59 min"),
        (12_000, "3 h 20 min"),
        (200_000, "55 h 33 min"),
        (300_000, "3 days"),
    ],
)
def test_a_span_is_said_as_people_say_it(seconds: float, said: str):
    assert age(timedelta(seconds=seconds)) == said
