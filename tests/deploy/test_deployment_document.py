"""``docs/deployment.md``: its commands run, its names exist, its figures match the files."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization

from sync import cli
from sync.errors import ConfigurationError
from sync.settings import PROJECT_ROOT, SnowflakeWarehouse, load_settings
from sync.warehouse import private_key_der
from tests.support.compose import DEPLOY, OURS, Service

TEXT = (PROJECT_ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")


def block(mark: str) -> str:
    """The shell block below a marker."""
    (found,) = re.findall(rf"<!-- {mark} -->\n\n```sh\n(.*?)```", TEXT, flags=re.DOTALL)
    return found


def shell(script: str, directory: Path) -> str:
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", script],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The directory in which the document's commands ran, and the passphrase."""
    directory = tmp_path_factory.mktemp("keys")
    passphrase = shell(
        f'{block("key pair")}\nprintf %s "$SNOWFLAKE_PRIVATE_KEY_PASSPHRASE"', directory
    )
    return directory, passphrase


@pytest.fixture
def settings(made: tuple[Path, str]) -> SnowflakeWarehouse:
    """The settings of the example file, filled in."""
    example = (DEPLOY / "settings.env.example").read_text(encoding="utf-8")
    environ = dict(re.findall(r"^([A-Z_]+)=(.*)$", example, flags=re.MULTILINE))
    loaded = load_settings(
        environ
        | {
            "SNOWFLAKE_ACCOUNT": "myorg-myaccount",
            "SNOWFLAKE_PRIVATE_KEY_PATH": str(made[0] / "snowflake-private-key.p8"),
            "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": made[1],
        }
    )
    assert isinstance(loaded, SnowflakeWarehouse)
    return loaded


def test_our_settings_read_the_key_that_the_document_makes(
    made: tuple[Path, str], settings: SnowflakeWarehouse
) -> None:
    private = serialization.load_der_private_key(private_key_der(settings), password=None)
    public = serialization.load_pem_public_key((made[0] / "snowflake-public-key.pem").read_bytes())
    assert private.public_key() == public
    assert (made[0] / "snowflake-private-key.p8").stat().st_mode & 0o077 == 0


def test_a_wrong_passphrase_is_named_and_the_key_is_not_shown(settings: SnowflakeWarehouse) -> None:
    with pytest.raises(ConfigurationError, match="PASSPHRASE") as caught:
        private_key_der(replace(settings, private_key_passphrase="another"))
    assert "PRIVATE KEY-" not in str(caught.value)


def test_the_statement_and_the_fingerprint_are_those_of_the_key(made: tuple[Path, str]) -> None:
    public = serialization.load_pem_public_key((made[0] / "snowflake-public-key.pem").read_bytes())
    der = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    text = base64.b64encode(der).decode()
    statement = shell(block("public key"), made[0])
    assert statement == f"alter user learning_time_webhooks set rsa_public_key = '{text}';\n"
    fingerprint = base64.b64encode(hashlib.sha256(der).digest()).decode()
    assert shell(block("fingerprint"), made[0]) == f"SHA256:{fingerprint}\n"


def test_every_file_that_is_named_exists() -> None:
    named = set(re.findall(r"`(?:deploy/)?((?:snowflake|kubernetes)/[\w.]+)`", TEXT))
    named |= set(
        re.findall(r"deploy/((?:kubernetes/)?[\w.]+\.(?:yaml|lock|example)|Dockerfile)", TEXT)
    )
    assert {"snowflake/setup.sql", "kubernetes/values.yaml", "compose.yaml"} <= named
    assert [name for name in named if not (DEPLOY / name).exists()] == []


def test_the_settings_of_the_instance_are_those_of_its_file() -> None:
    instance = yaml.safe_load((DEPLOY / "dagster.yaml").read_text(encoding="utf-8"))
    pools, runs = instance["concurrency"]["pools"], instance["concurrency"]["runs"]
    monitoring = instance["run_monitoring"]
    shown = dict(re.findall(r"^\| `([\w.]+)`[^|]*\| (\d+)[^|]*\|", TEXT, flags=re.MULTILINE))
    assert shown == {
        "concurrency.pools.default_limit": str(pools["default_limit"]),
        "concurrency.pools.op_granularity_run_buffer": str(pools["op_granularity_run_buffer"]),
        "concurrency.runs.max_concurrent_runs": str(runs["max_concurrent_runs"]),
        "tag_concurrency_limits": str(runs["tag_concurrency_limits"][0]["limit"]),
        "run_retries": str(instance["run_retries"]["max_retries"]),
        "run_monitoring.free_slots_after_run_end_seconds": str(
            monitoring["free_slots_after_run_end_seconds"]
        ),
        "run_monitoring.max_runtime_seconds": str(monitoring["max_runtime_seconds"]),
    }


def test_the_health_checks_are_those_of_the_compose_file() -> None:
    for name in OURS:
        check = " ".join(Service.named(name).healthcheck)
        shown = "/server_info" if name == "webserver" else f"`{check}`"
        assert shown in TEXT
        assert shown.strip("`") in check


def test_roles_and_commands_that_are_named_exist() -> None:
    setup = (DEPLOY / "snowflake" / "setup.sql").read_text(encoding="utf-8").upper()
    for role in set(re.findall(r"LEARNING_TIME_[A-Z]+", TEXT)):
        assert role in setup
    commands = {
        one.name or one.callback.__name__ for one in cli.app.registered_commands if one.callback
    }
    commands |= {one.name for one in cli.app.registered_groups if one.name}
    used = set(
        re.findall(r"learning-time-webhooks (status|preview|endpoints|\w+)\b(?= |\n|`)", TEXT)
    )
    assert {"status", "preview", "endpoints"} <= used
    assert used <= commands
