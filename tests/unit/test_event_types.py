"""Event types from YAML: what a file may contain, and the errors for a wrong one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from sync.domain.event_types import EventType, event_types, read_event_types
from sync.domain.facts import FactsError
from sync.errors import ConfigurationError
from tests.support.events import COMPLETION

AWARD: dict[str, Any] = {
    "name": "badge_awarded",
    "plural": "badges",
    "mart": "awarded_badges",
    "key": {"subject": "badge_key"},
    "occurred_at": "awarded_at",
    "facts": {"level": "number", "awarded_at": "time", "note": "optional text"},
    "formats": ["v2"],
}
WHO = {name: COMPLETION[name] for name in ("enterprise_customer_uuid", "enterprise_customer_name")}
WHO |= {name: COMPLETION[name] for name in ("user_id", "username", "courserun_key")}


def written(folder: Path, **files: dict[str, Any]) -> Path:
    """A folder of event types, each in a separate folder."""
    for name, attributes in files.items():
        (folder / name).mkdir()
        document = {"type": "orchestration.components.webhook_event.WebhookEventComponent"}
        text = yaml.safe_dump(document | {"attributes": attributes})
        (folder / name / "defs.yaml").write_text(text)
    return folder


def test_the_types_of_the_project_are_read_and_only_completions_are_on() -> None:
    assert {one.name: one.enabled for one in event_types().values()}.items() >= {
        "course_completion": True,
        "course_enrollment": False,
    }.items()


def test_a_type_has_facts_of_the_types_that_it_declares(tmp_path: Path) -> None:
    (source,) = read_event_types(written(tmp_path, one=AWARD)).values()
    facts: Any = source.facts_class.read(
        WHO | {"level": 3, "awarded_at": "2026-03-10 17:42:31", "note": None}
    )
    assert (facts.level, facts.note) == (3, None)
    assert facts.awarded_at == datetime(2026, 3, 10, 17, 42, 31, tzinfo=UTC)
    with pytest.raises(FactsError, match="level"):
        source.facts_class.read(WHO | {"level": "high", "awarded_at": "2026-03-10 17:42:31"})
    with pytest.raises(FactsError, match="awarded_at"):
        source.facts_class.read(WHO | {"level": 3})
    assert "'awarded_at', to_varchar(events.awarded_at," in source.fact_pairs
    assert "'level', events.level" in source.fact_pairs


def test_a_key_goes_by_the_names_of_the_ledger() -> None:
    rows = EventType.model_validate(AWARD).rows_of("marts.awarded_badges")
    assert rows.startswith("(select mart.awarded_at, mart.course_name, mart.badge_key as courserun")
    assert rows.endswith(" from marts.awarded_badges as mart)")
    plain = EventType.model_validate({**AWARD, "key": {}})
    assert plain.rows_of("marts.awarded_badges") == "marts.awarded_badges"


def test_a_type_is_switched_on_by_its_file_or_by_name(tmp_path: Path) -> None:
    other = {**AWARD, "name": "other", "plural": "others", "enabled": True}
    folder = written(tmp_path, one=AWARD, other=other)
    assert [one.enabled for one in read_event_types(folder).values()] == [False, True]
    found = read_event_types(folder, ["badge_awarded"])
    assert [one.enabled for one in found.values()] == [True, True]
    with pytest.raises(ConfigurationError, match=r"LTW_EVENT_TYPES names badge, .* badge_awarded"):
        read_event_types(folder, ["badge"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "a" * 41}, "name: "),
        ({"name": "Badge"}, "name: "),
        ({"mart": "marts.badges; drop table x"}, "mart: "),
        ({"mart": None}, "mart: "),
        ({"occurred_at": "awarded at"}, "occurred_at: "),
        ({"facts": {"level": "integer"}}, "facts.level: "),
        ({"facts": {"email": "text"}}, "facts: email is known of every event: leave it out"),
        ({"facts": {"course": "text"}}, "facts: course is a name that is taken"),
        ({"facts": {"correction_number": "text"}}, "facts: correction_number is a name that is"),
        ({"facts": {"model_config": "text"}}, "facts: model_config is a name that is taken"),
        ({"facts": {"copy": "text", "_at": "time"}}, "facts: _at, copy is a name that is taken"),
        ({"key": {"learner": "x y"}}, "key.learner: "),
        ({"key": {"person": "x"}}, "key.person: "),
        ({"formats": []}, "formats: "),
        ({"endpoints": "some"}, "endpoints: "),
        ({"enabled": "{{ env.X }}"}, "enabled: "),
        ({"schedul": "* * * * *"}, "schedul: "),
        ({"name": "course_completion"}, "facts: those of course_completion are written in Python"),
    ],
)
def test_an_error_names_the_file_and_the_key(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    folder = written(tmp_path, one=AWARD | change)
    with pytest.raises(ConfigurationError) as caught:
        read_event_types(folder)
    assert str(folder / "one/defs.yaml") in str(caught.value)
    assert said in str(caught.value)


def test_two_files_of_one_name_or_one_asset_are_refused(tmp_path: Path) -> None:
    folder = written(tmp_path, one=AWARD, two=AWARD)
    with pytest.raises(ConfigurationError, match=r"name: badge_awarded is already that of .*/one/"):
        read_event_types(folder)
    (folder / "two/defs.yaml").unlink()
    written(folder, three={**AWARD, "name": "another"})
    with pytest.raises(ConfigurationError, match="asset: newly_recorded_badges is already that of"):
        read_event_types(folder)


def test_a_file_that_is_no_yaml_is_named_and_one_of_another_component_is_not_read(
    tmp_path: Path,
) -> None:
    (tmp_path / "defs.yaml").write_text("type: dagster.DefsFolderComponent\nattributes: {}\n")
    assert read_event_types(tmp_path) == {}
    (tmp_path / "defs.yaml").write_text("type: x.WebhookEventComponent\nattributes: [\n")
    with pytest.raises(ConfigurationError, match=r"defs.yaml: line \d: "):
        read_event_types(tmp_path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"# \xe9", "it is not UTF-8"),
        (b"schedule: 2026-13-45", None),
        (b"enabled: on", "enabled: Input should be a valid boolean"),
        (b"enabled: true\n  enabled: false", "line 10: the key 'enabled' is there twice"),
        (b"pool: !!python/name:os.system", "line 9: tags"),
    ],
)
def test_a_file_says_what_it_seems_to_say_or_is_refused(
    tmp_path: Path, line: bytes, said: str | None
) -> None:
    """No key is lost, no word becomes a boolean or a date, and no byte causes a traceback."""
    attributes = {name: AWARD[name] for name in ("name", "plural", "mart", "occurred_at")}
    written(tmp_path, one=attributes | {"formats": ["v2"]})
    file = tmp_path / "one/defs.yaml"
    text = "type: x.WebhookEventComponent\nattributes:\n" + "".join(
        f"  {name}: {value}\n" for name, value in (attributes | {"formats": "[v2]"}).items()
    )
    file.write_bytes(text.encode() + b"\n  " + line + b"\n")
    if said is None:
        assert read_event_types(tmp_path)["badge_awarded"].schedule == "2026-13-45"
        return
    with pytest.raises(ConfigurationError) as caught:
        read_event_types(tmp_path)
    assert str(caught.value).startswith(str(file))
    assert said in str(caught.value)


def test_a_file_may_describe_several_event_types(tmp_path: Path) -> None:
    written(tmp_path, one=AWARD, two={**AWARD, "name": "other", "plural": "others"})
    texts = [(tmp_path / name / "defs.yaml").read_text() for name in ("one", "two")]
    (tmp_path / "one/defs.yaml").write_text("---\n".join(texts))
    (tmp_path / "two/defs.yaml").unlink()
    assert [*read_event_types(tmp_path)] == ["badge_awarded", "other"]
