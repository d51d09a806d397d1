"""The cost dial: how often a warehouse may be woken, and what follows from that.

On Snowflake a wake is billed for at least 60 seconds, and the warehouse then runs until it is
auto-suspended (docs.snowflake.com/en/user-guide/cost-understanding-compute), so cost is the number
of wakes. Between them a webhook waits for at most one slot of the dial plus one sensor poll.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import ceil

from sync.errors import ConfigurationError

SETTING = "LTW_AT_MOST_EVERY_MINUTES"
BUDGET_SETTING = "LTW_CREDITS_A_MONTH"
DEFAULT_MINUTES = 5
LONGEST_MINUTES = 60
"""The schedule starts a run every hour in any case."""
BUILDS_EVERY = 30
"""Minutes between two builds of the models, unless the dial is longer."""
BUILDS_AT = timedelta(minutes=10)
"""Past the hour."""
BUILD_TAKES = timedelta(minutes=2)
"""An increment, with the start of dbt."""
AUTO_SUSPEND = timedelta(seconds=60)
"""As deploy/snowflake/setup.sql sets it."""
RUN_TAKES = timedelta(seconds=30)
"""How long a delivery run keeps the warehouse awake."""
EPOCH = datetime(2000, 1, 1)
DAYS_OF_A_MONTH = 31
"""The longest."""


def at_most_every_minutes(environ: Mapping[str, str]) -> int:
    """The dial of an environment.

    Raises:
        ConfigurationError: it is not a number of minutes within its bounds.
    """
    text = environ.get(SETTING) or str(DEFAULT_MINUTES)
    if not text.isdecimal() or not 1 <= int(text) <= LONGEST_MINUTES:
        raise ConfigurationError(
            f"{SETTING} is {text!r}; it must be a number of minutes from 1 to {LONGEST_MINUTES}"
        )
    return int(text)


def next_slot(at: datetime, dial: int) -> datetime:
    """Start of the dial's next slot after the one that contains ``at``.

    Slots are aligned to the clock, so that runs coincide with other work that keeps the warehouse
    awake: short ones start with a build of the models, long ones after it, so as not to miss what
    it finds.
    """
    length = timedelta(minutes=dial)
    first = EPOCH + BUILDS_AT + (BUILD_TAKES if dial >= BUILDS_EVERY else timedelta(0))
    return at - (at - first) % length + length


def is_build_due(at: datetime, dial: int) -> bool:
    """Whether the models are built at this tick of their half-hourly schedule."""
    return dial <= BUILDS_EVERY or at.minute < BUILDS_EVERY


def monthly_credits(dial: int) -> int:
    """The most that deliveries can cost in a month of 31 days: one wake in every slot.

    For a resource monitor on the X-Small delivery warehouse, which notifies at this quota.
    """
    awake = max(RUN_TAKES + AUTO_SUSPEND, timedelta(seconds=60))
    wakes = DAYS_OF_A_MONTH * 24 * 60 / dial
    return ceil(wakes * min(awake / timedelta(hours=1), dial / 60))


def credits_a_month(environ: Mapping[str, str]) -> int:
    """The budget of an environment; by default the most that deliveries can cost with its dial.

    Raises:
        ConfigurationError: it is not a whole number above 0, or the dial is invalid.
    """
    text = environ.get(BUDGET_SETTING) or str(monthly_credits(at_most_every_minutes(environ)))
    if not text.isdecimal() or not int(text):
        raise ConfigurationError(
            f"{BUDGET_SETTING} is {text!r}; it must be a whole number of credits, 1 or more"
        )
    return int(text)
