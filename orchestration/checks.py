"""Checks that no dbt test can be: of bodies and leases, before a send, or only there to be read."""

from collections.abc import Iterator

import dagster as dg

from orchestration.check_texts import OWNER, CheckText
from orchestration.keys import ENRICHED, NEW, WEBHOOKS
from orchestration.metadata import bar_chart
from orchestration.resources import WarehouseResource
from sync.ledger.checks import (
    Findings,
    bodies_that_differ,
    recorded_twice,
    successes_not_settled,
)

LINE_COUNTS = dg.AssetKey(["marts", "tracking_line_counts"])
INTEGRATIONS = "Integrations"
LEARNING_DATA = "Learning data"

TEXTS = {
    "no_event_is_recorded_twice": CheckText(
        "No event is in the outbox twice with a copy still to be sent. Looked at before each send; "
        "while it fails nothing is frozen or sent.",
        INTEGRATIONS,
        "Of two copies delete the one that was never tried (`attempt_count` 0), find out what else "
        "writes to the outbox (a restored copy, an INSERT by hand: runs record under a lease), and "
        "run completion_webhooks_job again.",
    ),
    "no_unusual_number_of_completions": CheckText(
        "No more completions are new than `mass_send_limit`. Otherwise none of them is recorded.",
        INTEGRATIONS,
        "Look at `marts.completed_enrollments`. If the number is right, run once with "
        "`allow_mass_send: true`; if not, mend the replica.",
    ),
    "bodies_carry_the_recorded_number": CheckText(
        "Body equals mart: every message frozen within 7 days carries the learning time that was "
        "read from the mart, and no other message carries any.",
        INTEGRATIONS,
        "Stop completion_webhooks_job and report a defect with the ids; a frozen body is never "
        "built again.",
    ),
    "logged_success_is_delivered": CheckText(
        "A webhook is delivered if and only if a 2xx is logged for it. Rows under a lease are left "
        "out: a run is at work on them.",
        INTEGRATIONS,
        "Run completion_webhooks_job, which settles what a dead run has left. If it stays, report "
        "a defect with the ids.",
    ),
    "lines_by_reason": CheckText(
        "Always passes: shows what became of the tracking-log lines, by reason.",
        LEARNING_DATA,
        "Nothing. A reason that grows suddenly is a changed log.",
    ),
}


def spec(name: str, asset: dg.AssetKey, *, blocking: bool = False) -> dg.AssetCheckSpec:
    """The declaration of a check of this module, with its texts."""
    return dg.AssetCheckSpec(
        name,
        asset=asset,
        blocking=blocking,
        description=TEXTS[name].description(),
        metadata={OWNER: TEXTS[name].owner},
    )


@dg.multi_asset_check(
    name="before_the_send", specs=[spec("no_event_is_recorded_twice", NEW, blocking=True)]
)
def before_the_send(warehouse: WarehouseResource) -> Iterator[dg.AssetCheckResult]:
    """What would do harm if it were sent. Stops the assets below."""
    with warehouse.session(purpose="check") as session:
        yield _result("no_event_is_recorded_twice", NEW, recorded_twice(session))


@dg.multi_asset_check(
    name="after_the_send",
    specs=[
        spec("bodies_carry_the_recorded_number", ENRICHED),
        spec("logged_success_is_delivered", WEBHOOKS),
    ],
    can_subset=True,
)
def after_the_send(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> Iterator[dg.AssetCheckResult]:
    """What a person must look into; nothing more is held up by it."""
    rules = {
        dg.AssetCheckKey(ENRICHED, "bodies_carry_the_recorded_number"): bodies_that_differ,
        dg.AssetCheckKey(WEBHOOKS, "logged_success_is_delivered"): successes_not_settled,
    }
    with warehouse.session(purpose="check") as session:
        for key, rule in rules.items():
            if key in context.selected_asset_check_keys:
                yield _result(key.name, key.asset_key, rule(session))


def _result(name: str, asset: dg.AssetKey, found: Findings) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=asset,
        passed=found.count == 0,
        metadata={
            "webhooks": found.count,
            "some_of_them": dg.MetadataValue.md(
                "\n".join(f"- {one}" for one in found.webhook_ids) or "none"
            ),
        },
    )


@dg.multi_asset_check(name="lines_by_reason", specs=[spec("lines_by_reason", LINE_COUNTS)])
def lines_by_reason(warehouse: WarehouseResource) -> Iterator[dg.AssetCheckResult]:
    """Count lines by outcome and reason."""
    with warehouse.session(purpose="check") as session:
        rows = session.rows(
            f"""
            select outcome, reason, sum(line_count) as line_count
            from {session.relation("marts", "tracking_line_counts")}
            group by outcome, reason
            """
        )
    counts = {f"{row['outcome']}: {row['reason']}": int(row["line_count"]) for row in rows}
    lines = sum(counts.values())
    quarantined = sum(int(row["line_count"]) for row in rows if row["outcome"] == "quarantined")
    yield dg.AssetCheckResult(
        check_name="lines_by_reason",
        asset_key=LINE_COUNTS,
        passed=True,
        metadata={
            "lines": lines,
            "quarantined": quarantined,
            "quarantined_share": quarantined / lines if lines else 0.0,
            "by_reason": dg.MetadataValue.md(bar_chart(counts)),
        },
    )


CHECKS = [before_the_send, after_the_send, lines_by_reason]
