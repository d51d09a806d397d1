"""The events that become webhooks. Everything that differs between them is in a YAML file, a facts
class or a body format.

The files are those of the Dagster component ``WebhookEventComponent``: ``defs.yaml`` in a folder of
``orchestration/defs``. They are read here without Dagster, so the command line, a preview and a run
know the same types.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Set
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, ValidationError, create_model, model_validator

from sync.domain.facts import (
    OF_CORRECTION,
    OF_EVERY_EVENT,
    OF_LEARNING_TIME,
    AnyText,
    Facts,
    Text,
    Time,
)
from sync.domain.model import Model, problems
from sync.errors import ConfigurationError
from sync.settings import PROJECT_ROOT, RawSchema
from sync.strict_yaml import YamlError, read_documents

COURSE_COMPLETION = "course_completion"
COURSE_COMPLETION_CORRECTION = "course_completion_correction"
COURSE_ENROLLMENT = "course_enrollment"

FOLDER = PROJECT_ROOT / "orchestration" / "defs"
COMPONENT = "WebhookEventComponent"
SETTING = "LTW_EVENT_TYPES"
"""Event types to enable in addition to those enabled in their files, comma-separated."""


class CompletionFacts(Facts, frozen=True):
    """A learner passed a course run."""

    passed_at: Time
    percent_grade: float = Field(ge=0, le=1, allow_inf_nan=False)
    letter_grade: AnyText = ""
    enrollment_mode: AnyText = ""
    """Not in any body; an endpoint may filter by it."""


class EnrollmentFacts(Facts, frozen=True):
    """A learner was enrolled in a course run."""

    enrolled_at: Time
    enrollment_mode: Text = "unknown"
    is_enrolled: bool


OWN_FACTS: Mapping[str, type[Facts]] = {
    COURSE_COMPLETION: CompletionFacts,
    COURSE_COMPLETION_CORRECTION: CompletionFacts,
    COURSE_ENROLLMENT: EnrollmentFacts,
}
"""Facts of the event types whose bodies are written in Python, by event type name."""

FactType = Literal[
    "text", "number", "time", "boolean",
    "optional text", "optional number", "optional time", "optional boolean",
]  # fmt: skip
_PYTHON: Mapping[str, Any] = {
    "text": Text,
    "number": Annotated[float, Field(allow_inf_nan=False)],
    "time": Time,
    "boolean": bool,
}

Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,39}$")]
"""At most as long as the ledger's ``event_type`` column."""
Identifier = Annotated[str, Field(pattern="^[a-z_][a-z0-9_]{0,254}$")]
"""A table, a column or an asset, in lower case."""


class Key(Model, frozen=True):
    """The mart columns by which the ledger identifies an event. Together they are unique."""

    model_config = ConfigDict(extra="forbid")

    enterprise: Identifier = Field(
        default="enterprise_customer_uuid", description="Column with the customer's UUID."
    )
    learner: Identifier = Field(
        default="user_id", description="Column with the learner's LMS id, an integer."
    )
    subject: Identifier = Field(
        default="courserun_key",
        description="Column with what the event is about, at most 255 characters.",
    )

    def renamed(self) -> dict[str, str]:
        """Columns that have a different name in the ledger, by the ledger's name."""
        names = ("enterprise_customer_uuid", "user_id", "courserun_key")
        own = (self.enterprise, self.learner, self.subject)
        return {name: column for name, column in zip(names, own, strict=True) if name != column}


class Replica(Model, frozen=True):
    """A raw table whose changes can create new events."""

    model_config = ConfigDict(extra="forbid")

    source: RawSchema = Field(description="Source of the table: lms, enterprise or tracking.")
    table: Identifier
    changed_at: Identifier = Field(description="Column with the time a row last changed.")


class EventType(Model, frozen=True):
    """An event type: the attributes of its ``defs.yaml``, which also define its JSON Schema."""

    model_config = ConfigDict(extra="forbid")

    name: Name = Field(description="Its name in the outbox, the bodies and the commands.")
    plural: Identifier = Field(description="The plural used in texts, such as certificates.")
    asset: Identifier = Field(
        default="", description="The asset that records them; default: newly_recorded_<plural>."
    )
    mart: Identifier = Field(
        description="The dbt model in the schema marts, with one row per event that may be sent."
    )
    key: Key = Field(default=Key(), description="The mart columns that identify an event.")
    occurred_at: Identifier = Field(
        description="The mart column with the time it happened, in UTC."
    )
    facts: dict[Identifier, FactType] = Field(
        default={},
        description="Mart columns that bodies use besides customer, learner and course run.",
    )
    formats: list[str] = Field(
        min_length=1, description="The formats that have a body for it; each one is checked."
    )
    endpoints: Literal["all", "enrollment_events_on", "asked"] = Field(
        default="asked",
        description="Which endpoints get it: all, those with the LMS's switch for enrollment "
        "events, or those that ask for it with `ltw endpoints set --event-types`.",
    )
    replicas: list[Replica] = Field(
        default=[],
        description="Additional raw tables whose changes start a run.",
    )
    pool: str = Field(
        default="webhook_outbox", description="Dagster pool of the asset that records them."
    )
    schedule: str = Field(
        default="",
        description="Cron, UTC, of a separate job that records them; default: each delivery run.",
    )
    enabled: bool = Field(
        default=False, description=f"Whether they are recorded; {SETTING} can also enable them."
    )

    @model_validator(mode="before")
    @classmethod
    def _with_its_asset(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and not given.get("asset"):
            return {**given, "asset": f"newly_recorded_{given.get('plural', '')}"}
        return given

    @model_validator(mode="after")
    def _has_facts_of_its_own(self) -> EventType:
        taken = [name for name in self.facts if name in Facts.model_fields]
        if taken:
            raise ValueError(f"facts: {', '.join(taken)} is known of every event: leave it out")
        taken = [name for name in self.facts if _is_taken(name)]
        if taken:
            raise ValueError(
                f"facts: {', '.join(taken)} is a name that is taken: give the column another"
            )
        if self.facts and self.name in OWN_FACTS:
            raise ValueError(f"facts: those of {self.name} are written in Python: leave them out")
        return self

    @property
    def has_learning_time(self) -> bool:
        """Whether its messages may have learning time."""
        return self.name in (COURSE_COMPLETION, COURSE_COMPLETION_CORRECTION)

    @property
    def found_in(self) -> str | None:
        """The mart in which corrections are found, with ``correction_status``,
        ``correction_number`` and ``corrects_webhook_id``. ``mart`` then has the completion's facts,
        and whether it may be reported. None: events are found in ``mart`` itself, each once."""
        return "completion_corrections" if self.name == COURSE_COMPLETION_CORRECTION else None

    @property
    def fact_names(self) -> Set[str]:
        """The columns of the mart that its messages may use."""
        own = OWN_FACTS.get(self.name, Facts).model_fields
        return own.keys() | self.facts.keys()

    @cached_property
    def facts_class(self) -> type[Facts]:
        """The facts for its messages: mart columns, with those of every event first."""
        if self.name in OWN_FACTS:
            return OWN_FACTS[self.name]
        fields: dict[str, Any] = {
            name: (_PYTHON[kind.removeprefix("optional ")], None if " " in kind else ...)
            for name, kind in self.facts.items()
        }
        title = "".join(word.title() for word in self.name.split("_"))
        return create_model(f"{title}Facts", __base__=Facts, **fields)

    @property
    def fact_pairs(self) -> str:
        """The facts in SQL, as pairs for ``object_construct``; a NULL leaves its key out."""
        return ", ".join(
            f"'{name}', to_varchar(events.{name}, 'YYYY-MM-DD HH24:MI:SS')"
            if field.annotation is get_args(Time)[0]
            else f"'{name}', events.{name}"
            for name, field in self.facts_class.model_fields.items()
        )

    def rows_of(self, mart: str) -> str:
        """A relation in SQL: the mart with the ledger's names for the columns of its key."""
        renamed = self.key.renamed()
        if not renamed:
            return mart
        # Columns are listed: with `*`, a mart column could also have one of the ledger's names.
        names = sorted({*self.facts_class.model_fields, self.occurred_at})
        columns = ", ".join(
            f"mart.{renamed[name]} as {name}" if name in renamed else f"mart.{name}"
            for name in names
        )
        return f"(select {columns} from {mart} as mart)"

    @property
    def wanted(self) -> str:
        """Which events any endpoint wants, in SQL; ``{endpoints}`` is the endpoints mart, and
        ``{settings}`` each endpoint's newest row of settings."""
        if self.endpoints == "all":
            return "true"
        settings, asked = "", "endpoints.is_enrollment_events_enabled"
        if self.endpoints == "asked":
            settings = """
                inner join {settings} as settings
                    on endpoints.endpoint_id = settings.endpoint_id"""
            # An underscore matches any character here; routing compares the exact names.
            asked = f"',' || settings.event_types || ',' like '%,{self.name},%'"
        return f"""
            exists (
                select 1 from {{endpoints}} as endpoints{settings}
                where endpoints.enterprise_customer_uuid = events.enterprise_customer_uuid
                    and endpoints.is_active
                    and {asked}
            )
        """


def read_event_types(folder: Path, switched_on: Iterable[str] = ()) -> dict[str, EventType]:
    """The event types of the files under a folder, by name, sorted.

    ``switched_on`` are names that are enabled regardless of their files.

    Raises:
        ConfigurationError: a file cannot be used; names it, the key and what is wrong.
    """
    found: dict[str, EventType] = {}
    files: dict[str, Path] = {}
    assets: dict[str, str] = {}
    wanted = set(switched_on)
    for path in sorted(folder.rglob("defs.yaml")):
        for attributes in _documents(path):
            one = event_type_of(attributes, path)
            if one.name in found:
                raise ConfigurationError(
                    f"{path}: name: {one.name} is already that of {files[one.name]}; "
                    "each event type has one file"
                )
            if one.asset in assets:
                raise ConfigurationError(
                    f"{path}: asset: {one.asset} is already that of {assets[one.asset]}; "
                    "choose another plural or asset"
                )
            if one.name in wanted:
                one = one.model_copy(update={"enabled": True})
            found[one.name], files[one.name], assets[one.asset] = one, path, one.name
    if unknown := sorted(wanted - found.keys()):
        raise ConfigurationError(
            f"{SETTING} names {', '.join(unknown)}, which no file describes; known: "
            f"{', '.join(sorted(found))}"
        )
    return dict(sorted(found.items()))


def event_type_of(attributes: object, path: Path) -> EventType:
    """The event type with the attributes from a file.

    Raises:
        ConfigurationError: names the file, the key and what is wrong with it.
    """
    try:
        return EventType.model_validate(attributes)
    except ValidationError as error:
        raise ConfigurationError(f"{path}: {problems(error)}") from None


def switched_on(environ: Mapping[str, str]) -> frozenset[str]:
    """The names in ``LTW_EVENT_TYPES``."""
    return frozenset(re.findall(r"[^\s,]+", environ.get(SETTING, "")))


@cache
def event_types() -> Mapping[str, EventType]:
    """The event types of this process by name, read once, including disabled ones, since the
    outbox may hold their events.

    Raises:
        ConfigurationError: as for ``read_event_types``.
    """
    return read_event_types(FOLDER, switched_on(os.environ))


def recorded_types() -> list[EventType]:
    """The enabled event types."""
    return [one for one in event_types().values() if one.enabled]


def completions() -> EventType:
    """The main event type: completions."""
    return event_types()[COURSE_COMPLETION]


def _is_taken(name: str) -> bool:
    """Whether a name has another meaning in bodies, or a facts model cannot have it."""
    beside = OF_EVERY_EVENT.keys() | OF_LEARNING_TIME.keys() | OF_CORRECTION.keys()
    return name in beside or name.startswith("_") or hasattr(Facts, name)


def _documents(path: Path) -> Iterable[object]:
    """The attributes of each document in a file that belongs to the component."""
    content = path.read_bytes()
    if COMPONENT.encode() not in content:
        return
    try:
        documents = read_documents(content)
    except YamlError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    for one in documents:
        if isinstance(one, Mapping) and str(one.get("type", "")).endswith(f".{COMPONENT}"):
            yield one.get("attributes")
