"""From a completion in the mart to a request at a real receiver, through the ledger."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from sync.addresses import AddressPolicy
from sync.clock import Clock, warehouse_clock
from sync.completions import Enqueued, enqueue, webhook_id
from sync.delivery_run import REST_AFTER
from sync.dispatch import dispatch
from sync.event_sources import ENROLLMENTS
from sync.freeze import EnrichmentPolicy, FreezeReport, freeze
from sync.learning_time import LearningTimeClient
from sync.ledger import ensure_ledger
from sync.outbox import Outbox
from sync.secrets import SecretStore
from sync.sender import DispatchLimits, DispatchReport, Sender
from sync.transport import Transport
from sync.urls import parse_development_targets
from sync.warehouse import RelationMissing, Warehouse
from tests.support.completions import COURSE_RUN, ENTERPRISE, add_completions, completion
from tests.support.marts import (
    ENDPOINT_COLUMNS,
    ENROLLMENT_COLUMNS,
    LEARNING_TIME_COLUMNS,
    create_marts,
    create_table,
    endpoint,
    enrollment,
)
from tests.support.receiver import Receiver, receiver

PASSED_AT = "2026-03-10T17:42:31"
ACTIVATED_AT = datetime(2026, 3, 1)
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


class Pipeline:
    """The three steps of a run, on one warehouse session and one receiver."""

    def __init__(self, warehouse: Warehouse, target: Receiver, journals: Path) -> None:
        ensure_ledger(warehouse)
        self.warehouse = warehouse
        self.target = target
        self.journals = journals
        self.clock: Clock = warehouse_clock(warehouse)
        self.secrets = {f"LTW_SECRET_WEBHOOK_SIGNING_{n}": SECRET for n in range(1, 10)}

    def detect(self, **options: object) -> object:
        settings = {"activated_at": ACTIVATED_AT} | options
        return enqueue(self.warehouse, run_id="run-1", clock=self.clock, **settings)  # pyright: ignore[reportArgumentType]

    def freeze(
        self, *, enabled: bool = False, max_wait: timedelta = timedelta(hours=1)
    ) -> FreezeReport:
        policy = EnrichmentPolicy(enabled=enabled, max_wait=max_wait)
        client = LearningTimeClient(self.warehouse)
        return freeze(self.warehouse, self.outbox, client, policy=policy, clock=self.clock)

    def send(self, **limits: int) -> DispatchReport:
        policy = AddressPolicy(development_targets=parse_development_targets(self.target.host_port))
        with Transport(policy=policy) as transport:
            return dispatch(
                self.warehouse,
                Sender(
                    run_id="run-1",
                    clock=self.clock,
                    secrets=SecretStore(self.secrets, None),
                    poster=transport,
                    policy=policy,
                    journal_directory=self.journals,
                    limits=DispatchLimits(**limits),  # pyright: ignore[reportArgumentType]
                ),
            )

    @property
    def outbox(self) -> Outbox:
        return Outbox(self.warehouse, self.clock, "run-1")

    def rows(self, columns: str) -> list[dict[str, object]]:
        return self.warehouse.rows(
            f"select {columns} from analytics.sync.webhook_outbox order by user_id"
        )

    def later(self, span: timedelta) -> None:
        now = self.clock
        self.clock = lambda: now() + span


MakePipeline = Callable[..., Pipeline]


@pytest.fixture
def target() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture
def pipeline(warehouse: Warehouse, target: Receiver, tmp_path: Path) -> Pipeline:
    """Two completions and one endpoint."""
    create_marts(
        warehouse,
        completions=[completion(1, PASSED_AT), completion(2, PASSED_AT)],
        endpoints=[endpoint(1, f"{target.url}/hooks/example")],
    )
    return Pipeline(warehouse, target, tmp_path)


def learning_time(user_id: int, **changes: object) -> dict[str, object]:
    return {
        "enterprise_customer_uuid": ENTERPRISE,
        "user_id": user_id,
        "courserun_key": COURSE_RUN,
        "passed_at": PASSED_AT,
        "learning_time_seconds": 26964,
        "event_count": 12,
        "computed_through": "2026-03-12T00:00:00",
    } | changes


def test_each_completion_is_sent_once_with_a_verifiable_signature(pipeline: Pipeline) -> None:
    assert pipeline.detect() == Enqueued(ACTIVATED_AT, awaiting=2, suppressed=0)
    pipeline.freeze()
    pipeline.send()
    assert pipeline.detect() == Enqueued(ACTIVATED_AT, awaiting=0, suppressed=0)
    pipeline.freeze()
    pipeline.send()
    assert len(pipeline.target.received) == 2
    assert {json.loads(one.body)["learner"]["user_id"] for one in pipeline.target.received} == {
        1,
        2,
    }
    for one in pipeline.target.received:
        Webhook(SECRET).verify(one.body.decode(), one.headers)
    assert [row["state"] for row in pipeline.rows("state")] == ["delivered", "delivered"]


def test_a_completion_before_the_activation_is_recorded_and_never_sent(pipeline: Pipeline) -> None:
    add_completions(pipeline.warehouse, [completion(3, "2026-02-27T00:00:00")])
    assert pipeline.detect() == Enqueued(ACTIVATED_AT, awaiting=2, suppressed=1)
    pipeline.freeze()
    pipeline.send()
    assert len(pipeline.target.received) == 2
    assert pipeline.rows("state, state_reason")[2] == {
        "state": "suppressed",
        "state_reason": "before_activation",
    }


def test_the_first_activation_moment_stands(pipeline: Pipeline) -> None:
    pipeline.detect()
    add_completions(pipeline.warehouse, [completion(3, "2026-02-27T00:00:00")])
    outcome = pipeline.detect(activated_at=datetime(2020, 1, 1))
    assert outcome == Enqueued(ACTIVATED_AT, awaiting=0, suppressed=1)


def test_without_a_setting_the_first_run_is_the_activation(pipeline: Pipeline) -> None:
    outcome = pipeline.detect(activated_at=None)
    assert isinstance(outcome, Enqueued)
    assert (outcome.awaiting, outcome.suppressed) == (0, 2)


def test_a_batch_above_the_guard_is_not_recorded_until_it_is_allowed(pipeline: Pipeline) -> None:
    assert not isinstance(pipeline.detect(mass_send_limit=1), Enqueued)
    assert pipeline.rows("webhook_id") == []
    outcome = pipeline.detect(mass_send_limit=1, allow_mass_send=True)
    assert outcome == Enqueued(ACTIVATED_AT, awaiting=2, suppressed=0)


def test_with_the_flag_on_the_body_carries_learning_time(pipeline: Pipeline) -> None:
    create_table(
        pipeline.warehouse, "completion_learning_time", LEARNING_TIME_COLUMNS, [learning_time(1)]
    )
    pipeline.detect()
    pipeline.freeze(enabled=True, max_wait=timedelta(0))
    pipeline.send()
    bodies = {
        body["learner"]["user_id"]: body
        for body in (json.loads(one.body) for one in pipeline.target.received)
    }
    assert bodies[1]["learning_time"] == {
        "total_seconds": 26964,
        "total_hours": 7.49,
        "last_updated": "2026-03-12T00:00:00Z",
    }
    assert "learning_time" not in bodies[2]
    assert [row["enrichment_outcome"] for row in pipeline.rows("enrichment_outcome")] == [
        "found",
        "not_yet",
    ]


def test_with_the_flag_off_nothing_is_looked_up_or_waits(pipeline: Pipeline) -> None:
    pipeline.warehouse.execute("drop table analytics.marts.completion_learning_time")
    pipeline.detect()
    report = pipeline.freeze(enabled=False)
    assert report.frozen == {"flag_off": 2}
    assert not report.problems


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        pytest.param({"event_count": 0, "learning_time_seconds": 0}, "no_data", id="no events"),
        pytest.param({"learning_time_seconds": 0}, "found", id="zero is a value"),
        pytest.param({"computed_through": "2026-03-10T17:42:31"}, "found", id="just covered"),
    ],
)
def test_the_outcome_of_the_look_up_is_recorded(
    pipeline: Pipeline, changes: dict[str, object], outcome: str
) -> None:
    create_table(
        pipeline.warehouse,
        "completion_learning_time",
        LEARNING_TIME_COLUMNS,
        [learning_time(n, **changes) for n in (1, 2)],
    )
    pipeline.detect()
    assert pipeline.freeze(enabled=True).frozen == {outcome: 2}


def test_a_completion_waits_for_a_stale_mart_and_is_enriched_when_it_catches_up(
    pipeline: Pipeline,
) -> None:
    def mart(computed_through: str) -> None:
        create_table(
            pipeline.warehouse,
            "completion_learning_time",
            LEARNING_TIME_COLUMNS,
            [learning_time(n, computed_through=computed_through) for n in (1, 2)],
        )

    mart("2026-03-10T17:42:30")
    pipeline.detect()
    assert pipeline.freeze(enabled=True).waiting == {"not_yet": 2}
    pipeline.send()
    assert pipeline.target.received == []
    mart("2026-03-10T18:00:00")
    assert pipeline.freeze(enabled=True).frozen == {"found": 2}


def test_a_completion_is_sent_without_learning_time_when_the_wait_is_over(
    pipeline: Pipeline,
) -> None:
    pipeline.detect()
    assert pipeline.freeze(enabled=True, max_wait=timedelta(minutes=30)).waiting == {"not_yet": 2}
    pipeline.later(timedelta(minutes=30))
    assert pipeline.freeze(enabled=True, max_wait=timedelta(minutes=30)).frozen == {"not_yet": 2}
    pipeline.send()
    assert all("learning_time" not in json.loads(one.body) for one in pipeline.target.received)
    assert len(pipeline.target.received) == 2


def test_an_unreadable_mart_delays_a_completion_but_never_stops_it(pipeline: Pipeline) -> None:
    pipeline.warehouse.execute("drop table analytics.marts.completion_learning_time")
    pipeline.detect()
    assert pipeline.freeze(enabled=True).waiting == {"unavailable": 2}
    pipeline.later(timedelta(hours=1))
    report = pipeline.freeze(enabled=True)
    assert report.frozen == {"unavailable": 2}
    assert "COMPLETION_LEARNING_TIME" in next(iter(report.problems))


def test_a_frozen_body_never_changes(pipeline: Pipeline) -> None:
    pipeline.detect()
    pipeline.freeze(enabled=False)
    before = pipeline.rows("body, frozen_at")
    create_table(
        pipeline.warehouse, "completion_learning_time", LEARNING_TIME_COLUMNS, [learning_time(1)]
    )
    pipeline.freeze(enabled=True)
    assert pipeline.rows("body, frozen_at") == before


def test_a_failure_is_retried_later_with_the_same_id_and_bytes(pipeline: Pipeline) -> None:
    pipeline.target.answers["/hooks"] = (500, {})
    pipeline.detect()
    pipeline.freeze()
    pipeline.send()
    assert len(pipeline.target.received) == 2
    row = pipeline.rows("state, attempt_count, next_attempt_at, delivered_at")[0]
    assert (row["state"], row["attempt_count"], row["delivered_at"]) == ("pending", 1, None)
    assert isinstance(row["next_attempt_at"], datetime)
    assert timedelta(seconds=3) < row["next_attempt_at"] - pipeline.clock() < timedelta(seconds=7)
    pipeline.target.answers.clear()
    pipeline.later(timedelta(seconds=10))
    pipeline.send()
    first, second = pipeline.target.received[:2], pipeline.target.received[2:]
    assert {(one.webhook_id, one.body) for one in first} == {
        (one.webhook_id, one.body) for one in second
    }
    attempts = pipeline.warehouse.rows(
        "select attempt_number, outcome, status_code from analytics.sync.webhook_attempts"
        " order by attempt_number, webhook_id"
    )
    assert [(a["attempt_number"], a["outcome"], a["status_code"]) for a in attempts] == [
        (1, "retry", 500),
        (1, "retry", 500),
        (2, "delivered", 200),
        (2, "delivered", 200),
    ]


def test_an_endpoint_that_is_gone_is_disabled_and_its_other_webhooks_are_held(
    pipeline: Pipeline,
) -> None:
    pipeline.target.answers["/hooks"] = (410, {})
    pipeline.detect()
    pipeline.freeze()
    pipeline.send(per_endpoint=1, batch_size=1)
    add_completions(pipeline.warehouse, [completion(3, PASSED_AT)])
    pipeline.detect()
    pipeline.freeze()
    report = pipeline.send()
    assert report.unusable == {1: "endpoint_disabled"}
    assert pipeline.rows("state, state_reason")[2] == {
        "state": "held",
        "state_reason": "endpoint_disabled",
    }
    pipeline.warehouse.execute(
        "update analytics.sync.endpoint_state set disabled_at = null, disabled_reason = null"
    )
    pipeline.target.answers.clear()
    pipeline.send()
    assert pipeline.rows("state")[2] == {"state": "delivered"}


def test_a_failing_endpoint_rests_and_another_is_not_delayed(
    pipeline: Pipeline, target: Receiver
) -> None:
    other = "11111111-2222-4333-8444-555555555555"
    many = [completion(n, PASSED_AT) for n in range(10, 30)]
    healthy = completion(40, PASSED_AT, enterprise_customer_uuid=other)
    add_completions(pipeline.warehouse, [*many, healthy])
    create_table(
        pipeline.warehouse,
        "webhook_endpoints",
        ENDPOINT_COLUMNS,
        [
            endpoint(1, f"{target.url}/hooks/broken"),
            endpoint(2, f"{target.url}/hooks/fine", enterprise_customer_uuid=other),
        ],
    )
    target.answers["/hooks/broken"] = (503, {})
    pipeline.detect()
    pipeline.freeze()
    report = pipeline.send(per_endpoint=2)
    tried = [one for one in target.received if one.path == "/hooks/broken"]
    assert REST_AFTER <= len(tried) < REST_AFTER + 2
    assert report.released == 22 - len(tried)
    assert pipeline.rows("state")[-1] == {"state": "delivered"}
    untried = [row for row in pipeline.rows("attempt_count, state") if row["attempt_count"] == 0]
    assert len(untried) == report.released, "a row that was not tried is not charged"


@pytest.mark.parametrize(
    ("change", "reason", "text"),
    [
        pytest.param({"url": "ftp://example.com/x"}, "endpoint_invalid", "https://", id="bad url"),
        pytest.param({"is_active": False}, "endpoint_inactive", None, id="switched off"),
        pytest.param({"endpoint_id": 99}, "endpoint_missing", None, id="gone"),
    ],
)
def test_a_frozen_webhook_is_held_while_its_endpoint_cannot_take_it(
    pipeline: Pipeline, change: dict[str, object], reason: str, text: str | None
) -> None:
    good = endpoint(1, f"{pipeline.target.url}/hooks/example")
    pipeline.detect()
    pipeline.freeze()
    create_table(
        pipeline.warehouse, "webhook_endpoints", ENDPOINT_COLUMNS, [good | {"x": 0} | change]
    )
    report = pipeline.send()
    assert report.unusable == {1: reason}
    assert text is None or text in report.problems[1]
    assert {row["state_reason"] for row in pipeline.rows("state_reason")} == {reason}
    create_table(pipeline.warehouse, "webhook_endpoints", ENDPOINT_COLUMNS, [good])
    pipeline.send()
    assert {row["state"] for row in pipeline.rows("state")} == {"delivered"}


def test_a_missing_signing_key_holds_and_names_the_setting(pipeline: Pipeline) -> None:
    pipeline.secrets = {}
    pipeline.detect()
    pipeline.freeze()
    report = pipeline.send()
    assert report.unusable == {1: "signing_key_missing"}
    assert "LTW_SECRET_WEBHOOK_SIGNING_1" in report.problems[1]
    assert pipeline.target.received == []


def test_an_enterprise_without_an_endpoint_is_suppressed_with_that_reason(
    pipeline: Pipeline,
) -> None:
    create_table(pipeline.warehouse, "webhook_endpoints", ENDPOINT_COLUMNS, [])
    pipeline.detect()
    assert pipeline.freeze().suppressed == {"no_endpoint": 2}
    assert {row["state_reason"] for row in pipeline.rows("state_reason")} == {"no_endpoint"}


def test_an_unreadable_endpoint_row_holds_its_enterprise_and_nobody_else(
    pipeline: Pipeline, target: Receiver
) -> None:
    other = "11111111-2222-4333-8444-555555555555"
    add_completions(pipeline.warehouse, [completion(3, PASSED_AT, enterprise_customer_uuid=other)])
    broken = endpoint(2, f"{target.url}/hooks/x", enterprise_customer_uuid=other, region="UK")
    rows = [endpoint(1, f"{target.url}/hooks/example"), broken]
    create_table(pipeline.warehouse, "webhook_endpoints", ENDPOINT_COLUMNS, rows)
    pipeline.detect()
    report = pipeline.freeze()
    assert report.held == {"endpoint_row_invalid": 1}
    assert "endpoint 2: region" in next(iter(report.problems))
    pipeline.send()
    assert [row["state"] for row in pipeline.rows("state")] == ["delivered", "delivered", "held"]
    rows[1] = broken | {"region": "OTHER"}
    create_table(pipeline.warehouse, "webhook_endpoints", ENDPOINT_COLUMNS, rows)
    pipeline.freeze()
    pipeline.send()
    assert pipeline.rows("state")[2] == {"state": "delivered"}


def test_a_completion_that_cannot_be_rendered_is_held_and_stops_nobody(pipeline: Pipeline) -> None:
    add_completions(pipeline.warehouse, [completion(3, PASSED_AT, percent_grade=None)])
    pipeline.detect()
    report = pipeline.freeze()
    assert report.held == {"payload_invalid": 1}
    assert "percent_grade" in next(iter(report.problems))
    pipeline.send()
    assert [row["state"] for row in pipeline.rows("state")] == ["delivered", "delivered", "held"]


def test_statements_of_a_run_grow_with_batches_and_not_with_webhooks(pipeline: Pipeline) -> None:
    def statements(users: range) -> int:
        add_completions(pipeline.warehouse, [completion(n, PASSED_AT) for n in users])
        before = pipeline.warehouse.statements
        pipeline.detect()
        pipeline.freeze()
        pipeline.send()
        return pipeline.warehouse.statements - before

    statements(range(3, 4))
    few, many = statements(range(10, 15)), statements(range(100, 300))
    assert many == few
    assert len(pipeline.target.received) == 2 + 1 + 5 + 200


def test_a_percipio_completion_without_identity_is_held_until_the_identity_is_known(
    pipeline: Pipeline,
) -> None:
    percipio = endpoint(1, f"{pipeline.target.url}/hooks/example", payload_format="percipio")
    create_table(pipeline.warehouse, "webhook_endpoints", ENDPOINT_COLUMNS, [percipio])
    pipeline.detect()
    report = pipeline.freeze()
    assert report.held == {"identity_missing": 2}
    assert "single sign-on" in next(iter(report.problems))
    pipeline.warehouse.execute(
        "update analytics.marts.completed_enrollments"
        " set percipio_user_id = 'u-1', percipio_organization_id = 'org' where user_id = 1"
    )
    assert pipeline.freeze().frozen == {"flag_off": 1}
    pipeline.send()
    assert [json.loads(one.body)["user"] for one in pipeline.target.received] == ["u-1"]
    assert [row["state"] for row in pipeline.rows("state")] == ["delivered", "held"]


def test_an_impossible_learning_time_is_unavailable_and_never_sent(pipeline: Pipeline) -> None:
    create_table(
        pipeline.warehouse,
        "completion_learning_time",
        LEARNING_TIME_COLUMNS,
        [learning_time(n, learning_time_seconds=-5) for n in (1, 2)],
    )
    pipeline.detect()
    assert pipeline.freeze(enabled=True, max_wait=timedelta(0)).frozen == {"unavailable": 2}
    pipeline.send()
    assert all("learning_time" not in json.loads(one.body) for one in pipeline.target.received)


def test_detection_before_the_first_build_says_what_to_do(
    warehouse: Warehouse, target: Receiver, tmp_path: Path
) -> None:
    with pytest.raises(RelationMissing, match="run learning_time_job, or `dbt build`"):
        Pipeline(warehouse, target, tmp_path).detect()


def test_the_warehouse_and_python_mint_the_same_id(pipeline: Pipeline) -> None:
    pipeline.detect()
    assert {row["webhook_id"] for row in pipeline.rows("webhook_id")} == {
        webhook_id("course_completion", ENTERPRISE, user_id, COURSE_RUN) for user_id in (1, 2)
    }
    assert (
        webhook_id("course_completion", ENTERPRISE, 1, COURSE_RUN)
        == "2ec0acb6-9811-54aa-9664-a87ac95ae27f"
    ), "ids that customers have seen can never change"


@pytest.fixture
def enrolling(pipeline: Pipeline) -> Pipeline:
    """The pipeline with an enrollment, at an endpoint that has enrollment events on."""
    create_table(
        pipeline.warehouse,
        "webhook_endpoints",
        ENDPOINT_COLUMNS,
        [endpoint(1, f"{pipeline.target.url}/hooks/x", is_enrollment_events_enabled=True)],
    )
    create_table(pipeline.warehouse, "enterprise_enrollments", ENROLLMENT_COLUMNS, [enrollment(1)])
    return pipeline


def test_an_enrollment_is_sent_once_and_never_carries_learning_time(enrolling: Pipeline) -> None:
    create_table(
        enrolling.warehouse, "completion_learning_time", LEARNING_TIME_COLUMNS, [learning_time(1)]
    )
    for _ in range(2):
        enrolling.detect(source=ENROLLMENTS)
        enrolling.freeze(enabled=True)
        enrolling.send()
    assert [json.loads(one.body) for one in enrolling.target.received] == [
        {
            "event_type": "course_enrollment",
            "event_version": "2.0",
            "event_source": "openedx_events",
            "timestamp": json.loads(enrolling.target.received[0].body)["timestamp"],
            "enterprise_customer": {"uuid": ENTERPRISE, "name": "Example Industries"},
            "learner": {"user_id": 1, "username": "learner_1", "email": "learner_1@example.com"},
            "course": {"course_key": COURSE_RUN},
            "enrollment": {
                "mode": "verified",
                "is_active": True,
                "enrollment_date": "2026-03-05T08:00:00Z",
            },
        }
    ]
    assert enrolling.rows("enrichment_outcome") == [{"enrichment_outcome": "not_a_completion"}]


def test_an_enrollment_and_the_completion_of_it_are_two_messages(enrolling: Pipeline) -> None:
    enrolling.detect()
    enrolling.detect(source=ENROLLMENTS)
    enrolling.freeze()
    enrolling.send()
    kinds = [json.loads(one.body)["event_type"] for one in enrolling.target.received]
    assert sorted(kinds) == ["course_completion"] * 2 + ["course_enrollment"]
    assert len({one.webhook_id for one in enrolling.target.received}) == 3


def test_nobody_hears_of_enrollments_with_the_events_switched_off(enrolling: Pipeline) -> None:
    off = endpoint(1, f"{enrolling.target.url}/hooks/x", is_enrollment_events_enabled=False)
    create_table(enrolling.warehouse, "webhook_endpoints", ENDPOINT_COLUMNS, [off])
    assert enrolling.detect(source=ENROLLMENTS) == Enqueued(ACTIVATED_AT, awaiting=0, suppressed=0)
    assert enrolling.rows("webhook_id") == []


def test_a_status_that_an_endpoint_calls_final_is_a_dead_letter_at_once(
    pipeline: Pipeline,
) -> None:
    picky = endpoint(1, f"{pipeline.target.url}/hooks/x", final_status_codes="400, 422")
    create_table(pipeline.warehouse, "webhook_endpoints", ENDPOINT_COLUMNS, [picky])
    pipeline.target.answers["/hooks"] = (422, {})
    pipeline.detect()
    pipeline.freeze()
    pipeline.send()
    assert {
        (row["state"], row["state_reason"]) for row in pipeline.rows("state, state_reason")
    } == {("dead", "final_status")}
