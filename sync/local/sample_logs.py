"""Tracking-log lines of the sample data: learners' sessions, and noise.

They come in the order in which a server would write them: almost, but not exactly, by time. Lines
are text templates, since filling in text costs a tenth of building and dumping nested dicts.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random

from sync.local.sample_replica import ORG, Study

MICROSECONDS = 1_000_000
HOUR = 3_600 * MICROSECONDS
DAY = 24 * HOUR


def write_time(at: int) -> str:
    """Microseconds since 1970 as the LMS writes them: no fraction when it is zero."""
    seconds, fraction = divmod(at, MICROSECONDS)
    text = _second_text(seconds)
    return f"{text}.{fraction:06}+00:00" if fraction else f"{text}+00:00"


def to_microseconds(time: datetime) -> int:
    """Microseconds since 1970, exactly; float seconds would lose the last digit."""
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _second_text(second: int) -> str:
    day, rest = divmod(second, 86_400)
    minutes, seconds = divmod(rest, 60)
    return f"{_day_text(day)}T{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


@cache
def _day_text(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d")


BROWSER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
MOBILE_AGENT = "Dalvik/2.1.0 (Linux; U; Android 14)"
HOST = "learn.example.com"
STUDIO_HOST = "studio.example.com"

Event = tuple[str, str, str]
"""name, event_type, event as JSON; ``%(n)d`` is filled with a number, ``%(run)s`` with the key."""

_BROWSER: tuple[Event, ...] = (
    (
        "edx.ui.lms.outline.selected",
        "edx.ui.lms.outline.selected",
        r'"{\"target_name\": \"Week %(n)d\", \"widget_placement\": \"left\"}"',
    ),
    (
        "edx.ui.lms.sequence.next_selected",
        "seq_next",
        r'"{\"current_tab\": %(n)d, \"tab_count\": 90, \"widget_placement\": \"top\"}"',
    ),
    ("load_video", "load_video", r'"{\"id\": \"v%(n)d\", \"code\": \"html5\"}"'),
    ("play_video", "play_video", r'"{\"id\": \"v%(n)d\", \"currentTime\": %(n)d}"'),
    ("pause_video", "pause_video", r'"{\"id\": \"v%(n)d\", \"currentTime\": %(n)d.5}"'),
    ("seek_video", "seek_video", r'"{\"id\": \"v%(n)d\", \"old_time\": %(n)d, \"new_time\": 3}"'),
    ("stop_video", "stop_video", r'"{\"id\": \"v%(n)d\", \"currentTime\": %(n)d}"'),
    ("page_close", "page_close", '"{}"'),
    ("textbook.pdf.page.scrolled", "textbook.pdf.page.scrolled", r'"{\"page\": %(n)d}"'),
    ("edx.bookmark.added", "edx.bookmark.added", r'"{\"bookmark_id\": \"b%(n)d\"}"'),
    ("problem_show", "problem_show", r'"{\"problem\": \"p%(n)d\"}"'),
)
_BLOCK_COMPLETION = "edx.completion.block_completion.changed"
_SERVER: tuple[Event, ...] = (
    ("edx.forum.thread.created", "edx.forum.thread.created", '{"id": "t%(n)d", "title": "Q"}'),
    ("showanswer", "showanswer", '{"problem_id": "p%(n)d"}'),
    (_BLOCK_COMPLETION, _BLOCK_COMPLETION, '{"block_id": "b%(n)d", "completion": 1.0}'),
    # Not learning events, so they must change nothing:
    (
        "/courses/%(run)s/progress",
        "/courses/%(run)s/progress",
        r'"{\"GET\": {}, \"POST\": {}}"',
    ),
    ("edx.grades.problem.submitted", "edx.grades.problem.submitted", '{"weighted_earned": %(n)d}'),
)
_MOBILE: tuple[Event, ...] = (
    ("edx.video.played", "play_video", '{"id": "m%(n)d", "code": "mobile", "currentTime": %(n)d}'),
    ("edx.video.paused", "pause_video", '{"id": "m%(n)d", "code": "mobile", "currentTime": %(n)d}'),
    ("edx.video.position.changed", "seek_video", '{"id": "m%(n)d", "new_time": %(n)d}'),
)
# One answered problem, logged by the browser, then by the server, then graded.
_CHECK: tuple[tuple[Event, str], ...] = (
    (("problem_check", "problem_check", '"input_p%(n)d_2_1=choice_1"'), "browser"),
    (("problem_check", "problem_check", '{"problem_id": "p%(n)d", "grade": 1}'), "server"),
    (("problem_graded", "problem_graded", '["input_p%(n)d_2_1=c", "<div>ok</div>"]'), "browser"),
)


@dataclass(frozen=True, kw_only=True)
class Templates:
    """One study's lines with ``%(time)s``, ``%(n)d`` and, on mobile, ``%(received)s`` to fill."""

    browser: tuple[str, ...]
    server: tuple[str, ...]
    mobile: tuple[str, ...]
    check: tuple[str, ...]


def make_templates(study: Study, number: int) -> Templates:
    """``number`` varies session and address between studies."""

    def lines(events: Sequence[Event], source: str) -> tuple[str, ...]:
        return tuple(_template(study, number, event, source) for event in events)

    return Templates(
        browser=lines(_BROWSER, "browser"),
        server=lines(_SERVER, "server"),
        mobile=lines(_MOBILE, "mobile"),
        check=tuple(_template(study, number, event, source) for event, source in _CHECK),
    )


def _template(study: Study, number: int, event: Event, source: str) -> str:
    who, run = study.learner, study.courserun_key
    name, event_type, payload = (text.replace("%(run)s", run) for text in event)
    page = f"https://{HOST}/courses/{run}/courseware/week2/cells/"
    address, agent, session = f"192.0.2.{number % 250 + 1}", BROWSER_AGENT, ""
    path, shown, received = "/event", f'"{page}"', ""
    if source == "browser":
        session = f"{number * 2654435761 % 2**128:032x}"
    elif source == "server":
        path, shown = f"/courses/{run}/xblock/handler", '"x_module"'
    else:
        path, agent, address = "/segmentio/event", MOBILE_AGENT, ""
        received = ',"component":"videoplayer","received_at":"%(received)s"'
    return (
        f'{{"name":"{name}","event_type":"{event_type}","event_source":"{source}",'
        f'"time":"%(time)s","username":"{who.username}","context":{{"course_id":"{run}",'
        f'"org_id":"{ORG}","user_id":{who.user_id},"path":"{path}"{received}}},'
        f'"event":{payload},"page":{shown},"referer":"{page}","agent":"{agent}",'
        f'"host":"{HOST}","session":"{session}","ip":"{address}",'
        '"accept_language":"en-GB,en;q=0.8"}'
    )


def request_line(time: str, name: str, run: str, username: str, user_id: str, agent: str) -> str:
    """A complete line of a server event; ``user_id`` is JSON."""
    return (
        f'{{"name":"{name}","event_type":"{name}","event_source":"server","time":"{time}",'
        f'"username":"{username}","context":{{"course_id":"{run}","org_id":"{ORG}",'
        f'"user_id":{user_id},"path":"{name}"}},"event":"{{\\"GET\\": {{}}, \\"POST\\": {{}}}}",'
        f'"page":null,"referer":"","agent":"{agent}","host":"{HOST}","session":"",'
        '"ip":"198.51.100.7","accept_language":""}'
    )


EVENTS_PER_SESSION = 14
"""Average number of lines per session, including noise; sizes are derived from it."""

Scheduled = tuple[int, int, str]
"""When the line is written (microseconds since 1970), a tie-breaking number, the line."""


@dataclass(kw_only=True)
class LogWriter:
    """Generates the log of ``[begin, end)`` for some studies, about ``lines`` lines long."""

    rng: Random
    studies: Sequence[Study]
    begin: int
    end: int
    lines: int
    fixtures: Sequence[Scheduled] = ()
    """Lines that must be present, in addition to the random ones."""
    _templates: dict[int, Templates] = field(default_factory=dict)
    _serial: int = 0

    def write(self) -> Iterator[tuple[int, str]]:
        """Lines in the order of the microsecond at which each was written, with that time."""
        waiting: list[Scheduled] = list(self.fixtures)
        heapq.heapify(waiting)
        for starts_at, index, is_desk in self._sessions():
            while waiting and waiting[0][0] < starts_at:
                yield self._pop(waiting)
            for at, line in self._session(index, starts_at, is_desk=is_desk):
                heapq.heappush(waiting, self._numbered(at, line))
                chance = self.rng.random()
                if chance < 0.003:  # the same line again, soon or much later
                    again = at + self.rng.choice((1, 900, 4000)) * MICROSECONDS
                    heapq.heappush(waiting, self._numbered(again, line))
                elif chance < 0.063:
                    heapq.heappush(waiting, self._numbered(at, self._noise(at, index)))
        while waiting:
            yield self._pop(waiting)

    def _pop(self, waiting: list[Scheduled]) -> tuple[int, str]:
        at, _, line = heapq.heappop(waiting)
        return min(at, self.end - 1), line

    def _numbered(self, at: int, line: str) -> Scheduled:
        self._serial += 1
        return at, self._serial, line

    def _sessions(self) -> list[tuple[int, int, bool]]:
        """Start and study of each session, by start; True: on a desktop, never on a mobile device.

        A desktop session precedes every pass by less than an hour, so every pass has learning time.
        """
        rng = self.rng
        active = [index for index, study in enumerate(self.studies) if study.is_active]
        planned: list[tuple[int, int, bool]] = []
        for index in active:
            passed_at = self.studies[index].passed_at
            if passed_at and self.begin <= (at := to_microseconds(passed_at)) < self.end:
                before = rng.randrange(20 * 60, 55 * 60) * MICROSECONDS
                planned.append((at - before, index, True))
        if active:  # a session after the last pass, so that no load ends with a pass
            planned.append((self.end - 2 * HOUR, active[0], True))
        days = (self.end - self.begin) // DAY
        wanted = (self.lines - len(self.fixtures)) // EVENTS_PER_SESSION
        for _ in range(max(wanted - len(planned), 0) if active else 0):
            # Sessions start in 18 of 24 hours, and some run past midnight.
            second = rng.randrange(6 * 3600, 24 * 3600)
            at = self.begin + rng.randrange(days) * DAY + second * MICROSECONDS
            planned.append((at + rng.randrange(MICROSECONDS), rng.choice(active), False))
        return sorted(planned)

    def _session(self, index: int, at: int, *, is_desk: bool) -> Iterator[tuple[int, str]]:
        rng = self.rng
        templates = self._templates.get(index)
        if templates is None:
            templates = self._templates[index] = make_templates(self.studies[index], index)
        is_mobile = rng.random() < 0.08 and not is_desk
        # Mobile devices send events when they are online again: minutes to two days later.
        received = at + rng.choice((5, 600, 30 * 3600, 48 * 3600)) * MICROSECONDS + 2 * HOUR
        for _ in range(rng.randrange(4, 21)):
            if at >= self.end or (is_mobile and received >= self.end):
                return
            fields = {"time": write_time(at), "n": rng.randrange(1, 90)}
            if is_mobile:
                fields["received"] = write_time(received)
                yield received, rng.choice(templates.mobile) % fields
            elif (kind := rng.random()) < 0.75:
                # One in 200 lines is written slightly too early, so it is out of order.
                written = at - rng.randrange(900_000) if kind < 0.005 else at
                yield written, rng.choice(templates.browser) % fields
            elif kind < 0.88:
                yield at, rng.choice(templates.server) % fields
            else:
                for template in templates.check:
                    yield at, template % (fields | {"time": write_time(at)})
                    at += 400_000
            at += self._gap()

    def _gap(self) -> int:
        chance = self.rng.random()
        if chance < 0.3:
            return self.rng.randrange(MICROSECONDS)
        if chance < 0.9:
            return self.rng.randrange(2 * MICROSECONDS, 240 * MICROSECONDS)
        if chance < 0.985:
            return self.rng.randrange(240 * MICROSECONDS, 1_500 * MICROSECONDS)
        # The timeout itself, one microsecond less and more, and a break.
        return self.rng.choice((1_799_999_999, 1_800_000_000, 1_800_000_001, 3 * HOUR))

    def _noise(self, at: int, index: int) -> str:
        """A line that must not affect any learning time."""
        rng, study, time = self.rng, self.studies[index], write_time(at)
        run, who = study.courserun_key, study.learner
        chance = rng.random()
        if chance < 0.4:
            return request_line(time, f"/courses/{run}/about", run, "", "null", "ExampleBot/3.1")
        if chance < 0.6:
            poll = f"/courses/{run}/instructor/api/list_instructor_tasks"
            return request_line(time, poll, run, "tutor_b", "31", BROWSER_AGENT)
        if chance < 0.75:
            return request_line(time, "/heartbeat", "", "", '""', "ELB-HealthChecker/2.0")
        if chance < 0.85:
            line = request_line(
                time, "play_video", run, who.username, str(who.user_id), BROWSER_AGENT
            )
            return line.replace(f'"host":"{HOST}"', f'"host":"{STUDIO_HOST}"')
        if chance < 0.97:
            name = "edx.user.settings.changed"
            return request_line(time, name, run, who.username, str(who.user_id), BROWSER_AGENT)
        if chance < 0.99:
            line = request_line(
                time, "page_close", run, who.username, str(who.user_id), BROWSER_AGENT
            )
            return line[: rng.randrange(40, 200)]
        return ""
