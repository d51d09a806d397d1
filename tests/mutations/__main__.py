"""Break the models in every way in the catalog, and check that the suite notices each.

    python -m tests.mutations [--only TEXT] [--jobs N] [--markdown]

Each mutation gets a separate copy of the project; the working tree is never changed. The exit
code is 1 if a mutation survives, cannot be applied, or breaks the SQL instead of its meaning.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sync.settings import PROJECT_ROOT
from tests.mutations.catalog import MUTATIONS
from tests.mutations.mutation import Mutation, StaleMutation, apply

COPIED = (
    "dbt_project.yml",
    "profiles.yml",
    "pyproject.toml",
    "dbt_project",
    "sync",
    "orchestration",
    "tests",
)
LIMIT_SECONDS = 600
NOT_A_CATCH = ("Database Error", "Compilation Error", "Parsing Error")
"""dbt refused the SQL: the mutation has a mistake, and nothing was shown."""
UNBROKEN = Mutation("nothing (the control)", (), ())


@dataclass(frozen=True)
class Verdict:
    """The outcome of one mutation."""

    mutation: Mutation
    is_caught: bool
    remark: str
    seconds: float


@dataclass(frozen=True)
class Run:
    """Outcome of each test case, by ``module::name``; empty text for one that passed."""

    failures: dict[str, str]

    def failures_of(self, node: str) -> list[str]:
        """Texts of the failures of a file, or of one test in it with all its parameters."""
        path, _, name = node.partition("::")
        module = path.removesuffix(".py").replace("/", ".")
        return [
            text
            for case, text in self.failures.items()
            if text and case.split("::")[0] == module and case.split("::")[1].startswith(name)
        ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the process exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--only", default="", help="mutations whose name contains this")
    parser.add_argument("--jobs", type=int, default=2, help="how many at the same time")
    parser.add_argument("--markdown", action="store_true", help="the table for the documentation")
    options = parser.parse_args(arguments)
    chosen = [one for one in MUTATIONS if options.only in one.name]
    console = Console(stderr=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutations-") as place:
        control = check_control(chosen, Path(place))
        console.print(f"control: {control.remark} in {control.seconds:.0f} s")
        if not control.is_caught:
            return 1
        with ThreadPoolExecutor(options.jobs) as pool:
            verdicts = []
            for verdict in pool.map(lambda one: check(one, Path(place)), chosen):
                verdicts.append(verdict)
                mark = "caught" if verdict.is_caught else "SURVIVED"
                console.print(f"{mark}: {verdict.mutation.name} ({verdict.seconds:.0f} s)")
    print(markdown(verdicts)) if options.markdown else Console().print(table(verdicts))
    escaped = [one for one in verdicts if not one.is_caught]
    console.print(
        f"{len(verdicts) - len(escaped)} of {len(verdicts)} caught "
        f"in {time.monotonic() - started:.0f} s"
    )
    return 1 if escaped else 0


def check_control(chosen: Sequence[Mutation], place: Path) -> Verdict:
    """All tests that must catch a mutation pass while nothing is broken."""
    nodes = sorted({node for one in chosen for node in one.caught_by})
    started = time.monotonic()
    run = run_tests(nodes, copy_project(UNBROKEN, place))
    broken = sorted(case for case, text in run.failures.items() if text)
    if not run.failures:
        remark = "no test ran"
    elif broken:
        remark = "failed without a mutation: " + ", ".join(broken)
    else:
        remark = f"{len(run.failures)} tests pass"
    is_good = bool(run.failures) and not broken
    return Verdict(UNBROKEN, is_good, remark, time.monotonic() - started)


def check(mutation: Mutation, place: Path) -> Verdict:
    """Run the tests that must fail against a copy broken in this way."""
    started = time.monotonic()
    try:
        project = copy_project(mutation, place)
    except StaleMutation as stale:
        return Verdict(mutation, False, str(stale), 0.0)
    run = run_tests(mutation.caught_by, project)
    shutil.rmtree(project)
    survived = [node for node in mutation.caught_by if not run.failures_of(node)]
    texts = [text for node in mutation.caught_by for text in run.failures_of(node)]
    refused = [text for text in texts if any(mark in text for mark in NOT_A_CATCH)]
    if survived:
        remark = "not caught by " + ", ".join(survived)
    elif refused:
        remark = "dbt refused the SQL: " + refused[0][:300]
    else:
        remark = ""
    return Verdict(mutation, not remark, remark, time.monotonic() - started)


def copy_project(mutation: Mutation, place: Path) -> Path:
    """A copy of what dbt and the tests need, with the mutation applied."""
    project = Path(tempfile.mkdtemp(dir=place))
    ignored = shutil.ignore_patterns("__pycache__", "target", "logs")
    for name in COPIED:
        source = PROJECT_ROOT / name
        if source.is_dir():
            shutil.copytree(source, project / name, ignore=ignored)
        else:
            shutil.copy(source, project / name)
    apply(mutation, project)
    return project


def run_tests(nodes: Sequence[str], project: Path) -> Run:
    """Run the tests of the copy; its modules come before the installed ones."""
    report = project / "report.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--junitxml={report}",
    ]
    environment = os.environ | {"PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        subprocess.run(
            [*command, *nodes],
            cwd=project,
            env=environment,
            capture_output=True,
            check=False,
            timeout=LIMIT_SECONDS,
        )
        cases = ET.parse(report).iter("testcase")  # noqa: S314 (pytest wrote it a moment ago)
    except (subprocess.TimeoutExpired, OSError, ET.ParseError):
        return Run({})
    return Run({f"{one.get('classname')}::{one.get('name')}": _problem(one) for one in cases})


def _problem(case: ET.Element) -> str:
    found = [*case.findall("failure"), *case.findall("error")]
    return "\n".join(f"{one.get('message')}\n{one.text}" for one in found)


def table(verdicts: Sequence[Verdict]) -> Table:
    """For a terminal."""
    shown = Table("mutation", "caught by", "seconds", "remark")
    for one in verdicts:
        caught_by = "\n".join(node.rpartition("::")[2] for node in one.mutation.caught_by)
        shown.add_row(one.mutation.name, caught_by, f"{one.seconds:.0f}", one.remark)
    return shown


def markdown(verdicts: Sequence[Verdict]) -> str:
    """For the documentation."""
    rows = ["| broken so that | a test that notices |", "|---|---|"]
    for one in verdicts:
        nodes = [node.rpartition("::")[2].removeprefix("test_") for node in one.mutation.caught_by]
        caught_by = "; ".join(f"`{node}`" for node in nodes) if one.is_caught else "none"
        rows.append(f"| {one.mutation.name} | {caught_by} |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
