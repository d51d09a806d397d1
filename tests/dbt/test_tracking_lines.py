"""What the models read from raw lines, whatever envelopes surround the events."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sync.local.raw_tables import insert_rows
from sync.warehouse import Warehouse, open_warehouse
from tests.dbt.envelopes import AT, ENVELOPES, EVENT, SECOND, SEVERAL, wrapped
from tests.dbt.real_shapes import LINES, LINES_OF_THE_PAGE
from tests.dbt.scenario import RUN, line, prepare
from tests.support.dbt import Dbt
from tests.support.examples import examples
from tests.support.replicas import compiled
from tests.support.scenarios import Scenarios

LOADED_AT = datetime(2026, 3, 5, tzinfo=UTC)
READ = (
    "select file_name, outcome, screening, user_id, courserun_key, event_at, received_at, "
    "event_name, payload_text, is_line_start "
    "from analytics.intermediate.int_tracking_events_screened"
)
Row = dict[str, Any]
Lines = tuple[str | None, ...]


@pytest.fixture(scope="module")
def engine(scenarios: Scenarios) -> Iterator[Warehouse]:
    """A warehouse with empty tables; nothing is built."""
    scenarios.stand("nothing")
    with open_warehouse(scenarios.settings, purpose="tests") as opened:
        prepare(opened)
        yield opened


@dataclass(frozen=True)
class Read:
    """Screening results for each record in raw lines.

    The engine plans the views again for each statement: 0.2 s, for any number of lines. So cases
    are read together, and results are cached.
    """

    engine: Warehouse
    known: dict[Lines, list[Row]] = field(default_factory=dict)

    def __call__(self, *lines: str | None) -> list[Row]:
        return self.each([lines])[0]

    def each(self, cases: Sequence[Lines]) -> list[list[Row]]:
        """The result of each case on its own."""
        if new := [case for case in dict.fromkeys(cases) if case not in self.known]:
            self.engine.execute("delete from raw.tracking.tracking_logs")
            rows = [
                {"line": one, "file_name": str(number), "loaded_at": LOADED_AT}
                for number, case in enumerate(new)
                for one in case
            ]
            insert_rows(self.engine, "tracking_logs", rows)
            self.known.update((case, []) for case in new)
            for row in self.engine.rows(READ):
                self.known[new[int(row.pop("file_name"))]].append(row)
        return [self.known[case] for case in cases]


def reader(engine: Warehouse, dbt: Dbt, parameters: str) -> Read:
    """The screening under a rule."""
    dbt(
        *("run", "--select", "int_tracking_events_screened", "stg_tracking__events"),
        *("--vars", parameters),
    )
    return Read(engine)


@pytest.fixture(scope="module")
def read(engine: Warehouse, dbt: Dbt) -> Read:
    """Under the default rule."""
    dbt("seed")
    under_default = reader(engine, dbt, "{}")
    apart = [(EVENT,), (EVENT, SECOND), (EVENT, SECOND, EVENT), (EVENT, SECOND, EVENT, SECOND)]
    apart += [tuple(LINES), tuple(LINES_OF_THE_PAGE)]
    together = [*ENVELOPES.values(), *TOGETHER.values(), *SEVERAL, *NO_EVENTS]
    together += [
        FULL,
        *LISTS,
        *TWO_LISTS,
        *TWICE,
        *CUT_COPIES,
        *ALONE,
        BESIDE_A_CUT_COPY,
        MIXED,
        HALF,
    ]
    together += [*NAMED_BY_THE_PAYLOAD, NAMED_BY_BOTH, *RECEIPTS, *ODD]
    together += [line(7, time) for time, _ in TIMES]
    together += [line(one, AT) for one in (*WHOLE, *NOT_WHOLE)]
    together += [listed(one) for one in NO_RUNS]
    under_default.each([*apart, *((one,) for one in together)])
    return under_default


def facts(rows: Iterable[Row]) -> list[Row]:
    """Rows without their place in a line, in a fixed order."""
    picked = [{key: one[key] for key in one if key != "is_line_start"} for one in rows]
    return sorted(picked, key=repr)


@pytest.mark.parametrize("name", ENVELOPES)
def test_an_event_in_an_envelope_is_the_event(read: Read, name: str) -> None:
    (bare,) = read(EVENT)
    assert (bare["screening"], bare["user_id"]) == ("learning", 7)
    assert read(ENVELOPES[name]) == [bare]


SEPARATORS = ["", " ", "\t", ",", " , ", "\r"]
TOGETHER = {one: one.join([EVENT, SECOND, EVENT]) for one in SEPARATORS}


@pytest.mark.parametrize("separator", SEPARATORS)
def test_objects_side_by_side_are_as_many_lines(read: Read, separator: str) -> None:
    apart = read(EVENT, SECOND, EVENT)
    together = read(TOGETHER[separator])
    assert facts(together) == facts(apart)
    assert [one["is_line_start"] for one in together].count(True) == 1


CLOUDWATCH = wrapped(
    messageType="DATA_MESSAGE",
    logEvents=[{"id": str(n), "message": one} for n, one in enumerate((EVENT, SECOND))],
)
LOKI = {"stream": {}, "values": [["1", EVENT], ["2", SECOND]]}
LISTS = [
    json.dumps([json.loads(EVENT), json.loads(SECOND)]),
    CLOUDWATCH,
    wrapped(streams=[LOKI]),
]
TWO_LISTS = [CLOUDWATCH + CLOUDWATCH, wrapped(streams=[LOKI, LOKI])]


def test_a_list_of_events_in_an_envelope_is_as_many_events(read: Read) -> None:
    for text in LISTS:
        assert facts(read(text)) == facts(read(EVENT, SECOND))
    for text in TWO_LISTS:
        assert facts(read(text)) == facts(read(EVENT, SECOND, EVENT, SECOND))


@pytest.mark.parametrize("text", SEVERAL)
def test_no_event_beside_another_in_an_envelope_is_left_out(read: Read, text: str) -> None:
    rows = facts(one for one in read(text) if one["outcome"] == "learning")
    assert rows == facts(read(EVENT, SECOND))
    assert [one["is_line_start"] for one in read(text)].count(True) == 1


TWICE = [
    EVENT.replace('"time"', '"time": "soon", "time"'),
    EVENT.replace('"user_id"', '"user_id": 12, "user_id"'),
    EVENT.replace('"context"', '"context": {"user_id": 12}, "context"'),
    wrapped(message=EVENT.replace('"time"', '"time": "soon", "time"')),
]
FULL = json.dumps(json.loads(EVENT) | {"ip": "192.0.2.1", "referer": "", "accept_language": "en"})
"""With exactly the fields that the LMS writes: these lines are searched faster."""
CONTEXT = json.dumps(json.loads(EVENT)["context"])
SOON = FULL.replace(f'"time": "{AT}"', '"time": "soon"')
TWICE += [
    SOON.replace('"ip": "192.0.2.1"', f'"ip": "192.0.2.1", "time": "{AT}"'),
    # As many keys as there are fields.
    SOON.replace('"ip": "192.0.2.1"', f'"time": "{AT}"'),
    SOON.replace('"ip": "192.0.2.1"', f'"tim\\u0065": "{AT}"') + " \r",
    "lms-1: " + SOON.replace('"ip": "192.0.2.1"', f'"time": "{AT}"'),
    FULL.replace('"user_id": 7', '"user_id": 12').replace('"org_id": "ExampleX"', '"user_id": 7'),
    FULL.replace('"user_id": 7', '"user_id": 12, "user_id": 7'),
    # Names of others beside it that look like a list of names.
    *(FULL.replace('"time"', f'"time": "soon", "{odd}": 1, "time"') for odd in ("a[b", "a], [b")),
    # Around an event, and in texts that are read for themselves.
    wrapped(message=SECOND, other=EVENT).replace('"other"', '"message"'),
    wrapped(a={"message": SECOND, "other": EVENT}).replace('"other"', '"message"'),
    *(
        wrapped(message=EVENT.replace(f'"{name}"', f'"{name}": 5, "{name}"'))
        for name in ("event_source", "name", "context")
    ),
    json.dumps(json.loads(EVENT) | {"context": '{"user_id": 12, ' + CONTEXT[1:]}),
]


@pytest.mark.parametrize("text", TWICE)
def test_of_a_key_that_stands_twice_the_last_counts(read: Read, text: str) -> None:
    """On Snowflake through the parameter 'd', without which the line could not be read."""
    assert text not in (EVENT, FULL)
    assert read(text) == read(EVENT) == read(FULL)


SHORT = EVENT[: EVENT.index('"event_source"') + 30]
CUT = [SHORT, f"lms: {SHORT}...", json.dumps(SHORT)]
CUT_COPIES = [wrapped(short_message=text, full_message=EVENT) for text in CUT]
ALONE = [wrapped(short_message=text) for text in CUT]
BESIDE_A_CUT_COPY = wrapped(a=EVENT + SHORT, b=SECOND)


def test_a_copy_cut_short_beside_the_event_is_no_record(read: Read) -> None:
    for text in CUT_COPIES:
        assert read(text) == read(EVENT)
    for text in ALONE:
        (alone,) = read(text)
        assert alone["outcome"] == "quarantined"
    (row,) = (one for one in read(BESIDE_A_CUT_COPY) if one["user_id"] is None)
    assert row["screening"] == "line_unreadable"


MIXED = wrapped(logEvents=[{"message": "started"}, {"message": EVENT}, {"message": "{not json"}])


def test_of_a_list_whatever_is_no_event_is_quarantined_for_itself(read: Read) -> None:
    assert sorted(one["screening"] for one in read(MIXED)) == [
        *("learning", "line_not_an_event", "line_not_an_event"),
    ]


HALF = EVENT + SECOND[:100]


def test_half_a_record_at_the_end_takes_the_line_into_quarantine(read: Read) -> None:
    """The truncated part might be anything."""
    (row,) = read(HALF)
    assert row["screening"] == "line_unreadable"


NO_EVENTS = [
    '{"log":"Booting worker with pid: 7\\n","stream":"stderr","time":"2026-03-04T09:00:00Z"}',
    '{"actor":{"mbox":"mailto:a@example.com"},"verb":{"id":"x"},"timestamp":"2026-03-04T09:00:00Z"}',
    '{"time":"2026-03-04T09:00:00Z","context":{"user_id":7}}',
    '{"event_source":"browser","time":"2026-03-04T09:00:00Z"}',
    '{"event_source":null,"name":"play_video"}',
    '{"message":"event_source is missing {"}',
    "{}",
    "[{}]",
    '{"a":[]}',
]


@pytest.mark.parametrize("text", NO_EVENTS)
def test_an_object_that_is_no_tracking_event_is_quarantined(read: Read, text: str) -> None:
    (row,) = read(text)
    assert (row["outcome"], row["is_line_start"]) == ("quarantined", True)
    assert row["screening"] in ("line_not_an_event", "line_unreadable")


wrappers = st.sampled_from(
    [
        lambda text: json.dumps(
            {"log": text + "\n", "stream": "stderr", "time": "2031-01-01T00:00:00Z"}
        ),
        lambda text: json.dumps({"@timestamp": "2031-01-01T00:00:00Z", "message": text}),
        lambda text: json.dumps({"kubernetes": {"pod": "{}"}, "date": 1.5, "log": text}),
        lambda text: f"2031-01-01T00:00:00Z stderr F {text}",
        lambda text: f"Jan 01 00:00:00 host app[{{7}}]: [tracking] - {text}",
        lambda text: json.dumps({"jsonPayload": {"message": text}}),
    ]
)
Wrap = Callable[[str], str]
Layered = tuple[object, list[Wrap], bool]
"""Payload, envelope of the event, and whether its text is ASCII only."""
Beside = tuple[list[object], str, Wrap | None]
"""Payloads of events, the text between them, and their envelope."""
payloads = st.one_of(
    st.text('ab{}[],: \\"\n\u00e9\U0001f600', max_size=12),
    st.dictionaries(st.text("ab}{", max_size=3), st.text('}{ ,"', max_size=5), max_size=2),
)


THRICE: Layered = ("", [lambda text: wrapped(a={"message": text})] * 3, True)


@example(drawn=[THRICE])
@given(
    drawn=st.lists(
        st.tuples(payloads, st.lists(wrappers, max_size=3), st.booleans()), min_size=10, max_size=15
    )
)
@settings(max_examples=examples(2, 60))
def test_any_event_in_any_layers_reads_as_the_bare_one(read: Read, drawn: list[Layered]) -> None:
    pairs = []
    for payload, layers, ascii_only in drawn:
        bare = json.dumps(json.loads(EVENT) | {"event": payload}, ensure_ascii=ascii_only)
        text = bare
        for wrap in layers:
            text = wrap(text)
        pairs.append((text, bare))
    read.each([(text,) for pair in pairs for text in pair])
    for layered, bare in pairs:
        assert read(layered) == read(bare), layered


BEHIND_A_BRACE: Beside = (["", ""], "", lambda text: f"host app[{{7}}]: - {text}")


@example(drawn=[BEHIND_A_BRACE])
@given(
    drawn=st.lists(
        st.tuples(
            st.lists(payloads, min_size=2, max_size=4),
            st.sampled_from(SEPARATORS),
            st.one_of(st.none(), wrappers),
        ),
        min_size=10,
        max_size=15,
    )
)
@settings(max_examples=examples(2, 60))
def test_any_events_side_by_side_are_those_on_lines_of_their_own(
    read: Read, drawn: list[Beside]
) -> None:
    pairs = []
    for events, separator, outer in drawn:
        lines = tuple(json.dumps(json.loads(EVENT) | {"event": one}) for one in events)
        together = separator.join(lines)
        pairs.append((outer(together) if outer else together, lines))
    read.each([case for text, lines in pairs for case in ((text,), lines)])
    for text, lines in pairs:
        assert facts(read(text)) == facts(read(*lines)), text


MFE = "https://apps.example.com/learning/course/course-v1:ExampleX+DATA101+2026_T1"


def _nowhere(**changes: Any) -> str:
    """An event whose context names no course run."""
    context = {"user_id": 7, "course_id": "", "path": "/event"}
    return line(7, AT, **{"context": context, "page": None} | changes)


NAMED_BY_THE_PAYLOAD = [
    _nowhere(name="edx.bookmark.added", event=payload)
    for payload in (
        {"course_id": RUN},
        json.dumps({"course_id": RUN}),
        {"course_id": RUN + "\n"},
        '{"course_id": "course-v1:ExampleX+Other+T1", "course_id": "' + RUN + '"}',
    )
]


def test_a_course_run_that_the_payload_names_counts(read: Read) -> None:
    """Bookmarks and course tools: the request is not for a course page."""
    for text in NAMED_BY_THE_PAYLOAD:
        (row,) = read(text)
        assert (row["screening"], row["courserun_key"]) == ("learning", RUN)


def test_every_learning_row_of_the_seed_counts_in_the_shape_of_its_event(
    read: Read, engine: Warehouse
) -> None:
    rows = read(*LINES)
    counted = {"learning": len(LINES)}
    assert Counter(one["screening"] for one in rows) == counted, rows
    assert {(one["user_id"], one["courserun_key"]) for one in rows} == {(7, RUN)}
    elsewhere = read(*LINES_OF_THE_PAGE)
    assert {one["screening"] for one in elsewhere} == {"courserun_missing"}
    names = [one["event_name"] for one in (*rows, *elsewhere)]
    patterns = engine.rows(
        "select match_type, pattern from analytics.staging.learning_event_patterns "
        "where is_learning"
    )
    for one in patterns:
        fits = str.__eq__ if one["match_type"] == "exact" else str.startswith
        assert any(fits(name, one["pattern"]) for name in names), one


NO_RUNS = ["", None, 5, "no key", ["x"], "course-v1:ExampleX+DATA101"]


def listed(course_id: object) -> str:
    """An event with a course run only in its payload."""
    return _nowhere(name="edx.bookmark.listed", event={"course_id": course_id})


@pytest.mark.parametrize("course_id", NO_RUNS)
def test_a_payload_without_a_course_run_names_none(read: Read, course_id: object) -> None:
    (row,) = read(listed(course_id))
    assert row["screening"] == "courserun_missing"


NAMED_BY_BOTH = line(7, AT, event={"course_id": "course-v1:ExampleX+Other+T1"})


def test_the_context_is_believed_before_the_payload(read: Read) -> None:
    (row,) = read(NAMED_BY_BOTH)
    assert row["courserun_key"] == RUN


TIMES = [
    ("0000-01-01T00:00:00Z", "time_"),
    ("0001-01-01T00:00:00Z", "time_impossible"),
    ("0001-01-01T00:00:00+14:00", "time_"),
    ("1970-01-01T00:00:00Z", "time_impossible"),
    ("2011-12-31T23:59:59.999999Z", "time_impossible"),
    ("2012-01-01T00:00:00Z", "learning"),
    ("2026-13-04T09:00:00Z", "time_unusable"),
    ("9999-12-31T23:59:59Z", "time_in_future"),
]


@pytest.mark.parametrize(("time", "screening"), TIMES)
def test_an_impossible_time_is_quarantined_with_its_reason(
    read: Read, time: str, screening: str
) -> None:
    (row,) = read(line(7, time))
    assert row["screening"].startswith(screening)
    assert (row["outcome"], row["event_at"] is None) == (
        ("learning", False) if screening == "learning" else ("quarantined", row["event_at"] is None)
    )


def received(at: str, time: str) -> str:
    """An event of a mobile device."""
    context = {"user_id": 7, "course_id": RUN, "received_at": at}
    return line(7, time, event_source="mobile", context=context)


IMPOSSIBLE = ["0001-01-01T00:00:00Z", "9999-01-01T00:00:00Z"]
FAR_AHEAD = "9998-01-01T00:00:00Z"
RECEIPTS = [received(at, time) for at in IMPOSSIBLE for time in (FAR_AHEAD, AT)]


@pytest.mark.parametrize("received_at", IMPOSSIBLE)
def test_an_impossible_receipt_vouches_for_no_time(read: Read, received_at: str) -> None:
    (row,) = read(received(received_at, FAR_AHEAD))
    assert row["screening"] == "time_in_future"
    (row,) = read(received(received_at, AT))
    assert (row["screening"], row["received_at"]) == ("learning", None)


WHOLE = [7028, 7028.0, "7028", "7028.0", " 7028.00\n"]
NOT_WHOLE = [7028.5, "7028.5", "7.028e3", "7028.", True, [7028], "0.0", 1e30]


@pytest.mark.parametrize("user_id", WHOLE)
def test_a_whole_number_is_a_user_id_however_it_is_written(read: Read, user_id: object) -> None:
    (row,) = read(line(user_id, AT))
    assert (row["screening"], row["user_id"]) == ("learning", 7028)


@pytest.mark.parametrize("user_id", NOT_WHOLE)
def test_anything_else_is_no_user_id(read: Read, user_id: object) -> None:
    (row,) = read(line(user_id, AT))
    assert row["screening"] == "user_unusable"


ODD = (
    SURROGATE, NUL, LOWER_CASE, REFUSED, NO_CONTEXT, EMPTY_CONTEXT
) = [
    line(7, AT).replace('"event": "{}"', r'"event": "a\ud83d b"'),
    line(7, AT, event="a\u0000b\ufffd"),
    line(7, AT, context={"user_id": 7, "course_id": RUN.lower()}),
    line(7, AT).replace('"user_id": 7', '"user_id": 7 "user_id": 8'),
    line(7, AT, context="user 7"),
    line(7, AT, context=None),
]  # fmt: skip


def test_half_a_surrogate_pair_is_read_as_the_replacement_character(read: Read) -> None:
    (row,) = read(SURROGATE)
    assert (row["screening"], row["payload_text"]) == ("learning", "a\ufffd b")


def test_a_nul_inside_a_string_stays_and_invalid_utf_8_was_replaced_by_the_loader(
    read: Read,
) -> None:
    (row,) = read(NUL)
    assert (row["screening"], row["payload_text"]) == ("learning", "a\u0000b\ufffd")


def test_a_course_key_in_another_letter_case_is_another_run(read: Read) -> None:
    (row,) = read(LOWER_CASE)
    assert (row["screening"], row["courserun_key"]) == ("learning", RUN.lower())


def test_what_try_parse_json_refuses_is_unreadable(read: Read) -> None:
    (row,) = read(REFUSED)
    assert (row["outcome"], row["screening"]) == ("quarantined", "line_unreadable")


def test_a_context_that_cannot_be_read_is_quarantined(read: Read) -> None:
    (row,) = read(NO_CONTEXT)
    assert row["screening"] == "context_unreadable"
    (row,) = read(EMPTY_CONTEXT)
    assert row["screening"] == "user_missing"


@pytest.fixture(scope="module")
def read_everything(engine: Warehouse, dbt: Dbt, read: Read) -> Read:
    """Page requests count, and the URL names the run. Last, because it replaces the views."""
    of_requests = reader(engine, dbt, "{event_selection: denylist, course_from_url: true}")
    lines = [requested(path) for path in LEARNERS]
    lines += [seen(page, source) for page in PAGES for source in SOURCES]
    lines += [seen(page) for page in PAGES_OUTSIDE]
    lines += [one for path in AUTHORS for one in authored(path)]
    of_requests.each([(one,) for one in lines])
    return of_requests


BLOCK = "block-v1:ExampleX+DATA101+2026_T1+type@vertical+block@7"
LEARNERS = [
    f"/courses/{RUN}/progress",
    f"/courses/{RUN}/jump_to/{BLOCK}",
    f"/xblock/{BLOCK}",
    f"/xblock/{BLOCK}/handler/xmodule_handler/problem_check",
    f"/api/courseware/course/{RUN}",
    f"/api/mobile/v1/course_info/{RUN}/updates",
    f"/api/discussion/v1/courses/{RUN}",
    "/assets/courseware/v1/ab/asset-v1:ExampleX+DATA101+2026_T1+type@asset+block/a.png",
]
PAGES = [
    f"{MFE}/home",
    f"{MFE}/{BLOCK}/{BLOCK}",
    f"{MFE.replace(':Ex', '%3AEx').replace('+', '%2B')}/progress",
    f"https://learning.example.com/course/{RUN}/home",
    f"https://apps.example.com/discussions/{RUN}/posts?x=1#y",
    f"https://apps.example.com/ora/{RUN}/{BLOCK}",
]
AUTHORS = [
    *(f"/xblock/{BLOCK}/{view}" for view in ("container_preview", "studio_view", "author_view")),
    f"/xblock/outline/{BLOCK}",
    f"/preview/xblock/{BLOCK}/handler/xmodule_handler/problem_check",
    f"/container/{BLOCK}",
    f"/course/{RUN}",
    f"/course/{RUN}/search_reindex",
    f"/course_team/{RUN}/",
    f"/settings/details/{RUN}",
    f"/assets/{RUN}/",
    f"/import/{RUN}",
    f"/course-authoring/course/{RUN}/outline",
    f"/api/contentstore/v1/course_settings/{RUN}",
]


PAGES_OUTSIDE = [
    f"https://learn.example.com/login?next=/courses/{RUN}/",
    f"https://learn.example.com/dashboard#/courses/{RUN}",
    "https://learn.example.com/c4x/ExampleX/DATA101/asset/a.png",
    "https://learn.example.com/dashboard",
]
SOURCES = ["browser", "mobile"]


def requested(path: str) -> str:
    """The event of a request, whose path is its name."""
    return _nowhere(name=path, event_source="server")


def seen(page: str, source: str = "browser") -> str:
    """An event on a course page."""
    return _nowhere(name="seq_next", event_source=source, page=page)


def authored(path: str) -> tuple[str, str]:
    """A request to the authoring site, and an event on a page of it, on the host of the courses."""
    return (
        line(7, AT, name=path, event_source="server", host="courses.example.com"),
        line(7, AT, page=f"https://courses.example.com{path}"),
    )


@pytest.mark.parametrize("path", LEARNERS)
def test_the_path_of_a_request_names_the_run(read_everything: Read, path: str) -> None:
    (row,) = read_everything(requested(path))
    assert (row["screening"], row["courserun_key"]) == ("learning", RUN)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("source", SOURCES)
def test_the_page_of_an_event_names_the_run(read_everything: Read, page: str, source: str) -> None:
    (row,) = read_everything(seen(page, source))
    assert (row["screening"], row["courserun_key"]) == ("learning", RUN)


@pytest.mark.parametrize("page", PAGES_OUTSIDE)
def test_a_page_outside_a_run_names_none(read_everything: Read, page: str) -> None:
    (row,) = read_everything(seen(page))
    assert row["screening"] == "courserun_missing"


@pytest.mark.parametrize("path", AUTHORS)
def test_authoring_is_left_out_on_any_host(read_everything: Read, path: str) -> None:
    for one in authored(path):
        (row,) = read_everything(one)
        assert row["screening"] == "studio"


TEXTS = (
    "2026-03-04T12:00:00.123456+02:00",
    "2026-03-04 12:00:00.123456 +0200",
    "2026-03-04 10:00:00.123456 UTC",
    "2026-03-04 10:00:00.123456",
)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("timestamp_ntz", ["2026-03-04 10:00:00.123456"]),
        ("timestamp_tz", ["2026-03-04 12:00:00.123456 +02:00"]),
        ("timestamp_ltz", ["2026-03-04 12:00:00.123456 +02:00"]),
        ("varchar", [*TEXTS, "yesterday"]),
    ],
)
def test_a_load_time_of_any_type_is_read_in_utc(
    engine: Warehouse, dbt: Dbt, kind: str, values: list[str]
) -> None:
    table = "raw.tracking.tracking_logs"
    engine.execute(f"create or replace table {table} (line varchar, loaded_at {kind})")
    for value in values:
        engine.execute(f"insert into {table} select ?, '{value}'::{kind}", value)
    found = engine.rows(
        compiled(dbt, f"select line, {{{{ load_time('loaded_at') }}}} as loaded_at from {table}")
    )
    at = datetime(2026, 3, 4, 10, 0, 0, 123456)
    assert {row["line"]: row["loaded_at"] for row in found} == {
        value: None if value == "yesterday" else at for value in values
    }
