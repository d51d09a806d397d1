"""A signed test event to one endpoint, sent like any other webhook.

It is about no learner, is marked so in three places, and never enters the outbox.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from sync.clock import Clock
from sync.delivery.destinations import open_destination
from sync.delivery.endpoints import load_endpoints
from sync.domain.destination import Destination, Ready
from sync.domain.endpoint import Endpoint
from sync.domain.responses import Failure, Response
from sync.domain.work import Claim
from sync.operations.endpoints import find_endpoint
from sync.operations.operation import Action, EndpointId, Report
from sync.operations.samples import sample_body
from sync.warehouse import Warehouse

ID_PREFIX = "test-"
"""The id of a real event is a bare UUID, so this one cannot be mistaken for one."""


class Flavor(StrEnum):
    """Which sample the receiver gets."""

    AS_CONFIGURED = "as_configured"
    WITH_LEARNING_TIME = "with_learning_time"
    WITHOUT_LEARNING_TIME = "without_learning_time"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A test event that was sent, and what came back."""

    endpoint_id: int
    webhook_id: str
    result: Response | Failure
    signing_key_ids: tuple[str, ...]
    success_statuses: frozenset[int] = frozenset()
    """Those of the endpoint, besides 2xx."""

    @property
    def has_passed(self) -> bool:
        """Whether the endpoint accepted it."""
        return isinstance(self.result, Response) and self.result.is_success(self.success_statuses)

    def as_dict(self) -> dict[str, object]:
        """The same for JSON; the excerpt holds facts only."""
        response = self.result if isinstance(self.result, Response) else None
        failure = self.result if isinstance(self.result, Failure) else None
        return {
            "endpoint_id": self.endpoint_id,
            "webhook_id": self.webhook_id,
            "passed": self.has_passed,
            "status": response and response.status,
            "error_kind": failure and failure.error_kind,
            "attribution": failure and failure.attribution,
            "detail": failure.detail if failure else None,
            "excerpt": response and response.excerpt,
            "duration_ms": self.result.duration_ms,
            "signing_key_ids": list(self.signing_key_ids),
        }


class SendTest(Action):
    """Send one signed, marked test event to an endpoint. It is about no learner."""

    name: ClassVar[str] = "test-send"

    endpoint_id: EndpointId = Field(description="Id in marts.webhook_endpoints.")
    flavor: Flavor = Field(
        default=Flavor.AS_CONFIGURED,
        description="as_configured, with_learning_time or without_learning_time.",
    )

    def run(self, warehouse: Warehouse, clock: Clock) -> Report:
        """Send it and report the response; anything but a success is a failure.

        Raises:
            ConfigurationError: there is no such endpoint.
            SecretError: it has no usable signing key.
        """
        endpoint = find_endpoint(load_endpoints(warehouse), self.endpoint_id)
        with open_destination(os.environ, warehouse.settings) as tools:
            return sample_report(send_sample(endpoint, tools, clock, self.flavor))


def sample_report(sample: Sample) -> Report:
    """The result of a sample, for people; with the endpoint's response if it did not accept it."""
    result = sample.result
    lines = [f"signed with {', '.join(sample.signing_key_ids)}"] if sample.signing_key_ids else []
    if isinstance(result, Response) and result.excerpt and not sample.has_passed:
        lines.append(f"response: {result.excerpt[:200]}")
    said = f"status {result.status}" if isinstance(result, Response) else result.detail
    return Report(
        document=sample.as_dict(),
        lines=lines,
        outcome=(
            f"endpoint {sample.endpoint_id} "
            f"{'accepted' if sample.has_passed else 'did not accept'} the test event: "
            f"{said}, {result.duration_ms:,} ms"
        ),
        has_failed=not sample.has_passed,
    )


def send_sample(
    endpoint: Endpoint,
    tools: Destination,
    clock: Clock,
    flavor: Flavor = Flavor.AS_CONFIGURED,
) -> Sample:
    """Send one sample with the tools of a delivery run, in the endpoint's own format.

    Raises:
        SecretError: the endpoint has no usable signing key.
    """
    readiness = tools.readiness(endpoint)
    if flavor is not Flavor.AS_CONFIGURED:
        wanted = flavor is Flavor.WITH_LEARNING_TIME
        endpoint = endpoint.model_copy(update={"is_learning_time_enabled": wanted})
    event_id = str(uuid.uuid4())
    claim = Claim(
        webhook_id=f"{ID_PREFIX}{event_id}",
        endpoint_id=endpoint.endpoint_id,
        body=sample_body(endpoint, event_id, at=clock()),
        attempt_count=0,
        fence=0,
        payload_format=endpoint.payload_format,
        is_test=True,
    )
    return Sample(
        endpoint_id=endpoint.endpoint_id,
        webhook_id=claim.webhook_id,
        result=tools.send(claim, endpoint, clock=clock),
        signing_key_ids=tuple(
            readiness.signing_key_ids.split() if isinstance(readiness, Ready) else ()
        ),
        success_statuses=endpoint.successes_with(endpoint.payload_format),
    )
