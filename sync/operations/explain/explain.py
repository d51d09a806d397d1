"""Explain a learner's webhook and its number to the operator, and through them to the customer."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from sync.clock import Clock
from sync.delivery.endpoints import load_endpoints
from sync.delivery.flag import flag_settings
from sync.ledger.erasures import person_key
from sync.ledger.pauses import read_pauses
from sync.operations.endpoints import host_of
from sync.operations.erase import as_key, build_session
from sync.operations.explain.number import Session, plain
from sync.operations.explain.page import render
from sync.operations.explain.story import (
    Story,
    built_seconds,
    names_of,
    read_story,
    texts_of_lines,
    whose,
)
from sync.operations.explain.timeline import Entry, difference, timeline
from sync.operations.operation import Action, CommandLine, Report
from sync.operations.report.look import write_whole
from sync.settings import run_url
from sync.warehouse import RelationMissing, Warehouse

LEARNING = "learning"


class Explain(Action):
    """Explain a learner's completion, from the enrollment to each attempt, and its learning time.

    It reads the models with the role that builds them, and changes nothing.
    """

    name: ClassVar[str] = "explain"
    is_read_only: ClassVar[bool] = True

    user_id: Annotated[int | None, CommandLine("--user", is_only=True)] = Field(
        default=None, gt=0, description="The learner's id in the LMS: auth_user.id."
    )
    webhook_id: Annotated[str | None, CommandLine("--webhook")] = Field(
        default=None, description="Use the learner and the course run of this webhook."
    )
    person_key: Annotated[
        str | None, BeforeValidator(lambda one: one and as_key(one)), CommandLine("--key")
    ] = Field(
        default=None, description="The learner's key, as explain and erase show it. Never an id."
    )
    courserun_key: Annotated[str | None, CommandLine("--course")] = Field(
        default=None, description="The course run, if the learner has several."
    )
    html: Annotated[str | None, CommandLine(is_only=True)] = Field(
        default=None, description="Also write it to this file, as an HTML page."
    )
    personal: Annotated[bool, CommandLine(is_only=True)] = Field(
        default=False,
        description="Also show user name, email address and the text of lines that do not count.",
    )

    def run(self, warehouse: Warehouse, clock: Clock) -> Report:
        """Read it all and put it together.

        Raises:
            ConfigurationError: no such learner, or several course runs and none is named; a page
                that cannot be written.
            RelationMissing, StatementFailed: as for ``read_story``.
        """
        with build_session(warehouse) as session:
            try:
                learner = whose(
                    session,
                    user_id=self.user_id,
                    key=self.person_key,
                    webhook_id=self.webhook_id,
                )
                course = self.courserun_key or learner.courserun_key
                story = read_story(session, learner.user_id, course)
                hosts = {
                    one.endpoint_id: host_of(one.url)
                    for one in load_endpoints(session).by_id.values()
                }
                pauses = read_pauses(session, clock())
            except RelationMissing as error:
                raise RelationMissing(
                    f"{error}. Build the models with learning_time_job, and run "
                    "completion_webhooks_job once"
                ) from error
            personal: Mapping[str, Any] = {}
            if self.personal:
                personal = {
                    **names_of(session, story.user_id),
                    "lines": texts_of_lines(session, story.user_id),
                }
        max_wait = flag_settings(os.environ).policy().max_wait
        entries = timeline(story, max_wait=max_wait, hosts=hosts, pauses=pauses)
        report = explained(story, entries, now=pauses.now, personal=personal)
        if self.html is None:
            return report
        page = write_whole(render(report, story), Path(self.html))
        return replace(report, lines=[*report.lines, f"written: {page}"])


def explained(
    story: Story, entries: Sequence[Entry], *, now: datetime, personal: Mapping[str, Any]
) -> Report:
    """The story for every face; only the key identifies the learner."""
    number = story.number
    differences = [one for one in (difference(story, row) for row in story.webhooks) if one]
    links = {one.run_id: link for one in entries if (link := run_url(os.environ, one.run_id))}
    texts = list(personal.get("lines", ()))
    names = {name: value for name, value in personal.items() if name != "lines"}
    return Report(
        document={
            "person_key": person_key(story.user_id),
            "courserun_key": story.courserun_key,
            "as_of": now,
            "computed_through": story.computed_through,
            **names,
            "enrollments": [dict(one) for one in story.enrollments],
            "story": [vars(one) for one in entries],
            "number": {
                "seconds": number.seconds,
                "microseconds": number.microseconds,
                "rounding_microseconds": number.rounding_microseconds,
                "cut_microseconds": number.cut_microseconds,
                "sessions": [vars(one) for one in number.sessions],
                "days": [
                    vars(one.day)
                    | {"counted_microseconds": one.microseconds, "counted_seconds": one.seconds}
                    for one in number.days
                ],
                "contradictions": number.contradictions,
            },
            "mart_seconds": dict(story.mart_seconds),
            "lines_since": story.lines_since,
            "lines": lines_of(story),
            "webhooks": [
                {
                    name: row[name]
                    for name in ("webhook_id", "state", "state_reason", "learning_time_seconds")
                }
                | {"difference": difference(story, row)}
                for row in story.webhooks
            ],
            "runs": links,
            **({"texts": texts} if texts else {}),
        },
        lines=[
            f"course run {story.courserun_key}, learner {person_key(story.user_id)}",
            *(f"{name}: {value}" for name, value in names.items()),
            *sentences(story),
            *differences,
            *(f"run {run}: {link}" for run, link in links.items()),
        ],
        tables={
            "story": [
                {"at": f"{one.at:%Y-%m-%d %H:%M:%S}", "what": one.what, "details": one.details}
                for one in entries
            ],
            "sessions": [_session(one) for one in number.sessions],
            "days": [
                {
                    "day": f"{one.day.date}",
                    "sessions": one.day.session_count,
                    "events": one.day.event_count,
                    "seconds": plain(one.day.microseconds),
                    "of these count": plain(one.microseconds),
                    "rounded": f"{one.seconds:,}",
                }
                for one in number.days
            ],
            "lines": lines_of(story),
            **({"texts": texts} if texts else {}),
        },
        outcome=_outcome(story),
        has_failed=bool(number.contradictions),
    )


def sentences(story: Story) -> list[str]:
    """Why this number, in plain sentences."""
    number = story.number
    if not number.sessions:
        return ["no learning event in this course run, so no learning time"]
    told = [
        f"{number.seconds:,} s "
        + ("up to the completion" if story.completion else "so far, with no completion yet")
        + f": sessions of {plain(number.microseconds)} s, and "
        f"{plain(number.rounding_microseconds)} s by rounding days"
    ]
    if number.cut_microseconds:
        told.append(f"cut at the completion: {plain(number.cut_microseconds)} s come after it")
    if len(number.sessions) > 1:
        timeout = int(story.rule["session_timeout_seconds"])
        worth = "nothing" if story.rule["long_gap_rule"] == "drop" else f"{timeout:,} s"
        told.append(
            f"pauses of over {timeout:,} s, each of which counts {worth} and ends a session: "
            f"{len(number.sessions) - 1:,}"
        )
    told += [
        f"all days in marts.learning_time for customer {customer}: {seconds:,} s"
        for customer, seconds in story.mart_seconds.items()
    ]
    return told + [f"contradiction: {one}" for one in number.contradictions]


def lines_of(story: Story) -> list[dict[str, Any]]:
    """Lines of the learner by outcome; they add up to all that were read."""
    sessions = story.number.sessions
    events = sum(one.event_count for one in sessions)
    late = sum(one.late_event_count for one in sessions)
    in_sessions = sum(one.line_count for one in sessions)
    counts: Counter[tuple[str, str]] = Counter()
    for row in story.lines:
        run, n = row["courserun_key"], int(row["lines"])
        is_other = run is not None and run != story.courserun_key
        why = str(row["reason"])
        if row["event_name"] is not None:
            why += f": {row['event_name']}"
        if row["outcome"] == LEARNING:
            counts["another course run" if is_other else LEARNING, str(run)] += n
        else:
            counts[row["outcome"], f"{why}, in another course run" if is_other else why] += n
    learning = counts.pop((LEARNING, story.courserun_key), 0)
    mine = {
        ("counts", "an event of a session"): events - late,
        ("after the completion", "an event of a session"): late,
        ("duplicate", "a copy of an event, logged or loaded again"): in_sessions - events,
        ("not computed", "loaded, but in no session yet"): learning - in_sessions,
    }
    found = [*mine.items(), *counts.most_common()]
    return [{"lines": n, "outcome": what, "why": why} for (what, why), n in found if n]


def _session(one: Session) -> dict[str, Any]:
    same_day = one.started_at.date() == one.ended_at.date()
    return {
        "start": f"{one.started_at:%Y-%m-%d %H:%M:%S}",
        "end": f"{one.ended_at:%H:%M:%S}" if same_day else f"{one.ended_at:%m-%d %H:%M:%S}",
        "events": one.event_count,
        "seconds": plain(one.microseconds),
        "of these count": plain(one.counted_microseconds),
    }


def _outcome(story: Story) -> str:
    now = f"learning time: {story.number.seconds:,} s"
    if story.number.contradictions:
        return f"{now}, which does not add up: run learning_time_job, and explain it again"
    built = built_seconds(story.webhooks)
    if not built:
        return f"{now}; no webhook carries it"
    if built == [story.number.seconds]:
        return f"{now}, as sent"
    return f"{now}; {' and '.join(f'{one:,}' for one in built)} s were sent"
