"""A message has the marts' facts at build time; events missing from them by then are not sent."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from sync.delivery.events import MartUnreadable
from sync.operations.backfill import Backfill
from sync.operations.replay import Replay, ReplayState
from tests.support.completions import add_completions, completion
from tests.support.event_types import ENROLLMENTS
from tests.support.marts import (
    ENROLLMENT_COLUMNS,
    create_endpoints,
    create_table,
    endpoint,
    enrollment,
)
from tests.support.operator import carry_out
from tests.support.pipeline import PASSED_AT, Pipeline

MART = "analytics.marts.completed_enrollments"
CHANGES = {
    "email": ("new@example.com", ("learner", "email")),
    "username": ("renamed", ("learner", "username")),
    "enterprise_customer_name": ("Example Renamed", ("enterprise_customer", "name")),
    "percent_grade": (0.97, ("completion", "percent_grade")),
    "letter_grade": ("A", ("completion", "letter_grade")),
}


def change(pipeline: Pipeline, column: str, value: object, *, user_id: int = 1) -> None:
    pipeline.warehouse.execute(f"update {MART} set {column} = ? where user_id = ?", value, user_id)


def withdraw(pipeline: Pipeline, user_id: int = 1) -> None:
    """Consent, link, customer or account: whichever is gone, the mart loses the row."""
    pipeline.warehouse.execute(f"delete from {MART} where user_id = ?", user_id)


def sent_to(pipeline: Pipeline) -> list[int]:
    return sorted(json.loads(one.body)["learner"]["user_id"] for one in pipeline.target.received)


def state_of(pipeline: Pipeline, user_id: int = 1) -> tuple[object, object]:
    rows = pipeline.rows("user_id, state, state_reason")
    (row,) = [row for row in rows if row["user_id"] == user_id]
    return row["state"], row["state_reason"]


def endpoints(pipeline: Pipeline, *rows: dict[str, object]) -> None:
    create_endpoints(pipeline.warehouse, rows)


def test_what_changes_while_a_completion_waits_is_in_the_message(pipeline: Pipeline) -> None:
    pipeline.detect()
    assert pipeline.build(enabled=True).waiting == {"not_yet": 2}
    for column, (value, _) in CHANGES.items():
        change(pipeline, column, value)
    pipeline.build()
    pipeline.send()
    bodies = [json.loads(one.body) for one in pipeline.target.received]
    said = {body["learner"]["user_id"]: body for body in bodies}
    for column, (value, (section, key)) in CHANGES.items():
        assert said[1][section][key] == value, column
        assert said[2][section][key] != value, column


@pytest.mark.parametrize("enabled", [False, True])
def test_a_completion_that_may_no_longer_be_reported_is_held_while_it_waits_and_returns(
    pipeline: Pipeline, *, enabled: bool
) -> None:
    pipeline.detect()
    pipeline.build(enabled=True)
    withdraw(pipeline)
    pipeline.later(timedelta(hours=2))
    assert pipeline.build(enabled=enabled).held == {"no_longer_reportable": 1}
    pipeline.send()
    assert sent_to(pipeline) == [2]
    assert state_of(pipeline) == ("held", "no_longer_reportable")
    add_completions(pipeline.warehouse, [completion(1, PASSED_AT, email="again@example.com")])
    pipeline.build(enabled=enabled)
    pipeline.send()
    assert sent_to(pipeline) == [1, 2]
    last = json.loads(pipeline.target.received[-1].body)
    assert last["learner"]["email"] == "again@example.com"


def test_consent_that_is_withdrawn_before_the_first_look_is_enough(pipeline: Pipeline) -> None:
    pipeline.detect()
    withdraw(pipeline)
    pipeline.build()
    pipeline.send()
    assert sent_to(pipeline) == [2]


def test_a_learner_who_moves_while_waiting_goes_to_the_endpoint_of_the_new_region(
    pipeline: Pipeline,
) -> None:
    url = pipeline.target.url
    endpoints(
        pipeline,
        endpoint(1, f"{url}/us", region="US"),
        endpoint(2, f"{url}/eu", region="EU"),
    )
    pipeline.detect()
    pipeline.build(enabled=True)
    change(pipeline, "learner_country", "DE")
    pipeline.build()
    pipeline.send()
    paths = {
        json.loads(one.body)["learner"]["user_id"]: one.path for one in pipeline.target.received
    }
    assert paths == {1: "/eu", 2: "/us"}


def test_an_enrollment_is_looked_up_as_well(pipeline: Pipeline) -> None:
    on = endpoint(1, f"{pipeline.target.url}/x", is_enrollment_events_enabled=True)
    endpoints(pipeline, on)
    table = "enterprise_enrollments"
    create_table(
        pipeline.warehouse, table, ENROLLMENT_COLUMNS, [enrollment(1), enrollment(2), enrollment(3)]
    )
    pipeline.detect(source=ENROLLMENTS)
    pipeline.warehouse.execute(
        f"update analytics.marts.{table} set is_enrolled = false where user_id = 1"
    )
    pipeline.warehouse.execute(f"delete from analytics.marts.{table} where user_id = 2")
    assert pipeline.build().held == {"no_longer_reportable": 1}
    pipeline.send()
    bodies = [json.loads(one.body) for one in pipeline.target.received]
    assert {one["learner"]["user_id"]: one["enrollment"]["is_active"] for one in bodies} == {
        1: False,
        3: True,
    }


def test_what_a_backfill_has_let_go_is_looked_up_when_it_is_built(pipeline: Pipeline) -> None:
    pipeline.detect(activated_at=datetime(2026, 4, 1))
    march = Backfill(since=datetime(2026, 3, 1), until=datetime(2026, 4, 1))
    assert carry_out(pipeline.warehouse, pipeline.clock, march).changed == 2
    withdraw(pipeline)
    change(pipeline, "email", "new@example.com", user_id=2)
    pipeline.build()
    pipeline.send()
    assert sent_to(pipeline) == [2]
    assert b"new@example.com" in pipeline.target.received[0].body


def test_what_a_replay_has_let_go_is_looked_up_when_it_is_built(pipeline: Pipeline) -> None:
    endpoints(pipeline)
    pipeline.detect()
    assert pipeline.build().suppressed == {"no_endpoint": 2}
    endpoints(pipeline, endpoint(1, f"{pipeline.target.url}/x"))
    carry_out(pipeline.warehouse, pipeline.clock, Replay(state=ReplayState.SUPPRESSED))
    withdraw(pipeline)
    change(pipeline, "email", "new@example.com", user_id=2)
    pipeline.build()
    pipeline.send()
    assert sent_to(pipeline) == [2]
    assert b"new@example.com" in pipeline.target.received[0].body


def test_an_event_that_the_mart_holds_twice_is_built_once(pipeline: Pipeline) -> None:
    pipeline.detect()
    add_completions(pipeline.warehouse, [completion(1, PASSED_AT, email="twin@example.com")])
    assert pipeline.build().built == {"flag_off": 2}
    pipeline.send()
    assert sent_to(pipeline) == [1, 2]


def test_pages_leave_no_row_out(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync.delivery.build.PAGE", 2)
    add_completions(pipeline.warehouse, [completion(n, PASSED_AT) for n in range(3, 8)])
    pipeline.detect()
    withdraw(pipeline, 4)
    report = pipeline.build()
    assert (report.built, report.held) == ({"flag_off": 6}, {"no_longer_reportable": 1})


def test_while_the_mart_cannot_be_read_nothing_is_built_and_nothing_is_lost(
    pipeline: Pipeline,
) -> None:
    pipeline.detect()
    pipeline.build()
    add_completions(pipeline.warehouse, [completion(3, PASSED_AT)])
    pipeline.detect()
    pipeline.warehouse.execute(f"alter table {MART} rename column email to mail")
    with pytest.raises(MartUnreadable, match=r"marts\.completed_enrollments") as caught:
        pipeline.build()
    assert "email" in str(caught.value).lower(), "the engine names the column"
    pipeline.send()
    assert sent_to(pipeline) == [1, 2], "what is built is sent whatever happens above it"
    assert state_of(pipeline, 3) == ("awaiting", None)
    pipeline.warehouse.execute(f"alter table {MART} rename column mail to email")
    pipeline.build()
    pipeline.send()
    assert sent_to(pipeline) == [1, 2, 3]


def test_the_mart_of_enrollments_stops_no_completion_nor_the_other_way_round(
    pipeline: Pipeline,
) -> None:
    on = endpoint(1, f"{pipeline.target.url}/x", is_enrollment_events_enabled=True)
    endpoints(pipeline, on)
    create_table(pipeline.warehouse, "enterprise_enrollments", ENROLLMENT_COLUMNS, [enrollment(1)])
    pipeline.detect()
    pipeline.detect(source=ENROLLMENTS)
    pipeline.warehouse.execute(f"drop table {MART}")
    with pytest.raises(MartUnreadable, match="completed_enrollments"):
        pipeline.build()
    pipeline.send()
    kinds = [json.loads(one.body)["event_type"] for one in pipeline.target.received]
    assert kinds == ["course_enrollment"]


@pytest.mark.parametrize("is_readable", [True, False])
def test_a_held_message_is_looked_up_by_the_run_that_releases_it(
    pipeline: Pipeline, *, is_readable: bool
) -> None:
    """Even if no message was built before, and never without the lookup."""
    good = endpoint(1, f"{pipeline.target.url}/x")
    pipeline.detect()
    pipeline.build()
    endpoints(pipeline, good | {"is_active": False})
    pipeline.send()
    assert state_of(pipeline) == ("held", "endpoint_inactive")
    endpoints(pipeline, good)
    withdraw(pipeline)
    if not is_readable:
        pipeline.warehouse.execute(f"alter table {MART} rename to {MART}_away")
    report = pipeline.send()
    assert sent_to(pipeline) == ([2] if is_readable else [])
    assert bool(report.unchecked) != is_readable
    if not is_readable:
        assert "marts.completed_enrollments" in report.unchecked[0]
        pipeline.warehouse.execute(f"alter table {MART}_away rename to {MART}")
        pipeline.send()
    assert sent_to(pipeline) == [2]
    assert state_of(pipeline) == ("held", "no_longer_reportable")


def test_the_ledger_holds_no_copy_of_what_a_message_is_built_from(pipeline: Pipeline) -> None:
    pipeline.detect()
    (row, _) = pipeline.warehouse.rows(
        "select * from analytics.sync.webhook_outbox order by user_id"
    )
    assert "facts" not in row
    assert "learner_1" not in json.dumps(row, default=str)
