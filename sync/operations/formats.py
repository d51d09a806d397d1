"""The body formats as an operator sees them: listed, checked, and previewed with an event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sync.clock import Clock
from sync.delivery.build import key_of, outcome_name, route_of
from sync.delivery.endpoints import Endpoints, load_endpoints
from sync.delivery.events import read_with_facts
from sync.delivery.formats import files_in, read_folder, read_one
from sync.delivery.learning_time import Found, LearningTimeClient
from sync.delivery.record import select_new
from sync.domain.bodies import BodyFormat, Content, PayloadError
from sync.domain.conversions import facts_of
from sync.domain.endpoint import Endpoint
from sync.domain.event_types import EventType, event_types
from sync.domain.facts import FactsError, LearningTime
from sync.domain.formats import FOLDER_SETTING, FORMATS, SUFFIX, Formats
from sync.domain.mapping import MappingError, editor_schema
from sync.domain.routing import Routed
from sync.domain.work import Event
from sync.errors import ConfigurationError
from sync.ledger.tables import OUTBOX
from sync.operations.samples import sample_body
from sync.warehouse import Warehouse

SAMPLE_AT = datetime(2026, 3, 10, 17, 42, 31)
SAMPLE_ID = "2ec0acb6-9811-54aa-9664-a87ac95ae27f"
"""When the sample event happened, and its id: a file may hold its body."""
EXAMPLE: Mapping[str, object] = {
    "endpoint_id": 0,
    "enterprise_customer_uuid": "00000000-0000-4000-8000-000000000000",
    "region": "OTHER",
    "url": "https://hooks.example.com/in",
    "timeout_seconds": 20,
    "max_requests_per_minute": 60,
    "is_active": True,
    "is_enrollment_events_enabled": True,
    "xapi_course_iri": "https://lms.example.com/courses/{courserun_key}",
    "xapi_home_page": "https://lms.example.com",
}
"""An endpoint with every setting that a format may need."""
NOT_USABLE = "not usable"
EVENT = (
    "webhook_id, event_type, enterprise_customer_uuid, user_id, courserun_key, recorded_at, state,"
    " state_reason, corrects_webhook_id, correction_number"
)


def listed(formats: Formats) -> list[dict[str, object]]:
    """Every format that the process knows."""
    return [
        {
            "format": name,
            "from": "built in" if name in FORMATS else f"{name}{SUFFIX}",
            "event_types": ", ".join(one.bodies),
            "success_statuses": ", ".join(map(str, sorted(one.success_statuses))),
            "headers": ", ".join(f"{key}: {value}" for key, value in one.headers.items()),
        }
        for name, one in formats.known.items()
    ]


def checked(path: Path) -> dict[str, object]:
    """A verdict on a file: it is read, the sample event of each of its event types is built, and
    compared with the one in the file."""
    problem, event_types = None, ""
    try:
        name, made, file = read_one(path)
        event_types = ", ".join(file.bodies)
        for one in sample_bodies(name, Formats({**FORMATS, name: made})):
            kind, body = one["event_type"], one["body"]
            if kind in file.samples and (place := _difference(file.samples[kind], body)):
                raise MappingError(
                    f"samples.{kind}{place}: the body of the sample event differs here; correct "
                    f"it, or copy what `ltw formats preview {path}` prints"
                )
    except (MappingError, PayloadError) as error:
        problem = str(error)
    verdict = "good" if problem is None else NOT_USABLE
    return {
        "file": path.name,
        "verdict": verdict,
        "event_types": event_types,
        "problem": problem,
    }


def checked_folder(folder: str) -> list[dict[str, object]]:
    """A verdict on every file of a folder.

    Raises:
        ConfigurationError: it is not a folder.
    """
    if not folder:
        raise ConfigurationError(f"name files to check, or set {FOLDER_SETTING} to their folder")
    try:
        rows = [checked(path) for path in files_in(Path(folder))]
    except OSError as error:
        raise ConfigurationError(f"{FOLDER_SETTING}: {folder}: {error.strerror}") from None
    problems = read_folder(Path(folder)).problems
    for row in rows:
        # Good by itself, but it conflicts with another file in the folder.
        if row["problem"] is None and (problem := problems.get(str(row["file"]))):
            row |= {"verdict": NOT_USABLE, "problem": problem.removeprefix(f"{row['file']}: ")}
    return rows


def chosen(wanted: str, formats: Formats) -> tuple[str, Formats]:
    """The name of a format, given by name or by file, and all formats including it.

    Raises:
        ConfigurationError: there is none; names the file and the fix.
    """
    if wanted.endswith(SUFFIX):
        try:
            name, made, _ = read_one(Path(wanted))
        except MappingError as error:
            raise ConfigurationError(f"{wanted}: {error}") from None
        return name, Formats({**formats.known, name: made}, formats.problems)
    problem = formats.problem_of(wanted)
    if problem is not None:
        raise ConfigurationError(f"format {wanted}: {problem}")
    return wanted, formats


def sample_bodies(name: str, formats: Formats) -> list[dict[str, Any]]:
    """The body of the sample event of each event type that a format has.

    Raises:
        PayloadError: a fact that it requires is not in the sample.
    """
    endpoint = Endpoint.from_row({**EXAMPLE, "payload_format": name}, formats)
    return [
        {
            "event_type": kind,
            "body": json.loads(
                sample_body(endpoint, SAMPLE_ID, at=SAMPLE_AT, event_type=event_types()[kind])
            ),
        }
        for kind in endpoint.format.bodies
    ]


def bodies_of_learner(
    warehouse: Warehouse,
    made: BodyFormat,
    *,
    user_id: int,
    courserun_key: str,
    clock: Clock,
) -> list[dict[str, Any]]:
    """What a format makes of a learner's events of enabled types, recorded or new, as the marts
    have them now, with the settings of the endpoint that each goes to. Personal data."""
    endpoints, client = load_endpoints(warehouse), LearningTimeClient(warehouse)
    return [
        _shown(made, event, source, endpoints, client)
        for source in event_types().values()
        if source.enabled and source.name in made.bodies
        for event in events_of_learner(warehouse, source, user_id=user_id, now=clock())
        if courserun_key in ("", event.courserun_key)
    ]


def events_of_learner(
    warehouse: Warehouse, source: EventType, *, user_id: int, now: datetime
) -> list[Event]:
    """A learner's events of one kind that are recorded or new, with the mart's facts about them."""
    new, binds = select_new(warehouse, since=now, now=now, run_id="", source=source)
    rows = f"""
        select {EVENT}, null as lost_endpoint_id
        from {warehouse.relation("sync", OUTBOX)}
        where event_type = '{source.name}' and user_id = ?
        union all
        select {EVENT}, null as lost_endpoint_id from ({new}) as new where user_id = ?
    """
    return read_with_facts(warehouse, source, rows, user_id, *binds, user_id)


def schema_for_editors() -> dict[str, Any]:
    """The JSON Schema of a file, with the facts of the event types that there are."""
    known = event_types()
    return editor_schema({fact for one in known.values() for fact in facts_of(one)}, known)


def _shown(
    made: BodyFormat,
    event: Event,
    source: EventType,
    endpoints: Endpoints,
    client: LearningTimeClient,
) -> dict[str, Any]:
    route = route_of(event, endpoints)
    settings = Endpoint.from_row(EXAMPLE)
    if isinstance(route, Routed) and made.lacking(route.endpoint) is None:
        settings = route.endpoint
    key, studied = key_of(event), None
    if source.has_learning_time:
        studied = client.get_many([key])[key]
    body: bytes | None = None
    problem = None
    try:
        body = made.body(
            Content(
                webhook_id=event.webhook_id,
                event_type=event.event_type,
                facts=source.facts_class.read(event.facts),
                recorded_at=event.recorded_at,
                settings=settings,
                learning_time=(
                    LearningTime(studied.seconds, studied.computed_through)
                    if isinstance(studied, Found)
                    else None
                ),
                correction=event.correction,
            )
        )
    except (FactsError, PayloadError) as error:
        problem = str(error)
    return {
        "event_type": event.event_type,
        "webhook_id": event.webhook_id,
        "courserun_key": event.courserun_key,
        "settings_of_endpoint": settings.endpoint_id or None,
        "learning_time": studied and outcome_name(studied),
        "problem": problem,
        "body": None if body is None else json.loads(body),
    }


def _difference(expected: Any, found: Any) -> str:
    """Where two documents first differ, as ``.key.0``; empty if they are equal."""
    if isinstance(expected, dict) and isinstance(found, dict):
        keys = list(dict.fromkeys([*expected, *found]))
    elif isinstance(expected, list) and isinstance(found, list):
        expected, found = dict(enumerate(expected)), dict(enumerate(found))
        keys = list(expected | found)
    else:
        return "" if (type(expected), expected) == (type(found), found) else " "
    missing = object()
    places = (
        (key, _difference(expected.get(key, missing), found.get(key, missing))) for key in keys
    )
    return next((f".{key}{place}".rstrip() for key, place in places if place), "")
