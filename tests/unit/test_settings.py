"""The warehouse is determined from the environment alone; in doubt an error, never a guess."""

from __future__ import annotations

from pathlib import Path

import pytest

from sync.errors import ConfigurationError
from sync.settings import (
    DEFAULT_WAREHOUSE_PORT,
    HOST,
    PROJECT_ROOT,
    REQUIRED,
    EmbeddedWarehouse,
    SnowflakeWarehouse,
    journal_directory,
    load_settings,
    model_relation,
    raw_relation,
)

SNOWFLAKE = {name: f"value of {name}" for name in REQUIRED} | {
    "SNOWFLAKE_DATABASE": "analytics",
    "SNOWFLAKE_SCHEMA": "public",
    "SNOWFLAKE_PRIVATE_KEY_PATH": "/keys/service.p8",
}


def test_without_any_setting_it_is_the_embedded_warehouse_of_the_project() -> None:
    settings = load_settings({})
    assert settings == EmbeddedWarehouse(
        port=DEFAULT_WAREHOUSE_PORT, home=(PROJECT_ROOT / ".local").resolve()
    )
    assert settings.dbt_target == "embedded"


def test_port_and_home_of_the_embedded_warehouse_can_be_set(tmp_path: Path) -> None:
    settings = load_settings({"LTW_WAREHOUSE_PORT": "4711", "LTW_HOME": str(tmp_path)})
    assert settings == EmbeddedWarehouse(port=4711, home=tmp_path.resolve())
    assert isinstance(settings, EmbeddedWarehouse)
    assert settings.directory == tmp_path.resolve() / "warehouse"


@pytest.mark.parametrize("port", ["", "0", "65536", "-1", "8754a", " 8754", "٨٧٥٤", "8_754"])
def test_a_port_that_is_none_is_named(port: str) -> None:
    with pytest.raises(ConfigurationError, match="LTW_WAREHOUSE_PORT"):
        load_settings({"LTW_WAREHOUSE_PORT": port})


def test_a_complete_set_selects_snowflake() -> None:
    settings = load_settings(SNOWFLAKE)
    assert isinstance(settings, SnowflakeWarehouse)
    assert settings.dbt_target == "snowflake"
    assert (settings.database, settings.schema) == ("ANALYTICS", "PUBLIC")
    assert settings.private_key_path == "/keys/service.p8"
    assert settings.private_key == ""


@pytest.mark.parametrize("missing", REQUIRED)
def test_any_missing_setting_is_an_error_that_names_it_and_only_it(missing: str) -> None:
    environment = {name: value for name, value in SNOWFLAKE.items() if name != missing}
    with pytest.raises(ConfigurationError, match=rf"missing {missing}\."):
        load_settings(environment)


@pytest.mark.parametrize("name", ["SNOWFLAKE_ACCOUNT", "SNOWFLAKE_PRIVATE_KEY"])
def test_one_setting_alone_is_no_fall_back_but_a_list_of_the_rest(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({name: "set"})
    text = str(caught.value)
    listed = text.partition("missing ")[2].partition(".")[0]
    assert {"SNOWFLAKE_USER", "SNOWFLAKE_SCHEMA"} <= set(listed.split(", "))
    assert name not in listed


def test_an_empty_value_counts_as_missing() -> None:
    with pytest.raises(ConfigurationError, match=r"missing SNOWFLAKE_ROLE\."):
        load_settings(SNOWFLAKE | {"SNOWFLAKE_ROLE": ""})


def test_only_empty_values_select_the_embedded_warehouse() -> None:
    """A compose file or a chart passes settings even if they were not filled in."""
    assert isinstance(load_settings(dict.fromkeys(SNOWFLAKE, "")), EmbeddedWarehouse)


def test_a_key_is_needed_in_one_of_two_ways() -> None:
    environment = {name: SNOWFLAKE[name] for name in REQUIRED}
    wanted = r"missing SNOWFLAKE_PRIVATE_KEY or SNOWFLAKE_PRIVATE_KEY_PATH\."
    with pytest.raises(ConfigurationError, match=wanted):
        load_settings(environment)


def test_a_key_given_in_both_ways_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="both set"):
        load_settings(SNOWFLAKE | {"SNOWFLAKE_PRIVATE_KEY": "key"})


def test_a_host_of_its_own_is_optional_and_a_name_alone() -> None:
    host = "myorg-myaccount.snowflakecomputing.cn"
    for given in ("", host):
        settings = load_settings(SNOWFLAKE | {HOST: given})
        assert isinstance(settings, SnowflakeWarehouse)
        assert settings.host == given
    for wrong in (f"https://{host}", f"{host}/", f"{host}:443", "a b"):
        with pytest.raises(ConfigurationError, match=r"SNOWFLAKE_HOST is .* without https"):
            load_settings(SNOWFLAKE | {HOST: wrong})
    with pytest.raises(ConfigurationError, match="incomplete"):
        load_settings({HOST: host})


def test_the_dbt_target_must_be_known() -> None:
    with pytest.raises(ConfigurationError, match=r"DBT_TARGET is 'prod'"):
        load_settings({"DBT_TARGET": "prod"})


def test_the_target_snowflake_asks_for_its_settings_even_when_none_is_there() -> None:
    with pytest.raises(ConfigurationError, match="SNOWFLAKE_ACCOUNT"):
        load_settings({"DBT_TARGET": "snowflake"})


def test_the_target_embedded_contradicts_snowflake_settings() -> None:
    with pytest.raises(ConfigurationError, match=r"SNOWFLAKE_ACCOUNT.* is set; unset one"):
        load_settings(SNOWFLAKE | {"DBT_TARGET": "embedded"})
    assert isinstance(load_settings({"DBT_TARGET": "embedded"}), EmbeddedWarehouse)


def test_secrets_do_not_show_in_the_repr() -> None:
    environment = {name: value for name, value in SNOWFLAKE.items() if "KEY" not in name}
    settings = load_settings(
        environment
        | {"SNOWFLAKE_PRIVATE_KEY": "the key", "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": "the phrase"}
    )
    assert isinstance(settings, SnowflakeWarehouse)
    assert (settings.private_key, settings.private_key_passphrase) == ("the key", "the phrase")
    assert "the key" not in repr(settings)
    assert "the phrase" not in repr(settings)


@pytest.mark.parametrize(
    ("schema", "relation"),
    [
        pytest.param("public", "ANALYTICS.MARTS.LEARNING_TIME", id="plain"),
        pytest.param("PUBLIC", "ANALYTICS.MARTS.LEARNING_TIME", id="in any case"),
        pytest.param("ci_42", "ANALYTICS.CI_42_MARTS.LEARNING_TIME", id="prefix"),
    ],
)
def test_any_target_schema_but_public_becomes_a_prefix(schema: str, relation: str) -> None:
    settings = load_settings(SNOWFLAKE | {"SNOWFLAKE_SCHEMA": schema})
    assert model_relation(settings, "marts", "learning_time") == relation


def test_names_of_replicas_come_from_the_vars_of_dbt() -> None:
    assert raw_relation("tracking", "tracking_logs") == "RAW.TRACKING.TRACKING_LOGS"
    assert raw_relation("lms", "auth_user") == "RAW.LMS.AUTH_USER"


def test_the_journal_lies_in_the_home_directory(tmp_path: Path) -> None:
    assert tmp_path.resolve() in journal_directory({"LTW_HOME": str(tmp_path)}).parents
