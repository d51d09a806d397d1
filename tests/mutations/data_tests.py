"""Put one fault at a time into each data test, and check that one of its cases notices.

    python -m tests.mutations.data_tests [--only TEXT]

Faults are in the SQL, the thresholds and the severity. The exit code is 1 if a fault survives that
is not listed as harmless, or if a listed one no longer exists or is noticed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dbt.cli.main import dbtRunner

from sync.local.embedded.lifecycle import ensure_running, free_port, stop
from sync.settings import EmbeddedWarehouse
from sync.warehouse import StatementFailed, Warehouse, open_warehouse
from tests.dbt.failing_rows import PROOFS
from tests.dbt.scenario import prepare
from tests.mutations.faults import faults
from tests.support.data_tests import DataTest, Judge, Proof, compiled_data_tests

OPERATORS = {">": ">=", ">=": ">", "!=": "="}
SHOWN = "rows are counted, and grouped for whoever reads them"
HELD = (
    "assert_no_webhook_is_held_for_long",
    "group by enterprise_customer_uuid, endpoint_id, state_reason → without {}",
)
EQUIVALENT: dict[tuple[str, str], str] = {
    (
        "assert_completion_time_lies_between_days",
        "learning_time_seconds = seconds_ever → GTE",
    ): "more than there ever was is more than up to the day of completion",
    (
        "assert_few_webhooks_are_given_up",
        "state = 'dead' → LTE",
    ): "the other state is greater",
    (
        "assert_learning_time_is_the_days_of_its_learners",
        "left join course_team on daily.user_id = course_team.user_id and daily.courserun_key = "
        "course_tea... → FULL join",
    ): "what is in no day is left out in the next line",
    (
        "assert_learning_time_keeps_up",
        "floor(datediff(minute, computed_through, sysdate()) / 60) → left out",
    ): "whole hours are for whoever reads them",
    (
        "assert_prefix_patterns_do_not_overlap",
        "shorter.pattern <> longer.pattern → LT",
    ): "a text is less than what begins with it",
    **{
        (HELD[0], HELD[1].format(column)): SHOWN
        for column in ("enterprise_customer_uuid", "endpoint_id", "state_reason")
    },
}
"""Faults that no rows could show, with the reason, by data test and fault."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the process exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations.data_tests")
    parser.add_argument("--only", default="", help="data tests whose name contains this")
    options = parser.parse_args(arguments)
    chosen = {name: proof for name, proof in PROOFS.items() if options.only in name}
    started = time.monotonic()
    counts: Counter[str] = Counter()
    survivors: set[tuple[str, str]] = set()
    with built_warehouse() as (warehouse, tests):
        judge = Judge(warehouse)
        for name, proof in sorted(chosen.items()):
            assert is_noticed(judge, tests[name], proof) is False, f"{name} fails unbroken"
            for fault, broken in broken_tests(tests[name]):
                match is_noticed(judge, broken, proof):
                    case None:
                        counts["refused by the engine"] += 1
                    case True:
                        counts["noticed"] += 1
                    case False if (name, fault) in EQUIVALENT:
                        counts["known to change nothing"] += 1
                        survivors.add((name, fault))
                    case False:
                        counts["SURVIVED"] += 1
                        print(f"SURVIVED {name}: {fault}", flush=True)
    stale = [key for key in EQUIVALENT if key[0] in chosen and key not in survivors]
    for name, fault in stale:
        print(f"no longer equivalent, or gone: {name}: {fault}")
    print(f"{len(chosen)} data tests, {sum(counts.values())} faults: {dict(counts)}")
    print(f"{time.monotonic() - started:.0f} s")
    return 1 if counts["SURVIVED"] or stale else 0


def broken_tests(test: DataTest) -> Iterator[tuple[str, DataTest]]:
    """Each single fault of a data test."""
    for fault, sql in faults(test.sql, test.fail_calc):
        yield fault, replace(test, sql=sql)
    thresholds = ("warn_if",) if test.severity == "warn" else ("warn_if", "error_if")
    for threshold in thresholds if len(test.statuses) > 1 else thresholds[-1:]:
        operator, number = getattr(test, threshold).split()
        for changed in (
            f"{OPERATORS[operator]} {number}",
            f"{operator} {int(number) + 1}",
            *([f"{operator} {int(number) - 1}"] if operator != "!=" else []),
        ):
            yield f"{threshold}: {changed}", replace(test, **{threshold: changed})
    other = "warn" if test.severity == "error" else "error"
    yield f"severity: {other}", replace(test, severity=other)


def is_noticed(judge: Judge, test: DataTest, proof: Proof) -> bool | None:
    """Whether a case has the wrong outcome; None if the engine refuses the SQL."""
    try:
        found = judge.statuses(test, {case: rows for case, rows, _ in proof.cases()})
        return any(found[case] != status for case, _, status in proof.cases())
    except StatementFailed:
        return None


@contextmanager
def built_warehouse() -> Iterator[tuple[Warehouse, dict[str, DataTest]]]:
    """A separate warehouse with every model, without rows, and the compiled data tests."""
    with tempfile.TemporaryDirectory(prefix="mutations-", ignore_cleanup_errors=True) as home:
        settings = EmbeddedWarehouse(port=free_port(), home=Path(home))
        target = settings.home / "target"
        ensure_running(settings)
        try:
            with open_warehouse(settings, purpose="tests") as warehouse:
                prepare(warehouse)
                build = ("build", "--resource-type", "model", "--resource-type", "seed")
                for command in (build, ("compile", "--select", "resource_type:test")):
                    run_dbt(settings, target, *command)
                text = (target / "manifest.json").read_text(encoding="utf-8")
                yield warehouse, compiled_data_tests(json.loads(text))
        finally:
            stop(settings)


def run_dbt(settings: EmbeddedWarehouse, target: Path, *command: str) -> None:
    """A dbt command against a warehouse that the environment does not name."""
    os.environ["LTW_WAREHOUSE_PORT"] = str(settings.port)
    places = ("--target-path", str(target), "--log-path", str(target))
    result = dbtRunner().invoke(["--quiet", *command, *places])
    assert result.success, result.exception


if __name__ == "__main__":
    sys.exit(main())
