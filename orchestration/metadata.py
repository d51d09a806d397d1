"""Metadata of a materialization: numbers to plot, a chart, a small table; no personal data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from statistics import quantiles
from typing import Any

import dagster as dg

from sync.delivery.build import NOT_IN_ROLLOUT, BuildReport, EnrichmentPolicy
from sync.delivery.record import Detected, LeftToAnother, OverLimit, Recorded
from sync.delivery.send import SendReport
from sync.domain.event_types import EventType
from sync.domain.pauses import Pause
from sync.domain.rollout import LeftOut
from sync.domain.states import UNFINISHED, State
from sync.domain.work import Attempt
from sync.ledger.tables import OUTBOX
from sync.warehouse import Warehouse

SAMPLE_ROWS = 20
"""Rows of a sample table; the ledger has them all, and the UI renders every row on each visit.

A table has about 40 characters for the longest words of its columns: at 1,400 pixels, the UI has no
more room next to the entry names and cuts off the rest."""
BAR = 6
"""Characters of the longest bar: a longer one is cut off next to a label of several words."""
OUTCOME_TEXTS = {
    "flag_off": "the flag is off",
    "endpoint_opted_out": "the operator's settings exclude this endpoint from learning time",
    "no_data": "the mart covers the completion and has no learning event",
    "not_yet": "the mart did not cover the completion by the end of the wait",
    "unavailable": "the mart could not be read by the end of the wait",
    "not_a_completion": "the event type has no learning time",
    LeftOut.ENTERPRISE: "the customer is not in enterprise_allowlist",
    LeftOut.SHARE: "outside rollout_percentage",
}
SHADOW_TEXTS = {
    "found": "would have learning time",
    "no_data": "would have none: no learning event",
    "not_yet": "would wait for the mart, up to the limit",
    "unavailable": "unavailable",
}
OUTCOMES = (State.DELIVERED.value, "retry", State.HELD.value, State.DEAD.value)


def detection(
    warehouse: Warehouse, source: EventType, outcome: Detected, *, run_id: str, since: datetime
) -> dict[str, Any]:
    """Metadata of a recording asset; ``since`` is when the run started recording."""
    shared: dict[str, Any] = {
        "activated_at": _time(outcome.activated_at),
        "ledger_rows_of_this_run": rows_of(
            warehouse.relation("sync", OUTBOX), recorded_run_id=run_id, recorded_at=since
        ),
    }
    match outcome:
        case OverLimit(found=found, limit=limit):
            return shared | {"recorded": 0, "held_back": found, "mass_send_limit": limit}
        case LeftToAnother(run_id=other):
            return shared | {"recorded": 0, "held_back": 0, "left_to_run": other}
        case Recorded(awaiting=awaiting, suppressed=suppressed):
            return shared | {
                "recorded": awaiting,
                "suppressed_before_activation": suppressed,
                "held_back": 0,
                "sample": _sample(warehouse, source, run_id, since)
                if outcome.events
                else table([]),
            }


def building(report: BuildReport, policy: EnrichmentPolicy) -> dict[str, Any]:
    """Metadata of ``enriched_completions``."""
    return {
        "dry_run": False,
        "learning_time_enrichment": "on" if policy.enabled else "off",
        **built(report),
        "not_enriched": _not_enriched(report),
        **_shadow(report, policy),
        "outcomes": outcomes(report),
        "problems": problems(report.problems),
    }


def built(report: BuildReport) -> dict[str, int | float]:
    """Outcomes of events, real or planned: the numbers to plot."""
    messages, enriched = report.built.total(), report.built["found"]
    return {
        "built": messages,
        "enriched": enriched,
        "enriched_share": enriched / messages if messages else 0.0,
        "waiting_for_learning_time": report.waiting.total(),
        "held": report.held.total(),
        "suppressed": report.suppressed.total(),
    }


def outcomes(report: BuildReport) -> dg.MarkdownMetadataValue:
    """The same as a chart, with reasons."""
    return dg.MetadataValue.md(
        bar_chart(
            {
                f"{name}: {why}": count
                for name in ("built", "waiting", "held", "suppressed")
                for why, count in getattr(report, name).items()
            }
        )
    )


def _not_enriched(report: BuildReport) -> dg.TableMetadataValue:
    """Messages built without learning time, and why."""
    rows = [
        {"messages": count, "why": f"{name}: {OUTCOME_TEXTS[name]}"}
        for name, count in sorted(report.built.items())
        if name != "found" and name != NOT_IN_ROLLOUT
    ]
    rows += [
        {"messages": count, "why": f"{NOT_IN_ROLLOUT}: {OUTCOME_TEXTS[why]}"}
        for why, count in sorted(report.left_out.items())
    ]
    return table(rows)


def _shadow(report: BuildReport, policy: EnrichmentPolicy) -> dict[str, Any]:
    """What enrichment would have found for messages built without a lookup."""
    if not policy.is_shadow_looked_up:
        return {"shadow": "off"}
    asked = report.shadow.total()
    found = report.shadow["found"]
    return {
        "shadow_messages": report.shadow_seen,
        "shadow_asked": asked,
        "shadow_would_enrich": found,
        "shadow_would_enrich_share": found / asked if asked else 0.0,
        "shadow": dg.MetadataValue.md(
            bar_chart({SHADOW_TEXTS[name]: count for name, count in report.shadow.items()})
        ),
    }


def build_sentence(report: BuildReport) -> str:
    """One line for the log of a run."""
    return (
        f"{report.built.total()} messages built, {report.built['found']} of them with "
        f"learning time; {sum(report.waiting.values())} wait for it, "
        f"{sum(report.held.values())} held, {sum(report.suppressed.values())} suppressed"
    )


def delivery(
    report: SendReport, *, states: Mapping[str, int], pauses: Iterable[Pause]
) -> dict[str, Any]:
    """Metadata of ``completion_webhooks``."""
    outcomes, durations, paused = report.outcomes, report.durations_ms, list(pauses)
    percentiles = quantiles(durations, n=20) if len(durations) > 1 else [*durations, 0] * 20
    return {
        "attempts": outcomes.total(),
        "paused": bullets(paused),
        **{name: outcomes[name] for name in OUTCOMES},
        "recovered_from_journal": report.recovered,
        "foreign_journals": bullets(report.foreign_journals),
        "released_untried": report.released,
        "next_due_at": (
            dg.MetadataValue.text(f"nothing {'else ' if paused else ''}waits to be sent")
            if report.next_due_at is None
            else _time(report.next_due_at)
        ),
        "endpoint_p50_ms": float(percentiles[9]),
        "endpoint_p95_ms": float(percentiles[18]),
        **{f"outbox_{state}": states.get(state, 0) for state in UNFINISHED},
        "outcomes": dg.MetadataValue.md(bar_chart(outcomes)),
        "outbox": dg.MetadataValue.md(bar_chart({one: states.get(one, 0) for one in UNFINISHED})),
        "sample": _attempt_table(report.sample),
        "held_endpoints": bullets(
            f"endpoint {key}: {reason} {report.problems.get(key, '')}"
            for key, reason in sorted(report.unusable.items())
        ),
    }


def batch_sentence(attempts: Sequence[Attempt]) -> str:
    """One line for the log per batch: counts, never contents."""
    outcomes = Counter(attempt.outcome for attempt in attempts)
    text = ", ".join(f"{outcomes[name]} {name}" for name in OUTCOMES if outcomes[name])
    return f"batch of {len(attempts)} webhooks: {text or 'none tried'}"


def bullets(lines: Iterable[object]) -> dg.MarkdownMetadataValue:
    """A Markdown list; "none" without lines."""
    return dg.MetadataValue.md("\n".join(f"- {one}" for one in lines) or "none")


def rows_of(relation: str, **conditions: str | datetime) -> dg.TextMetadataValue:
    """The query for the rows that a run wrote: one column equals its id, another is not earlier.

    As text, because the UI wraps text but not SQL. ``ltw explain`` shows the history of a row.
    """
    wanted = [
        f"{column} >= '{value:%Y-%m-%d %H:%M:%S}'"
        if isinstance(value, datetime)
        else f"{column} = '{value}'"
        for column, value in conditions.items()
    ]
    return dg.MetadataValue.text(f"select * from {relation} where {' and '.join(wanted)}")


def problems(texts: Counter[str]) -> dg.MarkdownMetadataValue:
    """Why something is held or without learning time, most frequent first."""
    return bullets(f"{n} × {text}" for text, n in texts.most_common(SAMPLE_ROWS))


def bar_chart(counts: Mapping[str, int]) -> str:
    """A Markdown table with bars, readable in the UI's light and dark themes."""
    shown = {name: count for name, count in counts.items() if count}
    if not shown:
        return "nothing"
    most = max(shown.values())
    lines = ["| | count | |", "|---|---:|---|"]
    for name, count in sorted(shown.items(), key=lambda item: (-item[1], item[0])):
        lines.append(f"| {name} | {count:,} | {'█' * max(1, round(BAR * count / most))} |")
    return "\n".join(lines)


def _sample(
    warehouse: Warehouse, source: EventType, run_id: str, since: datetime
) -> dg.TableMetadataValue:
    return table(
        warehouse.rows(
            f"""
            select
                webhook_id,
                state || coalesce(': ' || state_reason, '') as state
            from {warehouse.relation("sync", OUTBOX)}
            where recorded_run_id = ? and recorded_at >= cast(? as timestamp_ntz)
                and event_type = ?
            order by state, webhook_id
            limit {SAMPLE_ROWS}
            """,
            run_id,
            since.isoformat(),
            source.name,
        )
    )


def _attempt_table(attempts: Sequence[Attempt]) -> dg.TableMetadataValue:
    return table(
        [
            {
                "webhook_id": attempt.claim.webhook_id,
                "endpoint": attempt.claim.endpoint_id,
                "attempt": _told(attempt),
            }
            for attempt in attempts[:SAMPLE_ROWS]
        ]
    )


def _told(attempt: Attempt) -> str:
    """``1: retry, 503, E_HTTP, 25 ms``."""
    error = attempt.follow_up.error_kind
    facts = (
        attempt.outcome,
        getattr(attempt.result, "status", None),
        error and error.value,
        f"{attempt.result.duration_ms} ms",
    )
    listed = ", ".join(f"{one}" for one in facts if one is not None)
    return f"{attempt.claim.attempt_number}: {listed}"


def table(rows: list[dict[str, Any]]) -> dg.TableMetadataValue:
    """Rows as a table; without rows, a table that says so."""
    if not rows:
        empty = dg.TableSchema(columns=[dg.TableColumn("nothing", "string")])
        return dg.MetadataValue.table(records=[], schema=empty)
    return dg.MetadataValue.table(
        records=[
            # Dagster stores only plain values, and ledger values are enums here.
            dg.TableRecord({name: _plain(value) for name, value in row.items()})
            for row in rows
        ]
    )


def _plain(value: Any) -> Any:
    if value is None:
        return ""
    return str(value) if isinstance(value, Enum | datetime) else value


def _time(naive_utc: datetime) -> dg.TimestampMetadataValue:
    return dg.MetadataValue.timestamp(naive_utc.replace(tzinfo=UTC))
