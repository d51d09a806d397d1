"""An operator's action, from which the command line and Dagster derive their interfaces ("faces").

An operation is a request: a pydantic model whose docstring is the help text and whose fields are
the options, with their descriptions, bounds and defaults. A method carries it out, and the result
is a ``Report`` that every face can show. ``catalog.py`` lists them all.
"""

from __future__ import annotations

import json
import uuid
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Self, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from sync.clock import Clock
from sync.domain.pauses import Pause
from sync.domain.rollout import enterprise_uuids
from sync.errors import ConfigurationError, SyncError
from sync.ledger.pauses import read_pauses
from sync.ledger.tables import REPLAYS
from sync.warehouse import Warehouse

ASK_ABOVE = 20
"""Webhooks that a typo on the command line may send again; above this it asks."""
SAMPLE = 10
"""Rows that a plan shows."""
MAX_TEXT = 200
"""Characters of a reason or a name that the ledger accepts."""
REQUESTED_BY = Field(
    default="",
    description="Who asked, for the audit trail. Default: the shell user, or the Dagster run.",
)
FIELD_TYPES = (str, int, bool, list[str])
"""What both faces can accept as it is; anything else is given as text."""

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class CommandLine:
    """How a field is given on the command line, if not as ``--its-name``."""

    option: str | None = None
    type: Any = None
    help: str | None = None
    is_argument: bool = False
    is_only: bool = False
    """Whether no other face has it: Dagster stores the inputs and the results of its runs."""


ARGUMENT = CommandLine(is_argument=True)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What an operation found or did, for every face; no personal data unless requested."""

    document: Mapping[str, Any]
    """For machines: what ``--json`` prints."""
    lines: Sequence[str] = ()
    """Sentences for people."""
    tables: Mapping[str, Rows] = field(default_factory=dict)
    """Rows for people, by name."""
    outcome: str = ""
    """What was done or found, in one sentence; empty for a plan."""
    has_failed: bool = False


class Operation(BaseModel):
    """What an operator asks for.

    Raises:
        ValidationError: a field is missing or out of bounds; ``read`` reports it in plain words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    name: ClassVar[str]
    """The command's name; a blank separates a group from its command."""

    @classmethod
    def read(cls, given: Mapping[str, Any], *, spelled: Callable[[str], str] = str) -> Self:
        """The request from what a face was given.

        Raises:
            ConfigurationError: names each wrong field as its face spells it.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            wrong = [
                ": ".join([*(spelled(str(name)) for name in one["loc"][:1]), _problem(one)])
                for one in error.errors(include_url=False)
            ]
            raise ConfigurationError("; ".join(wrong)) from None


class Action(Operation):
    """Runs without confirmation, since it cannot do harm at scale."""

    is_read_only: ClassVar[bool] = False
    """Whether it writes nothing, so no ledger is created for it."""

    @abstractmethod
    def run(self, warehouse: Warehouse, clock: Clock) -> Report:
        """Do it."""


class AuditedAction(Action):
    """An action for which the ledger keeps who asked."""

    requested_by: str = REQUESTED_BY

    def asked_by(self, who: str) -> Self:
        """The same request, by ``who`` if it names nobody."""
        return self if self.requested_by else self.model_copy(update={"requested_by": who})

    @property
    def by(self) -> str:
        """Who asked, as the ledger keeps it."""
        return self.requested_by[:MAX_TEXT]


class Look(Operation):
    """Changes nothing, and opens what it needs itself, to report why that cannot be opened."""

    @abstractmethod
    def look(self, environ: Mapping[str, str]) -> Report:
        """Run it with the settings of an environment."""


@dataclass(frozen=True, kw_only=True)
class Plan(Report):
    """What a change would do now; nothing was changed."""

    matched: int
    """Rows that it would change."""
    is_refused: bool = False
    """Whether none of the request can be done."""


@dataclass(frozen=True)
class Done:
    """A change as it was recorded; without an id when nothing was changed."""

    request_id: str | None = None
    changed: int = 0
    document: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """What it adds to or replaces in the plan's document."""
    outcome: str = field(default="", compare=False)


class Change(Operation):
    """First a plan; then, once its number is confirmed, everything in the plan or nothing.

    The request is a row of ``sync.replays``. The next delivery run sends what it marks.
    """

    noun: ClassVar[str] = "webhooks"
    """What is counted."""
    ask_above: ClassVar[int | None] = ASK_ABOVE
    """Above this the command line asks. None: it accepts only the confirmed number."""
    results: ClassVar[tuple[str, str]]
    """Keys of the request's id and the number that it changed in a document."""

    dry_run: bool = Field(default=False, description="Count and show; change nothing.")
    confirm_count: int | None = Field(
        default=None, ge=0, description="For a real run: the number that the dry run found."
    )
    requested_by: str = REQUESTED_BY

    @abstractmethod
    def plan(self, warehouse: Warehouse, clock: Clock) -> Plan:
        """What ``apply`` would do now; reads only.

        Raises:
            StatementFailed: the ledger or a mart cannot be read.
        """

    def move(self, warehouse: Warehouse, request_id: str, now: datetime) -> int:
        """Change the rows, unless a request with this id is recorded; returns how many.

        ``now`` is naive UTC.
        """
        raise NotImplementedError

    def apply(
        self,
        warehouse: Warehouse,
        clock: Clock,
        *,
        confirmed: int | None,
        by: str,
        request_id: str | None = None,
        setting: str = "confirm_count:",
    ) -> Done:
        """Change what the plan has shown, and record who asked.

        A ``request_id`` from the caller makes the call idempotent: only the first one counts.
        ``setting`` is the caller's name for the number in ``confirmed``.

        Raises:
            NotConfirmed: the number confirmed is not the number that match; nothing was changed.
            StatementFailed: the warehouse refused; nothing was changed.
        """
        known = recorded_matches(warehouse, request_id)
        if known is not None:
            return self._done(request_id, known)
        made, now = request_id or str(uuid.uuid4()), clock()
        with warehouse.transaction():
            moved = self.move(warehouse, made, now)
            if not moved and (known := recorded_matches(warehouse, request_id)) is not None:
                return self._done(request_id, known)
            require_confirmation(moved, confirmed, setting=setting, noun=self.noun)
            if not moved:
                return Done()
            paused = read_pauses(warehouse, now).on
            asked = self.model_dump(
                mode="json", exclude=set(Change.model_fields), exclude_defaults=True
            )
            warehouse.execute(
                f"""
                insert into {warehouse.relation("sync", REPLAYS)}
                    (replay_id, requested_at, requested_by, selection, matched)
                select ?, cast(? as timestamp_ntz), ?, parse_json(?), ?
                """,
                made,
                now.isoformat(),
                (self.requested_by or by)[:MAX_TEXT],
                json.dumps({"operation": self.name} | asked),
                moved,
            )
        return self._done(made, moved, paused)

    def report(self, plan: Plan, done: Done | None) -> Report:
        """What was found and what was done; ``done`` is None for a plan alone."""
        return Report(
            document={
                "dry_run": done is None,
                "matched": plan.matched,
                **dict(zip(self.results, (None, 0), strict=True)),
                **plan.document,
                **(done or Done()).document,
            },
            lines=plan.lines,
            tables=plan.tables,
            outcome=(done or Done()).outcome,
        )

    def _done(self, request_id: str | None, changed: int, paused: Sequence[Pause] = ()) -> Done:
        said = (
            f"{changed:,} {self.noun} go out with the next run of completion_webhooks_job, "
            f"as {request_id}"
        )
        return Done(
            request_id,
            changed,
            document=dict(zip(self.results, (request_id, changed), strict=True)),
            outcome=". ".join([said, *(f"Not before the pause ends: {one}" for one in paused)]),
        )


Kind = type[Action] | type[Look] | type[Change]
"""An operation that can be carried out."""


class NotConfirmed(SyncError):
    """The number that was confirmed is missing, or is not the one found; nothing was changed."""


def require_confirmation(found: int, confirmed: int | None, *, setting: str, noun: str) -> None:
    """Refuse unless ``confirmed`` is the number found; if nothing was found, none is needed.

    Raises:
        NotConfirmed: names the number, and the ``setting`` to repeat it in.
    """
    if confirmed == found or (confirmed is None and not found):
        return
    if confirmed is None:
        raise NotConfirmed(
            f"{found} {noun} match. Nothing was changed. If that is the number you expect, run "
            f"again with {setting} {found}"
        )
    raise NotConfirmed(
        f"{setting.rstrip(':')} is {confirmed}, but {found} {noun} match now. Nothing was "
        f"changed. Check with a dry run; if {found} is right, run again with {setting} {found}"
    )


def not_yet_recorded(warehouse: Warehouse) -> str:
    """The condition for the statement that moves the webhooks; its bind is the request's id.

    Without it, a repeated request that read before the first one committed would move them again.
    """
    return f"""
        not exists (
            select 1 from {warehouse.relation("sync", REPLAYS)} as asked
            where asked.replay_id = ?
        )
    """


def as_timestamp(given: str | datetime) -> datetime:
    """An ISO 8601 time as naive UTC, like a TIMESTAMP_NTZ; without a zone it is UTC.

    Raises:
        ValueError: the text is not an ISO 8601 time.
    """
    try:
        found = given if isinstance(given, datetime) else datetime.fromisoformat(given)
        return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise ValueError(f"{given!r} must look like 2026-11-24T00:00:00Z") from None


def _enterprise(text: str) -> str:
    try:
        (spelled,) = enterprise_uuids([text], setting="enterprise")
    except ConfigurationError as error:
        raise ValueError(str(error).removeprefix("enterprise: ")) from error
    return spelled


Timestamp = Annotated[datetime, BeforeValidator(as_timestamp)]
"""A field for a time: naive UTC, from ISO 8601."""
Enterprise = Annotated[str, AfterValidator(_enterprise)]
"""A field for a customer: its UUID, from any spelling."""
EndpointId = Annotated[int, ARGUMENT]
"""A field for an endpoint that must exist."""


def fields_of(kind: type[Operation]) -> Mapping[str, FieldInfo]:
    """The fields of an operation, its own before those of every change."""
    shared = Change.model_fields if issubclass(kind, Change) else {}
    own = {name: one for name, one in kind.model_fields.items() if name not in shared}
    return own | {name: kind.model_fields[name] for name in shared}


def command_line_of(field: FieldInfo) -> CommandLine:
    """How a field is given on the command line."""
    return next((one for one in field.metadata if isinstance(one, CommandLine)), CommandLine())


def field_type(kind: FieldInfo) -> tuple[Any, bool]:
    """What a face takes for a field: one of ``FIELD_TYPES`` or an enum; whether it is optional."""
    found, is_optional = kind.annotation, False
    if get_origin(found) in (Union, UnionType):
        (found,) = (one for one in get_args(found) if one is not NoneType)
        is_optional = True
    if get_origin(found) is Annotated:
        found = get_args(found)[0]
    if get_origin(found) is list:
        found = list[str]
    is_plain = found in FIELD_TYPES or (isinstance(found, type) and issubclass(found, Enum))
    return (found if is_plain else str), is_optional


def recorded_matches(warehouse: Warehouse, request_id: str | None) -> int | None:
    """How many webhooks a request has moved; None when no request with this id is recorded."""
    if request_id is None:
        return None
    return warehouse.value(
        f"select matched from {warehouse.relation('sync', REPLAYS)} where replay_id = ?", request_id
    )


def _problem(error: Mapping[str, Any]) -> str:
    if error["type"] == "enum":
        words = error["ctx"]["expected"].replace("'", "")
        return f"{error['input']!r} is not one of {words}"
    cause = error.get("ctx", {}).get("error")
    return str(cause) if cause is not None else f"{error['msg']}"
