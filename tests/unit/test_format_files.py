"""Format files: what is read, what is refused in one line, and that nothing in them runs."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sync.delivery.formats import built_in_formats, known_formats, read_folder
from sync.domain.bodies import Content, PayloadError
from sync.domain.conversions import facts_of
from sync.domain.endpoint import EndpointError, EndpointSettings
from sync.domain.event_types import CompletionFacts, EnrollmentFacts, EventType, event_types
from sync.domain.facts import LearningTime
from sync.domain.formats import FORMATS, Formats
from sync.domain.mapped import MappedBody, mapped_format
from sync.domain.mapping import MappingError, editor_schema, read_format
from sync.settings import PROJECT_ROOT
from sync.strict_yaml import YamlError, read_yaml
from tests.support.events import COMPLETION, ENROLLMENT, content
from tests.support.generated_events import contents

EVENTS = [one for one in contents(20) if one.event_type == "course_completion"]
STUDIED = LearningTime(4_347, datetime(2026, 3, 12))
BODY = "bodies: {course_completion: {a: %s}}"


def folder(path: Path, **files: str | bytes) -> Formats:
    for name, text in files.items():
        target = path / f"{name}.yml"
        target.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_folder(path)


def place(path: Path, node: str, learning_time: LearningTime | None = STUDIED, **facts: Any) -> Any:
    """The value of a place in the body of a completion."""
    found = folder(path, acme=BODY % node)
    assert not found.problems
    completion = content(CompletionFacts.read(COMPLETION | facts), learning_time)
    return json.loads(found.known["acme"].body(completion))["a"]


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("{fact: passed_at}", "2026-03-10T17:42:31Z"),
        ("{fact: passed_at, as: timestamp_milliseconds}", "2026-03-10T17:42:31.000Z"),
        ("{fact: passed_at, as: date}", "2026-03-10"),
        ("{fact: passed_at, as: us_date}", "03/10/2026"),
        # date --date 2026-03-10T17:42:31Z +%s
        ("{fact: passed_at, as: unix_seconds}", 1_773_164_551),
        ("{fact: passed_at, as: unix_milliseconds}", 1_773_164_551_000),
        ("{fact: learning_time_seconds}", 4_347),
        ("{fact: learning_time_seconds, as: minutes}", 72.45),
        ("{fact: learning_time_seconds, as: minutes, round: 0}", 72),
        ("{fact: learning_time_seconds, as: hours, round: 2}", 1.21),
        ("{fact: learning_time_seconds, as: iso_duration}", "PT1H12M27S"),
        ("{fact: learning_time_seconds, as: text, suffix: ' s'}", "4347 s"),
        ("{fact: percent_grade, scale: 100}", 57.0),
        ("{fact: percent_grade, scale: 100, round: 0}", 57),
        ("{fact: percent_grade, scale: 100, round: 0, as: text}", "57"),
        ("{fact: username, case: upper, prefix: 'u-'}", "u-LEARNER_90417"),
        ("{fact: courserun_key, percent_encode: true}", "course-v1:ExampleX+DATA%20101+T1"),
        ("{fact: course}", "ExampleX+DATA 101"),
        # printf 'mailto:learner@example.com' | sha1sum
        (
            "{fact: email, prefix: 'mailto:', hash: sha1}",
            "98f9e7be746ea8b26fbb2964041bdefd4f3f3218",
        ),
        ("{first_of: [{fact: course_name}, {fact: courserun_key}]}", "Data for Everybody"),
        ("{first_of: [{fact: letter_grade}, {fact: username}]}", "learner_90417"),
        ("{fact: letter_grade, default: none}", "none"),
        ("{fact: letter_grade, default: null}", None),
        ("{by_setting: duration_unit, cases: {minutes: 1, seconds: 2}}", 2),
        ("{fact: courserun_key, in_address: xapi_course_iri}",
         "https://lms.example.com/courses/course-v1:ExampleX+DATA%20101+T1"),
        ("[{fact: user_id}, {fact: letter_grade}, last]", [90417, "last"]),
        ("{object: {fact: passed, by_setting: {fact: user_id}}}",
         {"fact": "passed", "by_setting": 90417}),
        ("{b: {c: {fact: letter_grade}}, d: 2.5}", {"d": 2.5}),
        ("no", "no"),
        ("2026-01-01", "2026-01-01"),
        ("007", "007"),
    ],
)  # fmt: skip
def test_a_place_becomes(tmp_path: Path, node: str, expected: Any) -> None:
    facts = {
        "letter_grade": "",
        "percent_grade": 0.57,
        "courserun_key": "course-v1:ExampleX+DATA 101+T1",
    }
    made = place(tmp_path, node, **facts)
    assert (made, type(made)) == (expected, type(expected))


@pytest.mark.parametrize(
    "node",
    [
        "{fact: letter_grade}",
        "{fact: learning_time_seconds, as: hours}",
        "{b: {c: {fact: learning_time_computed_through}}}",
        "[{fact: letter_grade}]",
        "{first_of: [{fact: letter_grade}, {fact: learning_time_seconds}]}",
        "{by_setting: duration_unit, cases: {minutes: 1}}",
    ],
)
def test_what_is_not_known_is_left_out_and_so_is_what_it_leaves_empty(
    tmp_path: Path, node: str
) -> None:
    text = f"bodies: {{course_completion: {{a: {node}, b: 1}}}}"
    made = folder(tmp_path, acme=text).known["acme"]
    completion = content(CompletionFacts.read(COMPLETION | {"letter_grade": ""}))
    assert json.loads(made.body(completion)) == {"b": 1}
    schema = made.bodies["course_completion"].published_schema()
    assert schema["required"] == ["b"]


PLACES = st.fixed_dictionaries(
    {"fact": st.sampled_from(sorted(facts_of(event_types()["course_completion"])))},
    optional={
        "as": st.sampled_from(["date", "unix_seconds", "hours", "iso_duration", "text", "minutes"]),
        "scale": st.sampled_from([0, 0.5, 100, -1e99]),
        "round": st.integers(0, 9),
        "case": st.sampled_from(["upper", "lower"]),
        "percent_encode": st.booleans(),
        "in_address": st.just("xapi_course_iri"),
        "prefix": st.text(st.characters(codec="utf-8"), max_size=3),
        "hash": st.sampled_from(["sha1", "sha256"]),
        "default": st.none() | st.booleans() | st.integers(-9, 9) | st.just("x") | st.just(0.5),
        "required": st.booleans(),
    },
)
"""Places with any of the options, most of them wrong."""


@given(PLACES)
def test_whatever_options_a_place_has_it_is_refused_or_gives_what_its_schema_says(
    node: dict[str, Any],
) -> None:
    file = read_format({"bodies": {"course_completion": {"a": node, "b": 1}}})
    try:
        made = mapped_format("acme", file, event_types()).bodies["course_completion"]
    except MappingError:
        return
    schema = Draft202012Validator(made.published_schema())
    for one in EVENTS:
        try:
            schema.validate(json.loads(made.bytes_of(one)))
        except PayloadError:
            # Unknown, too large, or negative.
            assert node.get("required") or "scale" in node or node.get("as") == "iso_duration"


HOSTILE = {
    "a tag that runs code": ("a: !!python/object/apply:os.system [exit]", "line 1: tags"),
    "a tag that makes a name": ("a: !!python/name:os.system", "line 1: tags"),
    "a billion laughs": ("a: &a [x]\nb: [*a, *a]", "line 1: anchors and aliases"),
    "an alias": ("a: *a", "line 1: anchors and aliases"),
    "a key twice": ("bodies: {}\nbodies: {}", "line 2: the key 'bodies' is there twice"),
    "a huge depth": ("a: " + "[" * 30_000, "line 1: more than 24 levels"),
    "a huge file": ("#" * 70_000, "at most 65,536 are read"),
    "two documents": ("a: 1\n--- \nb: 1", "2 documents"),
    "nothing": ("", "0 documents"),
    "a list": ("[]", "the file: must have keys"),
    "no text": (b"\xff\xfe\x00", "UTF-8"),
    "a control character": ("a: \x07", "a character that YAML does not allow"),
    "half a character": (r'a: "\ud800"', "acme.yml: line 1: "),
    "no YAML": ("a: [", "acme.yml: line "),
    "a number as key": ("1: 2", "a key must be a text"),
    "a word nobody knows": ("body: {}", "body: no such key; there are description, extends"),
    "no body": ("headers: {}", "bodies: it is missing"),
    "an event nobody knows": ("bodies: {login: {a: 1}}", "no event type login; there are certif"),
    "a dunder fact": (BODY % "{fact: __class__}", "a: no fact __class__ of course_completion; the"),
    "a method as fact": (BODY % "{fact: model_dump}", "no fact model_dump"),
    "a path as fact": (BODY % "{fact: facts.__init__.__globals__}", "no fact facts.__init__"),
    "a fact of another event": (BODY % "{fact: enrolled_at}", "no fact enrolled_at of course_co"),
    "a fact that is no text": (BODY % "{fact: [a]}", "bodies.course_completion.a.fact: must be"),
    "an option nobody knows": (BODY % "{fact: email, eval: x}", "a.eval: no such key; there are f"),
    "a setting that is a secret": (BODY % "{setting: oauth_scope}", "a.setting: must be 'xapi_ho"),
    "a dunder setting": (BODY % "{by_setting: __dict__, cases: {}}", "a.by_setting: must be"),
    "a case nobody knows": (
        BODY % "{by_setting: xapi_actor, cases: {openid: 1}}",
        "a.cases.openid: xapi_actor is one of mbox, mbox_sha1sum, account",
    ),
    "hours of a text": (BODY % "{fact: email, as: hours}", "a.as: takes a number, and this is"),
    "a scale of a text": (BODY % "{fact: email, scale: 2}", "a.scale: takes a number, and"),
    "a prefix of a number": (BODY % "{fact: user_id, prefix: x}", "with `as: text` it is a text"),
    "a date of a number": (BODY % "{fact: user_id, as: date}", "a.as: takes a time, and this is"),
    "too many digits": (BODY % "{fact: percent_grade, round: 400}", "a.round: must be less than"),
    "both ways": (BODY % "{fact: email, default: '', required: true}", "exclude each other"),
    "a default of two": (BODY % "{fact: email, default: {a: 1}}", "a.default: must be a"),
    "what is never used": (
        BODY % "{first_of: [{fact: username}, {fact: email}]}",
        "a.first_of.0: it is always there, so what follows is never used",
    ),
    "learning time of an enrollment": (
        "bodies: {course_enrollment: {a: {fact: learning_time_seconds}}}",
        "course_enrollment has no learning time",
    ),
    "a header of two lines": ('headers: {X-A: "b\\r\\nX-C: d"}\n' + BODY % 1, "headers.X-A: "),
    "a header's name of two lines": ('headers: {"X-A: b\\nC": d}\n' + BODY % 1, "letters, digits"),
    "a header that is a secret": ("headers: {X-Api-Key: abc}\n" + BODY % 1, "looks like a secret"),
    "a header of ours": ("headers: {webhook-id: abc}\n" + BODY % 1, "is set by the sender"),
    "a header twice": ("headers: {X-A: b, x-a: c}\n" + BODY % 1, "is given twice"),
    "a sample of another event": (
        BODY % 1 + "\nsamples: {course_enrollment: {a: 1}}",
        "samples.course_enrollment: there is no body for it",
    ),
    "a status of success": ("success_statuses: [200]\n" + BODY % 1, "success_statuses.0: must be"),
    "an extension of a path": ("extends: ../v2\n" + BODY % 1, "extends: must be one of percipio"),
    "an extension of what there is": ("extends: v2\n" + BODY % 1, "v2 has a body for it already"),
    "an extension with headers": ("extends: v2\nheaders: {}\n" + BODY % 1, "has only bodies"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), HOSTILE.values(), ids=HOSTILE)
def test_a_file_that_is_no_format_is_refused_in_one_line_that_names_it_and_the_place(
    tmp_path: Path, text: str | bytes, said: str
) -> None:
    found = folder(tmp_path, acme=text, good=BODY % 1)
    assert found.known.keys() == FORMATS.keys() | {"good"}
    assert found.known["v2"] is built_in_formats()["v2"]
    problem = found.problems.pop("acme.yml")  # pyright: ignore[reportAttributeAccessIssue]
    assert problem.startswith("acme.yml: ")
    assert said in problem
    assert problem.isprintable(), "one line"
    assert len(problem) < 700
    assert not found.problems


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("v2.yml", "v2 is a built-in format"),
        ("ACME.yml", "lower-case letters"),
        ("a" * 17 + ".yml", "at most 16"),
        (".acme.yml", "begins with a letter"),
        ("__init__.yml", "begins with a letter"),
        ("acme.yaml", "name it acme.yml"),
        ("folder.yml", "no such file"),
        ("nowhere.yml", "no such file"),
    ],
)
def test_a_file_with_a_name_that_is_none_of_a_format_is_refused(
    tmp_path: Path, name: str, said: str
) -> None:
    path = tmp_path / name
    match name:
        case "folder.yml":
            path.mkdir()
        case "nowhere.yml":
            path.symlink_to(tmp_path / "gone")
        case _:
            path.write_text(BODY % 1)
    (tmp_path / "notes.txt").write_text("no format")
    found = read_folder(tmp_path)
    assert found.known.keys() == FORMATS.keys()
    assert list(found.problems) == [name]
    assert said in found.problems[name]


def test_nothing_in_a_file_is_made_but_plain_data() -> None:
    found = read_yaml(b"{a: [1, 2.5, true, null, ~, text, 2026-01-01, yes, '1'], __class__: {}}")
    assert found == {
        "a": [1, 2.5, True, None, None, "text", "2026-01-01", "yes", "1"],
        "__class__": {},
    }


@pytest.mark.parametrize(
    "word",
    ["True", "FALSE", "Null", "NULL", "+5", ".5", "5.", "0x1F", "0o17", ".nan", "-.INF", "1_000",
     "12345678901234567890", "1e999", "0.123456789012345678901"],
)  # fmt: skip
def test_what_is_a_text_to_some_and_a_number_or_a_truth_value_to_others_is_refused(
    word: str,
) -> None:
    """Read as text, it would be sent in quotes, which nobody intended."""
    with pytest.raises(YamlError, match=f"line 2: {re.escape(word)} may be a text or not"):
        read_yaml(f"a: 1\nb: {word}".encode())
    assert read_yaml(f"a: '{word}'".encode()) == {"a": word}


def test_a_folder_that_is_not_there_is_said_of_every_format_that_is_not_built_in(
    tmp_path: Path,
) -> None:
    found = read_folder(tmp_path / "nowhere")
    assert found.known.keys() == FORMATS.keys()
    problem = found.problem_of("acme")
    assert problem is not None
    assert problem.startswith("LTW_FORMATS_DIR: ")
    assert found.problem_of("v2") is None
    (problem,) = read_folder(_of_many(tmp_path)).problems.values()
    assert "more than 200 files" in problem


def _of_many(path: Path) -> Path:
    for n in range(201):
        (path / f"f{n}.yml").touch()
    return path


def test_an_endpoint_says_which_file_its_format_lacks(tmp_path: Path) -> None:
    found = folder(tmp_path, acme=BODY % 1, broken="bodies: {}")
    row = {"payload_format": "acme"}
    assert EndpointSettings.from_row(row, found).format is found.known["acme"]
    with pytest.raises(EndpointError, match=r"broken\.yml: bodies"):
        EndpointSettings.from_row({"payload_format": "broken"}, found)
    with pytest.raises(EndpointError, match=r"LTW_FORMATS_DIR has no file gone\.yml"):
        EndpointSettings.from_row({"payload_format": "gone"}, found)
    with pytest.raises(EndpointError, match="must be one of percipio, v2, xapi"):
        EndpointSettings.from_row(row)


def test_the_folder_is_read_once_and_a_changed_file_counts_for_the_next_process(
    tmp_path: Path,
) -> None:
    folder(tmp_path, acme=BODY % 1)
    environ = {"LTW_FORMATS_DIR": str(tmp_path)}
    before = known_formats(environ)
    folder(tmp_path, acme=BODY % 2)
    assert known_formats(environ) is before
    assert known_formats({}).known.keys() == FORMATS.keys()
    assert "LTW_FORMATS_DIR" not in os.environ


def test_a_file_may_give_a_built_in_format_the_body_of_one_more_event_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = EventType(
        name="badge_awarded",
        plural="badges",
        mart="awarded_badges",
        occurred_at="enrolled_at",
        facts={"enrolled_at": "time"},
        formats=["v2"],
    )
    types = {**event_types(), other.name: other}
    monkeypatch.setattr("sync.delivery.formats.event_types", lambda: types)
    body = "bodies: {badge_awarded: {event_type: {fact: event_type}, at: {fact: enrolled_at}}}"
    found = folder(tmp_path, certificates=f"extends: v2\n{body}")
    assert not found.problems
    assert found.known.keys() == FORMATS.keys()
    event: Content = replace(content(EnrollmentFacts.read(ENROLLMENT)), event_type="badge_awarded")
    assert json.loads(found.known["v2"].body(event)) == {
        "event_type": "badge_awarded",
        "at": "2026-01-19T08:59:58Z",
    }
    completion = content(CompletionFacts.read(COMPLETION), STUDIED)
    assert found.known["v2"].body(completion) == FORMATS["v2"].body(completion)
    assert isinstance(found.known["v2"].bodies["badge_awarded"], MappedBody)


def test_the_schema_for_editors_takes_the_examples_and_names_what_there_is() -> None:
    facts = {fact for one in event_types().values() for fact in facts_of(one)}
    schema = editor_schema(facts, event_types())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for path in (PROJECT_ROOT / "docs" / "formats").glob("*.yml"):
        validator.validate(read_yaml(path.read_bytes()))
    for node in ("{fact: passwd}", "{fact: email, eval: x}", "{setting: oauth_scope}"):
        assert not validator.is_valid(read_yaml((BODY % node).encode()))


@pytest.mark.parametrize("options", ["", ", round: 0", ", as: text"])
def test_a_number_that_no_body_can_carry_holds_the_event(tmp_path: Path, options: str) -> None:
    found = folder(tmp_path, acme=BODY % f"{{fact: learning_time_seconds, scale: 1e99{options}}}")
    studied = LearningTime(10**300, datetime(2026, 3, 12))
    with pytest.raises(PayloadError, match="a number is too large"):
        found.known["acme"].body(content(CompletionFacts.read(COMPLETION), studied))


def test_a_body_of_which_nothing_is_known_holds_the_event(tmp_path: Path) -> None:
    found = folder(tmp_path, acme=BODY % "{fact: learning_time_seconds}")
    with pytest.raises(PayloadError, match="none of the facts"):
        found.known["acme"].body(content(CompletionFacts.read(COMPLETION)))
