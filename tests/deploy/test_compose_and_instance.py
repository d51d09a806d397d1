"""Compose file and Dagster settings: they load, and every name in them is read by something."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config

from sync.settings import PROJECT_ROOT
from tests.support.chart import code_server, values
from tests.support.compose import DEPLOY, OURS, Service, compose, on_this_machine
from tests.support.dockerfile import read

LIBPQ = {"PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD"}
OF_OTHERS = LIBPQ | {"POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD"}
"""Settings that PostgreSQL's programs read."""


def named_settings() -> dict[str, set[str]]:
    """Names of environment variables by the file that sets them."""
    example = (DEPLOY / "settings.env.example").read_text(encoding="utf-8")
    services = compose()["services"].values()
    image = {
        word.split("=")[0]
        for one in read()
        if one.name == "ENV"
        for word in one.words
        if "=" in word
    }
    return {
        "settings.env.example": set(re.findall(r"^([A-Z_]+)=", example, flags=re.MULTILINE)),
        "compose.yaml": {name for one in services for name in one.get("environment", {})},
        "values.yaml": set(code_server(values())["env"]),
        "Dockerfile": image
        - {"PATH", "HOME", "PYTHONUNBUFFERED", "PIP_NO_CACHE_DIR"}
        - {"PIP_DISABLE_PIP_VERSION_CHECK", "DAGSTER_HOME", "DAGSTER_DISABLE_TELEMETRY"}
        - {"DBT_SEND_ANONYMOUS_USAGE_STATS"},
    }


def known_settings() -> set[str]:
    """Every name that the code, the dbt profile or Dagster's settings reads."""
    files = [
        *(PROJECT_ROOT / "sync").rglob("*.py"),
        *(PROJECT_ROOT / "orchestration").rglob("*.py"),
        PROJECT_ROOT / "profiles.yml",
        DEPLOY / "dagster.yaml",
        DEPLOY / "workspace.yaml",
    ]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    return set(re.findall(r"\b[A-Z][A-Z0-9_]{5,}\b", text))


@pytest.mark.parametrize("file", named_settings())
def test_every_setting_of_a_file_is_one_that_something_reads(file: str) -> None:
    assert named_settings()[file]
    assert named_settings()[file] - known_settings() - OF_OTHERS == set()


def test_a_misspelt_setting_would_be_noticed() -> None:
    assert "SNOWFLAKE_ACOUNT" not in known_settings()


def test_a_value_that_must_be_filled_in_is_empty_or_an_example() -> None:
    example = (DEPLOY / "settings.env.example").read_text(encoding="utf-8")
    assert re.search(r"^SNOWFLAKE_ACCOUNT=$", example, flags=re.MULTILINE)
    assert "PRIVATE KEY" not in example


@pytest.mark.parametrize("name", OURS)
def test_each_command_is_one_that_the_program_takes(
    name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A click program exits with usage for an unknown option, but not with --help at the end."""
    words = Service.named(name).command
    for option, code in (("--help", 0), ("--no-such-option", 2)):
        command = on_this_machine([*words, option], ports={"3000": 3000, "4000": 4000})
        (program,) = entry_points(group="console_scripts", name=words[0])
        monkeypatch.setattr("sys.argv", command)
        with pytest.raises(SystemExit) as end:
            program.load()()
        assert end.value.code == code, capfd.readouterr().err


def test_every_service_has_a_health_check_and_starts_again() -> None:
    for name, service in compose()["services"].items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["restart"] == "unless-stopped", name


def test_only_the_code_server_has_credentials_and_only_loopback_is_published() -> None:
    services = compose()["services"]
    assert [name for name, one in services.items() if "env_file" in one] == ["code"]
    assert [
        name for name, one in services.items() if "SNOWFLAKE" in str(one.get("environment"))
    ] == ["code"]
    published = [port for one in services.values() for port in one.get("ports", [])]
    assert published == ["127.0.0.1:3000:3000"]


def test_the_image_serves_what_the_compose_file_serves() -> None:
    (command,) = [one.words for one in read() if one.name == "CMD"]
    (check_,) = [one.text.split("CMD ")[1] for one in read() if one.name == "HEALTHCHECK"]
    code = Service.named("code")
    assert command == list(code.command)
    assert yaml.safe_load(check_) == list(code.healthcheck)


def loaded(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Dagster's parsing of an instance file, which refuses unknown keys."""
    for name in LIBPQ:
        monkeypatch.setenv(name, "5432" if name == "PGPORT" else "x")
    (tmp_path / "dagster.yaml").write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    settings, _ = dagster_instance_config(str(tmp_path))
    return dict(settings)


@pytest.mark.parametrize("name", ["dagster.yaml", "dagster.local.yaml"])
def test_dagster_accepts_its_settings(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = loaded(DEPLOY / name, tmp_path, monkeypatch)
    assert settings["telemetry"] == {"enabled": False}
    # One detection and one dbt build at a time: one row per completion depends on it.
    assert settings["concurrency"]["pools"]["default_limit"] == 1
    # Without it, a run killed while in a pool would block that pool forever.
    assert 0 < settings["run_monitoring"]["free_slots_after_run_end_seconds"] <= 60
    assert settings["run_retries"] == {
        "enabled": True,
        "max_retries": 1,
        "retry_on_asset_or_op_failure": False,
    }
