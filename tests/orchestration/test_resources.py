"""Settings as fields of resources: described, and secrets by reference only."""

from __future__ import annotations

import dagster as dg
import pytest

from orchestration.resources import (
    AlertsResource,
    DialResource,
    EnvironmentResource,
    WarehouseResource,
)
from sync.settings import SnowflakeWarehouse, load_settings

SECRET = "-----BEGIN PRIVATE KEY-----"


@pytest.mark.parametrize("resource", [WarehouseResource, DialResource, AlertsResource])
def test_each_field_is_described_and_stands_for_a_variable(
    resource: type[EnvironmentResource],
) -> None:
    assert resource.VARIABLES.keys() == resource.model_fields.keys()
    assert all(field.description for field in resource.model_fields.values())


def test_a_resource_refers_to_the_variables_and_holds_no_value_until_a_run_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in WarehouseResource.VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    assert WarehouseResource.from_environment() == WarehouseResource()
    given = {"user": "U", "role": "R", "virtual_warehouse": "W", "database": "D"}
    given |= {"account": "A", "target_schema": "S", "private_key": SECRET}
    for field, value in given.items():
        monkeypatch.setenv(WarehouseResource.VARIABLES[field], value)
    resource = WarehouseResource.from_environment()
    assert resource.private_key == dg.EnvVar("SNOWFLAKE_PRIVATE_KEY")
    assert SECRET not in repr(resource)
    settings = load_settings(resource.process_config_and_initialize().environ)
    assert isinstance(settings, SnowflakeWarehouse)
    assert settings.private_key == SECRET
    assert (settings.account, settings.database, settings.schema) == ("A", "D", "S")


def test_a_field_goes_before_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTW_ALERT_URL", "https://example.com/one")
    assert AlertsResource().environ["LTW_ALERT_URL"] == "https://example.com/one"
    other = AlertsResource(url="https://example.com/two")
    assert other.environ["LTW_ALERT_URL"] == "https://example.com/two"
