"""What the next run would send, as a job: it decides as a run does, and writes nothing."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from orchestration.config import DetectionConfig, EventTypesConfig, FlagConfig
from orchestration.defs.operations.jobs import NOTHING, refusals, result
from orchestration.defs.webhooks import plans
from orchestration.metadata import table
from orchestration.resources import WarehouseResource
from sync.clock import warehouse_clock
from sync.delivery.destinations import open_destination
from sync.operations.environment import as_activation
from sync.operations.preview import Preview
from sync.operations.preview import preview as decide

SHOWN = 100
MOST_SHOWN = 1_000
"""Rows that the UI still renders at once."""


class PreviewConfig(FlagConfig, EventTypesConfig):
    """The settings that the next run would have."""

    activated_at: str = Field(
        default=DetectionConfig().activated_at,
        description="Before the first run only: completions before this time are old.",
    )
    mass_send_limit: int = Field(
        default=DetectionConfig().mass_send_limit,
        ge=1,
        description="More new completions than this would not be recorded.",
    )
    show: int = Field(
        default=SHOWN, ge=0, le=MOST_SHOWN, description="Webhooks to list; all are counted."
    )


@dg.op(out=NOTHING, description="Decide as the next run would, and list what it would send.")
def preview(
    context: dg.OpExecutionContext, warehouse: WarehouseResource, config: PreviewConfig
) -> Iterator[dg.Output[None]]:
    since = config.activated_at
    with (
        refusals(),
        warehouse.metadata_session(purpose="preview") as session,
        open_destination(os.environ, session.settings) as tools,
    ):
        found = decide(
            session,
            policy=config.policy(),
            clock=warehouse_clock(session),
            readiness_of=tools.readiness,
            sources=tuple(config.sources().values()),
            activated_at=as_activation(since, setting="activated_at") if since else None,
            mass_send_limit=config.mass_send_limit,
        )
    yield result(context, config, metadata(found, limit=config.show))


@dg.job(
    description=(
        "What the next run would send, to which endpoint, with which learning time, or why not. "
        "Writes nothing."
    ),
    executor_def=dg.in_process_executor,
    tags={"kind": "operations"},
)
def preview_job() -> None:
    preview()


def metadata(found: Preview, *, limit: int) -> dict[str, Any]:
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
        "due_already": found.due,
        "before_activation": found.before_activation,
        "is_activated": found.is_activated,
        **plans.guard(found),
        "problems": plans.problems(found),
        "webhooks": table([one.as_row() for one in found.lines[:limit]]),
        "not_listed": counts.total() - min(limit, len(found.lines)),
        "as_json": _plain_json(found.as_dict(limit=limit, with_bodies=False)),
    }


def _plain_json(document: dict[str, object]) -> dg.JsonMetadataValue:
    # Dagster stores plain values only, and the words of the ledger are enums here.
    return dg.MetadataValue.json(json.loads(json.dumps(document, default=str)))
