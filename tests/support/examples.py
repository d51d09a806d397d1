"""Number of examples per property: few in ``make test``, many in ``make prove``."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

PROVING = os.environ.get("HYPOTHESIS_PROFILE") == "prove"


def examples(few: int, many: int) -> int:
    """Number of examples for a property that costs more than pure code."""
    return many if PROVING else few


def load_profile() -> None:
    """For all properties.

    ``make test`` tries the same examples each time, so that a change is judged by what it changes;
    ``make prove`` looks for new ones. A slow machine must not fail a property; benchmarks measure
    time.
    """
    settings.register_profile(
        "this project",
        max_examples=examples(20, 1_000),
        derandomize=not PROVING,
        deadline=None,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
            HealthCheck.function_scoped_fixture,
        ],
        print_blob=True,
    )
    settings.load_profile("this project")
