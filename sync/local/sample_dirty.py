"""One line of every kind of dirty data known from real tracking logs.

They belong to one learner who completes nothing, so a changed rule for one of them affects only
that learner's time. Not here: duplicate JSON keys and NaN, which the engines read differently.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from sync.local.sample_logs import (
    BROWSER_AGENT,
    HOST,
    MOBILE_AGENT,
    STUDIO_HOST,
    to_microseconds,
    write_time,
)
from sync.local.sample_replica import ORG, Study

_ABSENT = object()
_USER_IDS: dict[str, Any] = {
    "text": lambda user_id: str(user_id),
    "padded text": lambda user_id: f" {user_id}\n",
    "empty": "",
    "null": None,
    "absent": _ABSENT,
    "exponent": "1e3",
    "fraction": "12.7",
    "zero": 0,
    "negative": -5,
}
_COURSES: dict[str, Any] = {
    "trailing newline": lambda run: f"{run}\n",
    "percent-encoded": lambda run: run.replace(":", "%3A").replace("+", "%2B"),
    "slash form": "ExampleX/DATA099/2012_Fall",
    "ccx": "ccx-v1:ExampleX+DATA101+2026_T1+ccx@7",
    "not ascii": "course-v1:ExampleX+ÄPFEL101+2026_T1",
    "library": "library-v1:ExampleX+SHELF",
    "empty": "",
    "absent": _ABSENT,
}
_PAYLOADS: dict[str, Any] = {
    "object": {"id": "v1"},
    "json text": '{"id": "v1"}',
    "json text cut at 512": ('{"id": "v1", "answer": "' + "x" * 600)[:512],
    "key=value": "input_p1=choice_1&input_p2=choice_2",
    "list": ["input_p1=choice_1", "<div/>"],
    "empty text": "",
    "empty object text": "{}",
    "null": None,
}
_NAMES: dict[str, tuple[Any, str]] = {
    "both": ("play_video", "play_video"),
    "event_type only": (_ABSENT, "play_video"),
    "empty name": ("", "play_video"),
    "new name": ("edx.video.played", "play_video"),
    "unheard of": ("acme.widget.spun", "acme.widget.spun"),
}
_AGENTS = {
    "bot": "Mozilla/5.0 (compatible; ExampleBot/3.1)",
    "crawler": "ExampleCrawler",
    "spider": "Baiduspider-like/1.0",
    "slurp": "Example Slurp",
    "preview": "facebookexternalhit/1.1",
    "curl": "curl/8.5.0",
    "wget": "Wget/1.21",
    "python": "python-requests/2.31",
    "go": "Go-http-client/2.0",
    "perl": "libwww-perl/6.72",
    "health check": "ELB-HealthChecker/2.0",
    "android": MOBILE_AGENT,
    "okhttp": "okhttp/4.12.0",
    "ios": "ExampleApp/5 CFNetwork/1494.0.7 Darwin/23.4.0",
}


def dirty_lines(study: Study, begin: datetime) -> dict[str, str]:
    """Lines by label, one per minute from nine hours after ``begin``.

    A label is a place and a variant, such as ``time: no offset``. Bytes that are not UTF-8 are in
    the text as surrogate escapes.
    """
    lines: dict[str, str] = {}
    for minute, (label, make) in enumerate(_variants()):
        at = begin + timedelta(hours=9, minutes=minute)
        lines[label] = make(_event(study, at))
    return lines


def _event(study: Study, at: datetime) -> dict[str, Any]:
    page = f"https://{HOST}/courses/{study.courserun_key}/courseware/week1/"
    return {
        "name": "play_video",
        "event_type": "play_video",
        "event_source": "browser",
        "time": write_time(to_microseconds(at)),
        "username": study.learner.username,
        "context": {
            "course_id": study.courserun_key,
            "org_id": ORG,
            "user_id": study.learner.user_id,
            "path": "/event",
        },
        "event": '{"id": "v1"}',
        "page": page,
        "referer": page,
        "agent": BROWSER_AGENT,
        "host": HOST,
        "session": "0123456789abcdef0123456789abcdef",
        "ip": "192.0.2.9",
        "accept_language": "en",
    }


Make = Callable[[dict[str, Any]], str]
"""Makes a dirty line from a valid event."""


def _variants() -> Iterator[tuple[str, Make]]:
    yield from _of_line()
    yield from _of_time()
    for label, user_id in _USER_IDS.items():
        yield f"user_id: {label}", _set("context.user_id", user_id)
    yield "user_id: context null", _set("context", None)
    for label, course in _COURSES.items():
        yield f"course_id: {label}", _set("context.course_id", course)
    yield "course_id: only in the path", _course_in_path
    for label, payload in _PAYLOADS.items():
        yield f"event: {label}", _set("event", payload)
    for label, (name, event_type) in _NAMES.items():
        yield f"name: {label}", _set("name", name, event_type=event_type)
    for label, agent in _AGENTS.items():
        yield f"agent: {label}", _set("agent", agent)
    yield "host: studio", _set("host", STUDIO_HOST)
    yield "page: studio", _set("page", f"https://{STUDIO_HOST}/container/block-v1")
    yield "source: task", _set("event_source", "task")
    yield "source: unheard of", _set("event_source", "carrier pigeon")
    yield "username: trailing newline", _set("username", "someone\n")


def _of_line() -> Iterator[tuple[str, Make]]:
    def text(make: Callable[[str], str]) -> Make:
        return lambda event: make(json.dumps(event))

    yield "line: plain", text(lambda line: line)
    yield (
        "line: logger prefix",
        text(lambda line: f"Mar  4 09:00:00 lms-1 [tracking][env:prod] INFO [lms-1 77] - {line}"),
    )
    yield "line: NUL padding", text(lambda line: "\0" * 64 + line)
    yield "line: only NUL", _fixed("\0" * 64)
    yield "line: empty", _fixed("")
    yield "line: blanks", _fixed("   \t ")
    yield "line: null", _fixed("null")
    yield "line: number", _fixed("42")
    yield "line: text", _fixed('"play_video"')
    yield "line: list", _fixed("[1, 2]")
    yield "line: not JSON", _fixed("Traceback (most recent call last):")
    yield "line: carriage return", text(lambda line: line + "\r")
    yield "line: byte order mark", text(lambda line: "\ufeff" + line)
    yield "line: not UTF-8", text(lambda line: line.replace('"en"', '"en\udcff\udcfe"'))
    for length in (2_043, 10_000, 50_000):
        yield f"line: cut at {length}", _cut_at(length)


def _of_time() -> Iterator[tuple[str, Make]]:
    for label, pattern in {
        "no fraction": "%Y-%m-%dT%H:%M:%S+00:00",
        "Z": "%Y-%m-%dT%H:%M:%SZ",
        "fraction and Z": "%Y-%m-%dT%H:%M:%S.250Z",
        "+0000": "%Y-%m-%dT%H:%M:%S.250000+0000",
        "blank for T": "%Y-%m-%d %H:%M:%S.250000+00:00",
        "no offset": "%Y-%m-%dT%H:%M:%S.250000",
        "second 60": "%Y-%m-%dT%H:%M:60+00:00",
        "month 13": "%Y-13-%dT%H:%M:%S+00:00",
        "date only": "%Y-%m-%d",
        "words": "yesterday",
    }.items():
        yield f"time: {label}", _time(pattern)
    yield "time: other offset", _in_india
    yield "time: epoch", lambda event: json.dumps(event | {"time": _time_of(event).timestamp()})
    yield "time: null", _set("time", None)
    yield "time: absent", _set("time", _ABSENT)
    yield "time: far future", _set("time", "2199-01-01T00:00:00+00:00")
    devices = {"mobile, in time": -1, "mobile, ahead": 2, "mobile, ancient": -31 * 24}
    for label, hours in devices.items():
        yield f"time: {label}", _mobile(hours)


def _time(pattern: str) -> Make:
    return lambda event: json.dumps(event | {"time": _time_of(event).strftime(pattern)})


def _in_india(event: dict[str, Any]) -> str:
    there = _time_of(event).astimezone(timezone(timedelta(hours=5, minutes=30)))
    return json.dumps(event | {"time": there.isoformat()})


def _time_of(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["time"])


def _fixed(line: str) -> Make:
    return lambda _: line


def _mobile(hours: int) -> Make:
    """A device whose clock is ``hours`` ahead of the server's at receipt."""

    def make(event: dict[str, Any]) -> str:
        context = event["context"] | {"received_at": event["time"], "path": "/segmentio/event"}
        time = write_time(to_microseconds(_time_of(event) + timedelta(hours=hours)))
        changes = {"event_source": "mobile", "agent": MOBILE_AGENT, "session": ""}
        return json.dumps(event | changes | {"context": context, "time": time})

    return make


def _cut_at(length: int) -> Make:
    return lambda event: json.dumps(event | {"event": "x" * 60_000})[:length]


def _course_in_path(event: dict[str, Any]) -> str:
    path = f"/courses/{event['context']['course_id']}/jump_to_id/cells"
    changed = copy.deepcopy(event)
    changed["context"]["course_id"] = ""
    return json.dumps(changed | {"name": path, "event_type": path, "event_source": "server"})


def _set(path: str, value: Any, **others: Any) -> Make:
    """Change one member; a function gets the old value, ``_ABSENT`` removes the member."""

    def make(event: dict[str, Any]) -> str:
        changed = copy.deepcopy(event) | others
        *parents, last = path.split(".")
        holder = changed[parents[0]] if parents else changed
        if value is _ABSENT:
            del holder[last]
        else:
            holder[last] = value(holder[last]) if callable(value) else value
        return json.dumps(changed, ensure_ascii=False)

    return make
