"""Sample data in a real embedded warehouse."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from sync.local.raw_tables import create_raw_tables
from sync.local.sample_data import SampleData, SampleSize, generate, load_sample, write_files
from sync.local.tracking_logs import Loaded, load_logs
from sync.warehouse import Warehouse
from tests.dbt.scenario import stand_models
from tests.support.dbt import Dbt
from tests.support.scenarios import Scenarios

START = datetime(2026, 3, 2, tzinfo=UTC)


def test_both_waves_load_whole(warehouse: Warehouse, tmp_path: Path) -> None:
    data = generate(
        SampleSize(lines=2_000), seed=7, start=START, receiver_url="http://127.0.0.1:8755"
    )
    create_raw_tables(warehouse)
    generated = 0
    for wave in data.waves:
        counts = load_sample(warehouse, wave)
        assert counts == {table: len(rows) for table, rows in wave.tables.items()}
        paths = write_files(tmp_path / str(wave.index), wave)
        outcomes = load_logs(warehouse, paths, progress=lambda _: None)
        assert all(isinstance(one, Loaded) for one in outcomes)
        generated += sum(1 for _ in wave.log_lines())
    logs = warehouse.raw_relation("tracking", "tracking_logs")
    assert warehouse.rows(f"select count(*) as n from {logs}") == [{"n": generated}]


def test_a_pass_keeps_its_microseconds(warehouse: Warehouse) -> None:
    data = generate(SampleSize(), seed=7, start=START, receiver_url="http://127.0.0.1:8755")
    create_raw_tables(warehouse)
    load_sample(warehouse, data.waves[0])
    grades = warehouse.raw_relation("lms", "grades_persistentcoursegrade")
    stored = {
        (row["user_id"], row["passed_timestamp"])
        for row in warehouse.rows(
            f"select user_id, passed_timestamp from {grades} where passed_timestamp is not null"
        )
    }
    expected = {
        (one.user_id, one.passed_at.replace(tzinfo=None))
        for one in data.completions
        if one.wave == 0
    }
    assert expected <= stored


def test_the_models_make_of_every_case_what_the_sample_data_promises(
    scenarios: Scenarios, warehouse: Warehouse, dbt: Dbt
) -> None:
    """Both marts are views, so a wave is visible without another run."""
    stand_models(scenarios, dbt)
    data = generate(SampleSize(), seed=7, start=START, receiver_url="http://127.0.0.1:8755")
    load_sample(warehouse, data.waves[0])
    assert _eligible(warehouse) == _promised(data, wave=0)
    relation = warehouse.relation("marts", "ineligible_completions")
    reasons = {
        row["user_id"]: row["ineligible_reason"]
        for row in warehouse.rows(f"select user_id, ineligible_reason from {relation}")
    }
    assert reasons == {
        one.user_id: one.ineligible_reason or "consent_missing"
        for one in data.completions
        if one.wave == 0 and one.eligible_from_wave != 0
    }
    load_sample(warehouse, data.waves[1])
    assert _eligible(warehouse) == _promised(data, wave=1)


Key = tuple[str, int, str, datetime]


def _eligible(warehouse: Warehouse) -> set[Key]:
    rows = warehouse.rows(
        "select enterprise_customer_uuid, user_id, courserun_key, passed_at "
        f"from {warehouse.relation('marts', 'completed_enrollments')}"
    )
    keys = [
        (
            row["enterprise_customer_uuid"],
            row["user_id"],
            row["courserun_key"],
            row["passed_at"],
        )
        for row in rows
    ]
    assert len(keys) == len(set(keys))
    return set(keys)


def _promised(data: SampleData, *, wave: int) -> set[Key]:
    return {
        (
            one.enterprise_customer_uuid,
            one.user_id,
            one.courserun_key,
            one.passed_at.replace(tzinfo=None),
        )
        for one in data.completions
        if one.eligible_from_wave is not None and one.eligible_from_wave <= wave
    }
