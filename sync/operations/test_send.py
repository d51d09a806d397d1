"""A signed sample event to one endpoint, through the path of every other webhook.

It tells of no learner, says so in three places, and never enters the outbox.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sync.clock import Clock
from sync.domain.endpoint import Endpoint
from sync.domain.event_types import CompletionFacts
from sync.domain.facts import LearningTime
from sync.domain.formats import FORMATS
from sync.domain.responses import Failure, Response
from sync.http.headers import TEST_HEADER, request_headers
from sync.http.oauth import TokenSource, WebhookPoster, post_authorized
from sync.http.signing import SigningKey

ID_PREFIX = "test-"
"""An id of a real event is a bare UUID, so this one cannot be taken for one."""
SAMPLE_USER_ID = 0
SAMPLE_USERNAME = "test_event"
SAMPLE_COURSE_RUN = "course-v1:TestEvent+TEST+2026"
SAMPLE_PERCIPIO_ID = "00000000-0000-4000-8000-000000000000"
SAMPLE_SECONDS = 3_600


class Flavour(StrEnum):
    """Which sample a receiver is to see."""

    AS_CONFIGURED = "as_configured"
    WITH_LEARNING_TIME = "with_learning_time"
    WITHOUT_LEARNING_TIME = "without_learning_time"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A sample event that was sent, and what came back."""

    endpoint_id: int
    webhook_id: str
    result: Response | Failure
    signing_key_ids: tuple[str, ...]

    @property
    def has_passed(self) -> bool:
        """Whether the endpoint took it: any 2xx."""
        return isinstance(self.result, Response) and 200 <= self.result.status <= 299

    def as_dict(self) -> dict[str, object]:
        """The same for JSON; the excerpt holds facts only."""
        answer = self.result if isinstance(self.result, Response) else None
        failure = self.result if isinstance(self.result, Failure) else None
        return {
            "endpoint_id": self.endpoint_id,
            "webhook_id": self.webhook_id,
            "passed": self.has_passed,
            "status": answer and answer.status,
            "error_kind": failure and failure.error_kind,
            "attribution": failure and failure.attribution,
            "detail": failure.detail if failure else None,
            "excerpt": answer and answer.excerpt,
            "duration_ms": self.result.duration_ms,
            "signing_key_ids": list(self.signing_key_ids),
        }


def send_sample(
    endpoint: Endpoint,
    *,
    poster: WebhookPoster,
    tokens: TokenSource,
    keys: Sequence[SigningKey],
    clock: Clock,
    flavour: Flavour = Flavour.AS_CONFIGURED,
    new_id: Callable[[], str] = lambda: f"{ID_PREFIX}{uuid.uuid4()}",
) -> Sample:
    """Send one sample in the endpoint's own format, with its token and under its time limit."""
    if flavour is not Flavour.AS_CONFIGURED:
        wanted = flavour is Flavour.WITH_LEARNING_TIME
        endpoint = endpoint.model_copy(update={"is_learning_time_enabled": wanted})
    webhook_id = new_id()
    body = sample_body(endpoint, at=clock())
    result = post_authorized(
        poster,
        tokens,
        endpoint,
        body=body,
        headers=lambda: request_headers(
            webhook_id=webhook_id, body=body, keys=keys, clock=clock, markers=[TEST_HEADER]
        ),
        deadline_seconds=endpoint.timeout_seconds,
    )
    return Sample(
        endpoint_id=endpoint.endpoint_id,
        webhook_id=webhook_id,
        result=result,
        signing_key_ids=tuple(key.key_id for key in keys),
    )


def sample_body(endpoint: Endpoint, *, at: datetime) -> bytes:
    """A completion of nobody, of the endpoint's own customer, with an hour of learning time."""
    now = at.replace(tzinfo=UTC)
    facts = CompletionFacts(
        enterprise_customer_uuid=endpoint.enterprise_customer_uuid,
        enterprise_customer_name="Test event",
        user_id=SAMPLE_USER_ID,
        username=SAMPLE_USERNAME,
        email="test.event@example.com",
        courserun_key=SAMPLE_COURSE_RUN,
        percipio_user_id=SAMPLE_PERCIPIO_ID,
        percipio_organization_id=SAMPLE_PERCIPIO_ID,
        passed_at=now,
        percent_grade=1.0,
        letter_grade="Pass",
    )
    return FORMATS[endpoint.payload_format].body(
        facts,
        recorded_at=now,
        learning_time=(
            LearningTime(SAMPLE_SECONDS, now) if endpoint.is_learning_time_enabled else None
        ),
    )
