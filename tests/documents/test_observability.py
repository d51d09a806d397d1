"""``docs/observability.md`` names the metrics, spans and log fields that the code has."""

from __future__ import annotations

import re

import yaml

from sync import cli
from sync.observability.event_log import FIELDS
from sync.observability.instruments import INSTRUMENTS, SPANS, Instrument
from sync.operations.watching import MOST_LINES
from sync.settings import PROJECT_ROOT

TEXT = (PROJECT_ROOT / "docs" / "observability.md").read_text(encoding="utf-8")


def tables() -> dict[str, list[list[str]]]:
    """Rows of each table by the first word of its head."""
    found: dict[str, list[list[str]]] = {}
    for block in re.findall(r"(?:^\|.*\n)+", TEXT, flags=re.MULTILINE):
        head, _, *rows = [
            [cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()
        ]
        found[head[0]] = rows
    return found


def bare(cell: str) -> str:
    return cell.replace("`", "")


def test_the_table_of_metrics_is_that_of_the_code() -> None:
    shown = [tuple(bare(cell) for cell in row[:4]) for row in tables()["name"]]
    assert shown == [
        (one.name, one.kind, one.unit, ", ".join(one.attributes)) for one in INSTRUMENTS
    ]


def test_each_metric_has_a_meaning_a_threshold_and_something_to_do() -> None:
    for row in tables()["name"]:
        assert len(row) == 7, row[0]
        assert all(row[4:]), row[0]


def test_the_table_of_spans_is_that_of_the_code() -> None:
    assert [bare(row[0]) for row in tables()["span"]] == list(SPANS)


def test_the_table_of_log_fields_is_that_of_the_code() -> None:
    shown = [name for row in tables()["field"] for name in bare(row[0]).split(", ")]
    assert sorted(shown) == sorted(FIELDS)
    assert f"at most {MOST_LINES:,}" in TEXT


def test_example_rules_ask_for_metrics_that_exist() -> None:
    (block,) = re.findall(r"```yaml\n(groups:.*?)```", TEXT, flags=re.DOTALL)
    rules = yaml.safe_load(block)["groups"][0]["rules"]
    asked = {name for rule in rules for name in re.findall(r"ltw_\w+", rule["expr"])}
    assert asked
    assert asked <= {in_prometheus(one) for one in INSTRUMENTS}


def test_commands_exist() -> None:
    named = set(re.findall(r"`(?:learning-time-webhooks )?(status|replay|endpoints \w+)", TEXT))
    known = {
        command.name or command.callback.__name__
        for command in cli.app.registered_commands
        if command.callback
    }
    assert {name for name in named if " " not in name} <= known


def in_prometheus(one: Instrument) -> str:
    """The name as OpenTelemetry's translation for Prometheus writes it."""
    name = one.name.replace(".", "_")
    name += "_seconds" if one.unit == "s" else ""
    return name + ("_total" if one.kind == "counter" else "")
