"""The fixes of ``sync.local.embedded.server`` for pitfalls of the stock server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.dialect import parse_one
from fakesnow.instance import FakeSnow
from sqlglot.dialects.duckdb import DuckDB

from sync.errors import ConfigurationError
from sync.local.embedded.lifecycle import (
    Running,
    Stopped,
    ensure_running,
    free_port,
    status,
    stop,
)
from sync.local.embedded.server import KEPT_RESULTS, Columns, Newest, Translations
from sync.settings import PROJECT_ROOT, EmbeddedWarehouse
from sync.warehouse import StatementFailed, Warehouse, WarehouseUnavailable, open_warehouse
from tests.support.stalling_proxy import StallingProxy
from tests.support.waiting import wait_until


def test_a_null_timestamp_arrives_as_null(warehouse: Warehouse) -> None:
    row = warehouse.rows(
        "select null::timestamp_ntz as nothing, '2026-03-04T09:00:00.25'::timestamp_ntz as seen_at"
    )[0]
    assert row["nothing"] is None
    assert row["seen_at"].isoformat() == "2026-03-04T09:00:00.250000"


def test_an_unsupported_expression_is_a_failed_statement_at_once(warehouse: Warehouse) -> None:
    with pytest.raises(StatementFailed, match="parse_url"):
        warehouse.rows("select parse_url('https://example.com')")
    assert warehouse.rows("select 1 as one") == [{"one": 1}]


def test_tables_survive_a_restart_and_no_temporary_file_does(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(temporary))
    settings = EmbeddedWarehouse(port=free_port(), home=tmp_path)
    ensure_running(settings)
    try:
        with open_warehouse(settings, purpose="tests") as warehouse:
            warehouse.execute("create schema raw.tracking")
            warehouse.execute("create table raw.tracking.kept as select 7 as seven")
        assert stop(settings)
        assert isinstance(status(settings.port), Stopped)
        assert list(temporary.iterdir()) == []
        ensure_running(settings)
        with open_warehouse(settings, purpose="tests") as warehouse:
            assert warehouse.rows("select * from raw.tracking.kept") == [{"seven": 7}]
    finally:
        stop(settings)


def test_a_second_start_finds_the_first_server(warehouse_settings: EmbeddedWarehouse) -> None:
    running = status(warehouse_settings.port)
    assert isinstance(running, Running)
    assert ensure_running(warehouse_settings) == running


def test_a_port_of_another_home_is_refused_by_name(
    warehouse_settings: EmbeddedWarehouse, tmp_path: Path
) -> None:
    other = EmbeddedWarehouse(port=warehouse_settings.port, home=tmp_path)
    with pytest.raises(ConfigurationError, match="LTW_WAREHOUSE_PORT"):
        ensure_running(other)
    assert not stop(other), "another home's server must not be stopped"


def test_concurrent_updates_of_one_row_wait_instead_of_failing(
    warehouse_settings: EmbeddedWarehouse, warehouse: Warehouse
) -> None:
    warehouse.execute("create schema analytics.scratch")
    warehouse.execute("create table analytics.scratch.counter as select 0::number(38, 0) as n")

    def add() -> None:
        with open_warehouse(warehouse_settings, purpose="tests") as session:
            for _ in range(10):
                session.execute("update analytics.scratch.counter set n = n + 1")

    threads = [threading.Thread(target=add) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warehouse.rows("select n from analytics.scratch.counter") == [{"n": 30}]


def test_only_the_newest_results_are_kept() -> None:
    results = Newest(KEPT_RESULTS)
    for number in range(KEPT_RESULTS + 5):
        results[str(number)] = number
    assert len(results) == KEPT_RESULTS
    assert "4" not in results
    assert "5" in results


def test_a_repeated_statement_is_translated_and_written_once() -> None:
    texts: list[str] = []
    known = Translations(
        FakeSnowflakeCursor,
        lambda text: texts.append(text) or parse_one(text),
        lambda dialect, tree, copy: texts.append(tree) or "anew",
    )
    cursor = FakeSnow().connect("ANALYTICS").cursor()
    (first,) = known.split(cursor, known.parsed("select cast(? as timestamp_ntz) as seen_at"))
    (second,) = known.split(cursor, known.parsed("select cast(? as timestamp_ntz) as seen_at"))
    assert second is first
    assert known.translated(cursor, second, ["2026-03-04"]) is first
    assert len(texts) == 1
    assert known.written(DuckDB(), first) == first.sql(dialect="duckdb")
    assert known.written(DuckDB(), first.copy()) == "anew", "a copy may be changed"


def test_a_statement_that_is_repeated_sees_the_tables_and_binds_of_its_time(
    warehouse: Warehouse,
) -> None:
    warehouse.execute("create schema raw.scratch")
    for column in ("one", "other"):
        warehouse.execute(f"create or replace table raw.scratch.source as select 7 as {column}")
        warehouse.execute(
            "create or replace table raw.scratch.target (n number) as"
            " select * from raw.scratch.source"
        )
        assert warehouse.rows("select * from raw.scratch.source") == [{column: 7}]
    for table, column in (("target", "n"), ("source", "other")):
        named = warehouse.rows("select * from identifier(?)", f"raw.scratch.{table}")
        assert named == [{column: 7}]


def test_columns_are_those_that_duckdb_would_describe() -> None:
    connection = FakeSnow().connect("ANALYTICS")
    cursor = connection.cursor()
    columns = Columns(FakeSnowflakeCursor)
    query = (
        "select 1 as whole, 1.5::number(38, 9) as part, 'x' as text, true as yes, 1::float as real,"
        " '2026-03-04'::date as day, '2026-03-04'::timestamp_ntz as seen_at, null as nothing,"
        " parse_json('{}') as document"
    )
    parsed = cursor._transform(parse_one(query), None)
    columns.execute(cursor, parsed)
    described = cursor._describe_last_sql()
    assert [column[:2] for column in columns.of(cursor)] == [column[:2] for column in described]
    assert len(described) == 9
    shown, of_the_query = cursor.sfqid, columns.of(cursor)
    columns.execute(cursor, parse_one("select 2 as newer"))
    again = f"select * from table(result_scan('{shown}'))"
    columns.execute(cursor, cursor._transform(parse_one(again), None))
    assert columns.of(cursor) == of_the_query, "an earlier result has its own columns"


IMPATIENT = (
    "import sys; from pathlib import Path; from sync.local.embedded import server; "
    "server.ANSWER_WITHIN_SECONDS = 0.05; server.serve(int(sys.argv[1]), Path(sys.argv[2]))"
)
"""The server with a response limit of 0.05 s instead of 45 s."""


@pytest.fixture(scope="module")
def impatient(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[EmbeddedWarehouse, subprocess.Popen[bytes]]]:
    settings = EmbeddedWarehouse(port=free_port(), home=tmp_path_factory.mktemp("impatient"))
    command = [sys.executable, "-c", IMPATIENT, str(settings.port), str(settings.directory)]
    with subprocess.Popen(command, cwd=PROJECT_ROOT) as process:
        wait_until(lambda: isinstance(status(settings.port), Running))
        try:
            yield settings, process
        finally:
            process.kill()


def processor_seconds(pid: int) -> float:
    """CPU time that the process has used so far, over all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pairs(*rows: int) -> str:
    """A query over the product of these numbers of rows, about 30 million a second."""
    numbers = ", ".join(
        f"table(flatten(input => array_generate_range(0, {many}))) as t{n}"
        for n, many in enumerate(rows)
    )
    return f"select count(*) as n from {numbers} where md5(t0.index || '-' || t1.index) <> ''"


def test_a_long_statement_is_run_once_and_asked_for_until_it_ends(
    impatient: tuple[EmbeddedWarehouse, subprocess.Popen[bytes]],
) -> None:
    settings, _ = impatient
    with open_warehouse(settings, purpose="tests") as warehouse:
        warehouse.execute("create schema raw.scratch")
        warehouse.execute("create table raw.scratch.counted (n number)")
        expected = []
        # A machine that is so quick with the first that it is never asked for again gets a longer.
        for many in (1_000, 10_000, 100_000):
            started = time.monotonic()
            warehouse.execute(f"insert into raw.scratch.counted {pairs(2_000, many)}")
            expected.append({"n": 2_000 * many})
            if (seconds := time.monotonic() - started) > 0.1:
                break
        assert seconds > 0.1, "so short that it was never asked for again"
        assert warehouse.rows("select * from raw.scratch.counted order by n") == expected
        with pytest.raises(StatementFailed, match="nothing_there"):
            warehouse.rows("select * from raw.scratch.nothing_there")


def test_a_port_that_takes_connections_and_never_responds_is_given_up_soon(
    warehouse_settings: EmbeddedWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.warehouse.EMBEDDED_LOGIN_SECONDS", 1)
    with StallingProxy(warehouse_settings.port) as proxy:
        proxy.stall()
        started = time.monotonic()
        silent = replace(warehouse_settings, port=proxy.port)
        with pytest.raises(WarehouseUnavailable), open_warehouse(silent, purpose="tests"):
            pass
        assert time.monotonic() - started < 60, "it never responds"


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_never_asked_for_loopback(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        # Restored after the test, because opening a session sets them.
        monkeypatch.setenv(name, "intranet.example.com")
    monkeypatch.setenv(variable, f"http://127.0.0.1:{free_port()}")
    with open_warehouse(warehouse.settings, purpose="test") as session:
        assert session.rows("select 1 as n") == [{"n": 1}]
    assert os.environ["NO_PROXY"] == "intranet.example.com,127.0.0.1,localhost"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing holds the port")
def test_a_free_port_is_kept_for_the_server_that_is_told_to_use_it() -> None:
    address = ("127.0.0.1", free_port())
    with socket.socket() as another, pytest.raises(OSError, match="in use"):
        another.bind(address)
    with socket.create_server(address):
        socket.create_connection(address, timeout=60).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=60)


def test_a_home_that_cannot_be_written_is_named() -> None:
    settings = EmbeddedWarehouse(port=free_port(), home=Path("/proc/nowhere"))
    with pytest.raises(ConfigurationError, match="LTW_HOME, /proc/nowhere, cannot be written"):
        ensure_running(settings)


def test_the_embedded_engine_explains_what_it_would_run(warehouse: Warehouse) -> None:
    text = "select value:a::varchar as a from table(flatten(input => parse_json('[]')))"
    assert warehouse.rows(f"explain {text}")


def test_stopping_ends_a_running_statement(
    impatient: tuple[EmbeddedWarehouse, subprocess.Popen[bytes]],
) -> None:
    """The last test, because it stops the shared server."""
    settings, process = impatient
    begun = threading.Event()
    errors: list[StatementFailed] = []

    def ask() -> None:
        with open_warehouse(settings, purpose="tests", statement_timeout_seconds=2) as warehouse:
            warehouse.rows("select 1")
            begun.set()
            try:
                # Short lists, because generating a long one cannot be interrupted.
                warehouse.rows(pairs(*[1_000] * 5))
            except StatementFailed as error:
                errors.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    assert begun.wait(30)
    idle = processor_seconds(process.pid)
    wait_until(lambda: processor_seconds(process.pid) > idle + 0.3)
    process.terminate()
    process.wait(60)
    asking.join(30)
    assert len(errors) == 1


def test_a_time_is_read_from_its_text_and_from_seconds_since_1970(warehouse: Warehouse) -> None:
    texts = {
        "'2026-03-04 01:02:03.000004'": "2026-03-04T01:02:03.000004",
        "'1772582400'": "2026-03-04T00:00:00",
        "'-1'": "1969-12-31T23:59:59",
        "'2026-03-04'::date": "2026-03-04T00:00:00",
        "null::varchar": None,
    }
    read = ", ".join(f"{text}::timestamp_ntz as t{n}" for n, text in enumerate(texts))
    (row,) = warehouse.rows(f"select {read}")
    assert [time and time.isoformat() for time in row.values()] == list(texts.values())
    with pytest.raises(StatementFailed, match="no time"):
        warehouse.rows("select 'no time'::timestamp_ntz as t")
