"""The journal: durable, per process, and found again when its process is dead."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue

import pytest

from sync.ledger.journal import Entry, JournalFailed, abandoned_journals, open_journal


def entry(number: int, **changes: object) -> Entry:
    return Entry({"webhook_id": f"id-{number}", "fence": 1, **changes}, {"state": "delivered"})


def test_what_is_recorded_is_read_back_in_order(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        journal.record([entry(2), entry(1)])
        journal.record([entry(3)])
        assert journal.entries() == [entry(2), entry(1), entry(3)]
        journal.forget([entry(2), entry(1), entry(3)])


def test_any_number_of_threads_record_at_once_and_each_finds_its_entry(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal, ThreadPoolExecutor(16) as pool:

        def record_and_look(number: int) -> bool:
            journal.record([entry(number)])
            return entry(number) in journal.entries()

        assert all(pool.map(record_and_look, range(64)))
        journal.forget([entry(number) for number in range(63)])
        assert journal.entries() == [entry(63)]
        journal.forget([entry(63)])


def test_a_write_that_fails_is_everybodys_failure(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal, ThreadPoolExecutor(4) as pool:
        journal.record([entry(1)])
        journal._connection.execute("alter table entries rename to hidden")
        failures = [
            made.exception() for made in [pool.submit(journal.record, [entry(n)]) for n in (2, 3)]
        ]
        journal._connection.execute("alter table hidden rename to entries")
        assert [type(one) for one in failures] == [JournalFailed] * 2
        with pytest.raises(JournalFailed, match="Nothing is sent"):
            journal.record([entry(4)])
        assert journal.entries() == [entry(1)]


def test_who_does_not_wait_is_told_once_it_is_on_disk(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        told = SimpleQueue[tuple[JournalFailed | None, bool]]()
        for number in range(3):
            journal.submit(
                entry(number),
                lambda failure, number=number: told.put(
                    (failure, entry(number) in journal.entries())
                ),
            )
        assert [told.get(timeout=10) for _ in range(3)] == [(None, True)] * 3
        journal._connection.execute("alter table entries rename to hidden")
        journal.submit(entry(4), lambda failure: told.put((failure, False)))
        assert isinstance(told.get(timeout=10)[0], JournalFailed)
        journal._connection.execute("alter table hidden rename to entries")
        journal.forget([entry(number) for number in range(3)])


def test_an_entry_of_the_same_key_is_replaced(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        journal.record([entry(1, outcome="retry")])
        journal.record([entry(1, outcome="delivered")])
        assert journal.entries() == [entry(1, outcome="delivered")]
        journal.forget([entry(1)])


def test_an_empty_journal_leaves_no_file(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        journal.record([entry(1)])
        journal.forget([entry(1)])
    assert list(tmp_path.iterdir()) == []


def test_entries_outlive_a_run_that_failed(tmp_path: Path) -> None:
    def fail() -> None:
        with open_journal(tmp_path) as journal:
            journal.record([entry(1)])
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    with abandoned_journals(tmp_path) as found:
        assert [journal.entries() for journal in found] == [[entry(1)]]
        found[0].forget([entry(1)])
    assert list(tmp_path.iterdir()) == []


def test_a_living_journal_is_not_abandoned(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        journal.record([entry(1)])
        with abandoned_journals(tmp_path) as found:
            assert found == []
        journal.forget([entry(1)])


def test_entries_outlive_a_killed_process(tmp_path: Path) -> None:
    script = """
import os, signal, sys
from contextlib import closing
from pathlib import Path
from sync.ledger.journal import Entry, open_journal
with open_journal(Path(sys.argv[1])) as journal:
    journal.record([Entry({"webhook_id": "id-1", "fence": 1}, {"state": "delivered"})])
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    with abandoned_journals(tmp_path) as found:
        assert [journal.entries() for journal in found] == [[entry(1)]]
    with abandoned_journals(tmp_path) as found:
        assert len(found) == 1, "entries that nobody forgot are still there"


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(JournalFailed, match="LTW_JOURNAL_DIR"), open_journal(blocked / "journal"):
        pass


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / "1-x.journal").write_bytes(b"not a database, but long enough to look like one" * 99)
    with pytest.raises(JournalFailed, match=r"1-x\.journal"), abandoned_journals(tmp_path):
        pass


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
        journals[0].entries()
    assert path.exists()
