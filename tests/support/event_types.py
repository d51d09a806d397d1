"""The event types of the project's own files."""

from __future__ import annotations

from sync.domain.event_types import (
    COURSE_COMPLETION,
    COURSE_COMPLETION_CORRECTION,
    COURSE_ENROLLMENT,
    event_types,
)

CERTIFICATES = event_types()["certificate_awarded"]
COMPLETIONS = event_types()[COURSE_COMPLETION]
CORRECTIONS = event_types()[COURSE_COMPLETION_CORRECTION]
ENROLLMENTS = event_types()[COURSE_ENROLLMENT]
