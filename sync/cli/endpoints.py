"""``endpoints list`` and ``endpoints check``, which change nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from sync.cli.common import Json, command_group, ready_settings, show
from sync.clock import warehouse_clock
from sync.operations.operation import Report
from sync.warehouse import open_warehouse

if TYPE_CHECKING:
    from sync.operations.endpoint_check import Check
    from sync.operations.endpoints import Listed

endpoints_app = command_group("Customers' endpoints: list, check, disable, enable, override, set.")


@endpoints_app.command("list")
def list_all(as_json: Json = False) -> None:
    """List every endpoint with its health and the webhooks that wait for it."""
    from sync.delivery.destinations import open_destination
    from sync.delivery.endpoints import load_endpoints
    from sync.ledger.tables import ensure_ledger
    from sync.operations.endpoints import list_endpoints

    settings = ready_settings()
    with (
        open_warehouse(settings, purpose="endpoints") as warehouse,
        open_destination(os.environ, settings) as tools,
    ):
        ensure_ledger(warehouse)
        loaded = load_endpoints(warehouse)
        found = list_endpoints(
            warehouse, loaded, clock=warehouse_clock(warehouse), readiness=tools.readiness
        )
    unreadable = sorted(loaded.unreadable.values())
    report = Report(
        document={"endpoints": [one.as_dict() for one in found], "unreadable": unreadable},
        tables={"endpoints": listed_rows(found)},
        lines=_to_fix(unreadable),
    )
    show(report, as_json=as_json)


@endpoints_app.command()
def check(
    endpoint_ids: Annotated[
        list[int] | None, typer.Argument(help="Endpoint ids. Default: all active endpoints.")
    ] = None,
    no_ping: Annotated[
        bool, typer.Option("--no-ping", help="Send no test event; also skips connection and TLS.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check DNS, address rules, TLS, token, signing key and a signed test event.

    Prints one verdict per endpoint.
    """
    from sync.delivery.destinations import open_destination
    from sync.delivery.endpoints import load_endpoints
    from sync.operations.endpoint_check import check_all
    from sync.operations.endpoints import find_endpoint

    settings = ready_settings()
    with open_warehouse(settings, purpose="endpoints") as warehouse:
        endpoints, clock = load_endpoints(warehouse), warehouse_clock(warehouse)
    if endpoint_ids:
        chosen = [find_endpoint(endpoints, one) for one in dict.fromkeys(endpoint_ids)]
        unreadable: list[str] = []
    else:
        chosen = [one for _, one in sorted(endpoints.by_id.items()) if one.is_active]
        unreadable = sorted(endpoints.unreadable.values())
    with open_destination(os.environ, settings) as tools:
        checks = check_all(chosen, tools, clock, is_ping_sent=not no_ping)
    assumed = [f"endpoint {one.endpoint_id}: {one.assumption}" for one in checks if one.assumption]
    report = Report(
        document={"endpoints": [one.as_dict() for one in checks], "unreadable": unreadable},
        tables={"endpoints": [_row(one) for one in checks]},
        lines=[*assumed, *_to_fix(unreadable)],
        has_failed=bool(unreadable) or any(one.problem for one in checks),
    )
    show(report, as_json=as_json)


def listed_rows(found: Sequence[Listed]) -> list[dict[str, object]]:
    """One row per endpoint; the text that may be long comes last."""
    from sync.operations.endpoints import host_of

    return [
        {
            "endpoint": one.endpoint.endpoint_id,
            "customer": one.endpoint.enterprise_customer_name,
            "host": host_of(one.endpoint.url),
            "region": one.endpoint.region,
            "format": one.endpoint.payload_format,
            "condition": one.condition,
            "due": one.due,
            "held": one.held,
            "why": one.why,
        }
        for one in found
    ]


def _to_fix(unreadable: Sequence[str]) -> list[str]:
    """The unreadable endpoint rows; all webhooks of their customers are held."""
    return [f"{text}; fix it in the LMS, or in sync.endpoint_settings" for text in unreadable]


def _row(one: Check) -> dict[str, object]:
    skipped = "; ".join(f"{stage} skipped: {why}" for stage, why in one.skipped.items())
    return {
        "endpoint": one.endpoint_id,
        "host": one.host,
        "verdict": one.verdict,
        "ms": None if one.sample is None else f"{one.sample.result.duration_ms:,}",
        "what is wrong": skipped if one.problem is None else one.problem.what,
        "fix": one.problem and one.problem.fix,
    }
