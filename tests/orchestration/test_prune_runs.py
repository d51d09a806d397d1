"""Old runs leave Dagster's database; running and young ones stay."""

import sys
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from orchestration.prune_runs import main, prune


@dg.op
def said(context: dg.OpExecutionContext) -> None:
    """Leave something behind."""
    context.log.info("a sentence")


@dg.job
def example() -> None:
    said()


@pytest.mark.parametrize("dry_run", [True, False], ids=["dry run", "for real"])
def test_runs_created_before_the_moment_go_with_their_events(dry_run: bool) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        old = [example.execute_in_process(instance=instance).run_id for _ in range(3)]
        moment = datetime.now(UTC)
        young = example.execute_in_process(instance=instance).run_id
        assert prune(instance, before=moment, dry_run=dry_run) == 3
        left = {run.run_id for run in instance.get_runs()}
        assert left == ({*old, young} if dry_run else {young})
        assert bool(instance.all_logs(old[0])) is dry_run


def test_a_run_that_has_not_ended_stays() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(example)
        instance.report_run_canceling(run)
        assert prune(instance, before=datetime.now(UTC) + timedelta(days=1), dry_run=False) == 0


def test_fewer_days_than_a_week_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["prune_runs", "--days", "1"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "at least 7" in capsys.readouterr().err
