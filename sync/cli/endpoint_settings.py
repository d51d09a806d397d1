"""``endpoints set``: what the operator decides about an endpoint."""

from __future__ import annotations

from typing import Annotated

import typer

from sync.cli.common import Json, out, plain, print_json, ready_settings, user_name
from sync.domain.payloads import PayloadFormat
from sync.warehouse import open_warehouse


def change(
    endpoint_id: Annotated[int, typer.Argument(help="Id in marts.webhook_endpoints.")],
    payload_format: Annotated[
        PayloadFormat | None, typer.Option("--format", help="What its bodies look like.")
    ] = None,
    learning_time: Annotated[
        bool | None,
        typer.Option(
            "--learning-time/--no-learning-time",
            help="Whether it wants learning time while the feature flag is on.",
        ),
    ] = None,
    eu_fallback: Annotated[
        bool | None,
        typer.Option(
            "--eu-fallback/--no-eu-fallback",
            help="Whether it may have learners of the EU who have no endpoint of region EU.",
        ),
    ] = None,
    final_status_codes: Annotated[
        str | None,
        typer.Option(help="Answers after which it wants no retry, as 404,422; '' for none."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Set the format, learning time, EU fallback or final statuses of an endpoint.

    Without an option it shows them. Messages already frozen stay as they are.
    """
    from sync.clock import warehouse_clock
    from sync.delivery.endpoints import load_endpoints
    from sync.ledger.tables import ensure_ledger
    from sync.operations.endpoint_settings import change_settings, status_codes
    from sync.operations.endpoint_switch import find_endpoint

    codes = None if final_status_codes is None else status_codes(final_status_codes)
    with open_warehouse(ready_settings(), purpose="endpoints") as warehouse:
        ensure_ledger(warehouse)
        find_endpoint(load_endpoints(warehouse), endpoint_id)
        made = change_settings(
            warehouse,
            endpoint_id,
            clock=warehouse_clock(warehouse),
            payload_format=payload_format,
            is_learning_time_enabled=learning_time,
            is_eu_fallback_allowed=eu_fallback,
            final_status_codes=codes,
        )
    if as_json:
        print_json(
            {
                "endpoint_id": endpoint_id,
                "changed": made.before != made.after,
                "changed_by": user_name(),
                "before": made.before.as_dict(),
                "after": made.after.as_dict(),
            }
        )
        return
    for line in made.lines():
        out.print(f"endpoint {endpoint_id}, {plain(line)}")
    if made.lines():
        out.print(f"changed by {user_name()}; the older settings stay in sync.endpoint_settings")
        return
    out.print(f"endpoint {endpoint_id}: nothing was changed")
    for name, value in made.after.as_dict().items():
        out.print(f"{name}: {plain(value)}")
