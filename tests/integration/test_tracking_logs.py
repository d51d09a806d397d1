"""Loading tracking-log files into a real embedded warehouse with the real connector."""

from __future__ import annotations

import gzip
import re
from datetime import datetime
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.local import log_files, tracking_logs
from sync.local.log_files import LogFileError, identify
from sync.local.tracking_logs import Loaded, LoadFailed, Outcome, Reading, Skipped, load_logs
from sync.warehouse import StatementFailed, Warehouse
from tests.support.examples import examples

AT = datetime(2026, 3, 4, 10, 0, 0, 250_000)


def quiet(_: object) -> None:
    """A progress callback that does nothing."""


def load(warehouse: Warehouse, *paths: Path) -> list[Outcome]:
    return load_logs(warehouse, paths, progress=quiet, clock=lambda: AT)


def stored(warehouse: Warehouse) -> dict[str, list[str]]:
    """Lines by file name, sorted."""
    relation = warehouse.raw_relation("tracking", "tracking_logs")
    found: dict[str, list[str]] = {}
    for row in warehouse.rows(f"select file_name, line from {relation} order by 1, 2"):
        found.setdefault(row["file_name"], []).append(row["line"])
    return found


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


DIRTY = [
    '{"name": "play_video", "event": "{\\"id\\": \\"NONE\\"}"}',
    "",
    "\\N",
    "NULL",
    '"unclosed',
    "'single",
    "a,b|c\td;e",
    "\0\0{}",
    "# no comment",
    "  blanks  ",
    "42",
    "2026-03-04",
    "true",
    "\ufeffé\u2028ü",
    "back\\slash\\",
    "é" * 400_000,
]


@pytest.mark.parametrize("name", ["tracking.log", "tracking.log.gz"])
def test_every_line_arrives_as_it_was(name: str, warehouse: Warehouse, tmp_path: Path) -> None:
    content = "".join(f"{line}\n" for line in DIRTY).encode()
    [outcome] = load(warehouse, write(tmp_path / name, content))
    assert isinstance(outcome, Loaded)
    assert (outcome.lines, outcome.bytes, outcome.cut_lines) == (len(DIRTY), len(content), 0)
    assert stored(warehouse) == {outcome.file_name: sorted(DIRTY)}


def test_all_rows_of_a_file_carry_one_load_time_and_the_ledger_says_the_same(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    load(warehouse, write(tmp_path / "tracking.log", b"a\nb\n"))
    rows = warehouse.rows(
        f"select distinct loaded_at from {warehouse.raw_relation('tracking', 'tracking_logs')}"
    )
    ledger = warehouse.rows(
        f"select * from {warehouse.raw_relation('tracking', 'tracking_log_files')}"
    )
    assert rows == [{"loaded_at": AT}]
    assert [(one["line_count"], one["byte_count"], one["loaded_at"]) for one in ledger] == [
        (2, 4, AT)
    ]


def test_by_default_the_load_time_is_the_warehouse_s_own(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    before = warehouse.rows("select sysdate() as now")[0]["now"]
    load_logs(warehouse, [write(tmp_path / "tracking.log", b"a\n")], progress=quiet)
    after = warehouse.rows("select sysdate() as now")[0]["now"]
    relation = warehouse.raw_relation("tracking", "tracking_logs")
    [row] = warehouse.rows(f"select loaded_at from {relation}")
    assert before <= row["loaded_at"] <= after


def test_the_same_file_again_is_skipped_with_a_reason(warehouse: Warehouse, tmp_path: Path) -> None:
    path = write(tmp_path / "tracking.log", b"a\n")
    (tmp_path / "copy").mkdir()
    moved = write(tmp_path / "copy" / "tracking.log", b"a\n")
    outcomes = load(warehouse, path, path, moved)
    assert [type(one) for one in outcomes] == [Loaded, Skipped, Skipped]
    assert outcomes[1] == Skipped(file=path, reason="already loaded at 2026-03-04 10:00:00 UTC")
    assert [len(lines) for lines in stored(warehouse).values()] == [1]


def test_a_file_of_the_same_name_with_other_content_is_loaded_beside_the_first(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    """Every host writes a tracking.log; skipping the second would lose its learners."""
    load(warehouse, write(tmp_path / "tracking.log", b"a\n"))
    [outcome] = load(warehouse, write(tmp_path / "tracking.log", b"a\nb\n"))
    assert isinstance(outcome, Loaded)
    assert sorted(stored(warehouse).values()) == [["a"], ["a", "b"]]


def test_empty_files_are_skipped_and_leave_no_trace(warehouse: Warehouse, tmp_path: Path) -> None:
    outcomes = load(warehouse, write(tmp_path / "tracking.log", b""), write(tmp_path / "b.gz", b""))
    assert [one for one in outcomes if not isinstance(one, Skipped)] == []
    assert stored(warehouse) == {}


def test_no_landing_table_is_left_behind(warehouse: Warehouse, tmp_path: Path) -> None:
    load(warehouse, write(tmp_path / "tracking.log", b"a\n"))
    assert tables(warehouse) == {"TRACKING_LOGS", "TRACKING_LOG_FILES"}


def tables(warehouse: Warehouse) -> set[str]:
    schema = warehouse.raw_relation("tracking", "tracking_logs").rpartition(".")[0]
    return {row["name"].upper() for row in warehouse.rows(f"show tables in schema {schema}")}


def test_a_missing_file_stops_the_command_before_anything_is_loaded(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    good = write(tmp_path / "tracking.log", b"a\n")
    with pytest.raises(LogFileError, match=r"absent\.log does not exist"):
        load(warehouse, good, tmp_path / "absent.log")
    [outcome] = load(warehouse, good)
    assert isinstance(outcome, Loaded)


def test_damaged_files_leave_nothing_and_the_others_are_loaded_before_they_are_reported(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    before, after = write(tmp_path / "a.log", b"a\n"), write(tmp_path / "z.log", b"z\n")
    damaged, foreign = tmp_path / "bad.gz", write(tmp_path / "bad.zst", b"\x28\xb5\x2f\xfdx")
    damaged.write_bytes(gzip.compress(b"line\n" * 100_000)[:-9])
    with pytest.raises(LogFileError, match=r"2 of 4 files.*bad\.gz.*bad\.zst.*zstd"):
        load(warehouse, before, damaged, foreign, after)
    assert sorted(stored(warehouse).values()) == [["a"], ["z"]]
    with pytest.raises(LogFileError, match=rf"^{re.escape(str(damaged))} is a damaged"):
        load(warehouse, damaged)


class Dying:
    """A warehouse whose connection is lost before the n-th statement."""

    def __init__(self, warehouse: Warehouse, before: int) -> None:
        self._warehouse = warehouse
        self._left = before

    def __getattr__(self, name: str) -> object:
        return getattr(self._warehouse, name)

    def execute(self, sql: str, *binds: object) -> int:
        if self._left == 0:
            self._warehouse.execute("rollback")  # as the engine does when a session ends
            raise StatementFailed(f"connection lost before: {sql}")
        self._left -= 1
        return self._warehouse.execute(sql, *binds)

    transaction = Warehouse.transaction


def test_a_crash_at_any_statement_leaves_the_whole_file_or_nothing_and_a_rerun_repairs_it(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "PART_BYTES", 8)
    monkeypatch.setattr(log_files, "_BLOCK_BYTES", 8)
    load(warehouse, write(tmp_path / "other.log", b"other\n"))
    whole = ["first", "second", "third"]
    for before in range(15):
        path = write(tmp_path / f"tracking.log-{before}", b"first\nsecond\nthird\n")
        name = identify(path).stored_name
        dying = Dying(warehouse, before)
        try:
            load_logs(cast(Warehouse, dying), [path], progress=quiet, clock=lambda: AT)
        except (LoadFailed, StatementFailed):
            has_died = True
        else:
            # Dropping the landing table is the last step and may fail silently.
            has_died = False
        if not has_died:
            assert stored(warehouse)[name] == whole, before
        assert stored(warehouse).get(name, []) in ([], whole), before
        load(warehouse, path)
        assert stored(warehouse)[name] == whole, before


def test_a_file_whose_rows_do_not_all_arrive_is_rolled_back(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two loaders of one file share its landing table; neither may publish a partial one."""
    copy = tracking_logs._copy

    def copy_and_lose(opened: Warehouse, log_file: log_files.LogFile) -> None:
        copy(opened, log_file)
        landing = tracking_logs._landing(opened, log_file)
        opened.execute(f"delete from {landing} where line = '>a'")

    monkeypatch.setattr(tracking_logs, "_copy", copy_and_lose)
    path = write(tmp_path / "tracking.log", b"a\nb\n")
    with pytest.raises(LoadFailed, match="1 of 2 lines"):
        load(warehouse, path)
    assert stored(warehouse) == {}
    monkeypatch.undo()
    load(warehouse, path)
    assert list(stored(warehouse).values()) == [["a", "b"]]


def test_a_refused_statement_names_the_file_and_how_to_go_on(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_logs, "STAGE", "no.such.place.landing")
    path = write(tmp_path / "tracking.log", b"a\n")
    with pytest.raises(LoadFailed, match=r"(?s)tracking\.log.*run the same command again"):
        load(warehouse, path)


def test_progress_reports_bytes_and_every_outcome_in_order(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    first, second = write(tmp_path / "a.log", b"a\n" * 5), write(tmp_path / "b.log", b"")
    heard: list[object] = []
    outcomes = load_logs(warehouse, [first, second], progress=heard.append)
    assert [one for one in heard if not isinstance(one, Reading)] == outcomes
    assert Reading(file=first, bytes_read=10, bytes_total=10) in heard


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [
        write(tmp_path / f"tracking.log-{index}{'.gz' if index % 2 else ''}", b"%d\n" % index * 3)
        for index in range(4)
    ]


@settings(max_examples=examples(3, 200))
@given(runs=st.lists(st.lists(st.integers(0, 3), max_size=5), min_size=1, max_size=3))
def test_every_file_is_loaded_once_whatever_the_order_and_the_repeats(
    runs: list[list[int]], warehouse: Warehouse, files: list[Path]
) -> None:
    relations = [
        warehouse.raw_relation("tracking", name) for name in ("tracking_logs", "tracking_log_files")
    ]
    load(warehouse)
    for relation in relations:
        warehouse.execute(f"delete from {relation}")
    for run in runs:
        load(warehouse, *[files[index] for index in run])
    wanted = {index for run in runs for index in run}
    assert sorted(stored(warehouse).values()) == [[str(index)] * 3 for index in sorted(wanted)]


def test_loading_costs_statements_per_file_and_not_per_line(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    load(warehouse)
    costs = []
    for name, lines in (("small.log", 1), ("large.log", 50_000)):
        before = warehouse.statements
        load(warehouse, write(tmp_path / name, b"a\n" * lines))
        costs.append(warehouse.statements - before)
    assert costs[0] == costs[1]
