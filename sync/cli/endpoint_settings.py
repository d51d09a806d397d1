"""``endpoints set``: what the operator decides about an endpoint."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Annotated, Any

import typer

from sync.cli.common import Json, out, plain, print_json, ready_settings, user_name
from sync.domain.endpoint import EndpointSettings
from sync.warehouse import open_warehouse


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for each setting, as its declaration has it."""
    options = []
    for name, field in EndpointSettings.model_fields.items():
        kind = bool if field.annotation is bool else str
        extra: Any = field.json_schema_extra
        option = typer.Option(extra["option"], help=field.description)
        annotation = Annotated[kind | None, option]
        options.append(Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
        command.__annotations__[name] = annotation
    given = signature(command, eval_str=True)
    own = [one for one in given.parameters.values() if one.kind is not Parameter.VAR_KEYWORD]
    command.__signature__ = given.replace(parameters=[*own, *options])  # pyright: ignore[reportFunctionMemberAccess]
    return command


@_with_options
def change(
    endpoint_id: Annotated[int, typer.Argument(help="Id in marts.webhook_endpoints.")],
    *,
    as_json: Json = False,
    **wanted: str | bool | None,
) -> None:
    """Set what the LMS does not know of an endpoint.

    Without an option it shows the settings. Messages that are built stay as they are.
    """
    from sync.clock import warehouse_clock
    from sync.delivery.endpoints import load_endpoints
    from sync.ledger.tables import ensure_ledger
    from sync.operations.endpoint_settings import change_settings
    from sync.operations.endpoint_switch import find_endpoint

    with open_warehouse(ready_settings(), purpose="endpoints") as warehouse:
        ensure_ledger(warehouse)
        find_endpoint(load_endpoints(warehouse), endpoint_id)
        made = change_settings(warehouse, endpoint_id, clock=warehouse_clock(warehouse), **wanted)
    if as_json:
        print_json(
            {
                "endpoint_id": endpoint_id,
                "changed": made.before != made.after,
                "changed_by": user_name(),
                "before": made.before.stored(),
                "after": made.after.stored(),
            }
        )
        return
    for line in made.lines():
        out.print(f"endpoint {endpoint_id}, {plain(line)}")
    if made.lines():
        out.print(f"changed by {user_name()}; the older settings stay in sync.endpoint_settings")
        return
    out.print(f"endpoint {endpoint_id}: nothing was changed")
    for name, value in made.after.stored().items():
        out.print(f"{name}: {plain(value)}")
