"""Can webhooks reach this endpoint? One verdict each, and what to fix if they cannot.

The stages range from free checks to a real, signed request. The first that fails is the verdict,
since the later ones would fail for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from sync.clock import Clock
from sync.domain.destination import Destination, Problem, Stage
from sync.domain.endpoint import Endpoint
from sync.domain.responses import ErrorKind, Failure, Response
from sync.operations.endpoints import host_of
from sync.operations.send_test import Sample, send_sample

THREADS = 8
OF_A_PING = (Stage.CONNECT, Stage.TLS, Stage.PING)


@dataclass(kw_only=True)
class Check:
    """What was found at one endpoint."""

    endpoint_id: int
    host: str
    """The name in its URL; never the path, which may hold a token."""
    passed: list[Stage] = field(default_factory=list)
    skipped: dict[Stage, str] = field(default_factory=dict)
    """Stages that do not apply, and why."""
    problem: Problem | None = None
    sample: Sample | None = None
    """The ping, if one was sent."""
    assumption: str | None = None
    """An assumption about its bodies that is documented nowhere."""

    @property
    def verdict(self) -> str:
        """In a word or two."""
        return "good" if self.problem is None else f"{self.problem.stage} failed"

    def as_dict(self) -> dict[str, object]:
        """The same for JSON."""
        return {
            "endpoint_id": self.endpoint_id,
            "host": self.host,
            "verdict": self.verdict,
            "passed": self.passed,
            "skipped": self.skipped,
            "problem": self.problem and self.problem.what,
            "fix": self.problem and self.problem.fix,
            "ping": self.sample and self.sample.as_dict(),
            "assumption": self.assumption,
        }


def check_all(
    endpoints: Iterable[Endpoint],
    tools: Destination,
    clock: Clock,
    *,
    is_ping_sent: bool = True,
) -> list[Check]:
    """All of them, a few at a time, in the given order."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(
            pool.map(lambda one: check(one, tools, clock, is_ping_sent=is_ping_sent), endpoints)
        )


def check(
    endpoint: Endpoint, tools: Destination, clock: Clock, *, is_ping_sent: bool = True
) -> Check:
    """Check one endpoint; a problem is returned, never raised."""
    found = Check(
        endpoint_id=endpoint.endpoint_id,
        host=host_of(endpoint.url),
        assumption=endpoint.format.assumption(endpoint),
    )
    try:
        for stage, why_not in tools.stages(endpoint):
            if why_not:
                found.skipped[stage] = why_not
            else:
                found.passed.append(stage)
        if is_ping_sent:
            _ping(endpoint, tools, clock, found)
        else:
            found.skipped |= dict.fromkeys(OF_A_PING, "no ping was requested")
    except Problem as problem:
        found.problem = problem
    return found


def _ping(endpoint: Endpoint, tools: Destination, clock: Clock, found: Check) -> None:
    found.sample = sample = send_sample(endpoint, tools, clock)
    problem = None if sample.has_passed else _explain(sample.result)
    reached = OF_A_PING[: OF_A_PING.index(problem.stage)] if problem else OF_A_PING
    if endpoint.url.startswith("http://") and Stage.TLS in reached:
        found.skipped[Stage.TLS] = "a development target without TLS"
    found.passed += [one for one in reached if one not in found.skipped]
    if problem is not None:
        raise problem


_BY_KIND: Mapping[ErrorKind, tuple[Stage, str]] = {
    ErrorKind.DNS: (Stage.CONNECT, "ask the owner of the name to fix its DNS entry"),
    ErrorKind.CONNECT: (
        Stage.CONNECT,
        "ask the receiver's operator to open the port to our addresses and start the service",
    ),
    ErrorKind.TLS: (
        Stage.TLS,
        "ask the receiver to install a certificate for this name with its full chain",
    ),
    ErrorKind.TIMEOUT: (
        Stage.PING,
        "ask the receiver to respond before processing, or raise webhook_timeout_seconds",
    ),
    ErrorKind.TOO_SLOW: (
        Stage.PING,
        "ask the receiver to send all response headers without delay",
    ),
    ErrorKind.INVALID_TARGET: (Stage.CONNECT, "correct webhook_url in the LMS's configuration"),
    ErrorKind.INTERNAL: (Stage.CONNECT, "check the network of this machine; it is a sender error"),
}
_BY_STATUS: Mapping[int, str] = {
    401: "check the bearer token and that the receiver knows the signing key",
    403: "check the bearer token and that the receiver knows the signing key",
    404: "correct the path of webhook_url",
    405: "ask the receiver to accept POST at this path",
    410: "the receiver no longer uses this URL: get a new one",
    429: "lower max_requests_per_minute to what the receiver accepts",
}


def _explain(result: Response | Failure) -> Problem:
    if isinstance(result, Failure):
        stage, fix = _BY_KIND.get(result.error_kind, (Stage.PING, "ask the receiver's operator"))
        return Problem(stage, f"{result.detail} ({result.error_kind})", fix)
    said = f"the endpoint responds with {result.status}"
    if 300 <= result.status <= 399:
        return Problem(
            Stage.PING,
            f"{said}; redirects are never followed",
            "set webhook_url to the address that the redirect points to",
        )
    fix = _BY_STATUS.get(result.status, "ask the receiver's operator to check its log")
    return Problem(Stage.PING, said, fix)
