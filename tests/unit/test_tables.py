"""Rows as people read them: at 80 columns, at 120, and in a file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from rich.console import Console

from sync.cli.common import age, print_table

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


def shown(rows: list[Mapping[str, Any]], *, width: int, is_terminal: bool) -> str:
    """What is printed, without the blanks at the ends of lines."""
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
