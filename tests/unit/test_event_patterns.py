"""The seed of learning events compared with an independently written list."""

from __future__ import annotations

import csv

from sync.settings import PROJECT_ROOT
from tests.reference.event_patterns import (
    LEARNING,
    LEARNING_PREFIXES,
    NEVER_LEARNING,
    NEVER_LEARNING_PREFIXES,
)


def test_every_row_of_the_seed_is_the_one_that_was_decided() -> None:
    """A lost or changed row changes the metric: also change this list, and announce the change."""
    seed = PROJECT_ROOT / "dbt_project" / "seeds" / "learning_event_patterns.csv"
    with seed.open(encoding="utf-8", newline="") as file:
        found = {
            (row["match_type"], row["pattern"], row["is_learning"]) for row in csv.DictReader(file)
        }
    assert found == {
        *(("exact", one, "true") for one in LEARNING),
        *(("prefix", one, "true") for one in LEARNING_PREFIXES),
        *(("exact", one, "false") for one in NEVER_LEARNING),
        *(("prefix", one, "false") for one in NEVER_LEARNING_PREFIXES),
    }
