"""Deterministic sample data: the log lines and replica rows of a fictional installation.

The same size, seed, start and receiver give the same data, byte for byte; a different start shifts
all times and changes nothing else. The data comes in two consecutive waves: load the first, run,
load the second, run again; the second run finds only new completions (and one late consent).
"""

from __future__ import annotations

import base64
import gzip
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice
from pathlib import Path
from random import Random

from sync.errors import SyncError
from sync.http.secrets import signing_secret_name
from sync.http.signing import SYMMETRIC_PREFIX
from sync.local.raw_tables import insert_rows
from sync.local.sample_dirty import dirty_lines
from sync.local.sample_logs import DAY, MICROSECONDS, LogWriter, to_microseconds
from sync.local.sample_replica import (
    WAVES,
    Endpoint,
    Replica,
    SampleCompletion,
    Study,
    Tables,
    build_replica,
)
from sync.warehouse import Warehouse

LINES_PER_WRITE = 2_000
"""Lines joined before compression: enough to make the cost of the calls negligible."""


class SampleSizeError(SyncError):
    """A size for which the data could not contain every case."""


@dataclass(frozen=True, kw_only=True)
class SampleSize:
    """How much to generate, over both waves.

    ``lines`` is a target, met within a few percent. Learners of special cases are in addition to
    ``learners``, customers with a problem in addition to ``customers``.
    """

    learners: int = 40
    courses: int = 3
    customers: int = 3
    lines: int = 5_000
    days_per_wave: int = 5

    def __post_init__(self) -> None:
        for name, least in {
            "learners": 1,
            "courses": 1,
            "customers": 2,
            "lines": 1_000,
            "days_per_wave": 1,
        }.items():
            if getattr(self, name) < least:
                raise SampleSizeError(f"sample size: {name} must be at least {least}")

    def start_before(self, end: datetime) -> datetime:
        """The start with which the second wave ends at ``end``, as if loaded at that time."""
        return end - timedelta(days=WAVES * self.days_per_wave)


@dataclass(frozen=True, kw_only=True)
class Wave:
    """The data of one period of days."""

    index: int
    begin: datetime
    end: datetime
    """Exclusive."""
    tables: Tables
    """Rows to append, by table name of ``sync.local.raw_tables.TABLES``."""
    studies: tuple[Study, ...]
    dirty_study: Study
    """The study to which the first wave's dirty lines belong."""
    target_lines: int
    seed: int

    def log_lines(self) -> Iterator[tuple[str, str]]:
        """File name and line, in order; one file per UTC day. Generated again at each call.

        Bytes that are not UTF-8 are surrogate escapes: encode with ``surrogateescape``.
        """
        begin = to_microseconds(self.begin)
        fixtures = []
        if self.index == 0:
            dirty = dirty_lines(self.dirty_study, self.begin)
            fixtures = [
                (begin + (9 * 60 + minute) * 60 * MICROSECONDS, -1, line)
                for minute, line in enumerate(dirty.values())
            ]
        writer = LogWriter(
            rng=Random(f"{self.seed}/lines/{self.index}"),
            studies=self.studies,
            begin=begin,
            end=to_microseconds(self.end),
            lines=self.target_lines,
            fixtures=fixtures,
        )
        day_of_name: dict[int, str] = {}
        for at, line in writer.write():
            day = at // DAY
            if day not in day_of_name:
                date = datetime.fromtimestamp(day * 86_400, UTC)
                day_of_name[day] = f"tracking.log-{date:%Y%m%d}"
            yield day_of_name[day], line


@dataclass(frozen=True, kw_only=True)
class SampleData:
    """Two waves, and the expected outcomes of their completions."""

    waves: tuple[Wave, ...]
    completions: tuple[SampleCompletion, ...]
    endpoints: tuple[Endpoint, ...]


def generate(size: SampleSize, *, seed: int, start: datetime, receiver_url: str) -> SampleData:
    """Sample data in two waves of ``size.days_per_wave`` days from ``start``, to the minute.

    ``receiver_url`` is the base of the webhook URLs: ``{receiver_url}/hooks/{endpoint name}``, and
    ``/status/503/{endpoint name}`` for the customer whose endpoint is out of order. Log times are
    in the past only if ``start`` is early enough; the models quarantine future ones.
    """
    begin = start.astimezone(UTC).replace(second=0, microsecond=0)
    replica = build_replica(
        rng=Random(f"{seed}/replica"),
        learners=size.learners,
        courses=size.courses,
        customers=size.customers,
        days=size.days_per_wave,
        start=begin,
        receiver_url=receiver_url,
    )
    return SampleData(
        waves=tuple(_wave(replica, size, seed, begin, index) for index in range(WAVES)),
        completions=replica.completions,
        endpoints=replica.endpoints,
    )


def _wave(replica: Replica, size: SampleSize, seed: int, start: datetime, index: int) -> Wave:
    length = timedelta(days=size.days_per_wave)
    return Wave(
        index=index,
        begin=start + index * length,
        end=start + (index + 1) * length,
        tables=replica.tables[index],
        studies=replica.studies,
        dirty_study=replica.dirty_study,
        target_lines=size.lines // WAVES,
        seed=seed,
    )


def write_files(directory: Path, wave: Wave) -> list[Path]:
    """Write the log of a wave, in order: one plain file, the others gzip. Same data, same bytes."""
    directory.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for name, pairs in groupby(wave.log_lines(), key=lambda pair: pair[0]):
        lines = (line for _, line in pairs)
        path = directory / (f"{name}.gz" if paths else name)
        with path.open("wb") as file:
            if paths:
                # mtime and name would make the bytes depend on time and place.
                with gzip.GzipFile("", "wb", 1, file, mtime=0) as packed:
                    packed.writelines(_encoded(lines))
            else:
                file.writelines(_encoded(lines))
        paths.append(path)
    return paths


def load_sample(warehouse: Warehouse, wave: Wave) -> dict[str, int]:
    """Append a wave's replica rows; returns the number per table. The raw tables must exist."""
    return {table: insert_rows(warehouse, table, rows) for table, rows in wave.tables.items()}


def _encoded(lines: Iterator[str]) -> Iterator[bytes]:
    while group := list(islice(lines, LINES_PER_WRITE)):
        yield ("\n".join(group) + "\n").encode("utf-8", errors="surrogateescape")


_KEY_BYTES = 32


def write_secrets(endpoints: Iterable[Endpoint], *, sender: Path, receiver: Path) -> None:
    """Write one new ``v1`` secret per endpoint into two directories, created if missing.

    The sender looks it up by endpoint id (``sync.http.secrets``), the receiver by endpoint name. A
    secret that the sender already has is kept and written for the receiver again.
    """
    for directory in (sender, receiver):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for endpoint in endpoints:
        kept = sender / signing_secret_name(endpoint.endpoint_id)
        if not kept.exists():
            key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode("ascii")
            _write_private(kept, f"{SYMMETRIC_PREFIX}{key}\n")
        _write_private(receiver / endpoint.name, kept.read_text(encoding="utf-8"))


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
