"""Send one body to one endpoint of a test, and look at what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sync.domain.responses import ErrorKind, Failure, Response
from sync.http.addresses import AddressPolicy
from sync.http.transport import Transport
from sync.http.urls import HostPort, Target
from tests.support.hostile import Endpoint

BODY = b'{"learner":{"user_id":90417,"username":"learner_90417","email":"learner@example.com"}}'
NAME = "hooks.example.com"


def to_loopback(target: Target, timeout_seconds: float) -> list[str]:
    """A resolver that knows one address only."""
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
    deadline_seconds: float = 10.0,
) -> Response | Failure:
    """One send by a transport of its own."""
    with transport_to((host, endpoint.port), ca_file=ca_file) as transport:
        return transport.post(
            endpoint.url(host),
            body=BODY,
            headers=headers or {},
            deadline_seconds=deadline_seconds,
        )


def kind_of(result: Response | Failure) -> ErrorKind:
    """The error kind of what has to be a failure."""
    assert isinstance(result, Failure), result
    return result.error_kind


def status_of(result: Response | Failure) -> int:
    """The status of what has to be a response."""
    assert isinstance(result, Response), result
    return result.status
