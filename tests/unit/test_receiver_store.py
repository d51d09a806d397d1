"""What the receiver remembers, and what it forgets."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from sync.local import receiver_store
from sync.local.receiver_store import Received, WebhookStore


def record(
    store: WebhookStore,
    webhook_id: str = "one",
    *,
    endpoint: str = "hook",
    status: int = 200,
    verification: str = "verified",
    body: bytes = b"{}",
) -> Received:
    return store.record(
        received_at=datetime(2026, 3, 4, tzinfo=UTC),
        endpoint=endpoint,
        status=status,
        webhook_id=webhook_id,
        verification=verification,
        headers={"Authorization": "Bearer secret", "webhook-id": webhook_id},
        body=body,
    )


def test_attempts_are_counted_per_endpoint_and_id() -> None:
    store = WebhookStore()
    attempts = [
        record(store, "one").attempt,
        record(store, "two").attempt,
        record(store, "one").attempt,
        record(store, "one", endpoint="other").attempt,
        record(store, "").attempt,
        record(store, "").attempt,
    ]
    assert attempts == [1, 1, 2, 1, 1, 1]


def test_memory_is_bounded_and_counts_are_not() -> None:
    store = WebhookStore(kept=3)
    for index in range(10):
        record(store, str(index))
    assert [one.webhook_id for one in store.newest(limit=100)] == ["9", "8", "7"]
    assert store.counts()["received"] == 10


def test_the_oldest_ids_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_store, "KEPT_IDS", 2)
    store = WebhookStore()
    for webhook_id in ("a", "b", "a", "c"):
        record(store, webhook_id)
    assert record(store, "a").attempt == 3
    assert record(store, "b").attempt == 1


def test_credentials_are_masked_and_other_headers_kept() -> None:
    assert record(WebhookStore()).headers == {"Authorization": "***", "webhook-id": "one"}


@pytest.mark.parametrize(
    ("body", "event", "seconds"),
    [
        pytest.param(
            {"event_type": "course_completion", "learning_time": {"total_seconds": 0}},
            "course_completion",
            0,
            id="nested",
        ),
        pytest.param({"event_type": "course_completion"}, "course_completion", None, id="without"),
        pytest.param({"status": "completed", "duration_spent": 75}, "completed", 75, id="flat"),
        pytest.param({"status": "completed", "duration_spent": None}, "completed", None, id="null"),
        pytest.param([1], "", None, id="no object"),
    ],
)
def test_event_and_learning_time_are_read_from_either_format(
    body: object, event: str, seconds: int | None
) -> None:
    shown = record(WebhookStore(), body=json.dumps(body).encode()).as_json()
    assert (shown["event"], shown["learning_time"]) == (event, seconds)


def test_a_body_that_is_no_text_is_shown_all_the_same() -> None:
    assert record(WebhookStore(), body=b"\xff").as_json()["body"] == "\ufffd"


def test_counts_tell_outcomes_apart_and_clearing_resets_them() -> None:
    store = WebhookStore()
    record(store, "a")
    record(store, "a", status=503)
    record(store, "b", verification="no_match")
    assert store.counts() == {
        "received": 3,
        "verified": 2,
        "not_verified": 1,
        "repeated": 1,
        "refused": 1,
    }
    assert store.clear() == 3
    assert set(store.counts().values()) == {0}
    assert record(store, "a").attempt == 1
