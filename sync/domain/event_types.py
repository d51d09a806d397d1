"""The events that become webhooks. Whatever differs between them is here or in a body format."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from sync.domain.facts import AnyText, Facts, Text, Time


class CompletionFacts(Facts, frozen=True):
    """A learner has passed a course run."""

    passed_at: Time
    percent_grade: float = Field(ge=0, le=1, allow_inf_nan=False)
    letter_grade: AnyText = ""
    enrollment_mode: AnyText = ""
    """No body has it: an endpoint may filter by it."""


class EnrollmentFacts(Facts, frozen=True):
    """A learner was enrolled in a course run."""

    enrolled_at: Time
    enrollment_mode: Text = "unknown"
    is_enrolled: bool


@dataclass(frozen=True, kw_only=True)
class EventType:
    """A kind of event. Its mart has a row per enterprise, learner and course run; statements call
    the mart ``events``."""

    name: str
    """As the outbox, the bodies and the commands have it."""
    plural: str
    """What texts call such events."""
    mart: str
    occurred_at: str
    """The mart's column that says when it happened."""
    facts: type[Facts]
    """What its messages say."""
    has_learning_time: bool = False
    endpoint_switch: str | None = None
    """The column of ``webhook_endpoints`` by which an endpoint asks for such events, if it must."""
    run_switch: tuple[str, str] | None = None
    """The field of a run's config that has such events recorded, and its text; off by default.
    None: every run records them."""

    @property
    def fact_pairs(self) -> str:
        """The facts in SQL, as pairs for ``object_construct``; a NULL leaves its key out."""
        return ", ".join(
            f"'{name}', to_varchar(events.{name}, 'YYYY-MM-DD HH24:MI:SS')"
            if field.annotation is datetime
            else f"'{name}', events.{name}"
            for name, field in self.facts.model_fields.items()
        )

    @property
    def wanted(self) -> str:
        """Which events anybody wants, in SQL; ``{endpoints}`` is the mart of endpoints."""
        if self.endpoint_switch is None:
            return "true"
        return f"""
            exists (
                select 1 from {{endpoints}} as endpoints
                where endpoints.enterprise_customer_uuid = events.enterprise_customer_uuid
                    and endpoints.is_active
                    and endpoints.{self.endpoint_switch}
            )
        """


COMPLETIONS = EventType(
    name="course_completion",
    plural="completions",
    mart="completed_enrollments",
    occurred_at="passed_at",
    facts=CompletionFacts,
    has_learning_time=True,
)
ENROLLMENTS = EventType(
    name="course_enrollment",
    plural="enrollments",
    mart="enterprise_enrollments",
    occurred_at="enrolled_at",
    facts=EnrollmentFacts,
    # Most customers want completions only; their enrollments would fill the outbox for nothing.
    endpoint_switch="is_enrollment_events_enabled",
    run_switch=(
        "send_enrollment_events",
        "Also record course_enrollment events, for endpoints that have enrollment events on. "
        "At its first run, enrollments from before that run are recorded and never sent.",
    ),
)

EVENT_TYPES = {one.name: one for one in (COMPLETIONS, ENROLLMENTS)}
