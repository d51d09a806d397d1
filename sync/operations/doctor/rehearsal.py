"""Every statement of a delivery run and of the operations, compiled instead of run.

The functions themselves are called, on a session that explains what it is given. Each is called
three times: it takes a different path if there is nothing yet, and if another run was first.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

from sync.delivery.build import EnrichmentPolicy, build
from sync.delivery.endpoints import load_endpoints
from sync.delivery.events import check_held
from sync.delivery.learning_time import CompletionKey, LearningTimeClient
from sync.delivery.record import new_events, record
from sync.domain.circuit_breaker import Breaker, EndpointState
from sync.domain.endpoint import Endpoint, EndpointSettings, Region
from sync.domain.event_types import COURSE_COMPLETION, completions, recorded_types
from sync.domain.formats import DEFAULT_FORMAT
from sync.domain.pauses import NO_PAUSES
from sync.domain.responses import Response
from sync.domain.retry import follow_up
from sync.domain.states import State
from sync.domain.work import Attempt, Claim
from sync.ledger.attempts import leased_here, settle, settle_logged
from sync.ledger.checks import bodies_that_differ, recorded_twice, successes_not_settled
from sync.ledger.claims import Claims
from sync.ledger.endpoint_settings import add_settings, is_asked_for, settings_rows
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.erasures import (
    begin_erasure,
    erase_from_ledger,
    finish_erasure,
    in_ledger,
    is_erased,
    person_key,
)
from sync.ledger.identity import ledger_identity
from sync.ledger.messages import bodies_of
from sync.ledger.outbox import Outbox, Remaining, open_work, remaining
from sync.ledger.overrides import add_override, clear_overrides
from sync.ledger.retention import apply_retention
from sync.ledger.steps import nothing
from sync.operations.backfill import Backfill
from sync.operations.changes import NOTHING_SEEN, hand_over, ledger_token, poll
from sync.operations.customer_webhooks import attempts_of, counts_by_day, webhooks_of
from sync.operations.endpoint_override import OverrideEndpoint
from sync.operations.endpoint_switch import dead_letters
from sync.operations.endpoints import list_endpoints
from sync.operations.erase import EVENTS, Erase, _empty, _empty_excerpts, _excerpts_of
from sync.operations.explain.story import names_of, read_story, texts_of_lines, whose
from sync.operations.formats import events_of_learner
from sync.operations.pauses import PauseSending, ResumeSending
from sync.operations.replay import Replay, ReplayState
from sync.operations.report.costs import read_costs
from sync.operations.report.figures import read_figures
from sync.operations.reroute import Reroute
from sync.operations.settle import Settle
from sync.operations.status import read_status
from sync.operations.watching import latencies
from sync.warehouse import RelationMissing, StatementFailed, Warehouse

Steps = tuple[Callable[[Warehouse], object], ...]

NOW = datetime(2026, 3, 12, 8)
CUSTOMER = "00000000-0000-4000-8000-000000000000"
MOST_PAGES = 3
"""Times that a statement finds or changes something; then loops over pages and batches end."""
COMPILED = re.compile(r"\s*(select|with|insert|update|delete|merge)\b", re.IGNORECASE)
"""First words of statements that can be explained."""
BIND = re.compile(r"'(?:[^'\\]|\\.|'')*'|--[^\n]*|\?")
VALUES: Mapping[str, object] = {
    **dict.fromkeys(EndpointSettings.model_fields),
    "breaker_state": Breaker.CLOSED.value,
    "enterprise_customer_uuid": CUSTOMER,
    "event_type": COURSE_COMPLETION,
    "disabled_at": None,
    "facts": "{}",
    "is_active": True,
    "next_probe_at": None,
    "next_slot_at": None,
    "paused_until": None,
    "payload_format": DEFAULT_FORMAT,
    "refused_at": None,
    "region": Region.US.value,
    "state": State.PENDING.value,
    # No migration: what makes tables cannot be explained.
    "version": 1_000_000,
    "verdict": "ok",
    "webhook_url": "https://lms.example.com/webhooks",
}
"""Values of columns that accept only certain texts."""
BY_TYPE: Mapping[int, object] = {0: 1, 1: 1.0, 2: "x", 3: NOW.date(), 5: "{}", 8: NOW, 13: False}
"""Values by the connector's type codes."""


class Rehearsal(Warehouse):
    """Compiles each statement once, and responds as if there were one row that is free and due."""

    def __init__(self, warehouse: Warehouse) -> None:
        super().__init__(warehouse.settings, warehouse._connection)
        self._sender = warehouse
        self.compiled: dict[str, StatementFailed | None] = {}
        """Statements, each with the engine's error."""
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._asked: Counter[str] = Counter()
        self._is_first_empty = self._is_change_in_vain = False

    def begin(self, *, is_first_empty: bool = False, is_change_in_vain: bool = False) -> None:
        """Before a call of a function whose first query or whose changes may find no row."""
        self._asked.clear()
        self._is_first_empty, self._is_change_in_vain = is_first_empty, is_change_in_vain

    def rows(self, sql: str, *binds: object) -> list[dict[str, Any]]:
        """One row of made-up values, in the columns of the query."""
        self._compile(sql, binds)
        self._asked[sql] += 1
        if ".information_schema." in sql:
            # The names of tables go into statements.
            return self._sender.rows(sql, *binds)
        if self._is_first_empty and self._asked.total() == 1:
            return []
        if sql not in self._rows:
            columns = self._connection.cursor().describe(sql, binds or None)
            self._sender.statements += 1
            self._rows[sql] = [
                {
                    one.name.lower(): VALUES.get(one.name.lower(), BY_TYPE.get(one.type_code))
                    for one in columns
                }
            ]
        return self._rows[sql] if self._asked[sql] <= MOST_PAGES else []

    def execute(self, sql: str, *binds: object) -> int:
        """One row was changed, or none."""
        self._compile(sql, binds)
        self._asked[sql] += 1
        return int(not self._is_change_in_vain and self._asked[sql] <= MOST_PAGES)

    def _run(self, sql: str, binds: tuple[object, ...]) -> NoReturn:
        raise StatementFailed("a rehearsal runs nothing")

    def _compile(self, sql: str, binds: tuple[object, ...]) -> None:
        if not COMPILED.match(sql):
            return
        if sql not in self.compiled:
            self.compiled[sql] = explained(self._sender, sql, binds)
        error = self.compiled[sql]
        if error is not None:
            raise error


def explained(
    warehouse: Warehouse, sql: str, binds: tuple[object, ...] = ()
) -> StatementFailed | None:
    """The engine's error for a statement, which it compiles without running it or a warehouse.

    The values are in the text: nothing documents that EXPLAIN accepts binds.
    """
    left = iter(binds)
    text = BIND.sub(lambda found: literal(next(left)) if found[0] == "?" else found[0], sql)
    try:
        warehouse.rows(f"explain {text.strip()}")
    except StatementFailed as error:
        return error
    return None


def literal(value: object) -> str:
    """A bind as SQL text."""
    match value:
        case None:
            return "null"
        case bool() | int() | float():
            return str(value).lower()
        case _:
            escaped = str(value).replace("\\", "\\\\").replace("'", "''")
            return f"'{escaped}'"


def rehearse(
    warehouse: Warehouse, steps: Steps, *, is_late: Callable[[], bool] = lambda: False
) -> Mapping[str, StatementFailed | None]:
    """Every statement with the engine's error, or None.

    Once ``is_late``, the rest is left out.
    """
    rehearsal = Rehearsal(warehouse)
    with _quiet():
        for step in steps:
            if is_late():
                break
            for ways in ({}, {"is_first_empty": True}, {"is_change_in_vain": True}):
                rehearsal.begin(**ways)
                # What a made-up row leads to does not matter; StatementFailed is noted already.
                with suppress(Exception):
                    step(rehearsal)
    return rehearsal.compiled


@contextmanager
def _quiet() -> Iterator[None]:
    """Log nothing that only a made-up row has led to."""
    ours = logging.getLogger("sync")
    before = ours.level
    ours.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        ours.setLevel(before)


def is_missing(error: StatementFailed | None) -> bool:
    """Whether a statement cannot be compiled because a table or view does not exist yet."""
    return isinstance(error, RelationMissing)


def _clock() -> datetime:
    return NOW


ENDPOINT = Endpoint(
    endpoint_id=1,
    enterprise_customer_uuid=CUSTOMER,
    region=Region.US,
    url="https://lms.example.com/webhooks",
    timeout_seconds=30,
    max_requests_per_minute=100,
    is_active=True,
    is_enrollment_events_enabled=False,
)
CLAIM = Claim("x", 1, b"{}", attempt_count=0, fence=1)
RESPONSE = Response(200, None, "", 5)
ATTEMPT = Attempt(
    claim=CLAIM,
    run_id=CUSTOMER,
    result=RESPONSE,
    follow_up=follow_up(RESPONSE, webhook_id="x", attempt_number=1, now=NOW),
    started_at=NOW,
    signing_key_ids="",
)
KEY = person_key(1)
REPLAY = Replay(state=ReplayState.DEAD, since=NOW - timedelta(days=1), until=NOW)
BACKFILL = Backfill(since=NOW - timedelta(days=1), until=NOW)
REROUTE = Reroute(endpoint_id=1)
OVERRIDE = OverrideEndpoint(endpoint_id=1)
PAUSE = PauseSending(endpoint_id=1, reason="x", until=NOW + timedelta(days=1))


def _outbox(warehouse: Warehouse) -> Outbox:
    return Outbox(warehouse, _clock, "doctor")


def _build(warehouse: Warehouse) -> object:
    policy = EnrichmentPolicy(enabled=True, max_wait=timedelta(0))
    client = LearningTimeClient(warehouse)
    return build(warehouse, _outbox(warehouse), client, policy=policy, clock=_clock)


def _claim(warehouse: Warehouse) -> object:
    claims = Claims(warehouse, _clock, "doctor", [ENDPOINT], nothing)
    return claims.next_batch(limit=1, lease=timedelta(minutes=10))


def _erase_from_models(warehouse: Warehouse) -> object:
    table = warehouse.relation("marts", "learning_time")
    events = warehouse.relation("intermediate", EVENTS)
    named, binds = _excerpts_of(warehouse, KEY)
    _empty_excerpts(warehouse, events, named, binds)
    return [_empty(warehouse, one, KEY) for one in (table, events)]


def _count_failure(state: EndpointState) -> EndpointState:
    return replace(state, consecutive_failures=state.consecutive_failures + 1)


STEPS: Steps = (
    # A delivery run.
    lambda w: [record(w, run_id="doctor", clock=_clock, source=one) for one in recorded_types()],
    lambda w: new_events(w, completions(), since=NOW, now=NOW, limit=1),
    lambda w: is_asked_for(w, "x"),
    load_endpoints,
    _build,
    lambda w: _outbox(w).decide([{"webhook_id": "x", "state": State.PENDING, "body": "{}"}]),
    lambda w: LearningTimeClient(w).get_many([CompletionKey(CUSTOMER, 1, "x")]),
    open_work,
    lambda w: settle_logged(w, leased_since=NOW, clock=_clock),
    lambda w: _outbox(w).hold_and_release({2: "x"}, [ENDPOINT]),
    lambda w: check_held(w, [one.name for one in recorded_types()], clock=_clock),
    _claim,
    lambda w: bodies_of(w, "x", [{"build_id": "x"}]),
    lambda w: settle(w, [ATTEMPT], clock=_clock),
    lambda w: leased_here(w, [ATTEMPT]),
    lambda w: EndpointStates(w).change([1], _count_failure),
    lambda w: _outbox(w).release([CLAIM]),
    lambda w: _outbox(w).release_all(),
    lambda w: _outbox(w).next_due_at([1]),
    lambda w: remaining(w, NO_PAUSES),
    ledger_token,
    lambda w: hand_over(w, "x", Remaining(awaiting_since=NOW)),
    # What reads its results.
    lambda w: poll(w, NOTHING_SEEN, told=None, now=NOW, max_wait=timedelta(hours=1)),
    read_status,
    lambda w: list_endpoints(w, load_endpoints(w), clock=_clock),
    recorded_twice,
    bodies_that_differ,
    successes_not_settled,
    ledger_identity,
    lambda w: latencies(w, "doctor", since=NOW),
    read_figures,
    lambda w: counts_by_day(w, CUSTOMER, NOW.date()),
    lambda w: webhooks_of(w, CUSTOMER, NOW.date(), {}, NO_PAUSES, is_personal=False),
    lambda w: webhooks_of(w, CUSTOMER, NOW.date(), {}, NO_PAUSES, is_personal=True),
    lambda w: attempts_of(w, CUSTOMER, NOW.date()),
    lambda w: events_of_learner(w, completions(), user_id=1, now=NOW),
    # Operations.
    lambda w: REPLAY.plan(w, _clock),
    lambda w: REPLAY.move(w, "x", NOW),
    lambda w: BACKFILL.plan(w, _clock),
    lambda w: BACKFILL.move(w, "x", NOW),
    lambda w: REROUTE.plan(w, _clock),
    lambda w: REROUTE.move(w, "x", NOW),
    *(
        lambda w, one=one: (one.plan(w, _clock), one.move(w, "x", NOW))
        for one in (Settle(logged=True), Settle(webhook_ids=["x"], endpoint_id=1))
    ),
    lambda w: Replay(webhook_ids=["x"]).plan(w, _clock),
    lambda w: REPLAY.apply(w, _clock, confirmed=1, by="doctor", request_id="x"),
    lambda w: PAUSE.run(w, _clock),
    lambda w: ResumeSending(endpoint_id=1).run(w, _clock),
    lambda w: OVERRIDE.run(w, _clock),
    lambda w: add_override(
        w,
        1,
        enterprise=CUSTOMER,
        url=None,
        timeout_seconds=1,
        until=NOW,
        reason="x",
        by="doctor",
        now=NOW,
    ),
    lambda w: clear_overrides(w, 1, by="doctor", now=NOW),
    lambda w: clear_overrides(w, 1, by="doctor", now=NOW, but="x"),
    lambda w: dead_letters(w, 1),
    lambda w: settings_rows(w, 1),
    lambda w: add_settings(w, 1, EndpointSettings(), clock=_clock, above=[]),
    lambda w: apply_retention(w, clock=_clock, dry_run=True),
    lambda w: apply_retention(w, clock=_clock),
    lambda w: Erase(person_key=KEY).plan(w, _clock),
    lambda w: begin_erasure(w, KEY, requested_by="", reason="", now=NOW),
    lambda w: is_erased(w, KEY),
    lambda w: in_ledger(w, KEY, now=NOW),
    lambda w: erase_from_ledger(w, KEY, now=NOW),
    lambda w: finish_erasure(w, KEY, counts={}, now=NOW),
)
"""In the order of the protocol."""
BUILD_STEPS: Steps = (
    _erase_from_models,
    lambda w: whose(w, user_id=None, key=None, webhook_id="x"),
    lambda w: whose(w, user_id=None, key=KEY, webhook_id=None),
    lambda w: read_story(w, 1, None),
    lambda w: texts_of_lines(w, 1),
    lambda w: names_of(w, 1),
    lambda w: read_costs(w, now=NOW, days=1),
)
"""What needs the rights of dbt."""
