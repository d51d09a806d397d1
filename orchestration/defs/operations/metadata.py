"""What the jobs under "operations" show: numbers, tables and the next step; nobody's data."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import dagster as dg

from orchestration.defs.webhooks import plans
from orchestration.metadata import table
from sync.domain.responses import Response
from sync.ledger.retention import RetentionReport
from sync.operations.backfill import Backfill, BackfillPlan
from sync.operations.erase import ErasePlan, Erasure
from sync.operations.preview_report import Preview
from sync.operations.replay import Plan, Replay
from sync.operations.reroute import Reroute, ReroutePlan
from sync.operations.test_send import Sample

NOTHING_CHANGED = "nothing was changed"


def preview(found: Preview, *, limit: int) -> dict[str, Any]:
    """What the next run would do."""
    counts = found.counts()
    verdicts: Counter[str] = Counter()
    for (verdict, _), count in counts.items():
        verdicts[verdict] += count
    sentence = (
        f"the next run would send {verdicts['send']}, hold {verdicts['hold']}, suppress "
        f"{verdicts['suppress']}, and {verdicts['wait']} would wait"
    )
    return {
        "next": dg.MetadataValue.text("; ".join(filter(None, (sentence, found.guard)))),
        "would_send": verdicts["send"],
        "verdicts": plans.verdicts(found),
        "by_endpoint": plans.by_endpoint(found),
        "due_already": found.due_frozen,
        "before_activation": found.before_activation,
        "is_activated": found.is_activated,
        **plans.guard(found),
        "problems": plans.problems(found),
        "webhooks": plans.planned_table(found, limit=limit),
        "not_listed": counts.total() - min(limit, len(found.planned)),
        "as_json": _plain_json(found.as_dict(limit=limit, with_bodies=False)),
    }


def replay(plan: Plan, made: Replay | None) -> dict[str, Any]:
    """What would be sent again, or will be."""
    return {
        "next": dg.MetadataValue.text(
            _next("webhooks", plan.matched, done=made.matched if made else None)
        ),
        "dry_run": made is None,
        "matched": plan.matched,
        "by_endpoint": table(
            [
                {"endpoint": endpoint_id or 0, "webhooks": count}
                for endpoint_id, count in plan.by_endpoint.items()
            ]
        ),
        "refused": table(
            [
                {"reason": refusal.value, "webhooks": count, "why": refusal.text}
                for refusal, count in plan.refused.items()
            ]
        ),
        "unknown_ids": plan.unknown_ids,
        "sample": table(
            [
                {
                    "webhook_id": row["webhook_id"],
                    "state": row["state"],
                    "reason": row["state_reason"] or "",
                    "endpoint": row["endpoint_id"] or 0,
                    "recorded_at": f"{row['recorded_at']:%Y-%m-%d %H:%M:%S}",
                }
                for row in plan.sample
            ]
        ),
        **({"replay_id": made.replay_id} if made and made.replay_id else {}),
    }


def backfill(plan: BackfillPlan, made: Backfill | None) -> dict[str, Any]:
    """Which old completions would be sent, or will be."""
    return {
        "next": dg.MetadataValue.text(
            _next("old completions", plan.matched, done=made.matched if made else None)
        ),
        "dry_run": made is None,
        "matched": plan.matched,
        "beyond_limit": plan.beyond_limit,
        "no_longer_in_the_marts": plan.gone,
        "first_passed_at": f"{plan.first_at or 'none'}",
        "last_passed_at": f"{plan.last_at or 'none'}",
        "by_enterprise": table(
            [
                {"enterprise": enterprise, "completions": count}
                for enterprise, count in plan.by_enterprise.items()
            ]
        ),
        "sample": table(
            [
                {
                    "webhook_id": row["webhook_id"],
                    "enterprise": row["enterprise_customer_uuid"],
                    "course_run": row["courserun_key"],
                    "passed_at": f"{row['occurred_at']:%Y-%m-%d %H:%M:%S}",
                }
                for row in plan.sample
            ]
        ),
        **({"backfill_id": made.backfill_id} if made and made.backfill_id else {}),
    }


def reroute(plan: ReroutePlan, made: Reroute | None) -> dict[str, Any]:
    """Which messages would move from a deleted endpoint to a new one, or will."""
    return {
        "next": dg.MetadataValue.text(
            _next("webhooks", plan.matched, done=made.matched if made else None)
        ),
        "dry_run": made is None,
        "matched": plan.matched,
        "moves": table(
            [
                {"deleted_endpoint": old, "new_endpoint": new, "webhooks": count}
                for (old, new), count in plan.moves.items()
            ]
        ),
        "not_moved": table(
            [
                {"reason": stay.value, "webhooks": count, "why": stay.text}
                for stay, count in plan.stays.items()
            ]
        ),
        **({"reroute_id": made.reroute_id} if made and made.reroute_id else {}),
    }


def erase(plan: ErasePlan, made: Erasure | None) -> dict[str, Any]:
    """What would be emptied of a learner, or was."""
    if made is None:
        said = (
            f"{plan.found} rows match; {NOTHING_CHANGED}. To erase them: dry_run: false, "
            f"confirm_count: {plan.found}"
        )
        counts = {**plan.models, "webhook_outbox": plan.ledger.webhooks}
    elif made.erasure_id is None:
        said = f"erased before, and nothing is left; {NOTHING_CHANGED}"
        counts = {}
    else:
        said = f"erased: {sum(made.counts.values())} rows. Raw tables and copies: docs/erasure.md"
        counts = dict(made.counts)
    return {
        "next": dg.MetadataValue.text(said),
        "dry_run": made is None,
        "found": plan.found,
        "yet_to_be_sent": plan.ledger.to_be_sent,
        "rows": table([{"table": name, "rows": count} for name, count in counts.items()]),
        "may_still_arrive": made.may_still_arrive if made else plan.ledger.under_way,
        **({"erasure_id": made.erasure_id} if made and made.erasure_id else {}),
    }


def sample(sent: Sample) -> dict[str, Any]:
    """What the endpoint made of the test event."""
    match sent.result:
        case Response(status=status):
            answer = f"status {status}"
        case failure:
            answer = failure.detail
    return {
        "passed": sent.has_passed,
        "answer": answer,
        "duration_ms": sent.result.duration_ms,
        "webhook_id": sent.webhook_id,
        "signed_with": ", ".join(sent.signing_key_ids),
    }


def retention(report: RetentionReport, *, is_dry_run: bool) -> dict[str, Any]:
    """What was emptied, or would be."""
    verb = "would_empty" if is_dry_run else "emptied"
    return {
        "dry_run": is_dry_run,
        "untouched_since": f"{report.cutoff:%Y-%m-%d %H:%M} UTC",
        f"{verb}_bodies": report.bodies,
        f"{verb}_excerpts": report.excerpts,
    }


def _plain_json(document: dict[str, object]) -> dg.JsonMetadataValue:
    # Dagster stores plain values only, and the words of the ledger are enums here.
    return dg.MetadataValue.json(json.loads(json.dumps(document, default=str)))


def _next(what: str, matched: int, *, done: int | None) -> str:
    """What was done, or how to do it. ``done`` is None where nothing was asked to be."""
    if done:
        return f"{done} {what} go with the next run of completion_webhooks_job"
    if not matched:
        return f"no {what} match; {NOTHING_CHANGED}"
    return (
        f"{matched} {what} match; {NOTHING_CHANGED}. To send them: dry_run: false, "
        f"confirm_count: {matched}"
    )
