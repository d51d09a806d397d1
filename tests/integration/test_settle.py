"""A restored ledger: a query shows what it would send again, and a command settles it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from sync.http.network import DEVELOPMENT_SETTING
from sync.ledger.checks import successes_not_settled
from sync.settings import PROJECT_ROOT
from tests.support.command_line import Command
from tests.support.delivery import ACTIVATED_AT, SECRET, audit
from tests.support.operator import OUTBOX, World

ATTEMPTS = "analytics.sync.webhook_attempts"
OPERATIONS = (PROJECT_ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
(QUERY,) = re.findall(r"```sql\n(select.*?)```", OPERATIONS, flags=re.DOTALL)


@pytest.fixture
def world(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv(DEVELOPMENT_SETTING, world.target.host_port)
    monkeypatch.setenv("WEBHOOKS_ACTIVATED_AT", ACTIVATED_AT.isoformat())
    for n in (1, 2):
        monkeypatch.setenv(f"LTW_SECRET_WEBHOOK_SIGNING_{n}", SECRET)
    return world


def received_and_then_restored(world: World) -> set[str]:
    """Ids of four webhooks that customer 1 has: one also delivered in the backup, two pending in
    it, and one recorded after it."""

    def make(world: World) -> None:
        world.delivered(2)
        world.complete(4, 6)
        world.run.record_and_build(world.warehouse)
        world.warehouse.execute(f"create table {OUTBOX}_backup as select * from {OUTBOX}")
        world.delivered(8)
        assert Counter(row["state"] for row in world.rows("state")) == {"delivered": 4}
        world.warehouse.execute(f"delete from {OUTBOX}")
        world.warehouse.execute(f"insert into {OUTBOX} select * from {OUTBOX}_backup")

    world.stand("received-and-then-restored", make)
    return world.ids(2, 4, 6, 8)


def test_the_log_of_attempts_says_what_a_restored_ledger_would_send_again_and_settles_it(
    world: World, ltw: Command
) -> None:
    received_and_then_restored(world)
    assert world.warehouse.rows(QUERY) == [{"endpoint_id": 1, "state": "pending", "webhooks": 2}]
    ltw("pause", "--all", "--reason", "restored")
    world.deliver()
    shown = ltw("settle", "--logged", "--dry-run", "--json").document
    assert (shown["matched"], shown["not_recorded"]) == (3, 0)
    assert "3 webhooks count as delivered" in ltw("settle", "--logged", "--yes").text
    ltw("resume", "--all")
    world.deliver()
    assert world.take() == []
    assert world.warehouse.rows(QUERY) == []
    assert audit(world.warehouse, is_at_rest=True) == []
    assert successes_not_settled(world.warehouse).count == 0


def test_a_list_of_the_receiver_settles_what_it_has_and_nothing_else(
    world: World, ltw: Command, tmp_path: Path
) -> None:
    ids = received_and_then_restored(world)
    world.warehouse.execute(f"delete from {ATTEMPTS} where attempt_number > 0")
    (kept,) = [row["webhook_id"] for row in world.rows("webhook_id", "state = 'delivered'")]
    *listed, left_out = sorted(ids - {kept})
    path = tmp_path / "receiver.csv"
    path.write_text("\n".join(f"2026-03-11,{one.upper()},200" for one in listed))
    world.complete(3)
    ltw("pause", "--all", "--reason", "restored")
    said = ltw("settle", "--file", path, "--endpoint", 1, "--dry-run")
    assert "1 that the ledger has as delivered are not in the list" in said.text
    world.deliver()
    assert world.take() == []
    assert (
        ltw("settle", "--file", path, "--endpoint", 2, "--dry-run", "--json").document[
            "would_be_sent_again"
        ]
        == []
    )
    settled = ltw("settle", "--file", path, "--endpoint", 1, "--yes", "--json").document
    assert (settled["matched"], settled["settled"]) == (2, 2)
    ltw("resume", "--all")
    world.deliver()
    sent = {one.webhook_id for one in world.take()}
    assert left_out in sent
    assert not sent & set(listed)
    reasons = world.rows("webhook_id", "state_reason = 'receipt' and state = 'delivered'")
    assert {row["webhook_id"] for row in reasons} == set(listed)
    assert not set(listed) & set(successes_not_settled(world.warehouse).webhook_ids)


def test_what_was_recorded_after_the_backup_is_said_to_be_missing(
    world: World, ltw: Command
) -> None:
    ids = received_and_then_restored(world)
    said = ltw("settle", *sorted(ids), "--dry-run")
    assert (
        "1 are not in the ledger: while everything is paused, run completion_webhooks_job"
        in said.text
    )


def test_a_settlement_without_receipts_is_refused(world: World, ltw: Command) -> None:
    for arguments, names in (
        ([], "webhook ids, --file or --logged"),
        (["a", "--logged"], "webhook ids, --file or --logged"),
        (["--file", "no-such.csv"], "no-such.csv: No such file"),
        (["--file", __file__], "has no webhook id"),
    ):
        said = ltw("settle", *arguments)
        assert (said.code, names in said.text) == (2, True), said
