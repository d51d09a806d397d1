"""A throwaway set of schemas: on the account of ``SNOWFLAKE_*``, else on the embedded warehouse.

``python -m pytest tests/snowflake -m snowflake -s`` runs all of it and prints the measurements.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from sync import settings as settings_module
from sync.settings import (
    PROJECT_ROOT,
    EmbeddedWarehouse,
    SnowflakeWarehouse,
    dbt_vars,
    load_settings,
)
from sync.warehouse import Warehouse, open_warehouse

ACCOUNT = {name: value for name, value in os.environ.items() if name.startswith("SNOWFLAKE_")}
"""Read here, because the fixtures of all other tests remove it from the environment."""
MODELS = ("staging", "intermediate", "marts", "sync")
RAW = ("tracking", "lms", "enterprise")


@dataclass(frozen=True)
class Place:
    """The schemas that the tests of this folder write to."""

    settings: EmbeddedWarehouse | SnowflakeWarehouse
    variables: Mapping[str, str]
    """The dbt vars with the names of the raw schemas."""
    profiles: Path
    """The folder of a profiles.yml with this schema."""

    @property
    def is_account(self) -> bool:
        """Whether it is a real Snowflake account."""
        return isinstance(self.settings, SnowflakeWarehouse)

    def session(self, purpose: str = "doctor-writes") -> AbstractContextManager[Warehouse]:
        """Another session."""
        return open_warehouse(self.settings, purpose=purpose)


@pytest.fixture(scope="module")
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """Schemas ``LTW_DOCTOR_<uuid>_…`` for one file, dropped at the end, even after a failure."""
    name = f"LTW_DOCTOR_{uuid.uuid4().hex[:12].upper()}"
    if ACCOUNT:
        found = load_settings(ACCOUNT)
        assert isinstance(found, SnowflakeWarehouse)
        settings: EmbeddedWarehouse | SnowflakeWarehouse = replace(found, schema=name)
    else:
        settings = replace(request.getfixturevalue("warehouse_settings"), schema=name)
    raw = {f"{one}_database": settings.database for one in RAW}
    raw |= {f"{one}_schema": f"{name}_{one.upper()}" for one in RAW}
    place = Place(settings, raw, _profiles(tmp_path_factory.mktemp("profiles"), name))
    with pytest.MonkeyPatch.context() as patch:
        variables = dict(dbt_vars()) | raw
        patch.setattr(settings_module, "dbt_vars", lambda: variables)
        for key, value in ACCOUNT.items():
            patch.setenv(key, value)
        if ACCOUNT:
            patch.setenv("SNOWFLAKE_SCHEMA", name)
            # One role creates and drops everything.
            patch.delenv("SNOWFLAKE_DBT_ROLE", raising=False)
        schemas = [f"{settings.database}.{name}_{one.upper()}" for one in (*MODELS, *RAW)]
        with place.session() as session:
            try:
                for schema in schemas:
                    session.execute(f"create schema {schema}")
                yield place
            finally:
                for schema in schemas:
                    session.execute(f"drop schema if exists {schema} cascade")


@pytest.fixture
def there(place: Place) -> Iterator[Warehouse]:
    """A session on it."""
    with place.session() as session:
        yield session


@pytest.fixture
def learned(record_property: Callable[[str, object], None]) -> Callable[[str, object], None]:
    """Report a measurement: in the output, and in pytest's report if one is written."""

    def note(what: str, value: object) -> None:
        record_property(what, value)
        print(f"\n  {what}: {value}")

    return note


def _profiles(directory: Path, schema: str) -> Path:
    profiles: Any = yaml.safe_load((PROJECT_ROOT / "profiles.yml").read_text(encoding="utf-8"))
    profiles["learning_time_webhooks"]["outputs"]["embedded"]["schema"] = schema
    (directory / "profiles.yml").write_text(yaml.safe_dump(profiles), encoding="utf-8")
    return directory
