"""Checks, what they found, and what they share. They read, and change nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from sync.errors import ConfigurationError, SyncError
from sync.settings import (
    EmbeddedWarehouse,
    SnowflakeWarehouse,
    WarehouseSettings,
    build_settings,
    load_settings,
)
from sync.warehouse import MEANING, Warehouse, open_warehouse

STATEMENT_SECONDS = 30
"""Every statement of the doctor reads metadata, or one row."""
PATIENCE_SECONDS = 140
"""So long after the start, no further check starts and no further statement is compiled; the whole
stays under three minutes."""
SHOWN = 3
"""Names, or texts of the engine, shown on one line."""
NO_WAREHOUSE = "LTW_DOCTOR_HAS_NO_WAREHOUSE"
"""A warehouse that does not exist. A login accepts its name unchecked, and the session then has
none: docs.snowflake.com/en/developer-guide/python-connector/python-connector-connect."""


class Verdict(StrEnum):
    """The verdict of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """What a check found. No secret, no learner data."""

    verdict: Verdict
    detail: str
    repair: str = ""
    """What to do; empty where there is nothing to do."""


def ok(detail: str) -> Finding:
    """As it should be."""
    return Finding(Verdict.OK, detail)


def warning(detail: str, repair: str) -> Finding:
    """It works now, but will cost or break something later."""
    return Finding(Verdict.WARNING, detail, repair)


def failed(detail: str, repair: str) -> Finding:
    """It does not work."""
    return Finding(Verdict.FAILED, detail, repair)


def skipped(why: str) -> Finding:
    """It does not apply, or cannot be checked yet."""
    return Finding(Verdict.SKIPPED, why)


def described(
    session: Warehouse, view: str, relations: Iterable[str], columns: str = "*"
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows of a view of information_schema, each with its relation: what a session sees in the
    schemas of these relations."""
    schemas: dict[str, set[str]] = {}
    for one in relations:
        database, schema, _ = one.split(".")
        schemas.setdefault(database, set()).add(schema)
    for database, names in sorted(schemas.items()):
        for row in session.rows(
            f"select {columns} from {database}.information_schema.{view} where table_schema in"
            f" ({', '.join('?' * len(names))})",
            *sorted(names),
        ):
            yield f"{database}.{row['table_schema']}.{row['table_name']}".upper(), row


def some(names: Sequence[str], separator: str = ", ") -> str:
    """The first of them, and how many more there are."""
    more = f"{separator}and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return separator.join(names[:SHOWN]) + more


class DoesNotApply(SyncError):
    """Raised if this warehouse, or its current stage, lacks what a check needs."""


class Session(StrEnum):
    """The kinds of sessions that the product opens."""

    DELIVERY = "delivery"
    """Of ``sync``: SNOWFLAKE_ROLE, with the parameters that ``sync.warehouse`` sets."""
    BUILD = "build"
    """Of dbt: SNOWFLAKE_DBT_ROLE, with the parameters of user and account."""
    WITHOUT_WAREHOUSE = "without_warehouse"
    """Of ``sync``, with nothing that could run a query and be billed."""


@dataclass
class Visit:
    """One visit to an installation. Sessions are opened on first use."""

    environ: Mapping[str, str]
    settings: WarehouseSettings
    _stack: ExitStack
    _sessions: dict[Session, Warehouse | SyncError] = field(default_factory=dict)
    _started: float = field(default_factory=time.monotonic)

    def session(self, kind: Session = Session.DELIVERY) -> Warehouse:
        """An open session.

        Raises:
            SyncError: it cannot be opened.
            DoesNotApply: it, or the delivery session, has already failed to open.
        """
        for known in (Session.DELIVERY, kind):
            if isinstance(self._sessions.get(known), SyncError):
                raise DoesNotApply(f"there is no session ({known}): see Connect")
        if kind not in self._sessions:
            try:
                self._sessions[kind] = self._open(kind)
            except SyncError as error:
                self._sessions[kind] = error
                raise
        return self._sessions[kind]  # pyright: ignore[reportReturnType]

    def account(self, why: str, kind: Session = Session.DELIVERY) -> SnowflakeWarehouse:
        """The settings of the account, as a session has them.

        Raises:
            DoesNotApply: it is the embedded warehouse; ``why`` says what that does not have.
        """
        if isinstance(self.settings, EmbeddedWarehouse):
            raise DoesNotApply(f"the embedded warehouse {why}")
        match kind:
            case Session.BUILD:
                return build_settings(self.settings, self.environ)
            case Session.WITHOUT_WAREHOUSE:
                return replace(self.settings, warehouse=NO_WAREHOUSE)
            case Session.DELIVERY:
                return self.settings

    @property
    def is_late(self) -> bool:
        """Whether the time limit has passed."""
        return self.seconds > PATIENCE_SECONDS

    @property
    def seconds(self) -> float:
        """Since the visit began."""
        return time.monotonic() - self._started

    @property
    def statements(self) -> int:
        """Sent so far, in all sessions."""
        return sum(one.statements for one in self._sessions.values() if isinstance(one, Warehouse))

    def _open(self, kind: Session) -> Warehouse:
        is_embedded = isinstance(self.settings, EmbeddedWarehouse)
        settings = self.settings if is_embedded else self.account("", kind)
        opened = self._stack.enter_context(
            open_warehouse(settings, purpose="doctor", statement_timeout_seconds=STATEMENT_SECONDS)
        )
        if kind is Session.BUILD:
            # dbt sets none, so the values of the user and the account apply again.
            opened.execute(f"alter session unset {', '.join(MEANING).lower()}")
        return opened


@dataclass(frozen=True)
class Check:
    """One question about an installation."""

    section: str
    name: str
    look: Callable[[Visit], Finding]


@dataclass(frozen=True)
class Result:
    """A check and its finding."""

    check: Check
    finding: Finding

    def as_dict(self) -> dict[str, str]:
        """The same for JSON."""
        found = self.finding
        return {
            "section": self.check.section,
            "name": self.check.name,
            "verdict": found.verdict.value,
            "detail": found.detail,
            "repair": found.repair,
        }


def examine(checks: Iterable[Check], environ: Mapping[str, str]) -> tuple[list[Result], Visit]:
    """Run all checks, in this order; a failure in one never stops another.

    Raises:
        ConfigurationError: the settings do not say which warehouse it is.
    """
    with ExitStack() as stack:
        visit = Visit(environ, load_settings(environ), stack)
        return [Result(one, _look(one, visit)) for one in checks], visit


def _look(check: Check, visit: Visit) -> Finding:
    if visit.is_late:
        return skipped(
            f"not run after {PATIENCE_SECONDS} s; run it again when the warehouse is idle"
        )
    try:
        return check.look(visit)
    except DoesNotApply as error:
        return skipped(str(error))
    except ConfigurationError as error:
        return failed(" ".join(str(error).split()), "correct that setting, or unset it")
    except SyncError as error:
        # If the fix is known, its text names it.
        return failed(" ".join(str(error).split()), "fix what it names, and run it again")
    except Exception as error:
        # Its text could quote a row. The type says enough to look into it.
        return failed(f"the check itself failed: {type(error).__name__}", "report it with --json")
