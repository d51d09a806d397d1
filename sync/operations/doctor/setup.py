"""Settings: what the first run would use."""

from __future__ import annotations

from sync.delivery.destinations import open_destination
from sync.delivery.endpoints import Endpoints, load_endpoints
from sync.delivery.flag import flag_settings
from sync.domain.destination import NotReady
from sync.http.network import network_policy
from sync.ledger.activation import recorded_activation
from sync.operations.doctor.check import (
    Check,
    DoesNotApply,
    Finding,
    Visit,
    failed,
    ok,
    some,
    warning,
)
from sync.operations.environment import activated_at, check_environment
from sync.settings import dbt_vars
from sync.warehouse import RelationMissing


def _environment(visit: Visit) -> Finding:
    check_environment(visit.environ)
    return ok("every variable can be read")


def _places(_: Visit) -> Finding:
    variables = dbt_vars()
    return ok(
        "raw tables in "
        + ", ".join(
            f"{variables[f'{name}_database']}.{variables[f'{name}_schema']}".upper()
            for name in ("tracking", "lms", "enterprise")
        )
    )


def _flag(visit: Visit) -> Finding:
    found = flag_settings(visit.environ)
    return ok(
        f"{found.describe()}; a completion waits for its learning time "
        f"for at most {found.max_wait_minutes} minutes"
    )


def _activation(visit: Visit) -> Finding:
    given = activated_at(visit.environ)
    try:
        recorded = recorded_activation(visit.session())
    except RelationMissing:
        recorded = None
    if recorded is not None:
        return ok(
            f"completions since {recorded:%Y-%m-%d %H:%M} UTC are sent, according to the ledger"
        )
    if given:
        return ok(f"the first run will send completions since {given}")
    return warning(
        "the first run will send completions that happen after it starts",
        "set WEBHOOKS_ACTIVATED_AT if you want an earlier time",
    )


def _endpoints(visit: Visit) -> Finding:
    found = _load(visit)
    active = [one for one in found.by_id.values() if one.is_active]
    if found.unreadable:
        return failed(
            f"{len(found.unreadable)} cannot be read: "
            + some(sorted(found.unreadable.values()), "; "),
            "fix them in the LMS, or in sync.endpoint_settings",
        )
    if not active:
        return warning("none is active", "configure a customer's webhook in the LMS")
    return ok(f"{len(active)} active of {len(found.by_id)}")


def _readiness(visit: Visit) -> Finding:
    """Keys and OAuth settings of active endpoints, without a request or a DNS lookup."""
    endpoints = [one for one in _load(visit).by_id.values() if one.is_active]
    with open_destination(visit.environ, visit.settings) as tools:
        problems = {
            one.endpoint_id: found
            for one in endpoints
            if isinstance(found := tools.readiness(one), NotReady)
        }
    if not problems:
        return ok(f"{len(endpoints)} active endpoints have signing keys and a permitted address")
    return warning(
        some([f"endpoint {key}: {one.problem}" for key, one in sorted(problems.items())], "; "),
        "provide what is named; webhooks are held until then. `ltw endpoints check` shows more",
    )


def _ports(visit: Visit) -> Finding:
    policy = network_policy(visit.environ, visit.settings)
    said = f"webhooks go to ports {', '.join(str(one) for one in sorted(policy.ports))}"
    targets = sorted(f"{host}:{port}" for host, port in policy.development_targets)
    return ok(f"{said}, and to {', '.join(targets)} for development" if targets else said)


def _load(visit: Visit) -> Endpoints:
    try:
        return load_endpoints(visit.session())
    except RelationMissing:
        raise DoesNotApply("the marts or the ledger do not exist yet") from None


CHECKS = (
    Check("Settings", "environment", _environment),
    Check("Settings", "sources", _places),
    Check("Settings", "feature flag", _flag),
    Check("Settings", "activation", _activation),
    Check("Settings", "endpoints", _endpoints),
    Check("Settings", "keys", _readiness),
    Check("Settings", "ports", _ports),
)
