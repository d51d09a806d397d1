"""A local, durable record of answers that the warehouse has not heard of yet.

Between a customer's 2xx and the ledger lies a warehouse statement that can fail, hang or never
come. Each answer is therefore on disk first; the next run finalizes what a dead one left behind
before it claims anything. One SQLite file per process, locked while the process lives: a free
lock means a dead owner. A lost disk costs no delivery, only duplicates under the same ids.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sync.errors import SyncError

SUFFIX = ".journal"
BUSY_SECONDS = 10.0
GATHER_SECONDS = 0.003
"""How long what is to be written waits for more: a commit costs the same for one as for many."""
CHECKPOINT_PAGES = 5_000
"""How long SQLite's log may grow, in pages of 4 KiB, before it is moved into the file."""
INSERT = """
    insert or replace into entries (webhook_id, fence, entry)
    select json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]')
    from json_each(?)
"""
DELETE = """
    delete from entries
    where (webhook_id, fence) in (
        select json_extract(value, '$[0]'), json_extract(value, '$[1]') from json_each(?)
    )
"""
# One statement for many rows: at each step of one the interpreter is given up, and a busy process
# may take milliseconds to get it back, with the journal locked.


class JournalFailed(SyncError):
    """The journal cannot be written, so nothing may be sent; names the file and the mend."""


Then = Callable[[JournalFailed | None], None]
"""Told that an entry is durable, or why it is not. It must not raise, nor take long."""


@dataclass(frozen=True)
class Entry:
    """One attempt as the two rows that the ledger gets: of the attempt, and of the outbox."""

    attempt: Mapping[str, Any]
    state: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, int]:
        """Webhook id and fence: what makes finalizing it twice harmless."""
        return self.attempt["webhook_id"], self.attempt["fence"]


class Journal:
    """The open journal of one process."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._disk_lock = threading.Lock()
        self._queue: list[tuple[str, Then]] = []
        """What is to be written, and who is told."""
        self._has_work = threading.Condition()
        self._writer: threading.Thread | None = None
        self._is_closed = False
        self._failure: JournalFailed | None = None

    def record(self, entries: Sequence[Entry]) -> None:
        """Write entries, durable when this returns. An entry of the same key is replaced.

        Any number of threads may do this at once: one commit serves all who wait for it.

        Raises:
            JournalFailed: the disk is full, or the file was taken away.
        """
        if not entries:
            return
        written = threading.Event()
        failures: list[JournalFailed] = []

        def then(failure: JournalFailed | None) -> None:
            if failure is not None:
                failures.append(failure)
            written.set()

        self._submit(entries, then)
        written.wait()
        if failures:
            raise failures[0]

    def submit(self, entry: Entry, then: Then) -> None:
        """Have an entry written soon, without waiting for it; ``then`` is called afterwards.

        It is called in the journal's own thread, with None once the entry is durable.
        """
        self._submit([entry], then)

    def _submit(self, entries: Sequence[Entry], then: Then) -> None:
        text = ",".join(json.dumps([*one.key, [one.attempt, one.state]]) for one in entries)
        with self._has_work:
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="journal", daemon=True)
                self._writer.start()
            self._queue.append((text, then))
            self._has_work.notify()

    def _write(self) -> None:
        """Commit whatever has been queued, again and again.

        A thread of its own, so that nobody has to wait for the disk.
        """
        while True:
            with self._has_work:
                while not self._queue:
                    if self._is_closed:
                        return
                    self._has_work.wait()
            time.sleep(GATHER_SECONDS)
            with self._has_work:
                batch, self._queue = self._queue, []
            try:
                if self._failure is None:
                    self._run(INSERT, f"[{','.join(text for text, _ in batch)}]")
            except sqlite3.Error as error:
                # A disk that failed once is not trusted again in this run.
                self._failure = _failed(self.path, error)
                self._failure.__cause__ = error
            for _, then in batch:
                then(self._failure)

    def entries(self) -> list[Entry]:
        """Everything recorded and not forgotten, in the order of recording.

        Raises:
            JournalFailed: the file is damaged, or of another version of this program.
        """
        try:
            found = self._run("select entry from entries order by rowid")
            return [Entry(*json.loads(text)) for (text,) in found]
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise JournalFailed(
                f"the delivery journal {self.path} cannot be read ({error}). Run the version that "
                "wrote it once more, or move it away: webhooks whose answers it holds are then "
                "sent again, under the same ids"
            ) from error

    def forget(self, entries: Sequence[Entry]) -> None:
        """The ledger has them. Losing this is harmless: finalizing again changes nothing."""
        self._run(DELETE, json.dumps([one.key for one in entries]))

    def close(self) -> None:
        """Keep a journal that still holds entries; the next run finds it with a free lock."""
        with self._has_work:
            self._is_closed = True
            self._has_work.notify()
        if self._writer is not None:
            self._writer.join()
        try:
            is_empty = not self.entries()
        except JournalFailed:
            is_empty = False
        self._connection.close()
        if is_empty:
            for path in (self.path, _lock_path(self.path)):
                path.unlink(missing_ok=True)

    def _run(self, sql: str, *binds: str) -> list[tuple[str]]:
        """One statement, which is one transaction."""
        with self._disk_lock:
            return self._connection.execute(sql, binds).fetchall()


@contextmanager
def open_journal(directory: Path) -> Iterator[Journal]:
    """A new journal of this process; removed at the end when it is empty.

    Raises:
        JournalFailed: the directory cannot be written.
    """
    path = directory / f"{os.getpid()}-{uuid.uuid4()}{SUFFIX}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = _lock_path(path).open("w")
    except OSError as error:
        raise _failed(path, error) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        journal = Journal(path, _connect(path))
        try:
            yield journal
        finally:
            journal.close()


@contextmanager
def abandoned_journals(directory: Path) -> Iterator[list[Journal]]:
    """Journals whose process is dead, locked for this one; removed at the end when empty.

    Raises:
        JournalFailed: a file is damaged or belongs to another user; names it.
    """
    journals: list[Journal] = []
    locks = []
    try:
        for path in sorted(directory.glob(f"*{SUFFIX}")):
            try:
                lock = _lock_path(path).open("a")
            except OSError as error:
                raise _failed(path, error) from error
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                continue
            locks.append(lock)
            if path.exists():
                journals.append(Journal(path, _connect(path)))
        yield journals
    finally:
        for journal in journals:
            journal.close()
        for lock in locks:
            lock.close()


def _connect(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None
        )
        connection.execute("pragma journal_mode = wal")
        # FULL waits for the disk at each commit: what has been answered must survive a power cut.
        connection.execute("pragma synchronous = full")
        # Rarely: a commit that also tidies up takes ten times as long, with answers waiting.
        connection.execute(f"pragma wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(
            "create table if not exists entries ("
            " webhook_id text, fence integer, entry text not null, primary key (webhook_id, fence))"
        )
    except sqlite3.Error as error:
        raise _failed(path, error) from error
    return connection


def _lock_path(path: Path) -> Path:
    return path.with_suffix(".lock")


def _failed(path: Path, error: Exception) -> JournalFailed:
    return JournalFailed(
        f"the delivery journal {path} cannot be written ({error}); free the disk or set "
        "LTW_JOURNAL_DIR to a directory that can be. Nothing is sent until then"
    )
