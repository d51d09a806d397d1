"""The journal: durable, per process, and found again when its process is dead."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.responses import Attribution, ErrorKind, Failure, Reached, Response
from sync.domain.work import Attempt
from sync.ledger import journal as module
from sync.ledger.identity import LedgerIdentity, place_of
from sync.ledger.journal import (
    JournalFailed,
    abandoned_journals,
    foreign,
    foreign_journals,
    needed_bytes,
    open_journal,
)
from sync.settings import EmbeddedWarehouse, SnowflakeWarehouse, WarehouseSettings
from tests.support.attempts import attempt_of
from tests.support.waiting import wait_until

LEDGER = LedgerIdentity("account ACME, database ANALYTICS, schema PUBLIC", frozenset({"id-of-it"}))


def attempt(number: int, *, status: int = 200, fence: int = 1, excerpt: str = "") -> Attempt:
    """An attempt as stored in the journal: without a body, which the ledger has."""
    return Attempt.from_rows(
        *attempt_of(Response(status, None, excerpt), f"id-{number}", fence=fence).rows
    )


@given(
    st.one_of(
        st.builds(
            Response,
            st.integers(100, 599),
            st.sampled_from([None, "60", "soon"]),
            st.text(max_size=20),
            st.integers(0, 400_000),
        ),
        st.builds(
            Failure,
            st.sampled_from(ErrorKind),
            st.sampled_from(Attribution),
            st.text(max_size=20),
            st.integers(0, 400_000),
            st.sampled_from(Reached),
        ),
    ),
    st.integers(0, 9),
    st.sampled_from([None, "again"]),
)
def test_an_attempt_read_back_is_recorded_in_the_same_way(
    result: Response | Failure, attempt_count: int, replay_id: str | None
) -> None:
    rows = attempt_of(result, attempt_count=attempt_count, replay_id=replay_id).rows
    assert Attempt.from_rows(*json.loads(json.dumps(rows))).rows == rows


def test_what_is_recorded_is_read_back_in_order(tmp_path: Path) -> None:
    with open_journal(tmp_path, LEDGER) as journal:
        journal.record([attempt(2), attempt(1)])
        journal.record([attempt(3)])
        assert journal.attempts() == [attempt(2), attempt(1), attempt(3)]
        journal.forget([attempt(2), attempt(1), attempt(3)])


def test_any_number_of_threads_record_at_once_and_each_finds_its_entry(tmp_path: Path) -> None:
    with open_journal(tmp_path, LEDGER) as journal, ThreadPoolExecutor(16) as pool:

        def record_and_look(number: int) -> bool:
            journal.record([attempt(number)])
            return attempt(number) in journal.attempts()

        assert all(pool.map(record_and_look, range(64)))
        journal.forget([attempt(number) for number in range(63)])
        assert journal.attempts() == [attempt(63)]
        journal.forget([attempt(63)])


def test_a_write_that_fails_is_everybodys_failure(tmp_path: Path) -> None:
    with open_journal(tmp_path, LEDGER) as journal, ThreadPoolExecutor(4) as pool:
        journal.record([attempt(1)])
        journal._connection.execute("alter table entries rename to hidden")
        failures = [
            made.exception() for made in [pool.submit(journal.record, [attempt(n)]) for n in (2, 3)]
        ]
        journal._connection.execute("alter table hidden rename to entries")
        assert [type(one) for one in failures] == [JournalFailed] * 2
        with pytest.raises(JournalFailed, match="Nothing is sent"):
            journal.record([attempt(4)])
        assert journal.attempts() == [attempt(1)]


def test_what_waited_for_an_interrupted_commit_is_on_disk_with_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread gets the Ctrl-C; those waiting for its commit must not wait forever."""
    with open_journal(tmp_path, LEDGER) as journal, ThreadPoolExecutor(1) as pool:

        def interrupted(commit: Any) -> None:
            monkeypatch.undo()
            others.append(pool.submit(journal.record, [attempt(2)]))
            wait_until(lambda: len(commit.texts) == 2)
            raise KeyboardInterrupt

        others: list[Future[None]] = []
        monkeypatch.setattr(journal, "_close", interrupted)
        with pytest.raises(KeyboardInterrupt):
            journal.record([attempt(1)])
        others[0].result(timeout=60)
        assert journal.attempts() == [attempt(2)]
        journal.forget([attempt(2)])


def test_an_entry_of_the_same_key_is_replaced(tmp_path: Path) -> None:
    with open_journal(tmp_path, LEDGER) as journal:
        journal.record([attempt(1, status=500)])
        journal.record([attempt(1)])
        assert journal.attempts() == [attempt(1)]
        journal.forget([attempt(1)])


def test_what_got_a_response_under_another_claim_is_kept(tmp_path: Path) -> None:
    with open_journal(tmp_path, LEDGER) as journal:
        journal.record([attempt(1), attempt(1, fence=2)])
        journal.forget([attempt(1)])
        assert journal.attempts() == [attempt(1, fence=2)]
        journal.forget([attempt(1, fence=2)])


def test_an_empty_journal_leaves_no_file(tmp_path: Path) -> None:
    with open_journal(tmp_path, LEDGER) as journal:
        journal.record([attempt(1)])
        journal.forget([attempt(1)])
    assert list(tmp_path.iterdir()) == []


def test_entries_outlive_a_run_that_failed(tmp_path: Path) -> None:
    def fail() -> None:
        with open_journal(tmp_path, LEDGER) as journal:
            journal.record([attempt(1)])
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    with abandoned_journals(tmp_path) as found:
        assert [journal.attempts() for journal in found] == [[attempt(1)]]
        found[0].forget([attempt(1)])
    assert list(tmp_path.iterdir()) == []


def test_a_living_journal_is_not_abandoned(tmp_path: Path) -> None:
    with open_journal(tmp_path, LEDGER) as journal:
        journal.record([attempt(1)])
        with abandoned_journals(tmp_path) as found:
            assert found == []
        journal.forget([attempt(1)])


def test_entries_outlive_a_killed_process(tmp_path: Path) -> None:
    script = """
import os, signal, sys
from contextlib import closing
from pathlib import Path
from sync.ledger.identity import LedgerIdentity
from sync.ledger.journal import open_journal
from sync.domain.responses import Response
from tests.support.attempts import attempt_of
with open_journal(Path(sys.argv[1]), LedgerIdentity("here", frozenset({"a"}))) as journal:
    journal.record([attempt_of(Response(200, None, ""), "id-1")])
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    with abandoned_journals(tmp_path) as found:
        assert [journal.attempts() for journal in found] == [[attempt(1)]]
    with abandoned_journals(tmp_path) as found:
        assert len(found) == 1, "entries that nobody forgot are still there"


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with (
        pytest.raises(JournalFailed, match="LTW_JOURNAL_DIR"),
        open_journal(blocked / "journal", LEDGER),
    ):
        pass


@pytest.mark.parametrize("damage", ["overwritten", "cut off", "its mark"])
def test_a_damaged_journal_is_named_with_what_to_do(tmp_path: Path, damage: str) -> None:
    leave_entries(tmp_path, LEDGER, attempt(1))
    (path,) = tmp_path.glob("*.journal")
    if damage == "its mark":
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("""update written_for set mark = '["a", "b", "c"]'""")
    else:
        whole = path.read_bytes()
        path.write_bytes(whole[:5_000] if damage == "cut off" else b"x" * len(whole))
    with (
        pytest.raises(JournalFailed, match=rf"{path.name} cannot be read .* move it away"),
        abandoned_journals(tmp_path) as journals,
    ):
        foreign(journals[0])
    assert path.exists()


def test_a_journal_of_another_version_is_named_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "1-x.journal"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table entries (webhook_id text, payload text)")
        connection.execute("insert into entries values ('a', 'b')")
        connection.commit()
    with (
        pytest.raises(JournalFailed, match=r"1-x\.journal cannot be read"),
        abandoned_journals(tmp_path) as journals,
    ):
        journals[0].attempts()
    assert path.exists()


def names(directory: Path) -> list[str]:
    return sorted(one.name for one in directory.iterdir())


def leave_entries(directory: Path, ledger: LedgerIdentity, *attempts: Attempt) -> None:
    """What a killed process leaves behind."""
    with open_journal(directory, ledger) as journal:
        journal.record(attempts)


def test_what_got_a_response_survives_a_power_cut(tmp_path: Path) -> None:
    with open_journal(tmp_path, LEDGER) as journal:
        assert journal._run("pragma synchronous") == [(2,)], "FULL: each commit waits for the disk"
        assert journal._run("pragma journal_mode") == [("wal",)]


SNOWFLAKE = SnowflakeWarehouse(
    account="acme-prod",
    user="u",
    role="r",
    warehouse="w",
    database="ANALYTICS",
    schema="PUBLIC",
)
EMBEDDED = EmbeddedWarehouse(port=1, home=Path("/srv/one"))


@pytest.mark.parametrize(
    ("one", "another", "is_same"),
    [
        (SNOWFLAKE, replace(SNOWFLAKE, role="x", user="x", warehouse="x"), True),
        (SNOWFLAKE, replace(SNOWFLAKE, account="ACME_PROD"), True),
        (SNOWFLAKE, replace(SNOWFLAKE, account="acme-test"), False),
        (SNOWFLAKE, replace(SNOWFLAKE, database="STAGING"), False),
        (SNOWFLAKE, replace(SNOWFLAKE, schema="STAGING"), False),
        (SNOWFLAKE, EMBEDDED, False),
        (EMBEDDED, replace(EMBEDDED, port=2), True),
        (EMBEDDED, replace(EMBEDDED, home=Path("/srv/one/../one")), True),
        (EMBEDDED, replace(EMBEDDED, home=Path("/srv/two")), False),
        (EMBEDDED, replace(EMBEDDED, schema="STAGING"), False),
    ],
)
def test_a_ledger_is_known_by_its_place_and_by_its_id(
    one: WarehouseSettings, another: WarehouseSettings, *, is_same: bool
) -> None:
    mark = LedgerIdentity(place_of(one), frozenset({"a"})).mark()
    place = place_of(another)
    assert LedgerIdentity(place, frozenset({"a"})).is_meant_by(mark) == is_same
    assert LedgerIdentity(place, frozenset({"a", "b"})).is_meant_by(mark) == is_same
    assert not LedgerIdentity(place, frozenset({"b"})).is_meant_by(mark), "made anew"


def test_a_foreign_journal_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    other = LedgerIdentity("account ACME, database STAGING, schema PUBLIC", LEDGER.ids)
    leave_entries(tmp_path, other, attempt(1), attempt(2))
    leave_entries(tmp_path, LEDGER, attempt(3))
    for _ in range(2):
        (found,) = foreign_journals(tmp_path, LEDGER)
        assert found.attempts == 2
        assert "database STAGING" in str(found)
        assert str(found.path) in str(found)


def test_every_operation_on_a_journal_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with open_journal(tmp_path, LEDGER) as journal:
        journal.record([attempt(1)])
        journal._connection.execute("pragma query_only = on")
        with pytest.raises(JournalFailed, match="LTW_JOURNAL_DIR"):
            journal.forget([attempt(1)])
        with pytest.raises(JournalFailed, match="LTW_JOURNAL_DIR"):
            journal.record([attempt(2)])


def test_files_that_belong_to_no_journal_are_removed(tmp_path: Path) -> None:
    for name in ("1-a.lock", "2-b.journal-wal", "2-b.journal-shm", "3-c.journal-journal"):
        (tmp_path / name).write_text("left by a process that died")
    (tmp_path / "notes.txt").write_text("somebody else's")
    with open_journal(tmp_path, LEDGER) as journal:
        journal.record([attempt(1)])
        with abandoned_journals(tmp_path):
            pass
        own = {name for name in names(tmp_path) if name.startswith(journal.path.stem)}
        assert {f"{journal.path.stem}.lock", journal.path.name} <= own
        assert set(names(tmp_path)) == {*own, "notes.txt"}
        journal.forget([attempt(1)])
    assert names(tmp_path) == ["notes.txt"]


def test_a_lock_that_was_removed_while_it_was_waited_for_is_taken_anew(tmp_path: Path) -> None:
    """Otherwise the next process would find an unlocked journal that is still in use."""
    path = tmp_path / "1-a.journal"
    first = module._take_lock(path)
    assert first is not None
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(module._lock, path)
        time.sleep(0.2)
        path.with_suffix(".lock").unlink()
        first.close()
        held = second.result(timeout=60)
    assert held is not None
    assert module._take_lock(path) is None
    held.close()


def widest(number: int) -> Attempt:
    """An attempt with the longest excerpt, of characters that take the most space in JSON."""
    return attempt(number, excerpt="\N{GRINNING FACE}" * 1_000)


def test_a_journal_takes_no_more_room_than_a_run_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_PAGES", 100)
    batch, most = 20, 0
    with open_journal(tmp_path, LEDGER) as journal:
        for turn in range(8):
            made = [widest(1_000 * turn + n) for n in range(2 * batch)]
            for one in made:
                journal.record([one])
            most = max(most, sum(one.stat().st_size for one in tmp_path.iterdir()))
            journal.forget(made)
            most = max(most, sum(one.stat().st_size for one in tmp_path.iterdir()))
    assert 100 * 4_096 < most <= needed_bytes(batch)
    monkeypatch.undo()
    assert needed_bytes(1_000) < 75_000_000, "docs/deployment.md says 75 MB"


def test_a_disk_with_too_little_room_is_named_with_what_is_needed(tmp_path: Path) -> None:
    with (
        pytest.raises(JournalFailed, match=rf"needs {10**18:,} bytes.*LTW_JOURNAL_DIR, now "),
        open_journal(tmp_path / "new", LEDGER, room=10**18),
    ):
        pass
    assert names(tmp_path / "new") == []


FILLS = """
import resource, sys
from pathlib import Path
from sync.ledger.identity import LedgerIdentity
from sync.domain.responses import Response
from sync.ledger.journal import JournalFailed, open_journal
from tests.support.attempts import attempt_of
directory, most = Path(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
done = 0
try:
    with open_journal(directory, LedgerIdentity("here", frozenset({"a"}))) as journal:
        while True:
            journal.record([attempt_of(Response(200, None, ""), f"id-{done}")])
            done += 1
except JournalFailed as error:
    print(done, error)
"""


def fill(directory: Path, most: int) -> int:
    """Number of responses that a process journaled before its disk was full."""
    script = [sys.executable, "-c", FILLS, str(directory), str(most)]
    done = subprocess.run(script, check=True, capture_output=True, text=True)
    number, text = done.stdout.split(" ", 1)
    assert "LTW_JOURNAL_DIR" in text
    assert done.stderr == ""
    return int(number)


def test_a_disk_that_has_filled_up_loses_no_response_and_the_next_run_goes_on(
    tmp_path: Path,
) -> None:
    number = fill(tmp_path, 300_000)
    assert number > 10
    with abandoned_journals(tmp_path) as found:
        (journal,) = found
        keys = [one.key[0] for one in journal.attempts()]
        assert keys == [f"id-{n}" for n in range(number)]
        journal.discard()
    assert names(tmp_path) == []
    leave_entries(tmp_path, LEDGER, attempt(1))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB, if this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may mount nothing")
    yield place
    subprocess.run(["umount", str(place)], check=True)  # noqa: S607 - wherever it is


def test_what_is_left_on_a_full_disk_is_read_and_makes_room(small_disk: Path) -> None:
    number = fill(small_disk, 10**9)
    assert number > 10
    with contextlib.suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(b"x")
    with (
        pytest.raises(JournalFailed, match="LTW_JOURNAL_DIR"),
        open_journal(small_disk, LEDGER, room=needed_bytes(1)),
    ):
        pass
    with pytest.raises(JournalFailed, match="LTW_JOURNAL_DIR"), open_journal(small_disk, LEDGER):
        pass
    with abandoned_journals(small_disk) as found:
        assert sum(len(one.attempts()) for one in found) == number
        for journal in found:
            journal.discard()
    assert names(small_disk) == ["filler"]
    leave_entries(small_disk, LEDGER, attempt(1))
