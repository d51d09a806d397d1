"""Send one body to one endpoint of a test, and check the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from sync.domain.responses import ErrorKind, Failure, Response
from sync.http.addresses import AddressPolicy
from sync.http.transport import Transport
from sync.http.urls import HostPort, Target
from tests.support.hostile import Endpoint

BODY = b'{"learner":{"user_id":90417,"username":"learner_90417","email":"learner@example.com"}}'
NAME = "hooks.example.com"


def to_loopback(target: Target, timeout_seconds: float) -> list[str]:
    """A resolver with a single address."""
    return ["127.0.0.1"]


def transport_to(*pairs: HostPort, ca_file: Path | None = None) -> Transport:
    """A transport allowed to reach these pairs of host and port on loopback."""
    policy = AddressPolicy(development_targets=frozenset(pairs))
    return Transport(policy=policy, resolver=to_loopback, ca_file=ca_file)


def post(
    endpoint: Endpoint,
    *,
    host: str = "127.0.0.1",
    ca_file: Path | None = None,
    headers: Mapping[str, str] | None = None,
    deadline_seconds: float = 60.0,
) -> Response | Failure:
    """One send with a separate transport."""
    with transport_to((host, endpoint.port), ca_file=ca_file) as transport:
        return transport.post(
            endpoint.url(host),
            body=BODY,
            headers=headers or {},
            deadline_seconds=deadline_seconds,
        )


def until_in_time(attempt: Callable[[float], bool]) -> None:
    """Retry an attempt that needs a short deadline with longer ones if the peer was too slow.

    ``attempt`` takes the deadline in seconds and returns whether the peer did its part in time.
    """
    assert any(attempt(seconds) for seconds in (0.5, 2.0, 8.0, 32.0)), "late with each deadline"


def kind_of(result: Response | Failure) -> ErrorKind:
    """The error kind of a result that must be a failure."""
    assert isinstance(result, Failure), result
    return result.error_kind


def status_of(result: Response | Failure) -> int:
    """The status of a result that must be a response."""
    assert isinstance(result, Response), result
    return result.status
