"""A command for every operation: its docstring is the help, its fields are the options."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from sync.cli.common import (
    Json,
    out,
    plain,
    print_json,
    print_report,
    ready_settings,
    show,
    user_name,
)
from sync.clock import warehouse_clock
from sync.errors import ConfigurationError
from sync.ledger.tables import ensure_ledger
from sync.operations.operation import (
    Action,
    AuditedAction,
    Change,
    Kind,
    Look,
    Operation,
    command_line_of,
    field_type,
    fields_of,
)
from sync.warehouse import Warehouse, open_warehouse

CONFIRM = "--confirm-count"
YES = typer.Option("--yes", help="Do not ask for confirmation.")


def add_operations(
    app: typer.Typer,
    groups: dict[str, typer.Typer],
    operations: Sequence[Kind],
) -> None:
    """Register a command for each, in a group if its name has two words."""
    for kind in operations:
        group, _, name = kind.name.rpartition(" ")
        (groups[group] if group else app).command(name)(command_of(kind))


def command_of(kind: Kind) -> Callable[..., None]:
    """The function that typer turns into a command."""

    def command(*, as_json: bool, yes: bool = False, **given: Any) -> None:
        # What is not given gets the field's default.
        given = {name: value for name, value in given.items() if value not in (None, [])}
        request = kind.read(given, spelled=lambda name: option_of(kind, name))
        settings = ready_settings()
        if isinstance(request, Look):
            show(request.look(os.environ), as_json=as_json)
            return
        with open_warehouse(settings, purpose=kind.name) as warehouse:
            if not isinstance(request, Action) or not request.is_read_only:
                ensure_ledger(warehouse)
            if isinstance(request, AuditedAction):
                request = request.asked_by(user_name())
            if isinstance(request, Change):
                _change(request, warehouse, is_agreed=yes, as_json=as_json)
            else:
                show(request.run(warehouse, warehouse_clock(warehouse)), as_json=as_json)

    parameters = [_parameter(kind, name) for name in fields_of(kind)]
    if issubclass(kind, Change) and kind.ask_above is not None:
        parameters.append(_keyword("yes", Annotated[bool, YES], default=False))
    parameters.append(_keyword("as_json", Json, default=False))
    command.__doc__ = kind.__doc__
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    command.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    return command


def option_of(kind: type[Operation], name: str) -> str:
    """How a field is spelled on the command line."""
    face = command_line_of(kind.model_fields[name])
    return name if face.is_argument else face.option or f"--{name.replace('_', '-')}"


def _change(request: Change, warehouse: Warehouse, *, is_agreed: bool, as_json: bool) -> None:
    """Show the plan, ask for confirmation if no number is given, and apply it."""
    clock = warehouse_clock(warehouse)
    plan = request.plan(warehouse, clock)
    if not as_json:
        out.print(f"{plan.matched:,} {request.noun} match")
        print_report(request.report(plan, None))
    confirmed = _confirmed(request, plan.matched, is_agreed=is_agreed, may_ask=not as_json)
    done = None
    if confirmed is not None:
        done = request.apply(warehouse, clock, confirmed=confirmed, by=user_name(), setting=CONFIRM)
    report = request.report(plan, done)
    if as_json:
        print_json(report.document)
    else:
        out.print(plain(report.outcome or "nothing was changed"), soft_wrap=True)
        if done is None and plan.matched:
            without = " without --dry-run and" if request.dry_run else ""
            out.print(f"to apply this, repeat the command{without} with {CONFIRM} {plan.matched}")
    if plan.is_refused:
        raise typer.Exit(1)


def _confirmed(request: Change, matched: int, *, is_agreed: bool, may_ask: bool) -> int | None:
    """The number that may be changed; None if only the plan was requested."""
    if request.dry_run:
        return None
    if request.confirm_count is not None or request.ask_above is None:
        return request.confirm_count
    if is_agreed or matched <= request.ask_above:
        return matched
    if not may_ask or not sys.stdin.isatty():
        raise ConfigurationError(
            f"{matched} {request.noun} match: check with --dry-run, then repeat with --yes or "
            f"{CONFIRM} {matched}"
        )
    return matched if typer.confirm(f"Change {matched} {request.noun}?") else None


def _parameter(kind: type[Operation], name: str) -> inspect.Parameter:
    field = kind.model_fields[name]
    face, (taken, is_optional) = command_line_of(field), field_type(field)
    default = field.default
    if field.default_factory is not None:
        # It is made for each request, not for the help.
        default, is_optional = None, True
    shown: dict[str, Any] = {
        "help": face.help or field.description,
        "min": next((one.ge for one in field.metadata if hasattr(one, "ge")), None),
        "max": next((one.le for one in field.metadata if hasattr(one, "le")), None),
    }
    info = (
        typer.Argument(**shown)
        if face.is_argument
        else typer.Option(option_of(kind, name), **shown)
    )
    taken = face.type or taken
    return _keyword(
        name,
        Annotated[taken | None if is_optional else taken, info],
        inspect.Parameter.empty if field.is_required() else default,
    )


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )
