"""The events that become webhooks: which mart holds them, when they happened, what is known."""

from __future__ import annotations

from dataclasses import dataclass

from sync.domain.facts import EventType

# The LMS has accounts without a mail address; the completion of one is a completion like any other.
LEARNER_FACTS = """
    'enterprise_customer_uuid', events.enterprise_customer_uuid,
    'enterprise_customer_name', events.enterprise_customer_name,
    'user_id', events.user_id,
    'username', events.username,
    'email', coalesce(events.email, ''),
    'courserun_key', events.courserun_key,
    'learner_country', events.learner_country,
    'enterprise_country', events.enterprise_country,
    'percipio_user_id', events.percipio_user_id,
    'percipio_organization_id', events.percipio_organization_id
"""


@dataclass(frozen=True)
class EventSource:
    """A mart with one row per enterprise, learner and course run; SQL names it ``events``."""

    event_type: EventType
    mart: str
    occurred_at: str
    """The column that says when it happened."""
    facts: str
    """What its message says, as pairs for ``object_construct``; a NULL leaves its key out."""
    wanted: str = "true"
    """Which rows anybody wants to hear of; ``{endpoints}`` is the mart of endpoints."""


COMPLETIONS = EventSource(
    event_type=EventType.COURSE_COMPLETION,
    mart="completed_enrollments",
    occurred_at="passed_at",
    facts=f"""
        {LEARNER_FACTS},
        'passed_at', to_varchar(events.passed_at, 'YYYY-MM-DD HH24:MI:SS'),
        'percent_grade', events.percent_grade,
        'letter_grade', events.letter_grade
    """,
)

ENROLLMENTS = EventSource(
    event_type=EventType.COURSE_ENROLLMENT,
    mart="enterprise_enrollments",
    occurred_at="enrolled_at",
    facts=f"""
        {LEARNER_FACTS},
        'enrolled_at', to_varchar(events.enrolled_at, 'YYYY-MM-DD HH24:MI:SS'),
        'mode', coalesce(events.enrollment_mode, 'unknown'),
        'is_active', events.is_enrolled
    """,
    # Most customers want completions only; their enrollments would fill the outbox for nothing.
    wanted="""
        exists (
            select 1 from {endpoints} as endpoints
            where endpoints.enterprise_customer_uuid = events.enterprise_customer_uuid
                and endpoints.is_active
                and endpoints.is_enrollment_events_enabled
        )
    """,
)

SOURCES = {source.event_type: source for source in (COMPLETIONS, ENROLLMENTS)}
