"""Every config example and command in the operator's documents works with the real definitions."""

from __future__ import annotations

import configparser
import re
import shlex
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest
import yaml

from orchestration.config import VARIABLES, EnrichmentConfig
from sync.cli.operations import option_of
from sync.delivery.flag import flag_settings
from sync.domain.endpoint import EndpointSettings
from sync.ledger.tables import ensure_ledger
from sync.operations import catalog
from sync.operations.endpoint_settings import SetEndpoint
from sync.settings import PROJECT_ROOT
from sync.warehouse import Warehouse
from tests.support.command_line import Command, command_line
from tests.support.dbt import Dbt
from tests.support.definitions import load_definitions
from tests.support.doubles import returning
from tests.support.marts import create_marts, create_table, endpoint

FLAG = (PROJECT_ROOT / "docs" / "feature-flag.md").read_text(encoding="utf-8")
OPERATIONS = (PROJECT_ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
DOCUMENTS = {"feature-flag": FLAG, "operations": OPERATIONS}
JOB_OF = {"sync": "completion_webhooks_job"}
"""By the first part of an op's name; the op of any other job has the job's name."""
AHEAD = re.compile(r"(?<=--until )\d{4}")
"""The year until which something lasts."""
REQUEST_OF = {kind.name.replace("-", "_"): kind for kind in catalog.OPERATIONS}


def blocks(text: str, language: str) -> list[str]:
    """Fenced blocks; those inside a list are indented."""
    pattern = rf"^( *)```{language}\n(.*?)^\1```"
    return [
        re.sub(rf"^{indent}", "", block, flags=re.MULTILINE)
        for indent, block in re.findall(pattern, text, flags=re.DOTALL | re.MULTILINE)
    ]


def every(language: str) -> list[Any]:
    """Blocks of a language in all documents, each with the name of its document."""
    return [
        pytest.param(block, id=f"{name}-{n}")
        for name, text in DOCUMENTS.items()
        for n, block in enumerate(blocks(text, language))
    ]


RUN_CONFIGS = [one for one in every("yaml") if "ops:" in one.values[0]]
VALUES = [one for one in every("yaml") if "ops:" not in one.values[0]]
COMMANDS = [
    pytest.param(line, id=f"{one.id}-{n}")
    for one in every("sh")
    for n, line in enumerate(str(one.values[0]).splitlines())
    if line.startswith(".venv/bin/")
]


@pytest.fixture
def defs(warehouse: Warehouse, dbt: Dbt) -> dg.Definitions:
    return load_definitions(dbt)


def test_nothing_was_overlooked() -> None:
    assert (len(RUN_CONFIGS), len(VALUES), len(COMMANDS)) >= (12, 1, 11)
    assert sum(text.count("```") for text in DOCUMENTS.values()) == 2 * sum(
        len(every(language)) for language in ("yaml", "sh", "python", "json", "ini", "sql")
    )


@pytest.mark.parametrize("block", RUN_CONFIGS)
def test_a_run_config_is_one_that_its_job_takes(
    block: str, defs: dg.Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_LEARNING_TIME_SWITCH", "true")
    config = yaml.safe_load(block)
    for name, given in config["ops"].items():
        job = JOB_OF.get(name.split("__")[0], f"{name}_job")
        dg.validate_run_config(defs.resolve_job_def(job), {"ops": {name: given}})
        if name in REQUEST_OF:
            REQUEST_OF[name].read(given["config"])
        elif name.endswith("enriched_completions") and "env" not in str(given):
            EnrichmentConfig(**given["config"])


@pytest.mark.parametrize(
    "wrong",
    [
        "ops: {sync__enriched_completions: {config: {enable_learning_time: true}}}",
        "ops: {replay: {config: {confirm: 3}}}",
    ],
)
def test_that_would_notice_a_setting_that_does_not_exist(wrong: str, defs: dg.Definitions) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError):
        test_a_run_config_is_one_that_its_job_takes(wrong, defs, pytest.MonkeyPatch())


def test_the_schedule_in_code_gives_its_job_a_config_that_it_takes(defs: dg.Definitions) -> None:
    (block,) = blocks(FLAG, "python")
    schedule = eval(block, {"dg": dg})  # noqa: S307
    assert schedule.cron_schedule == "12 * * * *"
    tick = schedule.evaluate_tick(dg.build_schedule_context())
    (request,) = tick.run_requests
    job = defs.resolve_job_def(schedule.job_name)
    assert dg.validate_run_config(job, request.run_config)


@pytest.mark.parametrize("block", VALUES)
def test_helm_values_are_texts_of_known_variables(block: str) -> None:
    environ = yaml.safe_load(block)["env"]
    assert set(environ) <= set(VARIABLES.values())
    assert all(isinstance(value, str) for value in environ.values())
    assert flag_settings(environ).enabled
    helm = (PROJECT_ROOT / "deploy" / "kubernetes" / "values.yaml").read_text(encoding="utf-8")
    assert "ENABLE_WEBHOOK_LEARNING_TIME_ENRICHMENT" in helm


def test_the_lines_of_an_environment_file_are_understood() -> None:
    (block,) = blocks(FLAG, "ini")
    parser = configparser.ConfigParser()
    parser.optionxform = str  # pyright: ignore[reportAttributeAccessIssue]
    parser.read_string(f"[env]\n{block}")
    found = flag_settings(dict(parser["env"]))
    assert (found.enabled, found.rollout_percentage, found.max_wait_minutes) == (True, 25, 90)
    assert len(found.enterprise_allowlist) == 2
    assert set(dict(parser["env"])) <= set(VARIABLES.values())


def test_the_variables_before_make_dev_are_understood() -> None:
    (line,) = [one for one in blocks(FLAG, "sh") if one.strip().endswith("make dev")]
    environ = dict(word.split("=", 1) for word in line.split()[:-2])
    assert set(environ) <= set(VARIABLES.values())
    assert flag_settings(environ).describe() == "on, for 25% of learners' course runs"


def test_every_setting_is_explained_with_its_default_and_variable() -> None:
    for name, field in EnrichmentConfig.model_fields.items():
        default = "empty" if field.default == [] else f"`{str(field.default).lower()}`"
        assert f"| `{name}` | {default} | `{VARIABLES[name]}` |" in FLAG


@pytest.fixture
def operated(warehouse: Warehouse, dbt: Dbt) -> Warehouse:
    """A ledger, stand-in marts with endpoint 1, and the real view of deliveries."""
    ensure_ledger(warehouse)
    create_marts(warehouse, endpoints=[endpoint(1, "https://hooks.example.com/in")])
    create_table(warehouse, "learning_time_watermark", {"computed_through": "timestamp_ntz"}, [])
    dbt("run", "--select", "+webhook_deliveries")
    return warehouse


def test_every_command_works(
    operated: Warehouse, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """In order, on one warehouse: building the view takes most of the time."""
    ltw: Command = command_line(monkeypatch, capfd)
    # The times in the documents will have passed one day.
    next_year = str(datetime.now(UTC).year + 1)
    assert sum(bool(AHEAD.search(str(one.values[0]))) for one in COMMANDS) > 2
    # The names of documents have no address.
    returning(monkeypatch, "sync.http.destination.vet", [])
    for one in COMMANDS:
        line = AHEAD.sub(next_year, str(one.values[0]))
        said = ltw(*shlex.split(line)[1:])
        assert said.code == 0, f"{line}\n{said.err}"


def test_commands_in_the_text_exist_with_their_options(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    ltw = command_line(monkeypatch, capfd)
    spans = [line for text in DOCUMENTS.values() for line in re.findall(r"`ltw ([^`]+)`", text)]
    assert len(spans) > 8
    for span in spans:
        words = span.split()
        names = words[:2] if words[0] == "endpoints" else words[:1]
        shown = ltw(*names, "--help").text
        for option in [word for word in words if word.startswith("--")]:
            assert option in shown, span


def test_the_names_in_the_text_are_those_of_the_definitions(defs: dg.Definitions) -> None:
    for job in defs.resolve_all_job_defs():
        if not job.name.startswith("__"):
            assert f"| `{job.name}` |" in OPERATIONS, job.name
    repository = defs.get_repository_def()
    for one in (*repository.schedule_defs, *repository.sensor_defs):
        assert f"| `{one.name}` |" in OPERATIONS, one.name


def test_each_setting_of_an_endpoint_is_explained_as_it_is_declared() -> None:
    for name, stored in EndpointSettings().stored().items():
        field = EndpointSettings.model_fields[name]
        default = {True: "on", False: "off", "": "none"}.get(stored, f"`{stored}`")
        option = option_of(SetEndpoint, name).split("/")[0]
        row = f"| `{option}` | `{name}` | {default} | {field.description} |"
        assert row in OPERATIONS, row


def test_the_alert_function_is_one_that_can_be_called() -> None:
    (block,) = blocks(OPERATIONS, "python")
    names: dict[str, Any] = {}
    exec(compile(block, "operations.md", "exec"), names)  # noqa: S102
    assert callable(names["mail"])
