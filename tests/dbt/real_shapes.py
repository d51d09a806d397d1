"""One line per learning row of the seed learning_event_patterns, in that event's shape.

The places of learner and course run follow docs/learning-time.md; only the shape of
``edx.ui.lms.jump_nav.selected`` was compared with the source code that emits it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.dbt.scenario import RUN, line

AT = "2026-03-04T09:00:00+00:00"
BLOCK = "block-v1:ExampleX+DATA101+2026_T1+type@vertical+block@7"
VIDEO = {"id": "7", "code": "abc", "currentTime": 12.5}
SEQUENCE = {"id": BLOCK, "old": 1, "new": 2, "current_tab": 1, "tab_count": 3, "widget": "top"}
PROBLEM = {"problem_id": BLOCK, "attempts": 1, "grade": 1, "max_grade": 1, "success": "correct"}
OF_RUN = {"course_id": RUN}


def browser(name: str, payload: object) -> str:
    """Emitted by a page of the LMS: the payload is text, the run is in the context."""
    return line(
        7, AT, name, event=json.dumps(payload), page=f"https://x.example.com/courses/{RUN}/"
    )


def mobile(name: str, payload: Mapping[str, Any]) -> str:
    """Emitted by the app, which may delay it until there is a network."""
    context = {
        "user_id": 7,
        "course_id": RUN,
        "path": "/segmentio/event",
        "received_at": "2026-03-04T09:05:00+00:00",
        "client": {"network": {"wifi": True}},
    }
    return line(7, AT, name, event_source="mobile", event=payload, context=context)


def server(name: str, payload: Mapping[str, Any], **context: Any) -> str:
    """Emitted by the LMS: the payload is an object."""
    placed = {"user_id": 7, "course_id": RUN, "path": "/handler", "org_id": "ExampleX"} | context
    return line(7, AT, name, event_source="server", event=payload, context=placed, page="x_module")


def placeless(name: str, payload: Mapping[str, Any], page: str | None = None) -> str:
    """Emitted if the request names no run: the context has none."""
    context = {"user_id": 7, "course_id": "", "org_id": "", "path": "/event"}
    return line(7, AT, name, event=json.dumps(payload), context=context, page=page)


def exam(kind: str, step: str) -> str:
    """A step of a special exam; the run is only in the context."""
    attempt = {"exam_id": 1, "attempt_id": 2, "attempt_user_id": 7, "exam_content_id": BLOCK}
    return server(f"edx.special_exam.{kind}.attempt.{step}", attempt)


LINES = [
    *(
        browser(name, VIDEO)
        for name in (
            *("load_video", "play_video", "pause_video", "stop_video", "complete_video"),
            *("show_transcript", "hide_transcript"),
            *("video_show_cc_menu", "video_hide_cc_menu"),
        )
    ),
    browser("seek_video", {"id": "7", "old_time": 1, "new_time": 9.5, "type": "onSlideSeek"}),
    browser("speed_change_video", {"id": "7", "old_speed": "1.0", "new_speed": "1.50"}),
    mobile("edx.video.played", VIDEO),
    browser("problem_check", f"input_{BLOCK}_2_1=a"),
    browser("problem_graded", [f"input_{BLOCK}_2_1=a", '<div class="problem">{}</div>']),
    *(browser(name, {"problem": BLOCK}) for name in ("problem_show", "problem_save")),
    browser("problem_reset", f"input_{BLOCK}_2_1=a"),
    *(
        server(name, PROBLEM, module={"usage_key": BLOCK})
        for name in (
            *("problem_check_fail", "save_problem_success", "save_problem_fail"),
            *("reset_problem", "reset_problem_fail", "showanswer", "edx.problem.completed"),
        )
    ),
    server("edx.problem.hint.demandhint_displayed", {"hint_index": 0, "hint_len": 1}),
    browser("page_close", {}),
    *(browser(name, SEQUENCE) for name in ("seq_goto", "seq_next", "seq_prev")),
    browser("edx.ui.lms.sequence.next_selected", SEQUENCE),
    browser("edx.ui.lms.outline.selected", {"target_name": "Week 1", "widget_placement": "a"}),
    browser("edx.ui.lms.link_clicked", {"current_url": "a", "target_url": "b"}),
    placeless("edx.course.home.resume_course.clicked", OF_RUN | {"url": BLOCK}),
    placeless("edx.course.tool.accessed", OF_RUN | {"tool_name": "edx.bookmarks"}),
    server("edx.forum.thread.created", {"title": "a", "body": "}{", "commentable_id": "c"}),
    *(
        server(name, {"team_id": "a", "topic_id": "b"})
        for name in ("edx.team.page_viewed", "edx.team.searched", "edx.team.activity_updated")
    ),
    browser("book", {"type": "gotopage", "old": 1, "new": 25, "chapter": "a.pdf"}),
    browser("textbook.pdf.page.navigated", {"name": "textbook.pdf.page.navigated", "page": 4}),
    browser("edx.googlecomponent.calendar.displayed", {"url": "a"}),
    server("openassessmentblock.create_submission", {"submission_uuid": "a", "answer": {}}),
    browser("openassessment.upload_file", {"fileName": "a.png", "fileSize": 7}),
    server("edx.drag_and_drop_v2.item.dropped", {"item": "a", "is_correct": True}),
    server("xblock.poll.submitted", {"url_name": "a", "choice": "b"}),
    server("xblock.survey.submitted", {"url_name": "a", "choices": {}}),
    placeless("edx.bookmark.added", OF_RUN | {"bookmark_id": "a", "component_usage_id": BLOCK}),
    browser("edx.course.student_notes.viewed", {"notes": [{"note_id": "a"}]}),
    browser("oppia.exploration.loaded", {"exploration_id": "a"}),
    browser("microsoft.office.mix.loaded", {"url": "a"}),
    server("edx.done.toggled", {"done": True}),
    server("edx.completion.block_completion.changed", OF_RUN | {"block_id": BLOCK}),
    *(
        exam(kind, step)
        for kind in ("timed", "practice", "proctored")
        for step in ("created", "ready_to_start", "started", "ready_to_submit", "submitted")
    ),
]
"""Event types that count without conditions."""

LINES_OF_THE_PAGE = [
    placeless(
        "edx.ui.lms.jump_nav.selected",
        {"target_name": "Week 2", "id": BLOCK, "current_id": RUN},
        f"https://apps.example.com/learning/course/{RUN}/{BLOCK}",
    )
]
"""Emitted only by the learning app: only the page's URL shows the run."""
