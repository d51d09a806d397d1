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
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sync.errors import SyncError

SUFFIX = ".journal"
BUSY_SECONDS = 10.0


class JournalFailed(SyncError):
    """The journal cannot be written, so nothing may be sent; names the file and the mend."""


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
        self._queue: list[tuple[str, int, str]] = []
        self._queued = self._written = 0
        """Calls of ``record`` that have queued their entries, and those that are on disk."""
        self._queue_lock = threading.Lock()
        self._disk_lock = threading.Lock()
        self._failure: JournalFailed | None = None

    def record(self, entries: Sequence[Entry]) -> None:
        """Write entries, durable when this returns. An entry of the same key is replaced.

        Any number of threads may do this at once: whoever gets to the disk first writes for all
        that wait, so that one commit serves many answers.

        Raises:
            JournalFailed: the disk is full, or the file was taken away.
        """
        batch = [(*entry.key, json.dumps([entry.attempt, entry.state])) for entry in entries]
        with self._queue_lock:
            self._queue += batch
            self._queued += 1
            ticket = self._queued
        with self._disk_lock:
            if self._failure is not None:
                raise self._failure
            if ticket > self._written:
                self._write_queue()

    def _write_queue(self) -> None:
        with self._queue_lock:
            batch, self._queue, ticket = self._queue, [], self._queued
        try:
            with self._connection:
                self._connection.executemany(
                    "insert or replace into entries (webhook_id, fence, entry) values (?, ?, ?)",
                    batch,
                )
        except sqlite3.Error as error:
            # Others' entries were among them, so they must hear of it, too.
            self._failure = _failed(self.path, error)
            raise self._failure from error
        self._written = ticket

    def entries(self) -> list[Entry]:
        """Everything recorded and not forgotten, in the order of recording."""
        found = self._connection.execute("select entry from entries order by rowid").fetchall()
        return [Entry(*json.loads(text)) for (text,) in found]

    def forget(self, entries: Sequence[Entry]) -> None:
        """The ledger has them. Losing this is harmless: finalizing again changes nothing."""
        with self._disk_lock, self._connection:
            self._connection.executemany(
                "delete from entries where webhook_id = ? and fence = ?",
                [entry.key for entry in entries],
            )


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
            _close(journal)


@contextmanager
def abandoned_journals(directory: Path) -> Iterator[list[Journal]]:
    """Journals whose process is dead, locked for this one; removed at the end when empty.

    Raises:
        JournalFailed: a file is damaged; names it.
    """
    journals: list[Journal] = []
    locks = []
    try:
        for path in sorted(directory.glob(f"*{SUFFIX}")):
            lock = _lock_path(path).open("a")
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
            _close(journal)
        for lock in locks:
            lock.close()


def _connect(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
        connection.execute("pragma journal_mode = wal")
        # FULL waits for the disk at each commit: what has been answered must survive a power cut.
        connection.execute("pragma synchronous = full")
        connection.execute(
            "create table if not exists entries ("
            " webhook_id text, fence integer, entry text not null, primary key (webhook_id, fence))"
        )
    except sqlite3.Error as error:
        raise _failed(path, error) from error
    return connection


def _close(journal: Journal) -> None:
    """Keep a journal that still holds entries; the next run finds it with a free lock."""
    is_empty = not journal.entries()
    journal._connection.close()
    if is_empty:
        for path in (journal.path, _lock_path(journal.path)):
            path.unlink(missing_ok=True)


def _lock_path(path: Path) -> Path:
    return path.with_suffix(".lock")


def _failed(path: Path, error: Exception) -> JournalFailed:
    return JournalFailed(
        f"the delivery journal {path} cannot be written ({error}); free the disk or set "
        "LTW_JOURNAL_DIR to a directory that can be. Nothing is sent until then"
    )
