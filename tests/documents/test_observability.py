"""``docs/observability.md`` lists the metrics, spans and log fields of the code."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from sync import cli, telemetry
from sync.logs import FIELDS
from sync.operations.watching import MOST_LINES
from sync.settings import PROJECT_ROOT

TEXT = (PROJECT_ROOT / "docs" / "observability.md").read_text(encoding="utf-8")


def tables() -> dict[str, list[list[str]]]:
    """Rows of each table, by the first word of its head."""
    found: dict[str, list[list[str]]] = {}
    for block in re.findall(r"(?:^\|.*\n)+", TEXT, flags=re.MULTILINE):
        head, _, *rows = [
            [cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()
        ]
        found[head[0]] = rows
    return found


def bare(cell: str) -> str:
    return cell.replace("`", "")


METRICS = {
    bare(name): (bare(unit), set(filter(None, bare(attributes).split(", "))))
    for name, _, unit, attributes, *_ in tables()["name"]
}
"""Unit and attributes by name, from the document."""
SPANS = [bare(row[0]) for row in tables()["span"]]


def test_the_table_of_metrics_is_that_of_the_code() -> None:
    source = Path(telemetry.__file__).read_text(encoding="utf-8")
    made = re.findall(r'create_(\w+)\(\s*"([\w.]+)", "([^"]+)"', source)
    shown = [tuple(bare(cell) for cell in row[:3]) for row in tables()["name"]]
    assert shown == [(name, kind, unit) for kind, name, unit in made]


def test_the_table_of_spans_is_that_of_the_code() -> None:
    assert list(SPANS) == list(telemetry.Span)


def test_each_metric_has_a_meaning_a_threshold_and_something_to_do() -> None:
    for row in tables()["name"]:
        assert len(row) == 7, row[0]
        assert all(row[4:]), row[0]


def test_the_table_of_log_fields_is_that_of_the_code() -> None:
    shown = [name for row in tables()["field"] for name in bare(row[0]).split(", ")]
    assert sorted(shown) == sorted(FIELDS)
    assert f"at most {MOST_LINES:,}" in TEXT


def test_example_rules_ask_for_metrics_that_exist() -> None:
    (block,) = re.findall(r"```yaml\n(groups:.*?)```", TEXT, flags=re.DOTALL)
    rules = yaml.safe_load(block)["groups"][0]["rules"]
    asked = {name for rule in rules for name in re.findall(r"ltw_\w+", rule["expr"])}
    assert asked
    known = {
        in_prometheus(bare(name), bare(kind), bare(unit))
        for name, kind, unit, *_ in tables()["name"]
    }
    assert asked <= known


def test_commands_exist() -> None:
    named = set(re.findall(r"`(?:learning-time-webhooks )?(status|replay|endpoints \w+)", TEXT))
    known = {
        command.name or command.callback.__name__
        for command in cli.app.registered_commands
        if command.callback
    }
    assert {name for name in named if " " not in name} <= known


def in_prometheus(name: str, kind: str, unit: str) -> str:
    """The name in OpenTelemetry's translation for Prometheus."""
    name = name.replace(".", "_") + ("_seconds" if unit == "s" else "")
    return name + ("_total" if kind == "counter" else "")
