"""Delete old runs and their events from Dagster's database, which otherwise keeps them forever.

Run ``python -m orchestration.prune_runs --days 90`` from a cron job. Dagster deletes only rows, so
this also deletes the files of each run: its output in ``storage`` and, without PostgreSQL, the
database of its events. It also deletes files of runs that were deleted in the UI. It does not touch
the ledger in the warehouse, the record of what was sent.
"""

from __future__ import annotations

import argparse
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
PAGE = 200
FEWEST_DAYS = 7
"""With less than a week, last Friday's runs could be gone on a Monday."""


def prune(instance: dg.DagsterInstance, *, before: datetime, dry_run: bool) -> int:
    """Delete finished runs created before an (aware) time; returns how many."""
    old = dg.RunsFilter(statuses=FINISHED, created_before=before)
    if dry_run:
        return instance.get_runs_count(old)
    deleted = 0
    while page := instance.get_runs(old, limit=PAGE):
        for run in page:
            instance.delete_run(run.run_id)
            for path in _files_of(instance, run.run_id):
                _remove(path)
        deleted += len(page)
    return deleted


def prune_files(instance: dg.DagsterInstance, *, before: datetime, dry_run: bool) -> int:
    """Remove files of deleted runs older than an (aware) time; returns how many runs."""
    orphans = {
        run_id
        for run_id, path in _found_files(instance)
        if path.stat().st_mtime < before.timestamp() and not instance.has_run(run_id)
    }
    if not dry_run:
        for run_id in orphans:
            for path in _files_of(instance, run_id):
                _remove(path)
    return len(orphans)


def _places(instance: dg.DagsterInstance) -> tuple[Path, Path]:
    """Where the output of runs and the databases of their events are stored."""
    return Path(instance.storage_directory()), Path(instance.root_directory) / "history" / "runs"


def _files_of(instance: dg.DagsterInstance, run_id: str) -> list[Path]:
    storage, events = _places(instance)
    return [storage / run_id, *events.glob(f"{run_id}.db*")]


def _found_files(instance: dg.DagsterInstance) -> Iterator[tuple[str, Path]]:
    """Files and directories named after a run; others are never removed."""
    for place in _places(instance):
        if place.is_dir():
            for path in place.iterdir():
                with suppress(ValueError):
                    yield str(uuid.UUID(path.name.partition(".")[0])), path


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def main() -> None:
    """Read the options, delete, print how many."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--days", type=int, required=True, help="keep runs from this many days")
    parser.add_argument("--dry-run", action="store_true", help="count without deleting")
    options = parser.parse_args()
    if options.days < FEWEST_DAYS:
        parser.error(f"--days is {options.days}; it must be at least {FEWEST_DAYS}")
    before = datetime.now(UTC) - timedelta(days=options.days)
    with dg.DagsterInstance.get() as instance:
        number = prune(instance, before=before, dry_run=options.dry_run)
        orphans = prune_files(instance, before=before, dry_run=options.dry_run)
    would = "would be " if options.dry_run else ""
    print(f"{number} runs {would}deleted, and files of {orphans} that were deleted before")


if __name__ == "__main__":
    main()
