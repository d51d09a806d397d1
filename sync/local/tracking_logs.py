"""Load Open edX tracking-log files into the raw layer: every file completely, and once.

A file is identified by its base name and content together. The same file again is skipped, in any
directory. The same name with different content is a different file and is loaded in addition:
every host of an installation writes a ``tracking.log``, and a live one grows. The same content
under a different name is loaded too. The models drop lines that arrive twice this way.

The lines go as gzip parts into an internal stage (PUT), from there into a transient landing table
(COPY INTO), and from there in one transaction, together with the row that records the file, into
``tracking_logs``. A crash at any point leaves the whole file or nothing of it, so running the same
command again continues where it stopped.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sync.clock import Clock, warehouse_clock
from sync.domain.facts import as_utc
from sync.errors import SyncError
from sync.local.log_files import (
    EVENT_FIELD,
    FIELD_DELIMITER,
    LINE_MARK,
    LogFile,
    LogFileError,
    Sample,
    check_readable,
    identify,
    sample,
    write_parts,
)
from sync.local.raw_tables import create_raw_tables
from sync.warehouse import StatementFailed, Warehouse

STAGE = "tracking_log_uploads"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Progress within one file; both in bytes as stored on disk."""

    file: Path
    bytes_read: int
    bytes_total: int


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """All lines of the file are in ``tracking_logs``."""

    file: Path
    file_name: str
    lines: int
    bytes: int
    """Uncompressed, without the parts that were cut off."""
    cut_lines: int
    """Lines cut at ``sync.local.log_files.MAX_LINE_BYTES``; the models will quarantine them."""
    seconds: float
    sample: Sample


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """Nothing was done with the file, because it was already loaded."""

    file: Path
    reason: str


Outcome = Loaded | Skipped
Progress = Callable[[Reading | Loaded | Skipped], None]


class LoadFailed(SyncError):
    """The warehouse did not take a file; nothing of that file was loaded."""


def load_logs(
    warehouse: Warehouse,
    paths: Iterable[Path],
    *,
    progress: Progress,
    clock: Clock | None = None,
    is_any_text_taken: bool = True,
) -> list[Outcome]:
    """Load files, plain or gzip, in the given order; one outcome per path.

    ``progress`` is called for every block read and for every outcome as it happens. All rows of a
    file have the same ``loaded_at``, read from ``clock`` (by default the warehouse's) just before
    they become visible. Unless ``is_any_text_taken``, a file is refused if fewer than half of its
    first lines look like tracking events.

    Raises:
        LogFileError: a path is missing, a directory or unreadable (found before anything is
            loaded), or files are damaged or refused (raised at the end; all others are loaded).
        LoadFailed: the warehouse refused a statement.
    """
    listed = list(paths)
    for path in listed:
        check_readable(path)
    now = clock or warehouse_clock(warehouse)
    create_raw_tables(warehouse, ("tracking",))
    outcomes: list[Outcome] = []
    damaged: list[LogFileError] = []
    for path in listed:
        try:
            outcome = _load_file(warehouse, path, progress, now, is_any_text_taken)
        except LogFileError as error:
            damaged.append(error)
            continue
        progress(outcome)
        outcomes.append(outcome)
    if damaged and len(listed) > 1:
        texts = "; ".join(str(error) for error in damaged)
        raise LogFileError(
            f"{len(damaged)} of {len(listed)} files were not loaded, the others were: {texts}"
        ) from damaged[0]
    if damaged:
        raise damaged[0]
    return outcomes


def _load_file(
    warehouse: Warehouse, path: Path, progress: Progress, now: Clock, is_any_text_taken: bool
) -> Outcome:
    started = time.monotonic()
    log_file = identify(path)
    loaded_before = warehouse.rows(
        f"select max(loaded_at) as loaded_at from {_files(warehouse)} where file_name = ?",
        log_file.stored_name,
    )[0]["loaded_at"]
    if loaded_before is not None:
        return Skipped(file=path, reason=f"already loaded at {loaded_before:%Y-%m-%d %H:%M:%S} UTC")

    seen = sample(log_file)
    if not (seen.is_a_log or is_any_text_taken):
        raise LogFileError(
            f"{path}: {seen.events} of its first {seen.lines} lines look like tracking events, "
            f"which have {EVENT_FIELD.decode()}. Nothing of it was loaded; if it is a tracking log "
            "all the same, repeat with --force"
        )

    def advance(bytes_read: int) -> None:
        progress(Reading(file=path, bytes_read=bytes_read, bytes_total=log_file.size_bytes))

    try:
        lines, byte_count, cut_lines = _load_lines(warehouse, log_file, advance, now)
    except StatementFailed as error:
        raise LoadFailed(
            f"{path}: {error}. Nothing of this file was loaded; run the same command again to "
            "continue with it"
        ) from error
    if lines == 0:
        return Skipped(file=path, reason="it is empty")
    return Loaded(
        file=path,
        file_name=log_file.stored_name,
        lines=lines,
        bytes=byte_count,
        cut_lines=cut_lines,
        seconds=time.monotonic() - started,
        sample=seen,
    )


def _load_lines(
    warehouse: Warehouse, log_file: LogFile, advance: Callable[[int], None], now: Clock
) -> tuple[int, int, int]:
    lines = byte_count = cut_lines = 0
    with tempfile.TemporaryDirectory(prefix="tracking-log-") as scratch:
        for part in write_parts(log_file, Path(scratch), advance=advance):
            if lines == 0:
                _create_landing(warehouse, log_file)
            _put(warehouse, log_file, part.path)
            part.path.unlink()
            lines += part.lines
            byte_count += part.byte_count
            cut_lines += part.cut_lines
    if lines:
        try:
            _copy(warehouse, log_file)
            _publish(warehouse, log_file, lines, byte_count, now)
        finally:
            # A lost connection must raise its own error; the next attempt replaces the table.
            with suppress(StatementFailed):
                warehouse.execute(f"drop table if exists {_landing(warehouse, log_file)}")
    return lines, byte_count, cut_lines


def _create_landing(warehouse: Warehouse, log_file: LogFile) -> None:
    # On Snowflake a temporary stage is dropped with its session, along with parts left by a crash.
    warehouse.execute(f"create temporary stage if not exists {_stage(warehouse)}")
    warehouse.execute(
        f"create or replace transient table {_landing(warehouse, log_file)} (line varchar)"
    )


def _put(warehouse: Warehouse, log_file: LogFile, part: Path) -> None:
    quoted = part.as_posix().replace("'", "\\'")
    warehouse.execute(
        f"put 'file://{quoted}' @{_stage(warehouse)}/{log_file.sha256} "
        "auto_compress = false source_compression = gzip overwrite = true"
    )


def _copy(warehouse: Warehouse, log_file: LogFile) -> None:
    # force: the embedded engine remembers loaded files longer than the landing table exists.
    warehouse.execute(
        f"copy into {_landing(warehouse, log_file)} (line) "
        f"from @{_stage(warehouse)}/{log_file.sha256} "
        f"file_format = (type = csv compression = gzip field_delimiter = '{FIELD_DELIMITER}' "
        "field_optionally_enclosed_by = none escape_unenclosed_field = none) "
        "force = true purge = true"
    )


def _publish(
    warehouse: Warehouse, log_file: LogFile, lines: int, byte_count: int, now: Clock
) -> None:
    loaded_at = as_utc(now()).replace(tzinfo=None).isoformat(sep=" ")
    with warehouse.transaction():
        inserted = warehouse.execute(
            f"insert into {warehouse.raw_relation('tracking', 'tracking_logs')} "
            "(line, file_name, loaded_at) "
            f"select substr(line, {len(LINE_MARK) + 1}), ?, cast(? as timestamp_ntz) "
            f"from {_landing(warehouse, log_file)}",
            log_file.stored_name,
            loaded_at,
        )
        if inserted != lines:
            raise LoadFailed(
                f"{log_file.path}: {inserted} of {lines} lines arrived, so nothing was loaded. Is "
                "the same file being loaded twice at the same time? Run the command again"
            )
        warehouse.execute(
            f"insert into {_files(warehouse)} "
            "(file_name, sha256, line_count, byte_count, loaded_at) "
            "select ?, ?, ?, ?, cast(? as timestamp_ntz)",
            log_file.stored_name,
            log_file.sha256,
            lines,
            byte_count,
            loaded_at,
        )


def _files(warehouse: Warehouse) -> str:
    return warehouse.raw_relation("tracking", "tracking_log_files")


def _stage(warehouse: Warehouse) -> str:
    return f"{_schema(warehouse)}.{STAGE}"


def _landing(warehouse: Warehouse, log_file: LogFile) -> str:
    return f"{_schema(warehouse)}.landing_{log_file.sha256[:16]}"


def _schema(warehouse: Warehouse) -> str:
    return _files(warehouse).rpartition(".")[0]
