"""A destination other than HTTP: all checks of endpoints and attempts go through it alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from sync.clock import Clock
from sync.domain.destination import NotReady, Problem, Ready, Stage
from sync.domain.endpoint import Endpoint
from sync.domain.responses import Failure, Response
from sync.domain.states import Reason
from sync.domain.work import Claim
from sync.operations.endpoint_check import check
from tests.support.marts import ENDPOINT_COLUMNS
from tests.support.marts import endpoint as row


@dataclass
class Letterbox:
    """Accepts everything for known endpoints."""

    known: set[str]
    taken: list[Claim] = field(default_factory=list)

    def readiness(self, endpoint: Endpoint) -> Ready | NotReady:
        refused = self.refusal(endpoint.url)
        return NotReady(Reason.ENDPOINT_INVALID, refused) if refused else Ready("", endpoint.url)

    def send(self, claim: Claim, endpoint: Endpoint, *, clock: Clock) -> Response | Failure:
        self.taken.append(claim)
        return Response(200, None, "")

    def stages(self, endpoint: Endpoint) -> Iterator[tuple[Stage, str]]:
        refused = self.refusal(endpoint.url)
        if refused is not None:
            raise Problem(Stage.ADDRESS, refused, "put one up")
        yield Stage.ADDRESS, ""
        yield Stage.SIGNING_KEY, "nothing is signed"

    def refusal(self, url: str) -> str | None:
        return None if url in self.known else "there is no such letterbox"

    def reaches_network(self) -> bool | None:
        return None


def test_an_endpoint_of_another_destination_is_checked_and_tried_by_that_destination() -> None:
    box = Letterbox({"letterbox://acme"})
    acme, other = (
        Endpoint.from_row(dict.fromkeys(ENDPOINT_COLUMNS) | row(1, f"letterbox://{name}"))
        for name in ("acme", "other")
    )
    found = check(acme, box, lambda: datetime(2026, 3, 1))
    assert (found.problem, found.skipped) == (None, {Stage.SIGNING_KEY: "nothing is signed"})
    (sample,) = box.taken
    assert sample.is_test
    assert found.sample is not None
    assert sample.webhook_id == found.sample.webhook_id
    refused = check(other, box, lambda: datetime(2026, 3, 1))
    assert refused.problem is not None
    assert refused.problem.what == "there is no such letterbox"
    assert len(box.taken) == 1
