"""The next run does what a preview prints."""

from __future__ import annotations

from collections.abc import Sequence, Set

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sync.delivery.build import EnrichmentPolicy, build
from sync.delivery.learning_time import LearningTimeClient
from sync.delivery.record import record
from sync.domain.states import State
from sync.http.destination import HttpDestination
from sync.ledger.outbox import Outbox
from sync.operations.next_run import next_run
from sync.operations.pauses import PauseSending
from tests.support.delivery import ACTIVATED_AT, FLAG_OFF, enterprise, secrets
from tests.support.examples import examples
from tests.support.marts import LEARNING_TIME_COLUMNS, create_endpoints, create_table, endpoint
from tests.support.operator import OUTBOX, World
from tests.support.pipeline import learning_time
from tests.support.site import Poster

MART = "analytics.marts.completed_enrollments"
LEARNERS = range(1, 13)
SOON = "dateadd(hour, 1, sysdate())"
STAGES = {
    "new": None,
    "recorded": "state = 'awaiting', build_id = null, endpoint_id = null",
    "due": "state = 'pending'",
    "tried": "state = 'pending', fence = 1, attempt_count = 1",
    "held": "state = 'held', state_reason = 'endpoint_inactive', fence = 1",
    "later": f"next_attempt_at = {SOON}, fence = 1",
}
FACTS = {
    "as they were": None,
    "gone": f"delete from {MART}",
    "broken": f"update {MART} set percent_grade = null",
    "of the EU": f"update {MART} set learner_country = 'DE'",
}
DOORS = {
    "open": {},
    "switched off": {"is_active": False},
    "unreadable": {"region": "UK"},
    "refused": {"url": "ftp://example.com/in"},
    "another customer's": {"enterprise_customer_uuid": enterprise(9)},
}
HEALTH = {
    "well": None,
    "disabled": "disabled_at = sysdate(), disabled_reason = 'by hand'",
    "asked to wait": f"paused_until = {SOON}",
    "paused": None,
    "open breaker": f"breaker_state = 'open', next_probe_at = {SOON}",
}


ALL = [(stage, "as they were", True) for stage in STAGES]


@settings(max_examples=examples(2, 200))
@example(webhooks=[one for one in ALL for _ in (1, 2)], door="open", health="well", enabled=True)
@example(webhooks=ALL, door="another customer's", health="well", enabled=False)
@example(webhooks=ALL, door="open", health="open breaker", enabled=False)
@example(webhooks=ALL, door="open", health="paused", enabled=False)
@example(webhooks=ALL, door="another customer's", health="disabled", enabled=False)
@given(
    webhooks=st.lists(
        st.tuples(st.sampled_from([*STAGES]), st.sampled_from([*FACTS]), st.booleans()),
        min_size=2,
        max_size=8,
    ),
    door=st.sampled_from([*DOORS]),
    health=st.sampled_from([*HEALTH]),
    enabled=st.booleans(),
)
def test_what_a_preview_prints_is_what_the_next_run_does(
    world: World,
    webhooks: Sequence[tuple[str, str, bool]],
    door: str,
    health: str,
    enabled: bool,
) -> None:
    """Customer 1's endpoint has problems; customer 2's is healthy."""
    arrange(world, webhooks, door=door, health=health)
    policy = EnrichmentPolicy(enabled=enabled)
    found = next_run(
        world.warehouse,
        policy=policy,
        clock=world.clock,
        readiness_of=HttpDestination(world.run.policy, secrets([1, 2]), Poster()).readiness,
        activated_at=ACTIVATED_AT,
    )
    before = {row["webhook_id"]: row["state"] for row in world.rows()}
    detect_and_build(world, policy)
    world.send()
    after = {row["webhook_id"]: row for row in world.rows()}
    for line in found.lines:
        row = after.pop(line.webhook_id)
        match line.fate.verdict:
            case "send":
                assert row["state"] == State.DELIVERED, line
            case "wait":
                assert row["state"] in (State.AWAITING, State.PENDING), line
            case "hold":
                assert (row["state"], row["state_reason"]) == (State.HELD, line.fate.reason), line
            case "suppress":
                assert row["state"] == State.SUPPRESSED, line
                assert row["state_reason"] == line.fate.reason
    assert sum(found.counts().values()) == len(found.lines)
    for webhook_id, row in after.items():
        assert row["state"] != State.DELIVERED, "it was not announced"
        assert before[webhook_id] == State.PENDING, "only what is due later is left out"


def arrange(
    world: World, webhooks: Sequence[tuple[str, str, bool]], *, door: str, health: str
) -> None:
    """The ledger and the marts with webhooks in these stages, out of twelve built ones."""
    world.stand("twelve-built", build_twelve)
    warehouse = world.warehouse
    others = {n for n in LEARNERS if n > len(webhooks)}
    learners: dict[str, set[int]] = {}
    for n, (stage, facts, is_known) in enumerate(webhooks, start=1):
        for name in (stage, facts, is_known * "known" or "unknown"):
            learners.setdefault(name, set()).add(n)
    for table, gone in (
        (MART, others),
        (OUTBOX, others | learners.get("new", set())),
        ("analytics.marts.completion_learning_time", others | learners.get("unknown", set())),
    ):
        if gone:
            warehouse.execute(f"delete from {table} where user_id in {among(gone)}")
    for name, numbers in learners.items():
        if (change := STAGES.get(name)) is not None:
            warehouse.execute(f"update {OUTBOX} set {change} where user_id in {among(numbers)}")
        if (statement := FACTS.get(name)) is not None:
            warehouse.execute(f"{statement} where user_id in {among(numbers)}")
    # Before the row is changed: an unreadable endpoint cannot be paused.
    if health == "paused":
        PauseSending(endpoint_id=1, reason="x").run(warehouse, world.clock)
    if change := DOORS[door]:
        doors = [
            endpoint(n, f"{world.target.url}/hooks/{n}", enterprise_customer_uuid=enterprise(n))
            for n in (1, 2)
        ]
        create_endpoints(warehouse, [doors[0] | change, doors[1]])
    if (change := HEALTH[health]) is not None:
        warehouse.execute(
            "insert into analytics.sync.endpoint_state (endpoint_id, version, breaker_state,"
            " consecutive_failures, window_attempts, window_failures, open_count,"
            " half_open_successes, rate_factor, updated_at, row_id)"
            " select 1, 1, 'closed', 0, 0, 0, 0, 0, 1, sysdate(), uuid_string()"
        )
        warehouse.execute(f"update analytics.sync.endpoint_state set {change}")


def among(numbers: Set[int]) -> str:
    return f"({', '.join(map(str, sorted(numbers)))})"


def build_twelve(world: World) -> None:
    known = [learning_time(n, enterprise_customer_uuid=enterprise(n % 2 + 1)) for n in LEARNERS]
    create_table(world.warehouse, "completion_learning_time", LEARNING_TIME_COLUMNS, known)
    world.complete(*LEARNERS)
    detect_and_build(world, FLAG_OFF)


def detect_and_build(world: World, policy: EnrichmentPolicy) -> None:
    warehouse, clock = world.warehouse, world.clock
    record(warehouse, run_id="run-1", clock=clock, activated_at=ACTIVATED_AT)
    outbox = Outbox(warehouse, clock, "run-1")
    build(warehouse, outbox, LearningTimeClient(warehouse), policy=policy, clock=clock)
