"""External systems that assets, ops and sensors use: the warehouse and alerts.

The fields of a resource are aliases of environment variables. If a field is empty, the variable
itself is read, so dbt, the command line and Dagster never disagree.
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
    """A resource whose fields are environment variables."""

    VARIABLES: ClassVar[Mapping[str, str]]
    """Field to its environment variable."""

    @classmethod
    def from_environment(cls) -> Self:
        """With references to the variables that are set: Dagster shows their names, not values."""
        return cls(
            **{
                field: dg.EnvVar(variable)
                for field, variable in cls.VARIABLES.items()
                if os.environ.get(variable)
            }
        )

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment, with the fields applied."""
        given = {variable: getattr(self, field) for field, variable in self.VARIABLES.items()}
        return os.environ | {variable: value for variable, value in given.items() if value}


class WarehouseResource(EnvironmentResource):
    """Snowflake; if nothing is set, the embedded warehouse of this machine."""

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
    host: str = Field(default="", description="Its host, if not derived from the account.")
    user: str = Field(default="", description="User that logs in, with a key pair.")
    role: str = Field(default="", description="The role of each session.")
    virtual_warehouse: str = Field(default="", description="The warehouse that runs statements.")
    database: str = Field(default="", description="The database of models and ledger.")
    target_schema: str = Field(
        default="", description="PUBLIC: schemas keep their names; any other value is their prefix."
    )
    private_key: str = Field(default="", description="The PEM text of the key, instead of a path.")
    private_key_path: str = Field(default="", description="The PEM file of the key.")
    private_key_passphrase: str = Field(default="", description="Passphrase of the key, if any.")

    @contextmanager
    def session(self, *, purpose: str) -> Iterator[Warehouse]:
        """An open session. Starts the embedded warehouse first if it is not running.

        Raises:
            ConfigurationError: settings are missing or contradict each other; names them.
            WarehouseUnavailable: the warehouse does not respond.
        """
        with self.metadata_session(purpose=purpose) as warehouse:
            prepare(warehouse)
            yield warehouse

    @contextmanager
    def metadata_session(self, *, purpose: str) -> Iterator[Warehouse]:
        """An open session that runs no statements itself, for work that must cost nothing.

        Raises:
            ConfigurationError, WarehouseUnavailable: as for ``session``.
        """
        settings = load_settings(self.environ)
        _start_if_embedded(settings)
        with open_warehouse(settings, purpose=purpose) as warehouse:
            yield warehouse

    def ready_environ(self) -> Mapping[str, str]:
        """The environment, with the embedded warehouse running if it is the one in use.

        Raises:
            ConfigurationError: as for ``session``.
        """
        _start_if_embedded(load_settings(self.environ))
        return self.environ


class DialResource(EnvironmentResource):
    """The cost dial: how often the warehouse may be woken, and the budget."""

    VARIABLES: ClassVar[Mapping[str, str]] = {
        "at_most_every_minutes": SETTING,
        "credits_a_month": BUDGET_SETTING,
    }
    at_most_every_minutes: str = Field(
        default="",
        description=(
            f"Minimum minutes between the starts of two delivery runs: 1 to {LONGEST_MINUTES}; "
            f"empty means {DEFAULT_MINUTES}. A webhook waits at most that long, and each run costs "
            "about 0.02 credits. Above 30, the models are built hourly too."
        ),
    )
    credits_a_month: str = Field(
        default="",
        description=(
            "The delivery report warns above this; empty means the maximum that deliveries can "
            "cost at this dial setting."
        ),
    )

    @property
    def minutes(self) -> int:
        """The dial.

        Raises:
            ConfigurationError: it is not a number of minutes within its bounds.
        """
        return at_most_every_minutes(self.environ)

    @property
    def budget(self) -> int:
        """Credits a month.

        Raises:
            ConfigurationError: it is not a whole number above 0, or the dial is invalid.
        """
        return credits_a_month(self.environ)


class AlertsResource(EnvironmentResource):
    """Where alerts of failed runs and checks go."""

    VARIABLES: ClassVar[Mapping[str, str]] = {"url": URL_SETTING, "hook": HOOK_SETTING}
    url: str = Field(
        default="",
        description=(
            "An incoming webhook of Slack, Mattermost or Teams. A team's own URL, such as "
            f"`{URL_SETTING}_INTEGRATIONS`, takes precedence."
        ),
    )
    hook: str = Field(
        default="", description="Your own `module:function`, which also gets the text."
    )

    def send(self, text: str, *, teams: Collection[str]) -> str:
        """Post an alert; returns the result, for the log.

        Raises:
            SyncError: it could not be sent; says why, without the URL.
        """
        from sync.http.network import network_policy
        from sync.http.transport import Transport

        policy = network_policy(self.environ, load_settings(self.environ))
        with Transport(policy=policy) as transport:
            return send_alert(text, teams=teams, environ=self.environ, poster=transport)


def prepare(warehouse: Warehouse) -> None:
    """Create ledger tables, and on the embedded warehouse empty replicas so models build."""
    ensure_ledger(warehouse)
    if isinstance(warehouse.settings, EmbeddedWarehouse):
        from sync.local.raw_tables import create_raw_tables

        create_raw_tables(warehouse)


def _start_if_embedded(settings: WarehouseSettings) -> None:
    if isinstance(settings, EmbeddedWarehouse):
        from sync.local.embedded.lifecycle import ensure_running

        ensure_running(settings)
