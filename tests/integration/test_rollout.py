"""The rollout and the shadow lookup on a real ledger: who is enriched, and who only counted."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from sync.clock import warehouse_clock
from sync.delivery.build import BuildReport, EnrichmentPolicy, build
from sync.delivery.learning_time import LOOKUP_BATCH, LearningTimeClient
from sync.delivery.record import record
from sync.domain.rollout import LeftOut, Rollout, place_of
from sync.ledger.outbox import Outbox
from sync.ledger.tables import ensure_ledger
from sync.warehouse import Warehouse
from tests.support.completions import COURSE_RUN, ENTERPRISE, completion
from tests.support.ledger_rows import WITH_MESSAGES
from tests.support.marts import create_endpoints, create_marts, endpoint
from tests.support.pipeline import PASSED_AT, learning_time
from tests.support.scenarios import Scenarios

LEARNING_TIME = "analytics.marts.completion_learning_time"
USERS = range(1, 41)
ON = EnrichmentPolicy(enabled=True)
OFF = EnrichmentPolicy(enabled=False)
SHADOW = EnrichmentPolicy(enabled=False, is_shadow_looked_up=True)


@pytest.fixture
def recorded(scenarios: Scenarios, warehouse: Warehouse) -> Warehouse:
    """Forty completions, detected and undecided, all with learning time in the mart."""

    def make(warehouse: Warehouse) -> None:
        ensure_ledger(warehouse)
        create_marts(
            warehouse,
            completions=[completion(n, PASSED_AT) for n in USERS],
            endpoints=[endpoint(1, "https://hooks.example.com/in")],
            learning_times=[learning_time(n) for n in USERS],
        )
        detect(warehouse)

    scenarios.stand("forty-recorded", make)
    return warehouse


def detect(warehouse: Warehouse) -> None:
    record(
        warehouse,
        run_id="run-1",
        clock=warehouse_clock(warehouse),
        activated_at=datetime(2026, 3, 1),
    )


def run(
    warehouse: Warehouse, policy: EnrichmentPolicy, client: LearningTimeClient | None = None
) -> BuildReport:
    clock = warehouse_clock(warehouse)
    return build(
        warehouse,
        Outbox(warehouse, clock, "run-1"),
        client or LearningTimeClient(warehouse),
        policy=policy,
        clock=clock,
    )


def built_messages(warehouse: Warehouse) -> dict[int, tuple[str, dict[str, object]]]:
    """Outcome and body by learner."""
    return {
        int(row["user_id"]): (row["enrichment_outcome"], json.loads(row["body"]))
        for row in warehouse.rows(f"select user_id, enrichment_outcome, body from {WITH_MESSAGES}")
    }


def everything(warehouse: Warehouse) -> list[dict[str, object]]:
    """The ledger's content, except the times of the run."""
    return warehouse.rows(
        "select * exclude (updated_at, recorded_at, frozen_at, next_attempt_at, build_id)"
        f" from {WITH_MESSAGES} order by webhook_id"
    )


def test_the_share_of_the_rollout_is_enriched_and_the_rest_says_why(recorded: Warehouse) -> None:
    report = run(recorded, EnrichmentPolicy(enabled=True, rollout=Rollout(30)))
    inside = {n for n in USERS if place_of(n, COURSE_RUN) < 30}
    assert 0 < len(inside) < len(USERS), "both kinds must be there for this test to say anything"
    messages = built_messages(recorded)
    assert {n for n, (outcome, _) in messages.items() if outcome == "found"} == inside
    assert {n for n, (_, body) in messages.items() if "learning_time" in body} == inside
    assert {outcome for n, (outcome, _) in messages.items() if n not in inside} == {
        "not_in_rollout"
    }
    assert report.left_out == {LeftOut.SHARE: len(USERS) - len(inside)}


def test_a_completion_outside_the_rollout_waits_for_nothing(recorded: Warehouse) -> None:
    """The mart is empty: completions inside the rollout wait, others do not."""
    recorded.execute(f"delete from {LEARNING_TIME}")
    report = run(recorded, EnrichmentPolicy(enabled=True, rollout=Rollout(30)))
    inside = sum(place_of(n, COURSE_RUN) < 30 for n in USERS)
    assert report.waiting == {"not_yet": inside}
    assert report.built == {"not_in_rollout": len(USERS) - inside}


def test_only_customers_of_the_allowlist_are_enriched(recorded: Warehouse) -> None:
    other = "1b0c9f3a-6f0e-4a41-8d86-2c9f0f0a7e55"
    report = run(recorded, EnrichmentPolicy(enabled=True, rollout=Rollout(100, frozenset([other]))))
    assert report.built == {"not_in_rollout": len(USERS)}
    assert report.left_out == {LeftOut.ENTERPRISE: len(USERS)}


def test_a_customer_of_the_allowlist_is_enriched(recorded: Warehouse) -> None:
    listed = Rollout(100, frozenset([ENTERPRISE]))
    assert run(recorded, EnrichmentPolicy(enabled=True, rollout=listed)).built == {
        "found": len(USERS)
    }


def test_with_the_flag_off_the_rollout_means_nothing(recorded: Warehouse) -> None:
    report = run(recorded, EnrichmentPolicy(enabled=False, rollout=Rollout(0)))
    assert report.built == {"flag_off": len(USERS)}
    assert not report.left_out


def test_an_endpoint_that_opted_out_is_no_matter_of_the_rollout(recorded: Warehouse) -> None:
    create_endpoints(
        recorded, [endpoint(1, "https://hooks.example.com/in", is_learning_time_enabled=False)]
    )
    policy = EnrichmentPolicy(enabled=True, rollout=Rollout(30), is_shadow_looked_up=True)
    report = run(recorded, policy)
    assert report.built == {"endpoint_opted_out": len(USERS)}
    assert report.shadow_seen == 0


def test_the_shadow_says_what_the_flag_would_have_done(recorded: Warehouse) -> None:
    recorded.execute(f"delete from {LEARNING_TIME} where user_id = 5")
    recorded.execute(f"update {LEARNING_TIME} set event_count = 0 where user_id in (3, 33)")
    recorded.execute(
        f"update {LEARNING_TIME} set computed_through = '2026-03-09' where user_id = 4"
    )
    report = run(recorded, SHADOW)
    assert report.built == {"flag_off": 40}
    assert report.shadow == {"found": 36, "no_data": 2, "not_yet": 2}
    assert not report.waiting


def test_the_shadow_changes_no_byte_of_the_ledger(recorded: Warehouse) -> None:
    """The same completions, decided with and without it."""
    run(recorded, SHADOW)
    with_shadow = everything(recorded)
    recorded.execute(
        "update analytics.sync.webhook_outbox set state = 'awaiting', build_id = null,"
        " region = null, endpoint_id = null, payload_format = null"
    )
    run(recorded, OFF)
    assert everything(recorded) == with_shadow
    assert not any("learning_time" in body for _, body in built_messages(recorded).values())


def test_the_shadow_comes_after_the_messages_and_is_one_statement(recorded: Warehouse) -> None:
    class Watching(LearningTimeClient):
        def get_many(self, keys):  # pyright: ignore[reportMissingParameterType]
            asked = list(keys)
            if asked:
                states.append(
                    recorded.rows("select distinct state from analytics.sync.webhook_outbox")
                )
            return super().get_many(asked)

    states: list[list[dict[str, object]]] = []
    client = Watching(recorded)
    run(recorded, SHADOW, client)
    assert states == [[{"state": "pending"}]]
    assert client.statements == 1


def test_without_the_shadow_nothing_is_looked_up(recorded: Warehouse) -> None:
    client = LearningTimeClient(recorded)
    assert not run(recorded, OFF, client).shadow
    assert client.statements == 0


def test_a_failing_shadow_is_a_word_and_no_failure(recorded: Warehouse) -> None:
    recorded.execute(f"drop table {LEARNING_TIME}")
    report = run(recorded, SHADOW)
    assert report.shadow == {"unavailable": len(USERS)}
    assert report.built == {"flag_off": len(USERS)}
    assert not report.problems


def test_the_shadow_asks_about_one_batch_at_most(
    recorded: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LOOKUP_BATCH == 5_000
    monkeypatch.setattr("sync.delivery.build.LOOKUP_BATCH", 7)
    report = run(recorded, SHADOW)
    assert (report.shadow_seen, report.shadow.total()) == (len(USERS), 7)


def test_the_shadow_covers_those_outside_the_rollout(recorded: Warehouse) -> None:
    policy = EnrichmentPolicy(
        enabled=True,
        max_wait=timedelta(0),
        rollout=Rollout(30),
        is_shadow_looked_up=True,
    )
    report = run(recorded, policy)
    assert report.shadow == {"found": report.built["not_in_rollout"]}


def test_raising_the_percentage_does_not_touch_what_is_built(recorded: Warehouse) -> None:
    run(recorded, EnrichmentPolicy(enabled=True, rollout=Rollout(30)))
    before = everything(recorded)
    run(recorded, ON)
    assert everything(recorded) == before
