"""Runs ``docs/tutorial.md`` and ``docs/first-day.md``: every command works, and prints what is
shown.

``tests/dev`` runs part 1. In the first day, and in part 2 after it, the embedded warehouse replaces
the reader's account, with raw tables under the other names in the text. The commands, options,
settings and vars are those of the text; only the connection to Snowflake differs.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlglot
import yaml

from sync.http.headers import TEST_HEADER
from sync.http.network import DEVELOPMENT_SETTING
from sync.http.secrets import SecretStore
from sync.local.embedded.lifecycle import stop
from sync.local.receiver import running_receiver
from sync.local.sample_data import SampleSize
from sync.settings import (
    PROJECT_ROOT,
    EmbeddedWarehouse,
    SnowflakeWarehouse,
    dbt_vars,
    load_settings,
)
from tests.support.dev import dev_environment, fetch
from tests.support.document_blocks import Block
from tests.support.walkthrough import LEFT_OUT, Terminal, copy_of_the_project, parts, walk

JOB = "completion_webhooks_job"
SNOWFLAKE = ("SNOWFLAKE_", "DBT_TARGET")
"""Settings that connect the commands to Snowflake."""
LOAD_SAMPLE = """
import json, os, sys
from datetime import datetime
from pathlib import Path
from sync.local.embedded.lifecycle import ensure_running
from sync.local.sample_data import SampleSize, generate, load_sample, write_files
from sync.local.sample_data import write_secrets
from sync.local.raw_tables import create_raw_tables
from sync.settings import load_settings
from sync.local.tracking_logs import load_logs
from sync.warehouse import open_warehouse

home, start, receiver, keys = sys.argv[1:]
settings = load_settings(os.environ)
ensure_running(settings)
data = generate(
    SampleSize(), seed=2026, start=datetime.fromisoformat(start), receiver_url=receiver
)
write_secrets(data.endpoints, sender=Path(keys), receiver=Path(home) / "known")
with open_warehouse(settings, purpose="tests") as session:
    session.execute("create database if not exists lake")
    create_raw_tables(session)
    for index, wave in enumerate(data.waves):
        load_sample(session, wave)
        load_logs(session, write_files(Path(home) / str(index), wave), progress=lambda _: None)
    logs = session.raw_relation("tracking", "tracking_logs")
print(json.dumps({"logs": logs, "endpoints": {x.endpoint_id: x.name for x in data.endpoints}}))
"""
"""What replication would have loaded into the account; run in the copy to use its vars."""


QUICK_LOOK = """.venv/bin/python -c '
import sys
from sync import cli
from sync.operations.doctor import doctor
doctor.CHECKS = [one for one in doctor.CHECKS if one.name not in ("models", "statements")]
sys.argv = ["ltw", "doctor"]
cli.main()
'"""
"""The doctor without its two slowest checks."""


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Terminal]:
    """A terminal with an empty warehouse."""
    folder = copy_of_the_project(tmp_path)
    environment = dev_environment(tmp_path) | {"PYTHONPATH": str(folder)}
    settings = EmbeddedWarehouse(
        port=int(environment["LTW_WAREHOUSE_PORT"]), home=Path(environment["LTW_HOME"])
    )
    Path(environment["DAGSTER_HOME"]).mkdir(parents=True)
    try:
        yield Terminal(folder, environment)
    finally:
        stop(settings)


@pytest.mark.prove
def test_part_2_your_own_account(account: Terminal, tmp_path: Path) -> None:
    known = tmp_path / "known"
    with running_receiver(secrets=SecretStore({}, known)) as receiver:
        account.environment[DEVELOPMENT_SETTING] = receiver.url.removeprefix("http://")
        keys = account.folder / "deploy" / "secrets"
        names: dict[int, str] = {}

        def settle(block: Block) -> None:
            account.run(block)
            chosen = load_settings(account.environment)
            assert isinstance(chosen, SnowflakeWarehouse)
            assert "BEGIN PRIVATE KEY" in Path(chosen.private_key_path).read_text()
            # From here on the embedded warehouse is the account.
            for name in [one for one in account.environment if one.startswith(SNOWFLAKE)]:
                del account.environment[name]

        def map_tables(block: Block) -> None:
            edit_vars(account.folder / "dbt_project.yml", yaml.safe_load(block.text))
            activated_at = datetime.fromisoformat(account.environment["WEBHOOKS_ACTIVATED_AT"])
            start = activated_at - timedelta(days=SampleSize().days_per_wave)
            arguments = [str(tmp_path), start.isoformat(), receiver.url, str(keys)]
            loaded = json.loads(account.python("-c", LOAD_SAMPLE, *arguments))
            assert loaded["logs"] == "LAKE.OPENEDX_EVENTS.TRACKING_LOGS"
            names.update({int(key): name for key, name in loaded["endpoints"].items()})

        def look(block: Block) -> None:
            # Code that reads the models is compiled once, when they exist.
            text = block.text if names else block.text.replace(".venv/bin/ltw doctor", QUICK_LOOK)
            # Checks fail before there are raw tables, as the text says.
            account.run(replace(block, text=text), codes=(0, 1))

        def make_key(block: Block) -> None:
            account.run(block)
            # Its owner gets the same text.
            shutil.copy(keys / "webhook-signing-1", known / names[1])

        def launch(block: Block) -> None:
            if "dry_run" not in block.text:
                return  # test_commands.py checks that Dagster accepts it
            runs = [{"job": JOB, "config": yaml.safe_load(block.text)}, {"job": JOB}]
            lines = "".join(json.dumps(one) + "\n" for one in runs)
            dry, real = account.python("-m", "orchestration.run_jobs", given=lines).splitlines()
            for answer in (json.loads(dry), json.loads(real)):
                assert answer["success"], answer["failures"]
            metadata = json.loads(dry)["metadata"]
            assert metadata["sync/completion_webhooks"]["dry_run"] is True

        walk(
            account,
            parts()[1],
            {
                "alter user": is_snowflakes,
                # Before there are raw tables it fails, as the text says.
                ".venv/bin/ltw doctor": look,
                ".venv/bin/dbt debug": look,
                "cat > deploy/secrets/settings.sh": settle,
                "vars:": map_tables,
                'echo "whsec_': make_key,
                "ops:": launch,
            },
        )
        got = json.loads(fetch(f"{receiver.url}/api/webhooks?limit=2000") or "")["webhooks"]
    completions = [one for one in got if TEST_HEADER not in one["headers"]]
    to_first = [one for one in completions if one["endpoint"] == names[1]]
    assert to_first
    assert {one["verification"] for one in to_first} == {"verified"}
    assert [one for one in completions if one["endpoint"] == names[2]] == [], "it was off"
    tested = {one["endpoint"] for one in got if TEST_HEADER in one["headers"]}
    assert tested == {names[1], names[2]}, "one by check and test-send, the other by enable"


def is_snowflakes(block: Block) -> None:
    """A statement that only a real account can run: it parses, and its user is the created one."""
    (parsed,) = sqlglot.parse(block.text, read="snowflake")
    assert parsed is not None
    setup = (PROJECT_ROOT / "deploy" / "snowflake" / "setup.sql").read_text(encoding="utf-8")
    assert f"create user if not exists {block.text.split()[2]}" in setup


def edit_vars(path: Path, wanted: Mapping[str, Any]) -> None:
    """Set the values of the text in ``dbt_project.yml``, line by line, like an editor."""
    text = path.read_text(encoding="utf-8")
    values = wanted["vars"][yaml.safe_load(text)["name"]]
    assert list(values) == list(dbt_vars())[: len(values)], "the first six, in their order"
    for name, value in values.items():
        text, count = re.subn(
            rf"^    {name}: .*$", f"    {name}: {value}", text, flags=re.MULTILINE
        )
        assert count == 1, name
    path.write_text(text, encoding="utf-8")


def test_every_block_that_is_left_out_is_there() -> None:
    texts = [one.text for part in parts() for one in part]
    assert [one for one in LEFT_OUT if not any(text.startswith(one) for text in texts)] == []
