"""The demo leaves nothing on disk unless requested, or unless an error refers to it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from sync.local.demo import _home
from sync.local.job_runner import JobFailed


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for temporary directories."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_demo_that_went_well_leaves_nothing(scratch: Path) -> None:
    with _home(None) as home:
        (home / "dagster.log").write_text("all well")
    assert list(scratch.iterdir()) == []


def failing_demo() -> None:
    with _home(None) as home:
        (home / "dagster.log").write_text("what went wrong")
        raise JobFailed(f"learning_time_job failed. Its log: {home / 'dagster.log'}")


def test_a_failed_job_leaves_the_log_that_its_error_names(scratch: Path) -> None:
    with pytest.raises(JobFailed) as caught:
        failing_demo()
    log = Path(str(caught.value).partition("Its log: ")[2])
    assert log.is_relative_to(scratch)
    assert log.read_text() == "what went wrong"


def test_an_interrupted_demo_leaves_nothing(scratch: Path) -> None:
    with pytest.raises(KeyboardInterrupt), _home(None):
        raise KeyboardInterrupt
    assert list(scratch.iterdir()) == []


def test_a_directory_of_the_user_is_made_and_kept(scratch: Path) -> None:
    wanted = scratch / "a" / "b"
    with _home(wanted) as home:
        (home / "dagster.log").write_text("kept")
    assert (wanted / "dagster.log").exists()
