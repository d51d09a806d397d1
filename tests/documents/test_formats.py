"""``docs/formats.md`` is correct: its steps create a format, and its tables match the code."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from sync.delivery.formats import read_folder
from sync.domain.conversions import facts_of
from sync.domain.event_types import event_types
from sync.domain.mapping import FactPlace, FormatFile, read_format
from sync.http.network import DEVELOPMENT_SETTING
from sync.settings import PROJECT_ROOT
from sync.strict_yaml import read_yaml
from sync.warehouse import Warehouse
from tests.support.command_line import Command, Said, command_line
from tests.support.delivery import SECRET
from tests.support.document_blocks import blocks_of
from tests.support.operator import make_world, open_world
from tests.support.scenarios import Scenarios

PAGE = PROJECT_ROOT / "docs" / "formats.md"
TEXT = PAGE.read_text(encoding="utf-8")


def section(title: str) -> str:
    return TEXT.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def table(title: str, nth: int = 0) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    tables = re.findall(r"(?:^\|.*\n)+", section(title), flags=re.MULTILINE)
    rows = tables[nth].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def test_its_steps_make_a_format_from_nothing(
    scenarios: Scenarios,
    warehouse: Warehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    scenarios.stand("world", make_world)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    ltw, said = command_line(monkeypatch, capfd), dict[str, Said]()
    blocks = [one for one in blocks_of(PAGE) if one.line < line_of("## The file")]
    wanted = json.loads(next(one.text for one in blocks if one.language == "json"))
    with open_world(warehouse, tmp_path / "journals") as world:
        monkeypatch.setenv(DEVELOPMENT_SETTING, world.target.host_port)
        monkeypatch.setenv("LTW_SECRET_WEBHOOK_SIGNING_1", SECRET)
        world.complete(2)
        for block in blocks:
            match block.language:
                case "yaml":
                    Path("formats/acme.yml").write_text(block.text)
                case "sh":
                    for command in block.commands():
                        said[command] = carry_out(command, ltw, monkeypatch)
        assert all(one.code == 0 for one in said.values()), said
        assert "good" in said["ltw formats check"].text
        sample = said["ltw formats preview acme"].out
        assert json.loads(sample[sample.index("{") :]) == wanted
        learner = said["ltw formats preview acme --user 2"].out
        assert json.loads(learner[learner.index("{") :])["employee"] == "learner_2@example.com"
        (sent,) = world.take()
        assert json.loads(sent.body).keys() == wanted.keys()
    assert json.loads(Path("formats/schema.json").read_text())["title"] == "FormatFile"


def line_of(heading: str) -> int:
    return TEXT.count("\n", 0, TEXT.index(f"\n{heading}\n")) + 1


def carry_out(command: str, ltw: Command, patch: pytest.MonkeyPatch) -> Said:
    """Run like a shell in the test's folder: a command of ours, or one of the two others."""
    words = shlex.split(command)
    match words:
        case ["mkdir", "-p", folder]:
            Path(folder).mkdir()
        case ["export", setting]:
            name, value = setting.split("=", 1)
            patch.setenv(name, value.replace("$PWD", str(Path.cwd())))
        case ["ltw", *arguments, ">", target]:
            said = ltw(*arguments)
            Path(target).write_text(said.out)
            return said
        case ["ltw", *arguments]:
            return ltw(*arguments)
        case _:
            raise AssertionError(f"the test knows no {command}")
    return Said(0, "", "")


def test_every_place_that_it_shows_is_one(tmp_path: Path) -> None:
    words = codes(re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL))
    shown = [one for one in words if one.startswith(("{", "[{"))]
    assert len(shown) > 10
    for n, place in enumerate(shown):
        text = f"bodies: {{course_completion: {{a: {place}}}}}"
        (tmp_path / f"f{n}.yml").write_text(text)
    assert read_folder(tmp_path).problems == {}


def test_its_extension_of_a_built_in_format_is_one() -> None:
    (block,) = [one for one in blocks_of(PAGE) if one.text.startswith("extends:")]
    assert read_format(read_yaml(block.text.encode())).extends == "v2"


def test_its_tables_name_every_key_option_and_fact() -> None:
    assert {codes(row[0])[0] for row in table("The file")} == FormatFile.model_fields.keys()
    options = {code.split(":")[0] for row in table("Conversions") for code in codes(row[0])}
    fields = {field.alias or name for name, field in FactPlace.model_fields.items()}
    assert options == fields - {"fact", "default", "required"}
    forms = {
        read_yaml(code.encode())["as"]
        for row in table("Conversions")
        for code in codes(row[0])
        if code.startswith("as:")
    }
    schema = json.dumps(FactPlace.model_json_schema()["properties"]["as"])
    assert forms == set(re.findall(r'"(\w+)"', schema.split('"enum": [')[1].split("]")[0]))
    ofall = {code for row in table("Facts") for code in codes(row[0])}
    for name in ("course_completion", "course_enrollment"):
        own = {code for row in table("Facts", 1) if name in row[0] for code in codes(row[1])}
        assert ofall | own == facts_of(event_types()[name]).keys(), name
