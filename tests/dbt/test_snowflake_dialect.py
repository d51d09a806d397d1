"""The same project on both engines: SQL compiled for Snowflake is in Snowflake's dialect."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from snowflake.connector import SnowflakeConnection
from snowflake.connector.cursor import SnowflakeCursor

from sync.local.sample_data import SampleSize, generate, write_files
from sync.local.tracking_logs import load_logs
from sync.warehouse import Warehouse
from tests.dbt.envelopes import ENVELOPES, SEVERAL
from tests.dbt.scenario import ONLY_TABLES, Batch, line, load, prepare, stand_models
from tests.learning_time.models import INCREMENTAL
from tests.support.dbt import EVERY_OPTION, Dbt
from tests.support.scenarios import Scenarios
from tests.support.snowflake_rules import SESSION_PARAMETERS, broken_rules


def test_the_snowflake_target_parses_without_a_warning_or_an_account(
    dbt: Dbt, tmp_path: Path
) -> None:
    dbt(
        *("--warn-error", "parse", "--no-partial-parse", "--show-all-deprecations"),
        *("--target", "snowflake"),
    )


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="defaults", marks=pytest.mark.prove),
        pytest.param(EVERY_OPTION, id="every option"),
    ],
)
def test_every_compiled_statement_keeps_the_rules_of_snowflake(
    warehouse: Warehouse, dbt: Dbt, options: dict[str, object]
) -> None:
    prepare(warehouse)
    compiled = dbt.compiled("snowflake", **options)
    assert len(compiled) > 60
    for path in compiled:
        assert broken_rules(path.read_text(encoding="utf-8")) == (), path


@dataclass
class Sent:
    """What reached the connector."""

    statements: list[str] = field(default_factory=list)
    sessions: list[Mapping[str, object]] = field(default_factory=list)
    """Parameters of each session."""


@contextmanager
def sent_for_snowflake() -> Iterator[Sent]:
    """Record statements as dbt sends them to Snowflake, and run them on the embedded engine.

    The engine accepts no comment with an apostrophe, no temporary table with a qualified name, and
    no DESCRIBE of a table in a database other than the session's.
    """
    sent = Sent()
    send, connect = SnowflakeCursor._execute_helper, SnowflakeConnection.connect

    def record(self: SnowflakeCursor, query: str, **options: Any) -> Any:
        sent.statements.append(query)
        if "describe table raw." in query:
            other = self.connection.cursor()
            send(other, "use database raw")
            try:
                return send(self, query, **options)
            finally:
                send(other, "use database analytics")
        if re.search(r'comment on (table|view) |alter\s+table \S+ alter\s+"', query):
            query = "select 1"
        if re.search(r"create or replace ", query):
            query = re.sub(r" COMMENT \$\$.*?\$\$", "", query, flags=re.DOTALL)
        return send(self, query.replace(" temporary table", " transient table"), **options)

    def enter(self: SnowflakeConnection, **options: Any) -> None:
        sent.sessions.append(dict(options["session_parameters"]))
        connect(self, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SnowflakeCursor, "_execute_helper", record)
        patch.setattr(SnowflakeConnection, "connect", enter)
        yield sent


BUILT_ANEW = ("+int_learning_time_daily", "+tracking_line_counts", "learning_time_watermark")
INCREMENT = (
    *("learning_event_patterns", *INCREMENTAL),
    *("tracking_line_counts", "learning_time_watermark"),
)
EMPTY = ("stg_tracking__lines", "int_tracking_line_counts")
Build = tuple[tuple[str, ...], tuple[str, ...]]
"""Models and flags."""


@pytest.mark.parametrize(
    "builds",
    [
        pytest.param(
            [(BUILT_ANEW, ("--empty",)), (BUILT_ANEW, ()), (BUILT_ANEW, ("--full-refresh",))],
            id="all of learning time",
            marks=pytest.mark.prove,
        ),
        pytest.param(
            [(INCREMENT, ()), (EMPTY, ("--empty", "--full-refresh"))],
            id="an increment, and few models with empty inputs",
        ),
    ],
)
def test_all_that_dbt_sends_for_snowflake_keeps_its_rules(
    scenarios: Scenarios, warehouse: Warehouse, dbt: Dbt, builds: Sequence[Build]
) -> None:
    """Built with empty inputs, as an increment, and from scratch."""
    stand_models(scenarios, dbt)
    target = ("--target", "snowflake", "--profiles-dir", str(dbt.profiles()))
    with sent_for_snowflake() as sent:
        for hour, (models, flags) in enumerate(builds):
            lines = tuple(line(7, f"2026-03-02T{hour:02}:{m:02}:00Z") for m in range(0, 60, 9))
            loaded_at = datetime(2026, 3, 2, hour + 1, tzinfo=UTC)
            load(warehouse, Batch(f"{hour}.log", loaded_at, lines))
            dbt("build", "--select", *models, *ONLY_TABLES, *target, *flags)
    for one in dict.fromkeys(sent.statements):
        assert broken_rules(one) == (), one
    kinds = " ".join(" ".join(sent.statements).lower().split())
    for kind in (
        *("create or replace transient table", "create or replace view", "copy grants"),
        *("create or replace temporary table", "delete from", "insert into", "comment on view"),
        *("truncate table", "alter table", "describe table raw."),
    ):
        assert kind in kinds
    assert {name for one in sent.sessions for name in one} <= SESSION_PARAMETERS


def test_both_branches_read_every_sample_line_alike(
    warehouse: Warehouse, dbt: Dbt, tmp_path: Path
) -> None:
    """Including dirty lines: the laptop's fast branch parses the same way."""
    prepare(warehouse)
    data = generate(
        SampleSize(lines=1_000),
        seed=5,
        start=datetime(2026, 3, 2, tzinfo=UTC),
        receiver_url="http://127.0.0.1:1",
    )
    load_logs(warehouse, write_files(tmp_path, data.waves[0]), progress=lambda _: None)
    # The embedded engine, and no other, keeps the quotes of a text in a list in this branch.
    wrapped = {name: one for name, one in ENVELOPES.items() if name != "list of texts"}
    wrapped |= {f"several {number}": one for number, one in enumerate(SEVERAL)}
    loaded_at = datetime(2026, 3, 5, tzinfo=UTC)
    load(warehouse, *(Batch(name, loaded_at, (one,)) for name, one in wrapped.items()))
    readings = []
    for target in ("embedded", "snowflake"):
        chosen = ("--target", target, "--profiles-dir", str(dbt.profiles()))
        found = dbt("compile", "--select", "stg_tracking__events", *chosen, "--no-populate-cache")
        (compiled,) = (one.node.compiled_code for one in found.results)
        readings.append(warehouse.rows(compiled))

    for row in (one for reading in readings for one in reading):
        del row["raw_line"]  # of a record in a list it is as the engine writes JSON
        # Snowflake's object has sorted keys
        with suppress(TypeError, ValueError):
            row["payload_text"] = json.dumps(json.loads(row["payload_text"]), sort_keys=True)
    fast, portable = (sorted(map(repr, one)) for one in readings)
    assert len(fast) > 500
    assert fast == portable
