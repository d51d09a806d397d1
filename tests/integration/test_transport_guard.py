"""The address guard in front of real sockets."""

from __future__ import annotations

import pytest

from sync.domain.responses import Attribution, ErrorKind, Failure, Reached
from sync.http.addresses import AddressPolicy
from sync.http.resolver import ResolutionFailed
from sync.http.transport import Transport
from sync.http.urls import Target
from tests.support.hostile import Endpoint, answering, response
from tests.support.sending import BODY, NAME, kind_of, status_of, to_loopback, transport_to


def test_a_refused_target_opens_no_socket():
    with Endpoint(answering(response("200 OK"))) as endpoint:
        with Transport(policy=AddressPolicy(), resolver=to_loopback) as transport:
            for url in (endpoint.url(), f"https://{NAME}/", "https://127.0.0.1/"):
                result = transport.post(url, body=BODY, headers={}, deadline_seconds=60)
                assert kind_of(result) is ErrorKind.INVALID_TARGET
                assert isinstance(result, Failure)
                assert "127.0.0.1" not in result.detail
        assert endpoint.connections == 0


def test_an_allowance_for_one_port_opens_no_other():
    with Endpoint(answering(response("200 OK"))) as endpoint:
        with transport_to(("127.0.0.1", endpoint.port + 1)) as transport:
            result = transport.post(endpoint.url(), body=BODY, headers={}, deadline_seconds=60)
        assert kind_of(result) is ErrorKind.INVALID_TARGET
        assert endpoint.connections == 0


def test_a_name_is_resolved_once_per_send_and_the_connection_goes_to_that_address():
    """DNS rebinding: a second lookup would return a different address."""
    lookups = 0

    def rebinding(target: Target, timeout_seconds: float) -> list[str]:
        nonlocal lookups
        lookups += 1
        return ["127.0.0.1"] if lookups == 1 else ["127.0.0.9"]

    with Endpoint(answering(response("200 OK"))) as endpoint:
        policy = AddressPolicy(development_targets=frozenset({(NAME, endpoint.port)}))
        with Transport(policy=policy, resolver=rebinding) as transport:
            result = transport.post(
                f"http://{NAME}:{endpoint.port}/", body=BODY, headers={}, deadline_seconds=60
            )
    assert status_of(result) == 200
    assert lookups == 1


@pytest.mark.parametrize("attribution", list(Attribution))
def test_a_name_that_does_not_resolve_is_a_lookup_failure(attribution: Attribution):
    def failing(target: Target, timeout_seconds: float) -> list[str]:
        raise ResolutionFailed("no", attribution, Reached.NAME_SERVER, frozenset({target.host}))

    with Transport(policy=AddressPolicy(), resolver=failing) as transport:
        result = transport.post(f"https://{NAME}/", body=BODY, headers={}, deadline_seconds=60)
    assert isinstance(result, Failure)
    assert (result.error_kind, result.attribution) == (ErrorKind.DNS, attribution)
    # The evidence from which the run decides who is to blame.
    assert (result.reached, result.hosts) == (Reached.NAME_SERVER, {NAME})
