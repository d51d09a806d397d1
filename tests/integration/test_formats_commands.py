"""``ltw formats`` on the command line: output and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from sync.delivery.learning_time import CompletionKey
from sync.strict_yaml import read_yaml
from tests.support.command_line import Command
from tests.support.completions import COURSE_RUN
from tests.support.delivery import enterprise
from tests.support.learning_times import mart_row
from tests.support.marts import LEARNING_TIME_COLUMNS, create_table
from tests.support.operator import World

GOOD = """
headers: {X-Version: "3"}
bodies:
  course_completion:
    who: {fact: username}
    when: {fact: passed_at, as: date}
    minutes: {fact: learning_time_seconds, as: minutes, round: 0}
samples:
  course_completion:
    who: test_event
    when: "2026-03-10"
    minutes: %s
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "formats"
    path.mkdir()
    (path / "acme.yml").write_text(GOOD % 60)
    monkeypatch.setenv("LTW_FORMATS_DIR", str(path))
    return path


def test_list_has_every_format_and_what_is_wrong_with_the_others(
    folder: Path, ltw: Command
) -> None:
    (folder / "broken.yml").write_text("bodies: {}")
    said = ltw("formats", "list", "--json")
    assert said.code == 0
    rows = {row["format"]: row for row in said.document["formats"]}
    assert rows.keys() == {"percipio", "v2", "xapi", "acme"}
    assert (rows["acme"]["from"], rows["acme"]["headers"]) == ("acme.yml", "X-Version: 3")
    (problem,) = said.document["problems"]
    assert problem.startswith("broken.yml: bodies: ")
    assert "broken.yml: bodies: " in ltw("formats", "list").text


def test_check_has_a_verdict_on_each_file_and_fails_for_one(folder: Path, ltw: Command) -> None:
    good = ltw("formats", "check", "--json")
    assert (good.code, [row["verdict"] for row in good.document["files"]]) == (0, ["good"])
    (folder / "acme.yml").write_text(GOOD % 61)
    wrong = ltw("formats", "check")
    assert wrong.code == 1
    assert "samples.course_completion.minutes: the body of the sample event differs" in wrong.text
    (folder / "acme.yml").write_text(GOOD % "60\n    more: 1")
    assert "samples.course_completion.more: " in ltw("formats", "check").text
    (folder / "acme.yml").write_text("bodies: {course_completion: {a: {fact: nothing}}}")
    assert "no fact nothing of course_completion" in ltw("formats", "check").text


def test_check_takes_files_from_anywhere_and_says_which_setting_it_lacks(
    tmp_path: Path, ltw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LTW_FORMATS_DIR", raising=False)
    path = tmp_path / "acme.yml"
    path.write_text(GOOD % 60)
    assert ltw("formats", "check", path).code == 0
    assert ltw("formats", "check", path, tmp_path / "none.yml").code == 1
    said = ltw("formats", "check")
    assert (said.code, "set LTW_FORMATS_DIR" in said.text) == (2, True)
    monkeypatch.setenv("LTW_FORMATS_DIR", str(tmp_path / "nowhere"))
    said = ltw("formats", "check")
    assert (said.code, "nowhere: No such file" in said.text) == (2, True)


@pytest.mark.parametrize("kind", ["certificate_awarded", "course_completion_correction"])
def test_check_refuses_what_a_run_refuses(folder: Path, ltw: Command, kind: str) -> None:
    """A body that a format already has, from the project's files or from another one here."""
    body = f"extends: percipio\nbodies: {{{kind}: {{a: 1}}}}"
    (folder / "one.yml").write_text(body)
    (folder / "two.yml").write_text(body)
    (folder / "xapi2.yml").write_text("extends: xapi\nbodies: {certificate_awarded: {a: 1}}")
    files = {row["file"]: row for row in ltw("formats", "check", "--json").document["files"]}
    assert {name for name, row in files.items() if row["problem"]} == {"two.yml", "xapi2.yml"}
    assert files["two.yml"]["problem"] == (
        f"bodies.{kind}: percipio has a body for it already; remove this one"
    )
    assert "has a body for it already" in ltw("formats", "check", folder / "xapi2.yml").text


def test_preview_shows_the_sample_of_a_format_or_of_a_file(folder: Path, ltw: Command) -> None:
    expected = {"who": "test_event", "when": "2026-03-10", "minutes": 60}
    by_name = ltw("formats", "preview", "acme", "--json").document
    assert by_name["events"] == [{"event_type": "course_completion", "body": expected}]
    assert ltw("formats", "preview", folder / "acme.yml", "--json").document == by_name
    assert '"minutes": 60' in ltw("formats", "preview", "acme").text
    said = ltw("formats", "preview", "gone")
    assert (said.code, "has no file gone.yml" in said.text) == (2, True)


def test_preview_of_a_learner_shows_what_the_next_run_would_send(
    folder: Path, world: World, ltw: Command
) -> None:
    (sent,) = world.delivered(2)
    world.complete(4)
    studied = mart_row(CompletionKey(enterprise(1), 4, COURSE_RUN), 4_347)
    create_table(world.warehouse, "completion_learning_time", LEARNING_TIME_COLUMNS, [studied])
    before = world.everything()
    (new,) = ltw("formats", "preview", "acme", "--user", 4, "--json").document["events"]
    assert new["body"] == {"who": "learner_4", "when": "2026-03-10", "minutes": 72}
    assert (new["learning_time"], new["settings_of_endpoint"]) == ("found", 1)
    (old,) = ltw("formats", "preview", "v2", "--user", 2, "--json").document["events"]
    assert old["webhook_id"] == sent
    assert old["body"] == json.loads(world.row(sent)["body"])
    other = ltw("formats", "preview", "acme", "--user", 4, "--course", "course-v1:a+b+c")
    assert (other.code, "this learner has no event" in other.text) == (1, True)
    assert ltw("formats", "preview", "acme", "--user", 4, "--course", COURSE_RUN).code == 0
    held = ltw("formats", "preview", "percipio", "--user", 4)
    assert (held.code, "lacks user and orgid" in held.text) == (1, True)
    assert world.everything() == before


def test_the_schemas_are_printed_for_editors_and_for_receivers(folder: Path, ltw: Command) -> None:
    schema = ltw("formats", "schema").document
    Draft202012Validator(schema).validate(read_yaml((GOOD % 60).encode()))
    webhooks = ltw("formats", "openapi").document["webhooks"]
    assert {"courseCompletion", "acmeCourseCompletion"} <= webhooks.keys()
