"""Can webhooks reach this endpoint? One verdict each, and what to fix where they cannot.

The stages go from what costs nothing to a real, signed request. The first that fails is the
verdict, since the later ones would fail for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from sync.clock import Clock
from sync.domain.endpoint import Endpoint
from sync.domain.responses import Attribution, ErrorKind, Failure, Response
from sync.http.addresses import AddressPolicy, Resolver, vet
from sync.http.oauth import Bearer, Misconfigured, NoAuth, TokenSource, WebhookPoster
from sync.http.resolver import ResolutionFailed
from sync.http.secrets import SecretError, SecretStore
from sync.http.signing import SigningKey
from sync.http.urls import InvalidTarget
from sync.operations.endpoints import host_of
from sync.operations.test_send import Sample, send_sample

LOOKUP_SECONDS = 5.0
THREADS = 8


class Stage(StrEnum):
    """What is looked at, in this order."""

    ADDRESS = "address"
    """The URL and every address of its name keep the rules."""
    DNS = "dns"
    """The name resolves."""
    SIGNING_KEY = "signing_key"
    """At least one usable key is there."""
    AUTH = "auth"
    """The token endpoint gives a token."""
    CONNECT = "connect"
    """A connection comes about."""
    TLS = "tls"
    """The certificate is valid for the name."""
    PING = "ping"
    """The response to a signed test event is a 2xx in time."""


@dataclass(frozen=True)
class Skipped:
    """A stage that does not apply, and why."""

    stage: Stage
    why: str


@dataclass(frozen=True, kw_only=True)
class Problem:
    """The stage that failed, what is wrong, and what to do. No secret, no address."""

    stage: Stage
    what: str
    fix: str


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was found at one endpoint."""

    endpoint_id: int
    host: str
    """The name in its URL; never the path, which may hold a token."""
    passed: tuple[Stage, ...]
    skipped: tuple[Skipped, ...]
    problem: Problem | None
    sample: Sample | None
    """The ping, where it came to one."""

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return self.problem is None

    def as_dict(self) -> dict[str, object]:
        """The same for JSON."""
        return {
            "endpoint_id": self.endpoint_id,
            "host": self.host,
            "verdict": "good" if self.problem is None else f"{self.problem.stage} failed",
            "passed": list(self.passed),
            "skipped": {one.stage: one.why for one in self.skipped},
            "problem": self.problem and self.problem.what,
            "fix": self.problem and self.problem.fix,
            "ping": self.sample and self.sample.as_dict(),
        }


@dataclass(frozen=True, kw_only=True)
class Checker:
    """What a check needs beside the endpoint."""

    policy: AddressPolicy
    resolver: Resolver
    secrets: SecretStore
    tokens: TokenSource
    poster: WebhookPoster
    clock: Clock
    is_ping_sent: bool = True

    def check_all(self, endpoints: Iterable[Endpoint]) -> list[Check]:
        """All of them, a few at a time, in the given order."""
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(self.check, endpoints))

    def check(self, endpoint: Endpoint) -> Check:
        """One endpoint; whatever is wrong with it is a value."""
        course = _Course(endpoint)
        return (
            self._address(endpoint, course)
            or self._keys_and_rest(endpoint, course)
            or course.end(None)
        )

    def _address(self, endpoint: Endpoint, course: _Course) -> Check | None:
        try:
            vet(
                endpoint.url,
                policy=self.policy,
                resolver=self.resolver,
                timeout_seconds=LOOKUP_SECONDS,
            )
        except InvalidTarget as refusal:
            return course.fail(
                Stage.ADDRESS, str(refusal), "correct webhook_url in the LMS's configuration"
            )
        except ResolutionFailed as failed:
            course.passed.append(Stage.ADDRESS)
            return course.fail(Stage.DNS, str(failed), _dns_fix(failed.attribution))
        course.passed += [Stage.ADDRESS, Stage.DNS]
        return None

    def _keys_and_rest(self, endpoint: Endpoint, course: _Course) -> Check | None:
        try:
            keys = self.secrets.signing_keys(endpoint.endpoint_id)
        except SecretError as error:
            return course.fail(Stage.SIGNING_KEY, str(error), "provide the secret named here")
        course.passed.append(Stage.SIGNING_KEY)
        return self._auth(endpoint, course) or self._ping(endpoint, course, keys)

    def _auth(self, endpoint: Endpoint, course: _Course) -> Check | None:
        match self.tokens.authorization(endpoint):
            case NoAuth():
                course.skipped.append(Skipped(Stage.AUTH, "no client_id is configured"))
            case Bearer():
                course.passed.append(Stage.AUTH)
            case Misconfigured(problem=problem):
                return course.fail(Stage.AUTH, problem, "complete the OAuth settings")
            case Failure(detail=detail):
                return course.fail(
                    Stage.AUTH, detail, "check webhook_token_url, client_id and client secret"
                )
        return None

    def _ping(
        self, endpoint: Endpoint, course: _Course, keys: tuple[SigningKey, ...]
    ) -> Check | None:
        if not self.is_ping_sent:
            course.skipped += [
                Skipped(stage, "no ping was asked for")
                for stage in (Stage.CONNECT, Stage.TLS, Stage.PING)
            ]
            return None
        sample = send_sample(
            endpoint, poster=self.poster, tokens=self.tokens, keys=keys, clock=self.clock
        )
        course.sample = sample
        failed_at = _failed_stage(sample)
        order = (Stage.CONNECT, Stage.TLS, Stage.PING)
        reached = order if failed_at is None else order[: order.index(failed_at)]
        is_plain = endpoint.url.startswith("http://")
        course.passed += [one for one in reached if one is not Stage.TLS or not is_plain]
        if is_plain and Stage.TLS in reached:
            course.skipped.append(Skipped(Stage.TLS, "a development target without TLS"))
        if failed_at is None:
            return None
        what, fix = _explain(sample.result)
        return course.fail(failed_at, what, fix)


class _Course:
    """How far one check has come."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.passed: list[Stage] = []
        self.skipped: list[Skipped] = []
        self.sample: Sample | None = None

    def fail(self, stage: Stage, what: str, fix: str) -> Check:
        return self.end(Problem(stage=stage, what=what, fix=fix))

    def end(self, problem: Problem | None) -> Check:
        return Check(
            endpoint_id=self._endpoint.endpoint_id,
            host=host_of(self._endpoint.url),
            passed=tuple(self.passed),
            skipped=tuple(self.skipped),
            problem=problem,
            sample=self.sample,
        )


_BY_KIND: Mapping[ErrorKind, tuple[Stage, str]] = {
    ErrorKind.DNS: (Stage.CONNECT, "ask the owner of the name to repair its DNS entry"),
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
        "ask the receiver to respond before it processes, or raise webhook_timeout_seconds",
    ),
    ErrorKind.TOO_SLOW: (
        Stage.PING,
        "ask the receiver to send the whole head of its response at once",
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
    429: "lower max_requests_per_minute to what the receiver takes",
}


def _failed_stage(sample: Sample) -> Stage | None:
    if sample.has_passed:
        return None
    if isinstance(sample.result, Response):
        return Stage.PING
    return _BY_KIND.get(sample.result.error_kind, (Stage.PING, ""))[0]


def _explain(result: Response | Failure) -> tuple[str, str]:
    if isinstance(result, Failure):
        fix = _BY_KIND.get(result.error_kind, (Stage.PING, "ask the receiver's operator"))[1]
        return f"{result.detail} ({result.error_kind})", fix
    if 300 <= result.status <= 399:
        return (
            f"the endpoint responds with {result.status}; redirects are never followed",
            "set webhook_url to the address that it points to",
        )
    return (
        f"the endpoint responds with {result.status}",
        _BY_STATUS.get(result.status, "ask the receiver's operator to check its log"),
    )


def _dns_fix(attribution: Attribution) -> str:
    if attribution is Attribution.SENDER:
        return "check the name servers of this machine; it is a sender error"
    return "correct the host in webhook_url, or ask its owner to repair the DNS entry"
