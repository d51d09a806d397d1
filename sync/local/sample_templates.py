"""Text templates of the sample data's log lines.

Filling in text costs a tenth of building and dumping nested dicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sync.local.sample_people import ORG, Study

BROWSER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
MOBILE_AGENT = "Dalvik/2.1.0 (Linux; U; Android 14)"
HOST = "learn.example.com"
STUDIO_HOST = "studio.example.com"

Event = tuple[str, str, str]
"""name, event_type, event as JSON; ``%(n)d`` stands for a number, ``%(run)s`` for the run key."""

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
    # Not learning events, and so must change nothing:
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
# One answer, seen by the browser, then by the server, then graded.
_CHECK: tuple[tuple[Event, str], ...] = (
    (("problem_check", "problem_check", '"input_p%(n)d_2_1=choice_1"'), "browser"),
    (("problem_check", "problem_check", '{"problem_id": "p%(n)d", "grade": 1}'), "server"),
    (("problem_graded", "problem_graded", '["input_p%(n)d_2_1=c", "<div>ok</div>"]'), "browser"),
)


@dataclass(frozen=True, kw_only=True)
class Templates:
    """Lines of one study with ``%(time)s``, ``%(n)d`` and, on mobile, ``%(received)s`` open."""

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
