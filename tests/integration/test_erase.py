"""Erasing a learner from the ledger: nothing more is sent, and nothing identifies the person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from sync.delivery.endpoints import load_endpoints
from sync.delivery.record import record
from sync.domain.work import Claim
from sync.errors import ConfigurationError
from sync.ledger.attempts import settle
from sync.ledger.claims import Claims
from sync.ledger.erasures import person_key
from sync.ledger.identity import ledger_identity
from sync.ledger.journal import open_journal
from sync.ledger.steps import nothing
from sync.operations.backfill import Backfill
from sync.operations.erase import Erase, EraseIncomplete
from sync.operations.operation import Done
from sync.operations.refusals import Refusal
from sync.operations.replay import Replay, ReplayState
from sync.operations.reroute import Reroute
from sync.warehouse import StatementFailed, Warehouse
from tests.delivery.model_parts import attempt_of
from tests.support.command_line import Command
from tests.support.delivery import ACTIVATED_AT
from tests.support.marts import ANY_RECEIVER, point_endpoints
from tests.support.operator import (
    MESSAGES,
    OUTBOX,
    World,
    everything_in,
    make_world,
    open_world,
)
from tests.support.replays import DELIVERED, ask, plan
from tests.support.scenarios import Scenarios

PERSON, OTHER = 90_418_000_000_016, 90_424_000_000_016
"""So long that no time and no random id in the tables contains one by chance."""
KEY = person_key(PERSON)
REQUEST = Erase(person_key=KEY, reason="ticket 4711")
MART = "analytics.marts.completed_enrollments"
ERASURES = "analytics.sync.erasures"


def carry_out(world: World, session: Warehouse | None = None, request: Erase = REQUEST) -> Done:
    return request.apply(
        session or world.warehouse,
        world.clock,
        confirmed=request.plan(world.warehouse, world.clock).matched,
        by="an operator",
        environ={"LTW_JOURNAL_DIR": str(world.run.journals)},
    )


def traces(warehouse: Warehouse) -> set[str]:
    """Tables of the ledger and the marts that still contain the person, except the mart that
    stands in for a view over the replicas."""
    tables = [
        f"{row['table_schema']}.{row['table_name']}".lower()
        for row in warehouse.rows(
            "select table_schema, table_name from analytics.information_schema.tables"
        )
    ]
    found = warehouse.rows(
        " union all ".join(
            f"select distinct '{name}' as name from analytics.{name} as whole"
            f" where position('{PERSON}' in whole::varchar) > 0"
            for name in tables
        )
    )
    return {row["name"] for row in found} - {"marts.completed_enrollments"}


@pytest.fixture
def in_each_state(scenarios: Scenarios, warehouse: Warehouse, tmp_path: Path) -> Iterator[World]:
    """Six events of the person, one in each state, and a delivered one of the other learner."""

    def make(warehouse: Warehouse) -> None:
        make_world(warehouse)
        with open_world(warehouse, tmp_path / "before") as opened:
            one_in_each_state(opened)
            point_endpoints(warehouse, ANY_RECEIVER, instead_of=opened.target.url)

    scenarios.stand("one in each state", make)
    with open_world(warehouse, tmp_path) as opened:
        yield opened


def ids_by_state(world: World) -> dict[str, str]:
    """Webhook ids of the person's events."""
    return {row["state"]: row["webhook_id"] for row in world.rows(where=f"user_id = {PERSON}")}


def one_in_each_state(world: World) -> None:
    world.delivered(PERSON, OTHER)
    states = ("awaiting", "pending", "held", "dead", "suppressed")
    for number, state in enumerate(states):
        build = "null" if state in ("awaiting", "suppressed") else "build_id"
        world.warehouse.execute(
            f"""
            insert into {OUTBOX}
            select * replace (
                'id-{state}' as webhook_id, 'course-v1:X+{number}+1' as courserun_key,
                '{state}' as state, {build} as build_id, null as delivered_at,
                sysdate() as next_attempt_at
            )
            from {OUTBOX} where user_id = {PERSON} and state = 'delivered'
            """
        )
        world.warehouse.execute(
            f"insert into {MESSAGES} select * replace ('id-{state}' as webhook_id) from {MESSAGES}"
            f" where webhook_id in (select webhook_id from {OUTBOX}"
            f" where user_id = {PERSON} and state = 'delivered')"
        )


def claim_of_a_run(world: World) -> Claim:
    """A message of the person that a run has claimed."""
    world.complete(PERSON)
    world.run.record_and_build(world.warehouse)
    endpoints = load_endpoints(world.warehouse).by_id.values()
    claims = Claims(world.warehouse, world.clock, "run-1", endpoints, nothing)
    (claim,) = claims.next_batch(limit=9, lease=world.run.limits.lease).claims
    return claim


def test_every_state_is_emptied_and_the_reconciliation_still_counts_it(
    in_each_state: World,
) -> None:
    world = in_each_state
    ids = ids_by_state(world)
    other = world.rows(where=f"user_id = {OTHER}")
    assert "sync.webhook_outbox" in traces(world.warehouse), "the search finds what is there"
    made = carry_out(world)
    assert made.document["erased"]["webhook_outbox"] == 6
    assert traces(world.warehouse) == set()
    assert world.rows(where=f"user_id = {OTHER}") == other
    after = {row["webhook_id"]: row for row in world.rows() if int(row["user_id"]) != OTHER}
    assert set(after) == set(ids.values())
    for state, one in ids.items():
        row = after[one]
        stopped = state in ("awaiting", "pending", "held")
        assert (row["state"], row["body"]) == ("suppressed" if stopped else state, None)
        assert (row["state_reason"] == "erased") == stopped
        assert row["next_attempt_at"] is None
        assert row["courserun_key"], "customer and course run are what the sums are made of"
    assert len({row["user_id"] for row in after.values()}) == 1
    assert all(int(row["user_id"]) < 0 for row in after.values())


def test_learners_with_similar_ids_keep_everything(world: World) -> None:
    """A prefix, a suffix, ten times the id: the key depends on the whole id."""
    others = (PERSON // 10, PERSON % 10**12, PERSON * 10, PERSON + 10**14, PERSON + 1)
    world.delivered(PERSON, *others)
    mine = f"user_id <> {PERSON}"
    before = world.rows(where=mine)
    carry_out(world)
    assert world.rows(where=mine + " and user_id > 0") == before
    assert len(before) == len(others)


def test_nothing_of_it_is_sent_or_recorded_again_whatever_the_marts_hold(
    in_each_state: World,
) -> None:
    world = in_each_state
    carry_out(world)
    world.complete(PERSON)
    world.warehouse.execute(f"update {MART} set courserun_key = 'course-v1:New+1+1'")
    world.deliver()
    sent = [json.loads(one.body)["learner"]["user_id"] for one in world.take()]
    assert sent == [OTHER], "the neighbor's new course run goes out"
    assert traces(world.warehouse) == set()


def test_two_learners_of_one_course_run_do_not_become_one(world: World) -> None:
    world.delivered(PERSON, OTHER)
    carry_out(world)
    carry_out(world, request=Erase(person_key=person_key(OTHER)))
    assert len({row["user_id"] for row in world.rows("user_id")}) == 2


def test_a_replay_that_waits_is_taken_back(world: World) -> None:
    world.delivered(PERSON)
    ask(world, DELIVERED)
    carry_out(world)
    world.send()
    assert world.take() == []


def test_nobody_who_was_erased_is_replayed_backfilled_or_rerouted(in_each_state: World) -> None:
    """Neither by state nor by id, nor rows suppressed for another reason before."""
    world = in_each_state
    ids = list(ids_by_state(world).values())
    world.warehouse.execute(
        f"update {OUTBOX} set build_id = null, state_reason = 'before_activation'"
        " where state in ('awaiting', 'suppressed')"
    )
    carry_out(world)
    world.warehouse.execute(f"delete from {OUTBOX} where user_id > 0")
    before = everything_in(world.warehouse)
    states = [Replay(state=one) for one in ReplayState]
    by_id = [Replay(state=one.state, webhook_ids=ids) for one in states]
    for request in (*states, *by_id, Replay(webhook_ids=ids)):
        found = plan(world, request)
        assert (found.matched, set(found.document["refused"])) == (0, {Refusal.ERASED})
        assert ask(world, request).changed == 0
    window = Backfill(since=datetime(2000, 1, 1), until=datetime(2100, 1, 1))
    old = window.plan(world.warehouse, world.clock)
    assert (old.matched, old.document["beyond_limit"]) == (0, 0)
    assert Reroute().plan(world.warehouse, world.clock).matched == 0
    assert everything_in(world.warehouse) == before


@pytest.mark.parametrize("verdict", ["500", "200"])
def test_what_a_run_holds_is_said_and_its_late_response_brings_nothing_back(
    world: World, verdict: str
) -> None:
    claim = claim_of_a_run(world)
    found = REQUEST.plan(world.warehouse, world.clock)
    assert found.document["may_still_arrive"] == 1
    made = carry_out(world)
    assert "1 webhooks were claimed by a run, which may send them until 2" in made.outcome
    now = world.clock()
    late = attempt_of(claim, verdict, run_id="run-1", started_at=now, now=now)
    settle(world.warehouse, [late], clock=world.clock)
    (row,) = world.rows()
    expected = ("delivered", None) if verdict == "200" else ("suppressed", "erased")
    assert (row["state"], row["state_reason"]) == expected
    assert row["body"] is None
    assert traces(world.warehouse) == set()


def test_responses_in_the_journal_of_a_dead_run_go_to_the_ledger_first(world: World) -> None:
    claim = claim_of_a_run(world)
    now = world.clock()
    attempt = attempt_of(claim, "200", run_id="run-1", started_at=now, now=now)
    with open_journal(world.run.journals, ledger_identity(world.warehouse)) as journal:
        journal.record([attempt])
    carry_out(world)
    assert world.rows("state") == [{"state": "delivered"}], "the customer has it"
    assert [file for file in world.run.journals.rglob("*.journal*") if file.is_file()] == []


class Cut(Warehouse):
    """A session that dies at the first statement with this prefix."""

    def __init__(self, warehouse: Warehouse, begins: str) -> None:
        super().__init__(warehouse.settings, warehouse._connection)
        self.begins = begins

    def execute(self, sql: str, *binds: object) -> int:
        """Execute normally until then."""
        if " ".join(sql.split()).startswith(self.begins):
            raise KeyboardInterrupt
        return super().execute(sql, *binds)


KILLED_AT = (
    "update ANALYTICS.SYNC.WEBHOOK_ATTEMPTS",
    "update ANALYTICS.SYNC.WEBHOOK_OUTBOX",
    "update ANALYTICS.SYNC.WEBHOOK_MESSAGES",
    "delete from ANALYTICS.MARTS",
    "update ANALYTICS.SYNC.ERASURES",
)


def test_an_erasure_that_is_killed_at_each_of_its_statements_goes_on_where_it_stopped(
    in_each_state: World,
) -> None:
    world = in_each_state
    world.warehouse.execute(
        f"create table analytics.marts.learning_time as select user_id, username from {MART}"
    )
    for number, begins in enumerate(KILLED_AT):
        with pytest.raises(KeyboardInterrupt):
            carry_out(world, Cut(world.warehouse, begins))
        world.warehouse.execute(f"update {MART} set courserun_key = 'course-v1:New+{number}+1'")
        assert record(world.warehouse, run_id="run-2", clock=world.clock, activated_at=ACTIVATED_AT)
        left = len(world.rows("user_id", f"user_id = {PERSON}"))
        assert left in (0, 6), f"nothing new of the person, killed at {begins}"
    made = carry_out(world)
    assert traces(world.warehouse) == set()
    (note,) = world.warehouse.rows(f"select * from {ERASURES}")
    assert note["erasure_id"] == made.request_id
    assert note["finished_at"] is not None


def test_the_note_says_who_asked_and_names_nobody_and_a_second_one_is_none(
    in_each_state: World,
) -> None:
    world = in_each_state
    made = carry_out(world)
    world.warehouse.execute(f"delete from {MART} where user_id = {PERSON}")
    before = everything_in(world.warehouse)
    again = carry_out(world)
    assert (again.request_id, again.changed) == (None, 0)
    assert everything_in(world.warehouse) == before
    (note,) = world.warehouse.rows(
        f"select erasure_id, person_key, requested_by, reason, to_json(counts) as counts"
        f" from {ERASURES}"
    )
    assert note["erasure_id"] == made.request_id
    assert (note["requested_by"], note["reason"]) == ("an operator", "ticket 4711")
    assert json.loads(note["counts"])["webhook_outbox"] == 6
    assert str(PERSON) not in str(note)


def test_a_table_that_may_not_be_emptied_is_named_with_the_way_out(world: World) -> None:
    world.warehouse.execute(
        f"create table analytics.marts.learning_time as select user_id from {MART}"
    )

    class Refusing(Cut):
        def execute(self, sql: str, *binds: object) -> int:
            try:
                return super().execute(sql, *binds)
            except KeyboardInterrupt:
                raise StatementFailed("Insufficient privileges") from None

    with pytest.raises(EraseIncomplete, match=r"MARTS\.\w+ could not be .*SNOWFLAKE_DBT_ROLE"):
        carry_out(world, Refusing(world.warehouse, "delete from ANALYTICS.MARTS"))


def test_a_plan_changes_nothing(in_each_state: World) -> None:
    world = in_each_state
    before = everything_in(world.warehouse)
    found = REQUEST.plan(world.warehouse, world.clock)
    assert found.document["found"]["webhooks"] == 6
    assert found.document["found"]["to_be_sent"] == 3
    assert found.document["was_erased"] is False
    assert everything_in(world.warehouse) == before


@pytest.mark.parametrize("key", ["", str(PERSON), "x' or 1=1", KEY.upper()])
def test_what_is_no_key_of_a_learner_is_refused(key: str) -> None:
    with pytest.raises(ConfigurationError, match="64 lowercase hex digits"):
        Erase.read({"person_key": key})


def test_the_command_asks_and_prints_no_id(in_each_state: World, ltw: Command) -> None:
    world = in_each_state
    erase = partial(ltw, "erase", "--user", PERSON)
    shown = erase("--dry-run", "--json")
    assert shown.document["person_key"] == KEY
    unknown = ltw("erase", "--user", "77", "--dry-run")
    assert (unknown.code, "check the id" in unknown.text) == (0, True)
    for wrong in ("0", "-5", "x", "1.5", ""):
        assert ltw("erase", "--user", wrong, "--yes").code == 2
    refused = erase()
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert "sync.webhook_outbox" in traces(world.warehouse), "nothing was changed"
    done = erase("--yes", "--reason", "ticket 4711")
    assert done.code == 0, done.err
    assert traces(world.warehouse) == set()
    again = erase("--yes", "--json")
    assert again.document["was_erased"] is True
    for one in (shown, refused, done, again):
        assert str(PERSON) not in one.text
