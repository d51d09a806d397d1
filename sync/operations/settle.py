"""Compare the ledger with receipts: what receivers have but a restored ledger would send again."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from sync.clock import Clock
from sync.domain.pauses import Pause
from sync.domain.states import Reason, State
from sync.errors import ConfigurationError
from sync.ledger.tables import ATTEMPTS, OUTBOX
from sync.operations.operation import (
    ARGUMENT,
    SAMPLE,
    Change,
    CommandLine,
    Done,
    Plan,
    not_yet_recorded,
)
from sync.warehouse import Warehouse

WEBHOOK_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
TO_BE_SETTLED = f"""
    outbox.state not in ('{State.DELIVERED}', '{State.SUPPRESSED}')
    and coalesce(outbox.lease_expires_at <= cast(? as timestamp_ntz), true)
"""
"""What may be sent, now or by a replay, and no run is working on."""


class Settle(Change):
    """Mark webhooks as delivered if their receivers have them, so that they are not sent again.

    After restoring a backup: by the ids that a customer lists, or by the log of attempts.
    """

    name: ClassVar[str] = "settle"
    results: ClassVar[tuple[str, str]] = ("settle_id", "settled")

    webhook_ids: Annotated[list[str], ARGUMENT] = Field(
        default=[], description="Webhooks that the receiver has."
    )
    file: Annotated[str | None, CommandLine(is_only=True)] = Field(
        default=None,
        description="A file from the receiver, such as a CSV or a log, with webhook ids in it.",
    )
    logged: Annotated[bool, CommandLine("--logged")] = Field(
        default=False, description="Instead, those with a success in sync.webhook_attempts."
    )
    endpoint_id: Annotated[int | None, CommandLine("--endpoint")] = Field(
        default=None, description="Only webhooks of this endpoint, the source of the list."
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if sum((bool(self.webhook_ids), self.file is not None, self.logged)) != 1:
            raise ValueError("name what the receiver has by one of webhook ids, --file or --logged")
        return self

    def plan(self, warehouse: Warehouse, clock: Clock) -> Plan:
        """By endpoint and state, what would be sent although the receiver has it; for a list, also
        what the ledger has as delivered but the list lacks.

        Raises:
            ConfigurationError: the file cannot be read, or has no webhook id.
            StatementFailed: the ledger cannot be read.
        """
        receipts, binds = self._receipts(warehouse)
        outbox = warehouse.relation("sync", OUTBOX)
        to_be_settled = f"""
            {outbox} as outbox
            inner join ({receipts}) as receipts
                on outbox.webhook_id = receipts.webhook_id
            where {TO_BE_SETTLED} and {self._is_of_endpoint()}
        """
        rows = warehouse.rows(
            f"""
            select outbox.endpoint_id, outbox.state, count(*) as webhooks
            from {to_be_settled}
            group by outbox.endpoint_id, outbox.state
            order by outbox.endpoint_id, outbox.state
            """,
            *binds,
            clock().isoformat(),
        )
        sample = warehouse.rows(
            f"""
            select outbox.webhook_id, outbox.endpoint_id, outbox.state, outbox.recorded_at
            from {to_be_settled}
            order by outbox.recorded_at, outbox.webhook_id
            limit {SAMPLE}
            """,
            *binds,
            clock().isoformat(),
        )
        counts = warehouse.rows(
            f"""
            select
                sum(iff(receipts.webhook_id is null, 1, 0)) as without_receipt,
                sum(iff(outbox.webhook_id is null, 1, 0)) as not_recorded
            from (
                select webhook_id from {outbox} as outbox
                where outbox.state = '{State.DELIVERED}' and {self._is_of_endpoint()}
            ) as delivered
            full join ({receipts}) as receipts
                on delivered.webhook_id = receipts.webhook_id
            left join {outbox} as outbox
                on coalesce(delivered.webhook_id, receipts.webhook_id) = outbox.webhook_id
            """,
            *binds,
        )[0]
        without, unknown = (int(counts[one] or 0) for one in ("without_receipt", "not_recorded"))
        lines = []
        if unknown:
            lines.append(
                f"{unknown:,} are not in the ledger: while everything is paused, run "
                "completion_webhooks_job, which records them under the same ids, then repeat this"
            )
        if without and not self.logged:
            lines.append(
                f"{without:,} that the ledger has as delivered are not in the list: ask the "
                "receiver, or replay them"
            )
        return Plan(
            matched=sum(row["webhooks"] for row in rows),
            document={
                "would_be_sent_again": rows,
                "not_recorded": unknown,
                "delivered_without_receipt": 0 if self.logged else without,
                "sample": sample,
            },
            lines=lines,
            tables={"would_be_sent_again": rows, "sample": sample},
        )

    def move(self, warehouse: Warehouse, request_id: str, now: datetime) -> int:
        """Settle them; the fence is raised, so that no late result undoes it."""
        receipts, binds = self._receipts(warehouse)
        return warehouse.execute(
            f"""
            update {warehouse.relation("sync", OUTBOX)} as outbox
            set
                state = '{State.DELIVERED}',
                state_reason = receipts.reason,
                delivered_at = coalesce(receipts.delivered_at, cast(? as timestamp_ntz)),
                next_attempt_at = null,
                replay_id = null,
                fence = outbox.fence + 1,
                lease_owner = null,
                lease_expires_at = null,
                updated_at = cast(? as timestamp_ntz)
            from ({receipts}) as receipts
            where outbox.webhook_id = receipts.webhook_id
                and {TO_BE_SETTLED}
                and {self._is_of_endpoint()}
                and {not_yet_recorded(warehouse)}
            """,
            now.isoformat(),
            now.isoformat(),
            *binds,
            now.isoformat(),
            request_id,
        )

    def _done(
        self,
        request_id: str | None,
        changed: int,
        paused: Sequence[Pause] = (),
    ) -> Done:
        """Nothing is sent, so nothing waits for the end of a pause."""
        return Done(
            request_id,
            changed,
            document=dict(zip(self.results, (request_id, changed), strict=True)),
            outcome=f"{changed:,} {self.noun} count as delivered and are not sent, as {request_id}",
        )

    def _receipts(self, warehouse: Warehouse) -> tuple[str, tuple[object, ...]]:
        """A query for one row of each webhook that was received, and its binds."""
        if self.logged:
            return (
                f"""
                select webhook_id, null::varchar as reason, max(started_at) as delivered_at
                from {warehouse.relation("sync", ATTEMPTS)}
                where outcome = '{State.DELIVERED}'
                group by webhook_id
                """,
                (),
            )
        return (
            f"""
            select distinct
                value::varchar as webhook_id,
                '{Reason.RECEIPT}' as reason,
                null::timestamp_ntz as delivered_at
            from table(flatten(input => parse_json(?)))
            """,
            (json.dumps(self.webhook_ids or self._listed()),),
        )

    def _listed(self) -> list[str]:
        path = Path(self.file or "")
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise ConfigurationError(f"file: {path}: {error.strerror}") from None
        found = sorted(set(WEBHOOK_ID.findall(text.lower())))
        if not found:
            raise ConfigurationError(f"file: {path} has no webhook id, as in the webhook-id header")
        return found

    def _is_of_endpoint(self) -> str:
        """The condition, on a table called ``outbox``."""
        return "true" if self.endpoint_id is None else f"outbox.endpoint_id = {self.endpoint_id}"
