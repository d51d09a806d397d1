"""``test-send`` and ``endpoints``: look at customers' endpoints, and switch them off and on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sync.cli.common import (
    Json,
    out,
    plain,
    print_json,
    ready_settings,
    utc_now,
)
from sync.errors import ConfigurationError
from sync.operations.test_send import Flavour
from sync.warehouse import Warehouse, open_warehouse

if TYPE_CHECKING:
    from sync.delivery.tools import SendingTools
    from sync.domain.endpoint import Endpoint
    from sync.operations.endpoint_check import Check
    from sync.operations.test_send import Sample

endpoints_app = typer.Typer(
    no_args_is_help=True, help="Customers' endpoints: check, off, on, settings."
)

EndpointId = Annotated[int, typer.Argument(help="Id in marts.webhook_endpoints.")]


def send_test(
    endpoint_id: EndpointId,
    flavour: Annotated[
        Flavour, typer.Option(help="With or without learning time, whatever is configured.")
    ] = Flavour.AS_CONFIGURED,
    as_json: Json = False,
) -> None:
    """Send one signed, marked sample event to an endpoint. It tells of no learner."""
    with _reach(endpoint_id) as (_, endpoint, tools):
        sample = _send(endpoint, tools, flavour)
    if as_json:
        print_json(sample.as_dict())
    else:
        _print_sample(sample)
    if not sample.has_passed:
        raise typer.Exit(1)


@endpoints_app.command("list")
def list_all(as_json: Json = False) -> None:
    """Every endpoint, its health, and what waits for it."""
    from sync.clock import warehouse_clock
    from sync.ledger.tables import ensure_ledger
    from sync.operations.endpoint_switch import list_endpoints

    with open_warehouse(ready_settings(), purpose="endpoints") as warehouse:
        ensure_ledger(warehouse)
        found = list_endpoints(warehouse, clock=warehouse_clock(warehouse))
    if as_json:
        print_json({"endpoints": [one.as_dict() for one in found]})
        return
    shown = ("endpoint_id", "host", "region", "payload_format", "condition", "due", "held")
    table = Table(*shown, "why", box=None)
    for one in found:
        row = one.as_dict()
        table.add_row(*(plain(row[name]) for name in shown), plain(one.state.disabled_reason or ""))
    out.print(table)


@endpoints_app.command()
def check(
    endpoint_ids: Annotated[
        list[int] | None, typer.Argument(help="Ids; without any, all active endpoints.")
    ] = None,
    no_ping: Annotated[
        bool, typer.Option("--no-ping", help="Send no test event; skips connection and TLS too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """DNS, address rules, TLS, token, signing key, and a signed test event; one verdict each."""
    from sync.delivery.endpoints import load_endpoints
    from sync.delivery.tools import sending_tools
    from sync.operations.endpoint_check import Checker
    from sync.operations.endpoint_switch import find_endpoint

    settings = ready_settings()
    with open_warehouse(settings, purpose="endpoints") as warehouse:
        endpoints = load_endpoints(warehouse)
    if endpoint_ids:
        chosen = [find_endpoint(endpoints, one) for one in dict.fromkeys(endpoint_ids)]
        unreadable: list[str] = []
    else:
        chosen = [one for _, one in sorted(endpoints.by_id.items()) if one.is_active]
        unreadable = sorted(endpoints.unreadable.values())
    with sending_tools(os.environ, settings) as tools:
        checks = Checker(
            policy=tools.policy,
            resolver=tools.resolver,
            secrets=tools.secrets,
            tokens=tools.tokens,
            poster=tools.transport,
            clock=utc_now,
            is_ping_sent=not no_ping,
        ).check_all(chosen)
    if as_json:
        print_json({"endpoints": [one.as_dict() for one in checks], "unreadable": unreadable})
    else:
        _print_checks(checks, unreadable)
    if unreadable or not all(one.is_good for one in checks):
        raise typer.Exit(1)


@endpoints_app.command()
def enable(endpoint_id: EndpointId, as_json: Json = False) -> None:
    """Let an endpoint have webhooks again, once it has taken a test event."""
    from sync.operations.endpoint_switch import enable as switch_on

    with _reach(endpoint_id) as (warehouse, endpoint, tools):
        if not endpoint.is_active:
            raise ConfigurationError(
                f"endpoint {endpoint_id} is switched off by its configuration in the LMS; set "
                "'active' there"
            )
        sample = _send(endpoint, tools)
        was_disabled = switch_on(warehouse, endpoint_id) if sample.has_passed else None
    if as_json:
        print_json({"enabled": sample.has_passed, "was_disabled": was_disabled} | sample.as_dict())
    else:
        _print_sample(sample)
        if sample.has_passed:
            out.print(f"endpoint {endpoint_id} is on; the next run sends what was held for it")
        else:
            out.print(f"endpoint {endpoint_id} stays as it was: it did not take the test event")
    if not sample.has_passed:
        raise typer.Exit(1)


@endpoints_app.command()
def disable(
    endpoint_id: EndpointId,
    reason: Annotated[str, typer.Option(help="Why, for whoever looks later; 1 to 64 characters.")],
    as_json: Json = False,
) -> None:
    """Send an endpoint nothing until it is enabled; its webhooks are held and lose no attempt."""
    from sync.clock import warehouse_clock
    from sync.ledger.tables import ensure_ledger
    from sync.operations.endpoint_switch import disable as switch_off

    with open_warehouse(ready_settings(), purpose="endpoints") as warehouse:
        ensure_ledger(warehouse)
        is_changed = switch_off(
            warehouse, endpoint_id, reason=reason, now=warehouse_clock(warehouse)()
        )
    if as_json:
        print_json({"endpoint_id": endpoint_id, "disabled": True, "changed": is_changed})
        return
    out.print(f"endpoint {endpoint_id} is off" if is_changed else "it was off before; nothing done")


@contextmanager
def _reach(endpoint_id: int) -> Iterator[tuple[Warehouse, Endpoint, SendingTools]]:
    """An endpoint and what is needed to send to it."""
    from sync.delivery.endpoints import load_endpoints
    from sync.delivery.tools import sending_tools
    from sync.ledger.tables import ensure_ledger
    from sync.operations.endpoint_switch import find_endpoint

    settings = ready_settings()
    with (
        open_warehouse(settings, purpose="endpoints") as warehouse,
        sending_tools(os.environ, settings) as tools,
    ):
        ensure_ledger(warehouse)
        yield warehouse, find_endpoint(load_endpoints(warehouse), endpoint_id), tools


def _send(
    endpoint: Endpoint, tools: SendingTools, flavour: Flavour = Flavour.AS_CONFIGURED
) -> Sample:
    from sync.operations.test_send import send_sample

    return send_sample(
        endpoint,
        poster=tools.transport,
        tokens=tools.tokens,
        keys=tools.secrets.signing_keys(endpoint.endpoint_id),
        clock=utc_now,
        flavour=flavour,
    )


def _print_sample(sample: Sample) -> None:
    from sync.domain.responses import Response

    result = sample.result
    what = f"status {result.status}" if isinstance(result, Response) else plain(result.detail)
    out.print(
        f"test event {sample.webhook_id} to endpoint {sample.endpoint_id}: "
        f"{'taken' if sample.has_passed else 'not taken'}, {what}, {result.duration_ms:,} ms"
    )
    out.print(f"signed with {', '.join(sample.signing_key_ids)}")
    if isinstance(result, Response) and result.excerpt and not sample.has_passed:
        out.print(f"answer: {plain(result.excerpt[:200])}")


def _print_checks(checks: list[Check], unreadable: list[str]) -> None:
    table = Table("endpoint", "host", "verdict", "ms", "what is wrong", "mend", box=None)
    for one in checks:
        milliseconds = "" if one.sample is None else f"{one.sample.result.duration_ms:,}"
        if one.problem is None:
            skipped = "; ".join(f"{skip.stage} skipped: {skip.why}" for skip in one.skipped)
            table.add_row(
                str(one.endpoint_id), plain(one.host), "good", milliseconds, plain(skipped), ""
            )
        else:
            table.add_row(
                str(one.endpoint_id),
                plain(one.host),
                f"{one.problem.stage} failed",
                milliseconds,
                plain(one.problem.what),
                plain(one.problem.mend),
            )
    out.print(table)
    for text in unreadable:
        out.print(f"{plain(text)}; correct the row in marts.webhook_endpoints")
