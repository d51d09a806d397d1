"""Old runs are deleted from Dagster's database; running and recent ones stay."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from orchestration.prune_runs import main, prune, prune_files


@dg.op
def said(context: dg.OpExecutionContext) -> None:
    """Leave something behind."""
    context.log.info("a sentence")


@dg.job
def example() -> None:
    said()


@pytest.mark.parametrize("dry_run", [True, False], ids=["dry run", "for real"])
def test_runs_created_before_the_time_go_with_their_events(dry_run: bool) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        old = [example.execute_in_process(instance=instance).run_id for _ in range(3)]
        at = datetime.now(UTC)
        young = example.execute_in_process(instance=instance).run_id
        assert prune(instance, before=at, dry_run=dry_run) == 3
        left = {run.run_id for run in instance.get_runs()}
        assert left == ({*old, young} if dry_run else {young})
        assert bool(instance.all_logs(old[0])) is dry_run


def test_a_run_that_has_not_ended_stays() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(example)
        instance.report_run_canceling(run)
        assert prune(instance, before=datetime.now(UTC) + timedelta(days=1), dry_run=False) == 0


def test_the_files_of_a_run_go_with_it_and_so_do_those_of_runs_that_are_gone() -> None:
    """Dagster deletes rows only: the output of a run and the database of its events stay."""
    with dg.instance_for_test() as instance:
        pruned, deleted_in_the_ui, young = (
            example.execute_in_process(instance=instance).run_id for _ in range(3)
        )
        files = {run_id: files_of(instance, run_id) for run_id in (pruned, deleted_in_the_ui)}
        assert all(files.values())
        instance.delete_run(deleted_in_the_ui)
        instance.delete_run(pruned)
        (Path(instance.storage_directory()) / "of_somebody_else").mkdir()
        later = datetime.now(UTC) + timedelta(minutes=1)
        assert prune_files(instance, before=later - timedelta(days=1), dry_run=False) == 0
        assert prune_files(instance, before=later, dry_run=True) == 2
        assert all(files_of(instance, run_id) for run_id in files)
        assert prune_files(instance, before=later, dry_run=False) == 2
        assert not any(files_of(instance, run_id) for run_id in files)
        assert files_of(instance, young)
        assert (Path(instance.storage_directory()) / "of_somebody_else").exists()
        assert prune(instance, before=later, dry_run=False) == 1
        assert not files_of(instance, young)


def files_of(instance: dg.DagsterInstance, run_id: str) -> list[Path]:
    """A run's files that Dagster keeps on disk."""
    return list(Path(instance.root_directory).rglob(f"{run_id}*"))


def test_fewer_days_than_a_week_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["prune_runs", "--days", "1"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "at least 7" in capsys.readouterr().err
