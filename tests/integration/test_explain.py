"""``ltw explain`` over built and sent sample data: the numbers add up for every learner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from orchestration.defs.operations.jobs import operation_job
from orchestration.resources import WarehouseResource
from sync.cli.common import print_table
from sync.clock import warehouse_clock
from sync.ledger.erasures import person_key
from sync.local.sample_data import SampleSize, generate, load_sample, write_files
from sync.local.tracking_logs import load_logs
from sync.operations.explain.explain import Explain, lines_of
from sync.operations.explain.story import read_story
from sync.warehouse import Warehouse, open_warehouse
from tests.dbt.scenario import RUN, Batch, line, load, prepare, stand_models
from tests.support.command_line import Command
from tests.support.dbt import Dbt
from tests.support.pipeline import Pipeline
from tests.support.receiver import receiver
from tests.support.scenarios import Scenarios

START = datetime(2026, 3, 2, tzinfo=UTC)
SCREENED = "analytics.intermediate.int_tracking_events_screened"
OTHER_RUN = "course-v1:ExampleX+OTHER1+2026_T1"
DAYS = "analytics.intermediate.int_learning_time_daily"
FIRST_USER_ID = 904_170_000_005_001
"""So long that no time of a run can contain the id of a learner."""
ENROLLMENTS = "analytics.intermediate.int_enterprise_enrollments_screened"
OF_A_NUMBER = (
    "int_tracking_events",
    "int_tracking_line_counts",
    "int_learning_gaps",
    "int_learning_time_daily",
    "int_learning_time_to_completion",
    "completion_learning_time",
    "learning_time",
    "learning_time_watermark",
)
"""Models that log lines change, among those that an explanation reads; the others are views."""


@pytest.fixture
def sample(
    scenarios: Scenarios, dbt: Dbt, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    """The first wave, including dirty lines, built, with each completion sent with its number."""
    directory = tmp_path_factory.mktemp("sample")

    def make(warehouse: Warehouse) -> None:
        stand_models(scenarios, dbt)
        with receiver() as target:
            size = SampleSize(learners=8, lines=1_500)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("sync.local.sample_replica.FIRST_USER_ID", FIRST_USER_ID)
                wave = generate(size, seed=7, start=START, receiver_url=target.url).waves[0]
            load_sample(warehouse, wave)
            load_logs(warehouse, write_files(directory, wave), progress=lambda _: None)
            dbt("run", "--select", *OF_A_NUMBER)
            pipeline = Pipeline(warehouse, target, directory / "journals")
            pipeline.detect()
            pipeline.build(enabled=True, max_wait=timedelta(0))
            (down,) = warehouse.rows(
                "select url from analytics.marts.webhook_endpoints where endpoint_id ="
                " (select min(endpoint_id) from analytics.sync.webhook_outbox)"
            )
            target.answers[down["url"].removeprefix(target.url)] = (503, {})
            pipeline.send()
            assert target.received
        # The replicas no longer change; with views, the engine would plan ten for each explanation.
        warehouse.execute(f"create table {ENROLLMENTS}_now as select * from {ENROLLMENTS}")
        warehouse.execute(f"drop view {ENROLLMENTS}")
        warehouse.execute(f"alter table {ENROLLMENTS}_now rename to {ENROLLMENTS}")

    scenarios.stand("explained", make)
    with open_warehouse(scenarios.settings, purpose="tests") as warehouse:
        yield warehouse


def learner(warehouse: Warehouse, condition: str) -> tuple[int, str]:
    """A learner whose completion is in the ledger, and the course run."""
    row = warehouse.rows(
        "select user_id, courserun_key from analytics.sync.webhook_outbox"
        f" where {condition} order by user_id limit 1"
    )[0]
    return int(row["user_id"]), row["courserun_key"]


def test_the_number_of_every_learner_adds_up_to_the_mart_and_to_what_was_sent(
    sample: Warehouse,
) -> None:
    asked = sample.rows(f"select distinct user_id, courserun_key from {DAYS} order by 1, 2")
    sent = cut = 0
    for one in asked:
        story = read_story(sample, int(one["user_id"]), one["courserun_key"])
        number = story.number
        assert number.contradictions == []
        assert number.seconds == sum(day.seconds for day in number.days)
        assert number.microseconds == sum(x.counted_microseconds for x in number.sessions)
        whole = sum(day.day.seconds for day in number.days)
        assert set(story.mart_seconds.values()) <= {whole}
        if story.completion:
            assert number.seconds == story.completion["learning_time_seconds"]
        for webhook in story.webhooks:
            assert webhook["learning_time_seconds"] in (None, number.seconds)
            sent += webhook["learning_time_seconds"] is not None
        cut += number.cut_microseconds > 0
        read = sum(int(row["lines"]) for row in story.lines)
        assert sum(row["lines"] for row in lines_of(story)) == read
    assert len(asked) > 20
    assert sent > 5
    assert cut, "the cut must have been looked at"


def test_each_line_of_a_learner_is_told_under_its_reason(sample: Warehouse) -> None:
    """The learner with the dirty lines, compared with the raw log as currently screened."""
    user_id = int(
        sample.rows(
            f"select user_id from {SCREENED} where user_id is not null"
            " group by user_id order by count(distinct screening) desc, user_id limit 1"
        )[0]["user_id"]
    )
    run = sample.rows(
        f"select courserun_key from {DAYS} where user_id = ?"
        " order by event_count desc, courserun_key limit 1",
        user_id,
    )[0]["courserun_key"]
    story = read_story(sample, user_id, run)
    screened = sample.rows(
        f"select outcome, screening, count(*) as n from {SCREENED} where user_id = ? group by 1, 2",
        user_id,
    )
    expected = {row["screening"]: int(row["n"]) for row in screened}
    told: Counter[str] = Counter()
    for row in lines_of(story):
        is_learning = row["outcome"] not in ("dropped", "quarantined")
        told["learning" if is_learning else row["why"].split(":")[0].split(",")[0]] += row["lines"]
    assert told == expected
    outcomes = {row["outcome"] for row in lines_of(story)}
    assert {"counts", "another course run", "dropped", "quarantined"} <= outcomes
    assert {"time_unusable", "bot", "event_not_selected"} <= expected.keys()


def test_a_number_that_has_moved_since_says_why(sample: Warehouse, ltw: Command, dbt: Dbt) -> None:
    user_id, run = learner(sample, "state = 'delivered' and event_type = 'course_completion'")
    story = read_story(sample, user_id, run)
    assert story.completion
    passed_at = story.completion["passed_at"]
    before = ltw("explain", "--user", user_id, "--course", run)
    assert (before.code, "as sent" in before.text) == (0, True)
    late = [
        line(user_id, f"{passed_at - timedelta(days=90, minutes=n):%Y-%m-%dT%H:%M:%S}+00:00")
        for n in (0, 10)
    ]
    lines = tuple(one.replace(RUN, run) for one in late)
    # Each of them twice.
    load(sample, Batch("late", datetime.now(UTC) + timedelta(days=1), lines * 2))
    dbt("run", "--select", *OF_A_NUMBER)

    said = ltw("explain", "--user", user_id, "--course", run, "--json").document

    (webhook,) = said["webhooks"]
    assert said["number"]["seconds"] == webhook["learning_time_seconds"] + 600
    assert "2 events were loaded after it was built" in webhook["difference"]
    assert said["number"]["contradictions"] == []
    (copies,) = [one["lines"] for one in said["lines"] if one["outcome"] == "duplicate"]
    assert copies >= 2


def test_the_story_is_told_in_order_and_within_80_columns(sample: Warehouse, ltw: Command) -> None:
    user_id, run = learner(sample, "state = 'pending'")
    asked = Explain(user_id=user_id, courserun_key=run)
    for rows in asked.run(sample, warehouse_clock(sample)).tables.values():
        screen = StringIO()
        print_table(rows, Console(file=screen, width=80, force_terminal=True, color_system=None))
        head, *lines = screen.getvalue().splitlines()
        assert head.split() == " ".join(rows[0]).split(), "a table, and no records"
        assert max(map(len, lines)) <= 80
    said = ltw("explain", "--user", user_id, "--course", run, "--json").document
    times = [one["at"] for one in said["story"]]
    assert times == sorted(times)
    what = [one["what"] for one in said["story"]]
    for earlier, later in (
        ("enrolled", "completed"),
        ("recorded", "built"),
        ("built", "attempt 1"),
        ("attempt 1", "next attempt"),
    ):
        assert what.index(earlier) < what.index(later)
    assert "status 503" in str(said["story"])


def test_personal_data_is_shown_only_when_it_is_asked_for(
    sample: Warehouse, ltw: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTW_UI_URL", "https://dagster.example.com/")
    user_id, run = learner(sample, "state = 'delivered'")
    names = sample.rows("select username, email from raw.lms.auth_user where id = ?", user_id)[0]
    command = ("explain", "--user", user_id, "--course", run)
    page = tmp_path / "story.html"
    plain = ltw(*command, "--html", page).text + ltw(*command, "--json").text
    plain += (text := page.read_text("utf-8"))
    assert '<a href="https://dagster.example.com/runs/run-1"' in text
    assert person_key(user_id) in plain
    for mark in (names["username"], names["email"], str(user_id)):
        assert mark not in plain
    shown = ltw(*command, "--personal", "--json").document
    assert {name: shown[name] for name in names} == names
    assert all(str(user_id) in one["line"] for one in shown["texts"])


def test_a_run_in_dagster_keeps_no_id_and_links_to_the_runs_that_sent(
    sample: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTW_UI_URL", "https://dagster.example.com/")
    user_id, _ = learner(sample, "state = 'delivered'")
    (row,) = sample.rows(
        "select webhook_id from analytics.sync.webhook_outbox where user_id = ?"
        " order by webhook_id limit 1",
        user_id,
    )
    run = operation_job(Explain).execute_in_process(
        run_config={"ops": {"explain": {"config": {"webhook_id": row["webhook_id"]}}}},
        resources={"warehouse": WarehouseResource()},
    )
    (output,) = [one for one in run.all_events if one.is_successful_output]
    kept = str(output.step_output_data.metadata)
    assert person_key(user_id) in kept
    assert "https://dagster.example.com/runs/run-1" in kept
    assert str(user_id) not in kept


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "by --user, --webhook or --key"),
        (["--user", "5001", "--webhook", "no-such-id"], "by only one of --user"),
        (["--user", "77"], "nothing is known about this learner"),
        (["--user", "0"], "--user"),
        (["--webhook", "no-such-id"], "no webhook no-such-id"),
        (["--key", person_key(77)], "no customer has enrolled a learner with this key"),
        (["--key", "77"], "--key: name the learner by the positive id"),
    ],
)
def test_a_learner_whom_nobody_knows_is_bad_usage(
    sample: Warehouse, ltw: Command, arguments: list[str], told: str
) -> None:
    said = ltw("explain", *arguments)
    assert (said.code, told in said.text) == (2, True), said.text


def test_of_several_course_runs_one_must_be_named(sample: Warehouse, ltw: Command) -> None:
    user_id, run = learner(sample, "state = 'delivered'")
    sample.execute(
        "insert into analytics.intermediate.int_learning_time_daily"
        " (user_id, courserun_key, activity_date, learning_time_microseconds,"
        " learning_time_seconds, event_count, session_count)"
        f" values ({user_id}, '{OTHER_RUN}', '2026-03-02', 0, 0, 1, 1)"
    )
    for more in ((), ("--course", "course-v1:ExampleX+NONE+T1")):
        said = ltw("explain", "--user", user_id, *more)
        assert (said.code, run in said.text, OTHER_RUN in said.text) == (2, True, True)


def test_models_that_were_never_built_are_named(
    scenarios: Scenarios, warehouse: Warehouse, ltw: Command
) -> None:
    scenarios.stand("prepared", prepare)
    said = ltw("explain", "--user", "1")
    assert (said.code, "Build the models with learning_time_job" in said.text) == (1, True)
