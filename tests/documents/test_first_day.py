"""``docs/first-day.md``: its vars are those that the code reads, its names are the doctor's.

``test_tutorial.py`` runs its commands.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from sync import settings as settings_module
from sync.local.embedded.lifecycle import free_port
from sync.local.raw_tables import create_raw_tables
from sync.operations.doctor import compiled, rights
from sync.operations.doctor.check import Verdict, examine
from sync.operations.doctor.doctor import CHECKS
from sync.settings import PROJECT_ROOT, EmbeddedWarehouse
from sync.warehouse import open_warehouse
from tests.documents.test_tutorial import edit_vars
from tests.support.document_blocks import blocks_of
from tests.support.scenarios import running_server
from tests.support.walkthrough import FIRST_DAY

TEXT = FIRST_DAY.read_text(encoding="utf-8")


def test_the_vars_are_those_that_models_commands_and_the_doctor_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    manifest: dict[str, Any],
) -> None:
    """``test_tutorial.py`` builds with them."""
    (block,) = (yaml.safe_load(one.text) for one in blocks_of(FIRST_DAY) if one.language == "yaml")
    edited = tmp_path / "dbt_project.yml"
    shutil.copy(PROJECT_ROOT / "dbt_project.yml", edited)
    edit_vars(edited, block)
    variables = yaml.safe_load(edited.read_text(encoding="utf-8"))["vars"]["learning_time_webhooks"]
    own = EmbeddedWarehouse(port=free_port(), home=tmp_path)
    monkeypatch.setenv("LTW_WAREHOUSE_PORT", str(own.port))
    environ = {"LTW_WAREHOUSE_PORT": str(own.port), "LTW_HOME": str(tmp_path)}
    checks = (*rights.CHECKS[:2], compiled.CHECKS[0])
    monkeypatch.setattr(settings_module, "dbt_vars", lambda: variables)
    with running_server(own), open_warehouse(own, purpose="tests") as session:
        session.execute("create database if not exists lake")
        before, _ = examine(checks, environ)
        create_raw_tables(session)
        after, _ = examine(checks, environ)
    assert before[0].finding.verdict is Verdict.FAILED
    assert "LAKE.OPENEDX_EVENTS.TRACKING_LOGS" in before[0].finding.detail
    assert {one.finding.verdict for one in after} == {Verdict.OK}
    places = [
        f"{source['unrendered_database']}.{source['unrendered_schema']}"
        for source in manifest["sources"].values()
        if source["source_name"] != "sync"
    ]
    named = {name for place in places for name in re.findall(r"\{\{ var\('(\w+)'\) \}\}", place)}
    assert named == set(block["vars"]["learning_time_webhooks"])


def test_the_minutes_of_the_steps_are_an_hour() -> None:
    assert sum(int(one) for one in re.findall(r"^- \[\d.*?: (\d+) minutes", TEXT, re.M)) == 60


def test_it_names_the_sections_and_the_checks_of_the_doctor() -> None:
    sections = list(dict.fromkeys(one.section for one in CHECKS))
    assert re.findall(r"^\| ([A-Z]\w+) \|", TEXT, re.M) == sections
    shown = re.findall(r"^ok … ([a-z ]+): …$", TEXT, re.M)
    assert len(shown) > 8
    assert set(shown) <= {one.name for one in CHECKS}
