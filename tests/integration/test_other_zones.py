"""The process and the embedded warehouse run in another time zone, and all times stay UTC."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from sync.domain.pauses import NO_PAUSES
from sync.ledger.outbox import remaining
from sync.local.embedded.lifecycle import ensure_running, free_port, stop
from sync.operations.changes import NOTHING_SEEN, hand_over, ledger_token, poll
from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse, open_warehouse
from tests.support.completions import completion
from tests.support.marts import create_marts, endpoint
from tests.support.pipeline import PASSED_AT, SECRET, Pipeline
from tests.support.receiver import Receiver

AN_HOUR = timedelta(hours=1)
"""No machine is so slow, and no zone here is so near."""
TWO_MINUTES = timedelta(minutes=2)


@pytest.fixture(scope="module")
def abroad(local_zone: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """The settings of an embedded warehouse started in the zone."""
    settings = EmbeddedWarehouse(port=free_port(), home=tmp_path_factory.mktemp("abroad"))
    ensure_running(settings)
    try:
        with open_warehouse(settings, purpose="tests") as opened:
            yield opened
    finally:
        stop(settings)


in_other_zones = pytest.mark.parametrize(
    "local_zone",
    ["America/St_Johns", pytest.param("Asia/Kathmandu", marks=pytest.mark.prove)],
    indirect=True,
    scope="module",
)


def now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC).replace(tzinfo=None)


@in_other_zones
def test_the_warehouse_tells_utc_and_gives_back_what_it_was_given(abroad: Warehouse) -> None:
    given = datetime(2026, 3, 8, 2, 30, 0, 250_000)
    row = abroad.rows(
        """
        select
            sysdate() as now,
            current_timestamp()::timestamp_ntz as here,
            cast(? as timestamp_ntz) as given,
            '2026-03-08T02:30:00.25'::timestamp_ntz as written
        """,
        given.isoformat(),
    )[0]
    assert abs(row["now"] - now()) < AN_HOUR
    assert abs(row["here"] - now()) < AN_HOUR
    assert (row["given"], row["written"]) == (given, given)


@in_other_zones
def test_a_webhook_is_built_signed_and_tried_again_by_utc(
    abroad: Warehouse, target: Receiver, tmp_path: Path
) -> None:
    create_marts(
        abroad,
        completions=[completion(1, PASSED_AT), completion(2, PASSED_AT)],
        endpoints=[endpoint(1, f"{target.url}/hooks/example")],
    )
    pipeline = Pipeline(abroad, target, tmp_path)
    pipeline.detect()
    pipeline.build()
    target.answers["/hooks"] = (503, {"Retry-After": "120"})
    pipeline.send()
    # The receiver's library refuses timestamps more than five minutes in the past or future.
    for one in target.received:
        Webhook(SECRET).verify(one.body.decode(), one.headers)
        body = json.loads(one.body)
        happened = datetime.fromisoformat(body["timestamp"]).replace(tzinfo=None)
        assert abs(happened - now()) < AN_HOUR
        assert body["completion"]["completion_date"] == f"{PASSED_AT}Z"
    rows = pipeline.rows("recorded_at, next_attempt_at, attempt_count")
    tried = next(row for row in rows if row["attempt_count"])
    assert isinstance(tried["recorded_at"], datetime)
    assert isinstance(tried["next_attempt_at"], datetime)
    assert abs(tried["recorded_at"] - now()) < AN_HOUR
    due_at = tried["next_attempt_at"]
    assert tried["recorded_at"] + TWO_MINUTES < due_at < now() + AN_HOUR
    # The sensor polls: nothing is due before that, and something is due then.
    told = hand_over(abroad, ledger_token(abroad), remaining(abroad, NO_PAUSES))
    for moment, is_due in ((due_at - TWO_MINUTES, False), (due_at, True)):
        found = poll(abroad, NOTHING_SEEN, told=told, now=moment, max_wait=timedelta(0))
        assert (found.due is not None) == is_due
