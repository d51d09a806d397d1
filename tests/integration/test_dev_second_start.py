"""The second start of ``make dev``: the sample's endpoints move to the receiver of that start."""

from __future__ import annotations

from datetime import UTC, datetime

from sync.local.dev import _follow_the_receiver
from sync.local.raw_tables import create_raw_tables
from sync.local.sample_data import SampleSize, generate, load_sample
from sync.warehouse import Warehouse

START = datetime(2026, 3, 1, tzinfo=UTC)
URLS = (
    "select id, webhook_url from raw.enterprise.channel_integration_enterprisewebhookconfiguration"
)


def test_the_endpoints_follow_the_receiver_to_another_port(warehouse: Warehouse) -> None:
    first, second = (
        generate(SampleSize(), seed=2026, start=START, receiver_url=f"http://127.0.0.1:{port}")
        for port in (8755, 9755)
    )
    create_raw_tables(warehouse)
    for wave in first.waves:
        load_sample(warehouse, wave)
    before = warehouse.rows(URLS)
    assert any(":8755" in row["webhook_url"] for row in before)
    _follow_the_receiver(warehouse, second)
    after = warehouse.rows(URLS)
    assert len(after) == len(before)
    assert {int(row["id"]): row["webhook_url"] for row in after} == {
        one.endpoint_id: one.url for one in second.endpoints
    }, "each to its own place"
    assert not any(":8755" in row["webhook_url"] for row in after)
    assert any(":9755" in row["webhook_url"] for row in after)
