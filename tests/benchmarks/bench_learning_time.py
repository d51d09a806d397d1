"""What the number costs: generator, loader, full refresh and increments on the embedded warehouse.

BENCH_LINES sets the size and BENCH_REPEATS how often the two compared times are taken. Everything
is measured and printed before a missed target fails.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import pytest

from sync.ledger.tables import ensure_ledger
from sync.local.embedded.lifecycle import Running, ensure_running, free_port, status, stop
from sync.local.raw_tables import create_raw_tables
from sync.local.sample_data import SampleData, SampleSize, generate, load_sample, write_files
from sync.local.tracking_logs import Loaded, load_logs
from sync.settings import PROJECT_ROOT, EmbeddedWarehouse
from sync.warehouse import open_warehouse

LINES = int(os.environ.get("BENCH_LINES", "10000000"))
REPEATS = int(os.environ.get("BENCH_REPEATS", "1"))
LINES_PER_LEARNER = 100
DAYS = 30
SHARES = (0.001, 0.01, 0.1)
"""Sizes of the increments, as fractions of what the full refresh read."""
LEARNING_TIME = "dbt_project/models/intermediate/learning_time"
MODELS = (
    *("stg_tracking__lines", "stg_tracking__events"),
    *("int_tracking_events_screened", "int_tracking_events", "int_tracking_line_counts"),
    *("int_learning_gaps", "int_learning_time_daily"),
    *("learning_time", "learning_time_watermark"),
)
BEFORE = ("learning_event_patterns", "+int_enterprise_enrollments_with_team")
BY_HAND = Path(__file__).with_name("learning_time_by_hand.sql")
SEED = PROJECT_ROOT / "dbt_project" / "seeds" / "learning_event_patterns.csv"

Dbt = Callable[..., Any]


@dataclass
class Report:
    """Figures in order of measurement; a missed target is recorded."""

    misses: list[str] = field(default_factory=list)

    def show(self, name: str, text: str, *, target: str = "", is_met: bool = True) -> None:
        verdict = f"  (target {target}: {'met' if is_met else 'MISSED'})" if target else ""
        print(f"  {name:<44}{text}{verdict}", flush=True)
        if not is_met:
            self.misses.append(f"{name}: {text}, target {target}")


@dataclass(frozen=True)
class Cost:
    """Of one step: on the clock, and of all cores together, here and in the server.

    The second hardly depends on what else the machine is doing.
    """

    seconds: float
    cpu_seconds: float

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s (CPU {self.cpu_seconds:.1f} s)"


@dataclass
class Bench:
    """A separate warehouse, so that its memory is that of this benchmark alone."""

    settings: EmbeddedWarehouse
    dbt: Dbt
    report: Report

    def measure(self, step: Callable[[], object]) -> Cost:
        """Cost of the step; the server must be running before and after it."""
        started, cpu = time.monotonic(), self._cpu_seconds()
        step()
        return Cost(time.monotonic() - started, self._cpu_seconds() - cpu)

    def run(self, *flags: str) -> Cost:
        """Cost of ``dbt run`` over the models of learning time."""
        results: list[Any] = []
        cost = self.measure(lambda: results.extend(self.dbt("run", "--select", *MODELS, *flags)))
        slow = [one for one in results if one.execution_time > max(1.0, cost.seconds / 50)]
        print("    " + ", ".join(f"{one.node.name} {one.execution_time:.1f} s" for one in slow))
        return cost

    def load(self, paths: list[Path]) -> int:
        """Load log files; returns the number of lines."""
        with open_warehouse(self.settings, purpose="bench", statement_timeout_seconds=3600) as one:
            outcomes = load_logs(one, paths, progress=lambda _: None)
        return sum(each.lines for each in outcomes if isinstance(each, Loaded))

    def peak_gib(self) -> float:
        """Peak resident memory of the server since ``forget_peak``."""
        lines = Path(f"/proc/{self._pid()}/status").read_text(encoding="utf-8").splitlines()
        (peak,) = (line for line in lines if line.startswith("VmHWM"))
        return int(peak.split()[1]) / 2**20

    def forget_peak(self) -> None:
        Path(f"/proc/{self._pid()}/clear_refs").write_text("5", encoding="utf-8")

    def _cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._pid()}/stat").read_text(encoding="utf-8").rpartition(")")[2]
        ticks = sum(int(ticks) for ticks in fields.split()[11:13])
        return ticks / os.sysconf("SC_CLK_TCK") + time.process_time()

    def _pid(self) -> int:
        running = status(self.settings.port)
        assert isinstance(running, Running)
        return running.pid


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """An embedded warehouse with everything except learning time built, without lines."""
    from dbt.cli.main import dbtRunner

    settings = EmbeddedWarehouse(port=free_port(), home=tmp_path / "home")
    monkeypatch.setenv("LTW_WAREHOUSE_PORT", str(settings.port))
    monkeypatch.setenv("LTW_HOME", str(settings.home))
    places = ["--target-path", str(tmp_path / "target"), "--log-path", str(tmp_path)]
    ensure_running(settings)
    manifest = dbtRunner().invoke(["--quiet", "parse", *places]).result

    def dbt(*arguments: str) -> Any:
        runner = dbtRunner(manifest=manifest)  # type: ignore[arg-type]
        result = runner.invoke(["--quiet", "--no-write-json", *arguments, *places])
        assert result.success, result.exception or result.result
        return result.result

    try:
        yield Bench(settings, dbt, Report())
    finally:
        stop(settings)


def test_learning_time(bench: Bench, tmp_path: Path) -> None:
    report = bench.report
    print(f"\nLearning time, {LINES:,} lines, load of the machine {os.getloadavg()[0]:.1f}")
    data = sample()
    logs = tmp_path / "logs"
    paths: list[Path] = []
    generating = bench.measure(lambda: paths.extend(write_files(logs, data.waves[0])))
    with open_warehouse(bench.settings, purpose="bench") as warehouse:
        create_raw_tables(warehouse)
        ensure_ledger(warehouse)
        load_sample(warehouse, data.waves[0])
    bench.dbt("build", "--select", *BEFORE, "--resource-type", "seed", "--resource-type", "model")
    bench.run("--full-refresh")
    start_up = middle(bench.run() for _ in range(3))
    report.show("start-up of dbt (no line at all)", f"{start_up}")

    counts: list[int] = []
    loading = bench.measure(lambda: counts.append(bench.load(paths)))
    (lines,) = counts
    for name, cost in (("generator", generating), ("loader", loading)):
        rate = lines / cost.seconds
        text = f"{rate:,.0f} lines a second ({lines / cost.cpu_seconds:,.0f} per CPU second)"
        report.show(name, text, target="50,000", is_met=rate >= 50_000)
    report.show("peak memory of the server, loading", f"{bench.peak_gib():.2f} GiB")

    bench.forget_peak()
    full = middle(bench.run("--full-refresh") for _ in range(REPEATS))
    peak = bench.peak_gib()
    report.show(f"full refresh of {lines:,} lines", f"{full}")
    report.show(
        "peak memory of the server, full refresh",
        f"{peak:.2f} GiB",
        target="6 GiB",
        is_met=peak < 6,
    )
    by_hand, found = hand_written(bench.settings)
    assert found == [], "the hand-written query and the models do not agree"
    report.show("one query by hand", f"{by_hand}")
    ratio = full.seconds / by_hand.seconds
    text = f"{ratio:.2f} (CPU {full.cpu_seconds / by_hand.cpu_seconds:.2f})"
    report.show("full refresh / by hand", text, target="1.2", is_met=ratio <= 1.2)

    ensure_running(bench.settings)
    idle = middle(bench.run() for _ in range(3))
    report.show("build without a new line", f"{idle}")
    arriving = data.waves[1].log_lines()
    for share in SHARES:
        path = logs / f"tracking.log-{share}"
        with path.open("wb") as file:
            for _, line in islice(arriving, int(lines * share)):
                file.write(line.encode("utf-8", errors="surrogateescape") + b"\n")
        added = bench.load([path])
        cost, units = touched_units(bench)
        part = (cost.seconds - idle.seconds) / (full.seconds - start_up.seconds)
        cpu_part = (cost.cpu_seconds - idle.cpu_seconds) / (full.cpu_seconds - start_up.cpu_seconds)
        report.show(
            f"increment of {share:.1%} ({added:,} lines)",
            f"{cost}, {part:.1%} of the full refresh (CPU {cpu_part:.1%}), touching "
            f"{units:.1%} of the learners",
            target="10%" if share == 0.01 else "",
            is_met=share != 0.01 or part <= 0.1,
        )
    size = sum(path.stat().st_size for path in bench.settings.directory.glob("*.db")) / 2**30
    report.show("warehouse on disk", f"{size:.2f} GiB")
    report.show("load of the machine at the end", f"{os.getloadavg()[0]:.1f}")
    assert report.misses == []


def middle(costs: Iterable[Cost]) -> Cost:
    """Medians."""
    taken = list(costs)
    return Cost(median(one.seconds for one in taken), median(one.cpu_seconds for one in taken))


def touched_units(bench: Bench) -> tuple[Cost, float]:
    """Cost of a build, and the share of (learner, course run) pairs that it recomputed."""
    stamp = "select max(processed_at) as stamp from analytics.intermediate.int_learning_gaps"
    with open_warehouse(bench.settings, purpose="bench") as warehouse:
        before = warehouse.rows(stamp)[0]["stamp"]
        cost = bench.run()
        units = warehouse.rows(
            """
            select avg(iff(stamp > cast(? as timestamp_ntz), 1, 0)) as share from (
                select user_id, courserun_key, max(processed_at) as stamp
                from analytics.intermediate.int_learning_time_daily
                group by user_id, courserun_key
            )
            """,
            before.isoformat(sep=" "),
        )
    return cost, float(units[0]["share"])


def sample() -> SampleData:
    """Two waves of ``LINES`` lines each; the second has the increments."""
    size = SampleSize(
        lines=2 * LINES,
        learners=max(LINES // LINES_PER_LEARNER, 40),
        courses=max(LINES // 20_000, 3),
        customers=20,
        days_per_wave=DAYS,
    )
    start = datetime(2026, 1, 5, tzinfo=UTC)
    return generate(size, seed=1, start=start, receiver_url="http://127.0.0.1:1")


def hand_written(settings: EmbeddedWarehouse) -> tuple[Cost, list[Any]]:
    """Cost of the query by hand over the same table, and where the models differ from it.

    The server must let go of the files first; DuckDB then has the machine alone, as the models
    had it.
    """
    stop(settings)
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    for database in ("RAW", "ANALYTICS"):
        attach(connection, settings.directory / f"{database}.db", database.lower())
    query = BY_HAND.read_text(encoding="utf-8").replace("$seed", f"'{SEED}'")
    costs = []
    for _ in range(REPEATS):
        started, cpu = time.monotonic(), time.process_time()
        connection.execute(f"create or replace table by_hand as {query}")
        costs.append(Cost(time.monotonic() - started, time.process_time() - cpu))
    differences = connection.execute(
        """
        select * from by_hand
        full join (
            select user_id, courserun_key, activity_date, learning_time_seconds as modeled
            from analytics.intermediate.int_learning_time_daily where learning_time_seconds > 0
        ) using (user_id, courserun_key, activity_date)
        where modeled is distinct from learning_time_seconds limit 5
        """
    ).fetchall()
    connection.close()
    return middle(costs), differences


def attach(connection: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
    """Open the file as soon as the server, which writes it out when it ends, has let go of it."""
    deadline = time.monotonic() + 120
    while True:
        try:
            connection.execute(f"attach '{path}' as {name} (read_only)")
        except duckdb.IOException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return
