"""What assets, ops and sensors reach: the warehouse, and people.

The fields of a resource are environment variables by other names. Where one is empty, the variable
itself is asked, so that dbt, the command line and Dagster never disagree.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar, Self

import dagster as dg
from pydantic import Field

from sync.ledger.tables import ensure_ledger
from sync.operations.alerts import HOOK_SETTING, URL_SETTING, send_alert
from sync.operations.dial import (
    BUDGET_SETTING,
    DEFAULT_MINUTES,
    LONGEST_MINUTES,
    SETTING,
    at_most_every_minutes,
    credits_a_month,
)
from sync.settings import EmbeddedWarehouse, WarehouseSettings, load_settings
from sync.warehouse import Warehouse, open_warehouse


class EnvironmentResource(dg.ConfigurableResource):
    """A resource whose fields stand for variables."""

    VARIABLES: ClassVar[Mapping[str, str]]
    """Field to the variable that it stands for."""

    @classmethod
    def from_environment(cls) -> Self:
        """With references to the variables that are set: Dagster shows their names, no value."""
        return cls(
            **{
                field: dg.EnvVar(variable)
                for field, variable in cls.VARIABLES.items()
                if os.environ.get(variable)
            }
        )

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment with the fields in it."""
        given = {variable: getattr(self, field) for field, variable in self.VARIABLES.items()}
        return os.environ | {variable: value for variable, value in given.items() if value}


class WarehouseResource(EnvironmentResource):
    """Snowflake; where nothing is set, the embedded warehouse of this machine."""

    VARIABLES: ClassVar[Mapping[str, str]] = {
        "account": "SNOWFLAKE_ACCOUNT",
        "host": "SNOWFLAKE_HOST",
        "user": "SNOWFLAKE_USER",
        "role": "SNOWFLAKE_ROLE",
        "virtual_warehouse": "SNOWFLAKE_WAREHOUSE",
        "database": "SNOWFLAKE_DATABASE",
        "target_schema": "SNOWFLAKE_SCHEMA",
        "private_key": "SNOWFLAKE_PRIVATE_KEY",
        "private_key_path": "SNOWFLAKE_PRIVATE_KEY_PATH",
        "private_key_passphrase": "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE",
    }
    account: str = Field(default="", description="The Snowflake account, such as `myorg-prod`.")
    host: str = Field(default="", description="Its host, where that is not made of the account.")
    user: str = Field(default="", description="Who logs in, with a key pair.")
    role: str = Field(default="", description="The role of each session.")
    virtual_warehouse: str = Field(default="", description="The warehouse that runs statements.")
    database: str = Field(default="", description="The database of models and ledger.")
    target_schema: str = Field(
        default="", description="PUBLIC: schemas keep their names; any other is their prefix."
    )
    private_key: str = Field(default="", description="The PEM text of the key; or its path below.")
    private_key_path: str = Field(default="", description="The PEM file of the key.")
    private_key_passphrase: str = Field(default="", description="Of the key, if it has one.")

    @contextmanager
    def session(self, *, purpose: str) -> Iterator[Warehouse]:
        """An open session. The embedded warehouse is started first when none is up.

        Raises:
            ConfigurationError: settings are missing or contradict each other; names them.
            WarehouseUnavailable: the warehouse does not respond.
        """
        with self.metadata_session(purpose=purpose) as warehouse:
            prepare(warehouse)
            yield warehouse

    @contextmanager
    def metadata_session(self, *, purpose: str) -> Iterator[Warehouse]:
        """An open session without any statement of its own, for what must cost nothing.

        Raises:
            ConfigurationError, WarehouseUnavailable: as for ``session``.
        """
        settings = load_settings(self.environ)
        _start_if_embedded(settings)
        with open_warehouse(settings, purpose=purpose) as warehouse:
            yield warehouse

    def ready_environ(self) -> Mapping[str, str]:
        """The environment, with the embedded warehouse up when it is the one.

        Raises:
            ConfigurationError: as for ``session``.
        """
        _start_if_embedded(load_settings(self.environ))
        return self.environ


class DialResource(EnvironmentResource):
    """The cost dial: how often a warehouse may be woken, and the budget."""

    VARIABLES: ClassVar[Mapping[str, str]] = {
        "at_most_every_minutes": SETTING,
        "credits_a_month": BUDGET_SETTING,
    }
    at_most_every_minutes: str = Field(
        default="",
        description=(
            f"Minutes between the starts of two delivery runs, at least: 1 to {LONGEST_MINUTES}; "
            f"empty is {DEFAULT_MINUTES}. A webhook waits that long at most, and each run costs "
            "about 0.02 credits. Above 30 the models are built hourly, too."
        ),
    )
    credits_a_month: str = Field(
        default="",
        description=(
            "More than that is a warning of the delivery report; empty is what the dial lets "
            "deliveries cost at most."
        ),
    )

    @property
    def minutes(self) -> int:
        """The dial.

        Raises:
            ConfigurationError: it is no number of minutes within its bounds.
        """
        return at_most_every_minutes(self.environ)

    @property
    def budget(self) -> int:
        """Credits a month.

        Raises:
            ConfigurationError: it is no whole number above 0, or the dial is none.
        """
        return credits_a_month(self.environ)


class AlertsResource(EnvironmentResource):
    """Where people are told of failed runs and checks."""

    VARIABLES: ClassVar[Mapping[str, str]] = {"url": URL_SETTING, "hook": HOOK_SETTING}
    url: str = Field(
        default="",
        description=(
            "An incoming webhook of Slack, Mattermost or Teams. A team's own address, such as "
            f"`{URL_SETTING}_INTEGRATIONS`, goes before it."
        ),
    )
    hook: str = Field(
        default="", description="`module:function` of yours, which gets the text as well."
    )

    def send(self, text: str, *, teams: Collection[str]) -> str:
        """Post an alert; returns what became of it, for the log.

        Raises:
            SyncError: it could not be sent; says why, and never names the address.
        """
        from sync.http.network import network_policy
        from sync.http.transport import Transport

        policy = network_policy(self.environ, load_settings(self.environ))
        with Transport(policy=policy) as transport:
            return send_alert(text, teams=teams, environ=self.environ, poster=transport)


def prepare(warehouse: Warehouse) -> None:
    """Ledger tables everywhere; empty replicas on the embedded warehouse, so that models build."""
    ensure_ledger(warehouse)
    if isinstance(warehouse.settings, EmbeddedWarehouse):
        from sync.local.raw_tables import create_raw_tables

        create_raw_tables(warehouse)


def _start_if_embedded(settings: WarehouseSettings) -> None:
    if isinstance(settings, EmbeddedWarehouse):
        from sync.local.embedded.lifecycle import ensure_running

        ensure_running(settings)
