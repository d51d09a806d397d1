"""Checks every shell, YAML and SQL block of every document against what exists.

The command line itself parses our commands, and dbt parses dbt's; a make target is looked up, a run
config is given to its job, and a query runs on the built models. Blocks that another test covers
more thoroughly, or that cannot run here, are listed below with the reason.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click
import dagster as dg
import pytest
import typer
import yaml
from dbt.cli.main import cli as dbt_command

from sync import cli
from sync.settings import PROJECT_ROOT
from sync.warehouse import Warehouse, open_warehouse
from tests.dbt.scenario import stand_models
from tests.support.dbt import Dbt
from tests.support.definitions import load_definitions
from tests.support.document_blocks import Block, blocks_of, documents
from tests.support.scenarios import Scenarios

LANGUAGES = ("sh", "bash", "yaml", "sql")
ELSEWHERE: Mapping[str, str] = {
    "docs/tutorial.md": "tests/dev runs every block of part 1, test_tutorial.py of part 2",
    "docs/first-day.md": "tests/documents/test_tutorial.py runs every block",
    "docs/feature-flag.md": "tests/documents/test_operating_documents.py",
    "docs/operations.md": "tests/documents/test_operating_documents.py",
    "docs/deployment.md": "tests/deploy/test_deployment_document.py",
    "docs/formats.md": "tests/documents/test_formats.py carries out each step",
    "docs/your-replica.md": "tests/documents/test_your_replica.py builds with every block",
}
"""Documents with a more thorough test: where it is and what it covers."""
NOT_RUN: Mapping[tuple[str, str], str] = {
    ("docs/erasure.md", "delete from raw.tracking.tracking_logs"): (
        "tests/dbt/test_erasure.py runs these statements"
    ),
    ("docs/receiving.md", "url=http://127.0.0.1:8080/webhooks"): (
        "tests/documents/test_receiving.py sends it to a receiver"
    ),
    ("docs/observability.md", "groups:"): "rules for a Prometheus that is not here",
    (
        "docs/events.md",
        "type: orchestration.components.webhook_event.WebhookEventComponent",
    ): "tests/documents/test_events.py runs it",
}
"""Blocks without a command or config of ours: document, first line, reason."""
USAGE_ERRORS = (click.UsageError, typer.BadParameter.__bases__[0])
"""From dbt's click and from the one that typer bundles."""
VARIABLE = re.compile(r"^(?:export )?[A-Z][A-Z0-9_]*=\S*$")
BLOCKS = [block for path in documents() for block in blocks_of(path) if block.language in LANGUAGES]
HERE = [one for one in BLOCKS if one.document not in ELSEWHERE]


def is_named(block: Block) -> bool:
    return (block.document, block.text.split("\n")[0]) in NOT_RUN


COMMANDS = [
    pytest.param(line, id=f"{block.document}:{block.line} {line[:40]}")
    for block in HERE
    if block.language in ("sh", "bash") and not is_named(block)
    for line in block.commands()
]
CONFIGS = [
    pytest.param(block.text, id=str(block))
    for block in HERE
    if block.language == "yaml" and not is_named(block)
]


def parse(command: Any, name: str, words: list[str]) -> None:
    """Parse like the program, down to the last subcommand, without running anything.

    Raises:
        click.UsageError: no such command, option or value; or that of typer's own click.
    """
    if hasattr(command, "commands"):
        found = command.commands.get(words[0] if words else "")
        if found is None:
            raise click.UsageError(f"{name} has no command {words[:1]}")
        parse(found, words[0], words[1:])
    else:
        command.make_context(name, list(words))


def ours(words: list[str]) -> None:
    parse(typer.main.get_command(cli.app), "ltw", words)


def of_dbt(words: list[str]) -> None:
    parse(dbt_command, "dbt", words)


def of_python(words: list[str]) -> None:
    assert words[:2] == ["-m", "pytest"], words
    paths = [one for one in words[2:] if one.startswith("tests")]
    assert [one for one in paths if not (PROJECT_ROOT / one).exists()] == []
    if "-k" in words:
        tests = "".join((PROJECT_ROOT / one).read_text(encoding="utf-8") for one in paths)
        assert re.search(rf"def test_\w*{words[words.index('-k') + 1]}", tests), "no such test"


def of_sqlfluff(words: list[str]) -> None:
    assert words[0] == "lint"
    assert [one for one in words[1:] if not (PROJECT_ROOT / one).exists()] == []


def of_make(words: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (PROJECT_ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [one for one in words if "=" not in one and one not in targets] == []


PROGRAMS: Mapping[str, Callable[[list[str]], None]] = {
    "make": of_make,
    "ltw": ours,
    "learning-time-webhooks": ours,
    "dbt": of_dbt,
    "python": of_python,
    "sqlfluff": of_sqlfluff,
}


def understand(line: str) -> None:
    """One line of a shell block; settings before the command are allowed."""
    if VARIABLE.match(line):
        return
    words = [one for one in shlex.split(line) if not VARIABLE.match(one)]
    program = words[0].removeprefix(".venv/bin/")
    assert program in PROGRAMS, f"{line}: name it in NOT_RUN with a reason, or test it"
    PROGRAMS[program](words[1:])


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_one_that_its_program_takes(line: str) -> None:
    understand(line)


@pytest.mark.parametrize(
    "line",
    [
        "ltw statuses",
        "ltw preview --enriched",
        "ltw replay --state gone",
        ".venv/bin/dbt build --profile-dirs dbt_project",
        "make demos",
        ".venv/bin/python -m pytest tests/nowhere",
        "curl https://example.com",
    ],
)
def test_that_would_notice_a_command_that_is_none(line: str) -> None:
    with pytest.raises((*USAGE_ERRORS, AssertionError)):
        understand(line)


@pytest.mark.parametrize("text", CONFIGS)
def test_a_config_is_one_that_a_job_takes(text: str, dbt: Dbt) -> None:
    config = yaml.safe_load(text)
    assert set(config) == {"ops"}, "name it in NOT_RUN with a reason, or test it"
    defs = load_definitions(dbt)
    operations = {one.name for one in defs.jobs or [] if one.name.endswith("_job")}
    for op, given in config["ops"].items():
        job = "completion_webhooks_job" if op.startswith("sync__") else "learning_time_job"
        job = f"{op}_job" if f"{op}_job" in operations else job
        assert dg.validate_run_config(defs.resolve_job_def(job), {"ops": {op: given}})


QUERIES = [
    pytest.param(found.group(1), id=f"{block.document}:{block.line}")
    for block in HERE
    for line in (block.commands() if block.language in ("sh", "bash") else [])
    if (found := re.search(r'warehouse sql "(.*)"$', line))
]


@pytest.fixture(scope="module")
def built(scenarios: Scenarios, dbt: Dbt) -> Iterator[Warehouse]:
    """Every model and the ledger, without rows."""
    stand_models(scenarios, dbt)
    with open_warehouse(scenarios.settings, purpose="tests") as session:
        yield session


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_reads_what_is_there(query: str, built: Warehouse) -> None:
    assert built.rows(query) is not None


def test_every_sql_block_stands_in_a_document_with_a_test_of_its_own() -> None:
    assert [str(one) for one in HERE if one.language == "sql" and not is_named(one)] == []


def test_every_exception_is_still_there() -> None:
    found = {(one.document, one.text.split("\n")[0]) for one in BLOCKS}
    assert [one for one in NOT_RUN if one not in found] == []
    named = {path.relative_to(PROJECT_ROOT).as_posix() for path in documents()}
    assert [one for one in ELSEWHERE if one not in named] == []


def test_each_document_is_looked_at() -> None:
    assert len({one.document for one in BLOCKS}) >= 8
    assert len(COMMANDS) >= 20


def test_the_readme_leads_to_each_document() -> None:
    readme = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    names = [path.relative_to(PROJECT_ROOT).as_posix() for path in documents()]
    assert [one for one in names if one != "README.md" and f"]({one})" not in readme] == []
