"""A local, durable record of attempts that are not in the warehouse yet.

Between a customer's 2xx and the ledger is a warehouse statement that can fail, hang or never run.
Each attempt is therefore written to disk first; the next run settles what a dead one left behind
before it claims anything. There is one SQLite file per process, locked while the process lives: a
free lock means a dead owner. A journal names the ledger it was written for and settles only that
ledger's rows. A lost disk loses no delivery; it only causes duplicates under the same ids.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sync.domain.work import Attempt
from sync.errors import SyncError
from sync.ledger.identity import LedgerIdentity, place_in

SUFFIX = ".journal"
LOCK_SUFFIX = ".lock"
BESIDE = ("-wal", "-shm", "-journal")
"""Suffixes of SQLite's own files next to a journal."""
BUSY_SECONDS = 10.0
GATHER_SECONDS = 0.003
"""How long a commit waits for more entries: one costs as much as many."""
CHECKPOINT_PAGES = 5_000
"""How large SQLite's log may grow, in pages of 4 KiB, before it is moved into the file."""
PAGE_BYTES = 4_096
ENTRY_BYTES = 13 * 1_024
"""Upper bound for one attempt, with a response excerpt of maximum length."""
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
# One statement for many rows: each step of a statement releases the GIL, and a busy process may
# take milliseconds to get it back, with the journal locked.


class JournalFailed(SyncError):
    """The journal cannot be used, so nothing may be sent; names the file and the fix."""


def needed_bytes(batch_size: int) -> int:
    """The maximum size of a run's journal: 75 MB for batches of 1,000.

    Up to two batches of attempts wait for the ledger. SQLite's log may reach its limit plus one
    statement, at most one that deletes all entries.
    """
    waiting = 2 * batch_size * ENTRY_BYTES
    return CHECKPOINT_PAGES * PAGE_BYTES + 2 * waiting


class _Commit:
    """Entries that reach the disk together."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.waiting: list[threading.Lock] = []
        """One lock per waiting thread, held until the commit is over. A shared lock would wake the
        threads one after another, each after the interpreter's switch interval of 5 ms."""
        self.is_written = False


class Journal:
    """The open journal of one process."""

    def __init__(self, path: Path, lock: IO[str], connection: sqlite3.Connection) -> None:
        self.path = path
        self._lock = lock
        self._connection = connection
        self._is_left = False
        self._disk = threading.Lock()
        """Held by the thread that uses the connection."""
        self._gate = threading.Lock()
        """Held by a thread that joins a commit or starts a new one."""
        self._next = _Commit()
        """The commit that gathers entries."""
        self._turn = threading.Lock()
        """Held by the thread that writes a commit."""
        self._failure: JournalFailed | None = None

    def record(self, attempts: Sequence[Attempt]) -> None:
        """Write attempts, durable when this returns. An attempt with the same key is replaced.

        Any number of threads may call this at once: one commit serves all that wait for it.

        Raises:
            JournalFailed: the disk is full, or the file was removed.
        """
        if not attempts:
            return
        text = ",".join(json.dumps([*one.key, one.rows]) for one in attempts)
        while not self._is_written(text):
            # Ctrl-C reached the thread that wrote for all: writing twice is harmless.
            pass

    def _is_written(self, text: str) -> bool:
        """Write an entry together with other threads' entries; the first thread writes for all."""
        done = threading.Lock()
        done.acquire()
        with self._gate:
            commit, is_first = self._next, not self._next.texts
            commit.texts.append(text)
            commit.waiting.append(done)
        if is_first:
            self._write(commit)
        done.acquire()
        # A disk that failed once is not trusted again in this run.
        if not commit.is_written and self._failure is not None:
            raise self._failure
        return commit.is_written

    def _write(self, commit: _Commit) -> None:
        try:
            with self._turn:
                time.sleep(GATHER_SECONDS)
                self._close(commit)
                if self._failure is None:
                    self._run(INSERT, f"[{','.join(commit.texts)}]")
                    commit.is_written = True
        except sqlite3.Error as error:
            self._failure = _failed(self.path, error)
            self._failure.__cause__ = error
        finally:
            self._close(commit)
            for one in commit.waiting:
                one.release()

    def _close(self, commit: _Commit) -> None:
        """Let no thread join the commit any more."""
        with self._gate:
            if self._next is commit:
                self._next = _Commit()

    @property
    def mark(self) -> str | None:
        """The mark of its ledger; None when it has none, as in earlier versions.

        Raises:
            JournalFailed: the file is damaged.
        """
        try:
            known = "select 1 from sqlite_master where name = 'written_for'"
            found = self._run(known) and self._run("select mark from written_for")
            if found:
                place_in(found[0][0])
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise _unreadable(self.path, error) from error
        return found[0][0] if found else None

    def attempts(self) -> list[Attempt]:
        """Everything recorded and not forgotten, in the order of recording.

        Raises:
            JournalFailed: the file is damaged, or of another version of this program.
        """
        try:
            found = self._run("select entry from entries order by rowid")
            return [Attempt.from_rows(*json.loads(text)) for (text,) in found]
        except (sqlite3.Error, ValueError, TypeError, KeyError) as error:
            raise _unreadable(self.path, error) from error

    def count(self) -> int:
        """How many attempts there are, even if another version wrote them.

        Raises:
            JournalFailed: the file is damaged.
        """
        try:
            return int(self._run("select count(*) from entries")[0][0])
        except sqlite3.Error as error:
            raise _unreadable(self.path, error) from error

    def forget(self, attempts: Sequence[Attempt]) -> None:
        """Delete attempts that the ledger has. Losing this is harmless: settling is idempotent.

        Raises:
            JournalFailed: the disk is full, or the file was removed.
        """
        try:
            self._run(DELETE, json.dumps([one.key for one in attempts]))
        except sqlite3.Error as error:
            raise _failed(self.path, error) from error

    def discard(self) -> None:
        """Remove the journal: the ledger has all of it. Needs no disk space, and frees some.

        Raises:
            JournalFailed: its files cannot be removed.
        """
        self._end(is_removed=True)

    def leave(self) -> None:
        """Release the journal unchanged."""
        self._end(is_removed=False)

    def close(self) -> None:
        """Close the journal. One that still holds attempts is kept, for the next run to find.

        Raises:
            JournalFailed: it is empty and its files cannot be removed.
        """
        if self._is_left:
            return
        try:
            is_empty = not self.count()
        except JournalFailed:
            is_empty = False
        self._end(is_removed=is_empty)

    def _end(self, *, is_removed: bool) -> None:
        if self._is_left:
            return
        self._is_left = True
        try:
            with suppress(sqlite3.Error):
                # Closing also checkpoints the log, which fails on a full disk.
                self._connection.close()
            if is_removed:
                _remove(self.path)
        finally:
            self._lock.close()

    def _run(self, sql: str, *binds: str) -> list[tuple[str]]:
        """One statement, which is one transaction."""
        with self._disk:
            return self._connection.execute(sql, binds).fetchall()


@contextmanager
def open_journal(directory: Path, ledger: LedgerIdentity, *, room: int = 0) -> Iterator[Journal]:
    """A new journal of this process; removed at the end when it is empty.

    ``room`` is the free disk space required, in bytes.

    Raises:
        JournalFailed: the directory is not writable, or its disk has too little space.
    """
    path = directory / f"{os.getpid()}-{uuid.uuid4()}{SUFFIX}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(directory).free
        if free < room:
            raise JournalFailed(
                f"the delivery journal needs {room:,} bytes and its disk has {free:,} free: set "
                f"LTW_JOURNAL_DIR, now {directory}, to a directory with more, or free space. "
                "Nothing is sent until then"
            )
        lock = _lock(path)
    except OSError as error:
        raise _failed(path, error) from error
    try:
        connection = _connect(path)
        journal = Journal(path, lock, connection)
        try:
            connection.execute("create table written_for (mark text not null)")
            connection.execute("insert into written_for values (?)", (ledger.mark(),))
        except sqlite3.Error as error:
            raise _failed(path, error) from error
    except JournalFailed:
        # A half-created journal would look like one of an earlier version.
        with suppress(JournalFailed):
            _remove(path)
        lock.close()
        raise
    try:
        yield journal
    except BaseException:
        with suppress(JournalFailed):
            journal.close()
        raise
    journal.close()


@contextmanager
def abandoned_journals(directory: Path) -> Iterator[list[Journal]]:
    """Journals whose process is dead, locked for this one; removed at the end when empty.

    Files that no longer belong to a journal are removed.

    Raises:
        JournalFailed: a file is damaged or belongs to another user; names it.
    """
    journals: list[Journal] = []
    try:
        for path in sorted(directory.glob(f"*{SUFFIX}")):
            try:
                lock = _take_lock(path)
            except OSError as error:
                raise _failed(path, error) from error
            if lock is None:
                continue
            if not path.exists():
                lock.close()
                continue
            try:
                journals.append(Journal(path, lock, _connect(path, is_alone=True)))
            except JournalFailed:
                lock.close()
                raise
        _sweep(directory)
        yield journals
    finally:
        failures = []
        for journal in journals:
            try:
                journal.close()
            except JournalFailed as error:
                failures.append(error)
    if failures:
        raise failures[0]


@dataclass(frozen=True)
class ForeignJournal:
    """A journal that this ledger must not touch."""

    path: Path
    place: str | None
    """The ledger it was written for; None when it does not name one."""
    attempts: int

    def __str__(self) -> str:
        place = self.place or "a ledger that it does not name, by an earlier version"
        return f"{self.path}: {self.attempts} attempts, written for {place}"


def foreign(journal: Journal) -> ForeignJournal:
    """The description of a journal that is left unchanged."""
    mark = journal.mark
    return ForeignJournal(journal.path, None if mark is None else place_in(mark), journal.count())


def foreign_journals(directory: Path, ledger: LedgerIdentity) -> list[ForeignJournal]:
    """Journals of dead processes that were not written for this ledger; nothing is changed.

    Raises:
        JournalFailed: as for ``abandoned_journals``.
    """
    found = []
    with abandoned_journals(directory) as journals:
        for journal in journals:
            mark = journal.mark
            if mark is None or not ledger.is_meant_by(mark):
                found.append(foreign(journal))
            journal.leave()
    return [one for one in found if one.attempts]


def _sweep(directory: Path) -> None:
    """Remove files of journals that no longer exist; files that cannot be removed do no harm."""
    for lock_path in directory.glob(f"*{LOCK_SUFFIX}"):
        path = lock_path.with_suffix(SUFFIX)
        if path.exists():
            continue
        with suppress(OSError):
            lock = _take_lock(path)
            if lock is not None:
                with lock:
                    # Existing means created since, by a process that got the lock before this one.
                    if not path.exists():
                        _remove(path)
    for ending in BESIDE:
        for path in directory.glob(f"*{SUFFIX}{ending}"):
            if not Path(str(path).removesuffix(ending)).exists():
                with suppress(OSError):
                    path.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    """Remove a journal and its other files, the lock last; the caller holds the lock."""
    try:
        for one in (*(Path(f"{path}{ending}") for ending in BESIDE), path, _lock_path(path)):
            one.unlink(missing_ok=True)
    except OSError as error:
        raise _failed(path, error) from error


def _lock(path: Path) -> IO[str]:
    """Lock a journal that is about to be created."""
    while (lock := _take_lock(path, is_waiting=True)) is None:
        pass
    return lock


def _take_lock(path: Path, *, is_waiting: bool = False) -> IO[str] | None:
    """Lock a journal; None when its process is alive, or when the lock file was removed.

    A lock on a removed file protects nothing: another process could lock its replacement.
    """
    lock = _lock_path(path).open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if is_waiting else fcntl.LOCK_NB))
        if os.fstat(lock.fileno()).st_ino == _lock_path(path).stat().st_ino:
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        lock.close()
        raise
    lock.close()
    return None


def _connect(path: Path, *, is_alone: bool = False) -> sqlite3.Connection:
    """``is_alone``: no other process has it open, so SQLite needs no shared memory and can read it
    on a full disk without writing."""
    try:
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None
        )
    except sqlite3.Error as error:
        raise _failed(path, error) from error
    try:
        if is_alone:
            connection.execute("pragma locking_mode = exclusive")
        connection.execute("pragma journal_mode = wal")
        # FULL waits for the disk at each commit: an attempt must survive a power failure.
        connection.execute("pragma synchronous = full")
        # Rarely: a commit that also checkpoints takes ten times as long, with attempts waiting.
        connection.execute(f"pragma wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(
            "create table if not exists entries ("
            " webhook_id text, fence integer, entry text not null, primary key (webhook_id, fence))"
        )
    except sqlite3.Error as error:
        connection.close()
        # Disk errors are OperationalErrors; for others, the existing journal is damaged.
        is_damaged = is_alone and not isinstance(error, sqlite3.OperationalError)
        raise (_unreadable if is_damaged else _failed)(path, error) from error
    return connection


def _lock_path(path: Path) -> Path:
    return path.with_suffix(LOCK_SUFFIX)


def _failed(path: Path, error: Exception) -> JournalFailed:
    return JournalFailed(
        f"the delivery journal {path} cannot be written ({error}); free disk space or set "
        "LTW_JOURNAL_DIR to a directory that can be. Nothing is sent until then"
    )


def _unreadable(path: Path, error: Exception) -> JournalFailed:
    return JournalFailed(
        f"the delivery journal {path} cannot be read ({error}). Run the version that wrote it once "
        "more, or move it away: webhooks whose attempts it holds are then sent again, under "
        "the same ids"
    )
