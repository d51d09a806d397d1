"""Keys of course runs: ``course-v1:Org+Course+Run``, and the older ``Org/Course/Run``."""

from __future__ import annotations

import re
from typing import NamedTuple

_NEW_STYLE = re.compile(r"(?:course|ccx)-v1:([^+/]+)\+([^+/]+)\+.+")
_OLD_STYLE = re.compile(r"([^+/:]+)/([^+/:]+)/[^+/:]+")


class Course(NamedTuple):
    """The part of the key that all runs of a course share."""

    organization: str
    number: str


def course_of(courserun_key: str) -> Course | None:
    """The course; None if the text is not a course run key."""
    found = _NEW_STYLE.fullmatch(courserun_key) or _OLD_STYLE.fullmatch(courserun_key)
    return None if found is None else Course(*found.groups())


def organization_of(courserun_key: str) -> str | None:
    """The organization; None if the text is not a course run key."""
    course = course_of(courserun_key)
    return None if course is None else course.organization
