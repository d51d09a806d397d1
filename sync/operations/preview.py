"""What the next run would send, before it does."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from sync.clock import Clock
from sync.delivery.destinations import open_destination
from sync.delivery.flag import (
    ALLOWLIST_VARIABLE,
    FLAG_VARIABLE,
    MAX_WAIT_MINUTES,
    MAX_WAIT_VARIABLE,
    ROLLOUT_VARIABLE,
    FlagSettings,
    flag_settings,
)
from sync.delivery.record import DEFAULT_MASS_SEND_LIMIT
from sync.domain.event_types import event_types, recorded_types
from sync.domain.rollout import EVERYBODY_PERCENTAGE
from sync.errors import ConfigurationError
from sync.operations.environment import ACTIVATED_AT_SETTING, activated_at, as_activation
from sync.operations.next_run import Line, NextRun, next_run
from sync.operations.operation import Action, CommandLine, Enterprise, Report
from sync.warehouse import Warehouse

SHOWN = 20


def _flag(name: str) -> Callable[[], Any]:
    """The default of a setting of the flag: what the environment says now."""
    return lambda: getattr(flag_settings(os.environ), name)


def _is_activation(text: str) -> str:
    if text:
        try:
            as_activation(text, setting="activated_at")
        except ConfigurationError as error:
            raise ValueError(str(error).removeprefix("activated_at: ")) from error
    return text


def _is_event_type(name: str) -> str:
    if name not in event_types():
        raise ValueError(f"{name} is not an event type; known: {', '.join(event_types())}")
    return name


class Preview(Action):
    """Show what the next run would send, where, with which learning time, or why not. Read-only.

    It decides as that run would, with the same settings.
    """

    name: ClassVar[str] = "preview"
    is_read_only: ClassVar[bool] = True

    enable_webhook_learning_time_enrichment: Annotated[
        bool, CommandLine("--enrich/--no-enrich")
    ] = Field(
        default_factory=_flag("enabled"),
        description=f"Decide with the feature flag on or off. Default from {FLAG_VARIABLE}.",
    )
    rollout_percentage: int = Field(
        default_factory=_flag("rollout_percentage"),
        ge=0,
        le=EVERYBODY_PERCENTAGE,
        description=(
            "With the flag on: the percentage of learners' course runs that get learning time. "
            f"Default from {ROLLOUT_VARIABLE}, else 100."
        ),
    )
    enterprise_allowlist: Annotated[list[Enterprise], CommandLine("--enterprise")] = Field(
        default_factory=lambda: list(flag_settings(os.environ).enterprise_allowlist),
        description=(
            "With the flag on: only customers with these UUIDs get learning time. Default from "
            f"{ALLOWLIST_VARIABLE}, else all."
        ),
    )
    max_enrichment_wait_minutes: Annotated[int, CommandLine("--max-wait-minutes")] = Field(
        default_factory=_flag("max_wait_minutes"),
        ge=0,
        le=MAX_WAIT_MINUTES,
        description=(
            "How long a new completion may wait for the learning_time mart to cover it. Default "
            f"from {MAX_WAIT_VARIABLE}, else 60."
        ),
    )
    activated_at: Annotated[str, AfterValidator(_is_activation)] = Field(
        default_factory=lambda: activated_at(os.environ),
        description=(
            "Completions before this time (ISO 8601, UTC) would be recorded but never sent. Only "
            f"the very first run uses it. Default from {ACTIVATED_AT_SETTING}."
        ),
    )
    mass_send_limit: int = Field(
        default=DEFAULT_MASS_SEND_LIMIT,
        ge=1,
        description="With more new events than this, nothing would be recorded.",
    )
    event_types: Annotated[
        list[Annotated[str, AfterValidator(_is_event_type)]], CommandLine("--event-type")
    ] = Field(
        default_factory=lambda: [one.name for one in recorded_types()],
        description="Look for new events of these types, even if they are disabled. "
        "Default: the enabled ones.",
    )
    show: Annotated[int, CommandLine("--limit")] = Field(
        default=SHOWN, ge=0, description="Webhooks to list; all are counted."
    )
    bodies: Annotated[bool, CommandLine(is_only=True)] = Field(
        default=False, description="Show the bodies too. They are personal data."
    )

    def run(self, warehouse: Warehouse, clock: Clock) -> Report:
        """Decide, and list what would be sent.

        Raises:
            ConfigurationError: a setting of the destination is malformed; names it.
            RelationMissing, MartUnreadable, StatementFailed: as for ``next_run``.
        """
        flag = FlagSettings(
            enabled=self.enable_webhook_learning_time_enrichment,
            rollout_percentage=self.rollout_percentage,
            enterprise_allowlist=tuple(self.enterprise_allowlist),
            max_wait_minutes=self.max_enrichment_wait_minutes,
        )
        since = self.activated_at
        with open_destination(os.environ, warehouse.settings) as tools:
            found = next_run(
                warehouse,
                policy=flag.policy(),
                clock=clock,
                readiness_of=tools.readiness,
                sources=[event_types()[name] for name in self.event_types],
                activated_at=as_activation(since, setting="activated_at") if since else None,
                mass_send_limit=self.mass_send_limit,
            )
        return preview_report(found, flag=flag, show=self.show, with_bodies=self.bodies)


def preview_report(
    found: NextRun, *, flag: FlagSettings, show: int, with_bodies: bool = False
) -> Report:
    """The next run for every face, with at most ``show`` webhooks listed."""
    counts, listed = found.counts(), found.lines[:show]
    verdicts: Counter[str] = Counter()
    for (verdict, _), n in counts.items():
        verdicts[verdict] += n
    rows = [
        {"verdict": verdict, "why": why, "webhooks": n}
        for (verdict, why), n in sorted(counts.items())
    ]
    lines = [f"feature flag: {flag.describe()}"]
    if found.before_activation:
        lines.append(f"from before the activation, never to be sent: {found.before_activation:,}")
    if not found.is_activated:
        lines.append(
            "not activated yet: the next run permanently decides which completions are old"
        )
    lines += [f"{n:,} × {problem}" for problem, n in sorted(found.problems.items())]
    if unlisted := counts.total() - len(listed):
        lines.append(f"{unlisted:,} more are not listed")
    if with_bodies:
        lines += [
            f"{one.webhook_id}  {json.dumps(json.loads(one.body))}" for one in listed if one.body
        ]
    sentence = (
        f"the next run would send {verdicts['send']}, hold {verdicts['hold']}, suppress "
        f"{verdicts['suppress']}, and {verdicts['wait']} would wait"
    )
    return Report(
        document={
            "would_send": found.sent,
            "counts": rows,
            "due": found.due,
            "before_activation": found.before_activation,
            "is_activated": found.is_activated,
            "held_back": found.held_back,
            "mass_send_guard": found.guard,
            "problems": dict(found.problems),
            "webhooks": [one.as_dict(with_body=with_bodies) for one in listed],
        },
        lines=lines,
        tables={
            "verdicts": rows,
            "by_endpoint": found.by_endpoint(),
            "webhooks": [_row(one) for one in listed],
        },
        outcome="; ".join(filter(None, (sentence, found.guard))),
    )


def _row(line: Line) -> dict[str, object]:
    fate = line.fate
    return {
        "webhook_id": line.webhook_id,
        "from": "replay" if line.is_replay else fate.origin,
        "verdict": fate.verdict,
        "why": fate.reason or fate.enrichment_outcome,
        "endpoint": fate.endpoint_id,
        "format": fate.payload_format,
        "seconds": line.learning_time_seconds,
        "course_run": line.courserun_key,
    }
