"""Delete old runs with their events from Dagster's database, which itself keeps them for ever.

``python -m orchestration.prune_runs --days 90``, from a cron job. The ledger in the warehouse, the
memory of what was sent, is not touched.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

import dagster as dg

FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
PAGE = 200
FEWEST_DAYS = 7
"""Below a week people would miss what they look for on a Monday."""


def prune(instance: dg.DagsterInstance, *, before: datetime, dry_run: bool) -> int:
    """Delete finished runs that were created before a moment (aware); how many there were."""
    old = dg.RunsFilter(statuses=FINISHED, created_before=before)
    if dry_run:
        return instance.get_runs_count(old)
    deleted = 0
    while page := instance.get_runs(old, limit=PAGE):
        for run in page:
            instance.delete_run(run.run_id)
        deleted += len(page)
    return deleted


def main() -> None:
    """Read the options, delete, say how many."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--days", type=int, required=True, help="keep the runs of so many days")
    parser.add_argument("--dry-run", action="store_true", help="count, and delete nothing")
    options = parser.parse_args()
    if options.days < FEWEST_DAYS:
        parser.error(f"--days is {options.days}; it must be at least {FEWEST_DAYS}")
    before = datetime.now(UTC) - timedelta(days=options.days)
    with dg.DagsterInstance.get() as instance:
        number = prune(instance, before=before, dry_run=options.dry_run)
    print(f"{number} runs {'would be ' if options.dry_run else ''}deleted")


if __name__ == "__main__":
    main()
