"""Which warehouse this process talks to, decided in one place from the environment.

Without any ``SNOWFLAKE_*`` setting: the embedded warehouse on this machine. With any of them:
Snowflake, and every required one must be set. A half-configured environment is an error that lists
what is missing, because a silent fallback to a laptop warehouse would look like success.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Literal

import yaml

from sync.errors import ConfigurationError

PROJECT_ROOT = Path(__file__).resolve().parent.parent

PORT_SETTING = "LTW_WAREHOUSE_PORT"
DEFAULT_WAREHOUSE_PORT = 8754
EMBEDDED_DATABASE = "ANALYTICS"
PLAIN_SCHEMA = "PUBLIC"
"""With this target schema, schemas keep their plain names; any other becomes their prefix."""

REQUIRED = (
    "SNOWFLAKE_ACCOUNT",
    "SNOWFLAKE_USER",
    "SNOWFLAKE_ROLE",
    "SNOWFLAKE_WAREHOUSE",
    "SNOWFLAKE_DATABASE",
    "SNOWFLAKE_SCHEMA",
)
KEY_SETTINGS = ("SNOWFLAKE_PRIVATE_KEY", "SNOWFLAKE_PRIVATE_KEY_PATH")
PASSPHRASE = "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE"  # noqa: S105 - the setting's name

HOST = "SNOWFLAKE_HOST"
UI_SETTING = "LTW_UI_URL"
"""Address of the Dagster UI, such as ``https://dagster.example.com``; used for links only."""

RawSchema = Literal["tracking", "lms", "enterprise"]
ModelSchema = Literal["intermediate", "marts", "sync"]


@dataclass(frozen=True, kw_only=True)
class EmbeddedWarehouse:
    """fakesnow's server on loopback; its files live under ``home``."""

    port: int
    home: Path
    database: str = EMBEDDED_DATABASE
    schema: str = PLAIN_SCHEMA
    dbt_target: Literal["embedded"] = "embedded"

    @property
    def directory(self) -> Path:
        """Where the database files are kept."""
        return self.home / "warehouse"


@dataclass(frozen=True, kw_only=True)
class SnowflakeWarehouse:
    """A Snowflake account, reached with key-pair authentication."""

    account: str
    user: str
    role: str
    warehouse: str
    database: str
    schema: str
    host: str = ""
    """Empty: the connector derives it from the account."""
    private_key: str = field(default="", repr=False)
    private_key_path: str = ""
    private_key_passphrase: str = field(default="", repr=False)
    dbt_target: Literal["snowflake"] = "snowflake"


WarehouseSettings = EmbeddedWarehouse | SnowflakeWarehouse


def load_settings(environ: Mapping[str, str]) -> WarehouseSettings:
    """Read the warehouse settings.

    Raises:
        ConfigurationError: some but not all Snowflake settings are set, or a value is unusable.
    """
    present = {
        name: environ[name] for name in (*REQUIRED, *KEY_SETTINGS, HOST) if environ.get(name)
    }
    target = environ.get("DBT_TARGET", "")
    if target not in ("", "embedded", "snowflake"):
        raise ConfigurationError(
            f"DBT_TARGET is {target!r}; it must be 'embedded' or 'snowflake', or not set"
        )
    if not present and target != "snowflake":
        return _embedded(environ)
    if target == "embedded":
        raise ConfigurationError(
            f"DBT_TARGET is 'embedded' but {', '.join(sorted(present))} is set; unset one of them"
        )
    return _snowflake(environ, present)


def build_settings(settings: SnowflakeWarehouse, environ: Mapping[str, str]) -> SnowflakeWarehouse:
    """The account as dbt uses it, with dbt's own role and warehouse if they are set."""
    return replace(
        settings,
        role=environ.get("SNOWFLAKE_DBT_ROLE") or settings.role,
        warehouse=environ.get("SNOWFLAKE_DBT_WAREHOUSE") or settings.warehouse,
    )


def home(environ: Mapping[str, str]) -> Path:
    """Directory for everything this machine keeps: ``LTW_HOME``, else ``.local`` in the project."""
    return Path(environ.get("LTW_HOME") or PROJECT_ROOT / ".local").resolve()


def journal_directory(environ: Mapping[str, str]) -> Path:
    """Where responses wait for the ledger: ``LTW_JOURNAL_DIR``, else ``journal`` in the home."""
    return Path(environ.get("LTW_JOURNAL_DIR") or home(environ) / "journal").resolve()


def report_path(environ: Mapping[str, str]) -> Path:
    """The delivery report: in ``LTW_REPORTS_DIR``, else in ``reports`` in the home."""
    directory = Path(environ.get("LTW_REPORTS_DIR") or home(environ) / "reports")
    return directory.resolve() / "deliveries.html"


def run_url(environ: Mapping[str, str], run_id: str | None) -> str | None:
    """The run's page in the Dagster UI; None if its address is not set or there is no run."""
    address = environ.get(UI_SETTING, "").rstrip("/")
    return f"{address}/runs/{run_id}" if address and run_id else None


def _embedded(environ: Mapping[str, str]) -> EmbeddedWarehouse:
    text = environ.get(PORT_SETTING, str(DEFAULT_WAREHOUSE_PORT))
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ConfigurationError(
            f"{PORT_SETTING} is {text!r}; it must be a port number from 1 to 65535"
        )
    return EmbeddedWarehouse(port=int(text), home=home(environ))


def _snowflake(environ: Mapping[str, str], present: Mapping[str, str]) -> SnowflakeWarehouse:
    missing = [name for name in REQUIRED if name not in present]
    if not any(name in present for name in KEY_SETTINGS):
        missing.append(" or ".join(KEY_SETTINGS))
    if missing:
        raise ConfigurationError(
            f"the Snowflake settings are incomplete: missing {', '.join(missing)}. "
            "Set them all, or unset every SNOWFLAKE_* setting to use the embedded warehouse"
        )
    if all(name in present for name in KEY_SETTINGS):
        raise ConfigurationError(f"{' and '.join(KEY_SETTINGS)} are both set; unset one of them")
    host = present.get(HOST, "")
    if not re.fullmatch(r"[A-Za-z0-9_.-]*", host):
        raise ConfigurationError(
            f"{HOST} is {host!r}; it must be a bare host name, such as "
            "myorg-myaccount.snowflakecomputing.cn, without https:// or a path"
        )
    return SnowflakeWarehouse(
        account=present["SNOWFLAKE_ACCOUNT"],
        user=present["SNOWFLAKE_USER"],
        role=present["SNOWFLAKE_ROLE"],
        warehouse=present["SNOWFLAKE_WAREHOUSE"],
        database=present["SNOWFLAKE_DATABASE"].upper(),
        schema=present["SNOWFLAKE_SCHEMA"].upper(),
        host=host,
        private_key=present.get("SNOWFLAKE_PRIVATE_KEY", ""),
        private_key_path=present.get("SNOWFLAKE_PRIVATE_KEY_PATH", ""),
        private_key_passphrase=environ.get(PASSPHRASE, ""),
    )


def model_relation(settings: WarehouseSettings, schema: ModelSchema, table: str) -> str:
    """Fully qualified name of a mart or ledger table, by the rule of ``generate_schema_name``."""
    name = schema.upper()
    if settings.schema.upper() != PLAIN_SCHEMA:
        name = f"{settings.schema.upper()}_{name}"
    return f"{settings.database.upper()}.{name}.{table.upper()}"


def raw_relation(schema: RawSchema, table: str) -> str:
    """Fully qualified name of a replicated table, from the vars of ``dbt_project.yml``."""
    variables = dbt_vars()
    database, namespace = variables[f"{schema}_database"], variables[f"{schema}_schema"]
    return f"{database}.{namespace}.{table}".upper()


@cache
def dbt_vars() -> Mapping[str, object]:
    """The vars that name the sources: dbt and Python read the same lines of one file."""
    text = (PROJECT_ROOT / "dbt_project.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["vars"]["learning_time_webhooks"]
