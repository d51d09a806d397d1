"""Creates, writes and concurrently claims the ledger on the warehouse in the settings."""

from __future__ import annotations

import gzip
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sync.clock import warehouse_clock
from sync.delivery.build import EnrichmentPolicy, build
from sync.delivery.endpoints import load_endpoints
from sync.delivery.learning_time import LearningTimeClient
from sync.delivery.record import Recorded, record
from sync.domain.circuit_breaker import EndpointState
from sync.domain.responses import Response
from sync.ledger.attempts import settle, settle_logged
from sync.ledger.claims import Batch, Claims
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.outbox import Outbox
from sync.ledger.steps import nothing
from sync.ledger.tables import (
    ENDPOINT_STATE,
    MIGRATIONS,
    MIGRATIONS_TABLE,
    OUTBOX,
    ensure_ledger,
)
from sync.local.sample_data import SampleSize, generate, write_files
from sync.local.tracking_logs import Loaded, load_logs
from sync.operations.doctor import rehearsal
from sync.operations.operation import NotConfirmed
from sync.operations.status import read_status
from sync.warehouse import RelationMissing, StatementFailed, Warehouse
from tests.snowflake.conftest import Place
from tests.support.attempts import made
from tests.support.completions import completion
from tests.support.marts import ENROLLMENT_COLUMNS, create_marts, create_table, endpoint

pytestmark = pytest.mark.snowflake

SINCE = datetime(2026, 3, 1)
LEASE = timedelta(minutes=10)
COMPLETIONS = 6
Note = Callable[[str, object], None]


@pytest.fixture(scope="module")
def ledger(place: Place) -> Iterator[Place]:
    """A ledger over stand-in marts, with built and due completions."""
    with place.session() as session:
        create_marts(
            session,
            completions=[completion(n, "2026-03-10T17:42:31") for n in range(COMPLETIONS)],
            endpoints=[endpoint(1, "https://lms.example.com/webhooks", is_active=True)],
        )
        create_table(session, "enterprise_enrollments", ENROLLMENT_COLUMNS, [])
        clock = warehouse_clock(session)
        found = record(session, run_id="first", clock=clock, activated_at=SINCE)
        assert isinstance(found, Recorded)
        assert found.awaiting == COMPLETIONS
        policy = EnrichmentPolicy(enabled=False, max_wait=timedelta(0))
        outbox = Outbox(session, clock, "first")
        build(session, outbox, LearningTimeClient(session), policy=policy, clock=clock)
        assert read_status(session).states == {"pending": COMPLETIONS}
        yield place


def claims_of(session: Warehouse, run_id: str) -> Claims:
    endpoints = load_endpoints(session).by_id.values()
    return Claims(session, warehouse_clock(session), run_id, endpoints, nothing)


def test_ddl_may_be_sent_twice_and_a_migration_again(there: Warehouse, ledger: Place) -> None:
    newest = MIGRATIONS[-1].version
    assert ensure_ledger(there) == ensure_ledger(there) == newest
    history = there.relation("sync", MIGRATIONS_TABLE)
    there.execute(f"delete from {history} where version = ?", newest)
    assert ensure_ledger(there) == newest
    assert read_status(there).states == {"pending": COMPLETIONS}


def test_a_claim_that_waited_for_another_takes_other_rows(
    there: Warehouse, ledger: Place, learned: Note
) -> None:
    """The first transaction stays open during the second claim. It is not documented whether a
    blocked UPDATE rereads the rows after waiting; here it must."""
    hold = 5.0 if ledger.is_account else 0.3
    found: list[Batch] = []

    def second() -> None:
        with ledger.session() as session:
            found.append(claims_of(session, "second").next_batch(limit=COMPLETIONS, lease=LEASE))

    thread = threading.Thread(target=second)
    with there.transaction():
        first = claims_of(there, "first").next_batch(limit=2, lease=LEASE)
        thread.start()
        time.sleep(hold)
    thread.join(60)
    assert len(first.claims) == 2
    if found:
        others = {one.webhook_id for one in found[0].claims}
        assert others.isdisjoint(one.webhook_id for one in first.claims)
        learned("claims of the run that waited", len(others))
    else:
        learned("the run that waited", "was refused, and the next run claims what is left")
    rows = there.rows(
        f"select lease_owner, fence from {there.relation('sync', OUTBOX)}"
        " where lease_owner is not null"
    )
    assert all(int(row["fence"]) == 1 for row in rows), "claimed once each"
    Outbox(there, warehouse_clock(there), "first").release_all()
    Outbox(there, warehouse_clock(there), "second").release_all()


def test_what_is_claimed_is_settled_by_its_fence(there: Warehouse, ledger: Place) -> None:
    clock = warehouse_clock(there)
    batch = claims_of(there, "third").next_batch(limit=3, lease=LEASE)
    assert len(batch.claims) == 3
    attempts = [
        made(claim, Response(status, None, "", 5), run_id="third", started_at=clock())
        for claim, status in zip(batch.claims, (200, 500, 410), strict=True)
    ]
    for _ in range(2):
        settle(there, attempts, clock=clock)
    assert settle_logged(there, leased_since=SINCE, clock=clock) == 0
    assert read_status(there).states == {"dead": 1, "delivered": 1, "pending": COMPLETIONS - 2}


def test_every_statement_runs_in_the_order_of_the_protocol(
    there: Warehouse, ledger: Place, learned: Note
) -> None:
    """The functions that the doctor rehearses, with rows; without a mart that only dbt builds."""
    left: list[RelationMissing] = []
    before = there.statements
    for step in rehearsal.STEPS:
        try:
            step(there)
        except RelationMissing as error:
            left.append(error)
        except NotConfirmed:
            # A replay of dead letters: none is in its window.
            continue
    learned("statements sent", there.statements - before)
    assert [one for one in left if "WEBHOOK_DELIVERIES" not in str(one)] == []
    assert there.statements - before > 60


@pytest.mark.parametrize("n", [0, 3])
def test_each_kind_of_statement_says_how_many_rows_it_changed(there: Warehouse, n: int) -> None:
    table = there.relation("sync", "row_counts")
    there.execute(f"create or replace table {table} (id number(38, 0), done boolean)")
    rows = "select value:id::number(38, 0), false from table(flatten(input => parse_json(?)))"
    given = [{"id": one} for one in range(n)]
    assert there.bulk(f"insert into {table} (id, done) {rows}", given) == n
    assert there.execute(f"update {table} set done = true where id >= ?", 0) == n
    assert there.execute(f"delete from {table} where done") == n


def test_two_increments_at_the_same_time_are_two(place: Place, there: Warehouse) -> None:
    table = there.relation("sync", "counter")
    there.execute(f"create or replace table {table} as select 0 as n")

    def increment() -> None:
        with place.session() as session:
            session.execute(f"update {table} set n = n + 1")

    threads = [threading.Thread(target=increment) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert there.rows(f"select n from {table}") == [{"n": 2}]


def test_of_twins_that_two_first_inserts_made_one_stays(there: Warehouse, ledger: Place) -> None:
    """Two runs insert an endpoint's first row concurrently; INSERTs do not block each other."""
    table = there.relation("sync", ENDPOINT_STATE)

    def count(state: EndpointState) -> EndpointState:
        return replace(state, consecutive_failures=state.consecutive_failures + 1)

    EndpointStates(there).change([77], count)
    there.execute(
        f"create or replace table {table}_twin as select * from {table} where endpoint_id = 77"
    )
    there.execute(f"update {table}_twin set row_id = uuid_string()")
    there.execute(f"insert into {table} select * from {table}_twin")
    EndpointStates(there).change([77], count)
    (row,) = there.rows(f"select consecutive_failures as n from {table} where endpoint_id = 77")
    assert int(row["n"]) == 2


def test_lines_that_hold_anything_arrive_as_they_are(
    place: Place, there: Warehouse, tmp_path: Path
) -> None:
    """PUT and COPY of 1,000 lines: quotes, backslashes, control characters, truncated JSON."""
    data = generate(
        SampleSize(lines=1_000),
        seed=5,
        start=datetime(2026, 3, 2).astimezone(),
        receiver_url="http://127.0.0.1:1",
    )
    files = [
        path for n, wave in enumerate(data.waves) for path in write_files(tmp_path / str(n), wave)
    ]
    loaded = load_logs(there, files, progress=lambda _: None)
    lines = sum(one.lines for one in loaded if isinstance(one, Loaded))
    assert lines >= 1_000
    relation = there.raw_relation("tracking", "tracking_logs")
    assert "LTW_DOCTOR_" in relation
    written = Counter(line for path in files for line in lines_of(path))
    found = Counter(row["line"] for row in there.rows(f"select line from {relation}"))
    assert found.total() == lines
    assert written - found == found - written == Counter()


def lines_of(path: Path) -> list[str]:
    """Expected lines of a log, plain or gzip."""
    text = path.read_bytes()
    if path.suffix == ".gz":
        text = gzip.decompress(text)
    return [
        one.rstrip("\r") for one in text.decode("utf-8", "replace").removesuffix("\n").split("\n")
    ]


def test_how_long_a_killed_client_keeps_its_locks(
    place: Place, there: Warehouse, learned: Note
) -> None:
    if not place.is_account:
        pytest.skip("the embedded engine has no lock waits: a conflict is an error at once")
    table = there.relation("sync", "locked")
    there.execute(f"create or replace table {table} as select 0 as n")
    with place.session() as session:
        session.execute("begin")
        session.execute(f"update {table} set n = 1")
        # Like a killed process, without closing the session.
        session._connection.rest.close()  # pyright: ignore[reportOptionalMemberAccess]
        started = time.monotonic()
        while time.monotonic() - started < 600:
            try:
                there.execute(f"update {table} set n = n + 1")
                break
            except StatementFailed:
                continue
    learned("seconds that a killed client keeps its locks", round(time.monotonic() - started))


def test_what_it_has_cost(place: Place, there: Warehouse, learned: Note) -> None:
    """The cost of earlier runs, since the view is hours behind
    (docs.snowflake.com/en/sql-reference/account-usage/query_attribution_history)."""
    if not place.is_account:
        pytest.skip("the embedded engine costs nothing")
    try:
        rows = there.rows(
            """
            select query_tag, sum(credits_attributed_compute) as credits, count(*) as queries
            from snowflake.account_usage.query_attribution_history
            where startswith(query_tag, 'learning-time-webhooks:doctor')
            group by query_tag
            """
        )
    except StatementFailed as error:
        pytest.skip(f"the role may not read it: {error}")
    for row in rows:
        learned(f"credits of {row['queries']} queries of {row['query_tag']}", row["credits"])
