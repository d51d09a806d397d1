"""The sample data: the same bytes for the same seed, every case present, times in order."""

from __future__ import annotations

import gzip
import json
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.local.raw_tables import TABLES
from sync.local.sample_data import (
    SampleData,
    SampleSize,
    SampleSizeError,
    generate,
    write_files,
)
from sync.local.sample_dirty import dirty_lines
from sync.local.sample_replica import TROUBLES, course_runs, learner
from tests.support.examples import examples

START = datetime(2026, 3, 2, 15, 30, tzinfo=UTC)
RECEIVER = "http://127.0.0.1:8755"


def generated(*, seed: int = 1, **size: int) -> SampleData:
    return generate(SampleSize(**size), seed=seed, start=START, receiver_url=RECEIVER)


make = cache(generated)
"""For tests that only read it."""


@pytest.fixture
def sample() -> SampleData:
    return make()


def parsed(data: SampleData, wave: int) -> list[dict[str, Any]]:
    events = []
    for _, line in data.waves[wave].log_lines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            events.append(event)
    return events


def rows(data: SampleData, table: str) -> list[dict[str, Any]]:
    return [row for wave in data.waves for row in wave.tables.get(table, [])]


@settings(max_examples=examples(3, 100))
@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 6), st.integers(1_000, 3_000))
def test_the_same_seed_gives_the_same_data_and_another_seed_does_not(
    seed: int, learners: int, courses: int, lines: int
) -> None:
    size = {"learners": learners, "courses": courses, "lines": lines}
    first, again, other = (generated(seed=one, **size) for one in (seed, seed, seed + 1))
    assert first == again
    assert [list(wave.log_lines()) for wave in first.waves] == [
        list(wave.log_lines()) for wave in again.waves
    ]
    assert list(first.waves[0].log_lines()) != list(other.waves[0].log_lines())
    assert first.completions != other.completions


def test_files_are_the_same_byte_for_byte_wherever_and_whenever_written(
    sample: SampleData, tmp_path: Path
) -> None:
    first = write_files(tmp_path / "a", sample.waves[0])
    again = write_files(tmp_path / "b", sample.waves[0])
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_a_wave_is_one_plain_file_and_gzip_files_a_day_each(
    sample: SampleData, tmp_path: Path
) -> None:
    paths = write_files(tmp_path, sample.waves[1])
    assert [path.name for path in paths] == [
        "tracking.log-20260307",
        *[f"tracking.log-2026030{day}.gz" for day in (8, 9)],
        *[f"tracking.log-202603{day}.gz" for day in (10, 11, 12)],
    ]
    text = b"".join(
        gzip.decompress(path.read_bytes()) if path.suffix else path.read_bytes()
        for path in paths[1:]
    )
    lines = [line for name, line in sample.waves[1].log_lines() if not name.endswith("07")]
    assert text.decode("utf-8", errors="surrogateescape").split("\n") == [*lines, ""]


@pytest.mark.parametrize("lines", [1_000, 5_000, 20_000])
def test_the_number_of_lines_is_near_the_target(lines: int) -> None:
    data = make(lines=lines)
    count = sum(1 for wave in data.waves for _ in wave.log_lines())
    assert abs(count - lines) < max(0.15 * lines, 450)


def test_a_size_too_small_for_the_cases_is_refused() -> None:
    with pytest.raises(SampleSizeError, match="lines must be at least 1000"):
        SampleSize(lines=10)
    with pytest.raises(SampleSizeError, match="customers must be at least 2"):
        SampleSize(customers=1)


def test_every_dirty_line_is_in_the_first_wave_once_at_the_smallest_size() -> None:
    wave = make(lines=1_000, learners=1).waves[0]
    wanted = dirty_lines(wave.dirty_study, wave.begin)
    counted = Counter(line for _, line in wave.log_lines())
    assert [label for label, line in wanted.items() if not counted[line]] == []
    assert len(wanted) > 70


def test_dirty_lines_are_one_line_each_and_of_the_kind_their_label_says(
    sample: SampleData,
) -> None:
    lines = dirty_lines(sample.waves[0].dirty_study, sample.waves[0].begin)
    assert [label for label, line in lines.items() if "\n" in line] == []
    assert json.loads(lines["line: null"]) is None
    assert lines["line: NUL padding"].startswith("\0")
    assert len(lines["line: cut at 2043"]) == 2_043
    assert "user_id" not in json.loads(lines["user_id: absent"])["context"]
    assert json.loads(lines["time: +0000"])["time"].endswith("+0000")
    india = datetime.fromisoformat(json.loads(lines["time: other offset"])["time"])
    assert india.utcoffset() == timedelta(hours=5, minutes=30)
    assert timedelta(0) < india - sample.waves[0].begin < timedelta(days=1)
    with pytest.raises(UnicodeEncodeError):
        lines["line: not UTF-8"].encode()


def test_every_kind_of_event_and_noise_occurs(sample: SampleData) -> None:
    events = parsed(sample, 1)
    assert {"browser", "server", "mobile"} <= {event["event_source"] for event in events}
    assert any(isinstance(event["event"], list) for event in events)
    assert any("Bot" in event["agent"] for event in events)
    assert any(event["host"] == "studio.example.com" for event in events)
    assert any(event["name"].endswith("list_instructor_tasks") for event in events)
    assert any(event["name"].startswith("/courses/") for event in events)
    texts = Counter(line for _, line in sample.waves[1].log_lines() if line)
    assert max(texts.values()) > 1


def test_lines_are_written_nearly_in_order_but_not_exactly() -> None:
    times = [
        event["time"]
        for event in parsed(make(lines=20_000), 1)
        if event["event_source"] == "browser"
    ]
    inversions = sum(later < earlier for earlier, later in pairwise(times))
    assert 0 < inversions < 0.03 * len(times)


def test_times_lie_inside_the_wave_that_brings_them(sample: SampleData) -> None:
    wave = sample.waves[1]
    times = activity(sample, 1)
    assert all(wave.begin <= at < wave.end for seen in times.values() for at in seen)


def test_activity_precedes_and_follows_every_ordinary_pass(sample: SampleData) -> None:
    """Otherwise a completion could never be enriched: nothing would show that the log covers it."""
    for wave in sample.waves:
        times = activity(sample, wave.index)
        newest = max(max(seen) for seen in times.values())
        for completion in sample.completions:
            if completion.case == "ordinary" and completion.wave == wave.index:
                assert min(times[completion.user_id]) < completion.passed_at < newest


def activity(data: SampleData, wave: int) -> dict[int, list[datetime]]:
    """Times of a wave's lines by learner, without the learner of the dirty lines."""
    learners = {one.learner.user_id for one in data.waves[wave].studies}
    learners.remove(data.waves[wave].dirty_study.learner.user_id)
    times: dict[int, list[datetime]] = {}
    for event in parsed(data, wave):
        who = (event.get("context") or {}).get("user_id")
        if who in learners:
            times.setdefault(who, []).append(datetime.fromisoformat(event["time"]))
    return times


def test_the_default_size_has_fifteen_ordinary_completions_in_each_wave(
    sample: SampleData,
) -> None:
    ordinary = Counter(one.wave for one in sample.completions if one.case == "ordinary")
    assert ordinary == {0: 15, 1: 15}


def test_every_case_of_trouble_occurs(sample: SampleData) -> None:
    without = {"never_passed", "private_learner", "dirty_lines"}
    assert {one.case for one in sample.completions} == (
        {trouble.case for trouble in TROUBLES} - without | {"ordinary"}
    )
    reasons = {one.ineligible_reason for one in sample.completions}
    assert len(reasons) == 8


def test_the_second_wave_brings_new_completions_only(sample: SampleData) -> None:
    first, second = sample.waves
    assert set(second.tables) == {
        "certificates_generatedcertificate",
        "consent_datasharingconsent",
        "grades_persistentcoursegrade",
    }
    assert all(
        row["modified"] >= second.begin for row in second.tables["grades_persistentcoursegrade"]
    )
    earlier = {
        (one.enterprise_customer_uuid, one.user_id) for one in sample.completions if not one.wave
    }
    later = {(one.enterprise_customer_uuid, one.user_id) for one in sample.completions if one.wave}
    assert not earlier & later
    assert first.end == second.begin


def test_rows_fit_the_raw_tables_and_have_unique_ids(sample: SampleData) -> None:
    columns = {name: set(columns) for (_, name), columns in TABLES.items()}
    for table in sample.waves[0].tables:
        found = rows(sample, table)
        assert all(set(row) <= columns[table] for row in found), table
        keys = [row.get("id", row.get("uuid")) for row in found]
        assert len(keys) == len(set(keys)), table


def test_customers_carry_the_endpoints_their_names_promise(sample: SampleData) -> None:
    urls = {endpoint.name: endpoint.url for endpoint in sample.endpoints}
    assert urls["example-industries-us"] == f"{RECEIVER}/hooks/example-industries-us"
    assert urls["rainy-day-insurance-other"].startswith(f"{RECEIVER}/status/503/")
    assert not urls["broken-gate-media-other"].startswith("http")
    assert not any(name.startswith("quiet-harbor") for name in urls)
    customers = {row["uuid"] for row in rows(sample, "enterprise_enterprisecustomer")}
    assert {uuid.UUID(one.enterprise_customer_uuid).hex for one in sample.endpoints} < customers


def test_single_sign_on_data_comes_as_scalar_as_list_and_encoded_twice(
    sample: SampleData,
) -> None:
    shapes = set()
    for row in rows(sample, "social_auth_usersocialauth"):
        data = json.loads(row["extra_data"])
        shapes.add("twice" if isinstance(data, str) else type(data["country"]).__name__)
    assert shapes == {"twice", "str", "list"}


def test_only_addresses_reserved_for_examples_occur(sample: SampleData) -> None:
    emails = [row["email"] for row in rows(sample, "auth_user")]
    assert len(emails) == len(set(emails))
    assert {email.rpartition("@")[2] for email in emails} == {"example.com", "retired.invalid"}


def test_names_and_runs_stay_unique_beyond_the_lists() -> None:
    assert len({learner(index, index).username for index in range(5_000)}) == 5_000
    assert len(set(course_runs(60))) == 60


def test_more_customers_than_names_get_numbers() -> None:
    data = make(customers=7)
    names = [row["name"] for row in rows(data, "enterprise_enterprisecustomer")]
    assert len(names) == len(set(names)) == 7 + 4


def test_a_start_in_another_zone_is_the_same_time() -> None:
    india = timezone(timedelta(hours=5, minutes=30))
    data = generate(
        SampleSize(), seed=1, start=START.astimezone(india), receiver_url=f"{RECEIVER}/"
    )
    assert data == make()


def test_the_second_wave_ends_where_it_is_asked_to() -> None:
    size = SampleSize(days_per_wave=3)
    end = datetime(2026, 3, 12, 7, 31, 42, 5, tzinfo=UTC)
    data = generate(size, seed=1, start=size.start_before(end), receiver_url=RECEIVER)
    assert data.waves[1].end == datetime(2026, 3, 12, 7, 31, tzinfo=UTC)
    newest = max(max(seen) for seen in activity(data, 1).values())
    assert end - timedelta(hours=2, minutes=1) < newest < end


def test_another_start_moves_every_line_and_changes_no_gap() -> None:
    """The demo's output must not depend on when it runs."""
    later = timedelta(days=3, hours=7, minutes=11)
    moved = generate(SampleSize(), seed=1, start=START + later, receiver_url=RECEIVER)
    for wave in (0, 1):
        before = activity(make(), wave)
        assert activity(moved, wave) == {
            who: [at + later for at in seen] for who, seen in before.items()
        }
