"""``make dev``: warehouse, receiver page and Dagster UI side by side until Ctrl-C."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console

from sync.errors import ConfigurationError
from sync.ledger import ensure_ledger
from sync.local.embedded.lifecycle import ensure_running, stop
from sync.local.receiver import running_receiver
from sync.local.sample_data import SampleSize, generate, load_sample, write_files
from sync.local.sample_secrets import write_secrets
from sync.network import DEVELOPMENT_SETTING
from sync.raw import create_raw_tables
from sync.secrets import DIRECTORY_SETTING, SecretStore
from sync.settings import PROJECT_ROOT, EmbeddedWarehouse, load_settings
from sync.tracking_logs import load_logs
from sync.warehouse import open_warehouse

SEED = 2026
DAYS_BACK = 12
RECEIVER_PORT_SETTING = "LTW_RECEIVER_PORT"
DAGSTER_PORT_SETTING = "LTW_DAGSTER_PORT"
PORTS = {RECEIVER_PORT_SETTING: "8755", DAGSTER_PORT_SETTING: "3000"}


def run_dev(console: Console) -> int:
    """Start all three, wait, stop all three; the exit code of the Dagster process.

    Raises:
        ConfigurationError: Snowflake settings are there, or a port setting is no port.
        ReceiverError: the receiver's port is in use; names it.
    """
    settings = load_settings(os.environ)
    if not isinstance(settings, EmbeddedWarehouse):
        raise ConfigurationError(
            "make dev uses the embedded warehouse, but SNOWFLAKE_* settings select Snowflake; "
            "unset them, or run `dagster dev` to work against Snowflake"
        )
    receiver_port = _port(RECEIVER_PORT_SETTING)
    dagster_port = _port(DAGSTER_PORT_SETTING)
    ensure_running(settings)
    try:
        known = settings.home / "receiver_secrets"
        with running_receiver(secrets=SecretStore({}, known), port=receiver_port) as receiver:
            activated_at = _prepare(settings, receiver.url, console)
            console.print(f"embedded warehouse  127.0.0.1:{settings.port}")
            console.print(f"received webhooks   {receiver.url}")
            console.print(f"Dagster UI          http://127.0.0.1:{dagster_port}  (half a minute)")
            console.print("Ctrl-C stops all three")
            return _dagster(_environment(settings, receiver.url, activated_at), dagster_port)
    finally:
        stop(settings)


def _prepare(settings: EmbeddedWarehouse, receiver_url: str, console: Console) -> datetime:
    """Sample data at the first start; the moment from which its completions count as new."""
    start = datetime.now(UTC) - timedelta(days=DAYS_BACK)
    data = generate(SampleSize(), seed=SEED, start=start, receiver_url=receiver_url)
    write_secrets(
        data.endpoints,
        sender=settings.home / "secrets",
        receiver=settings.home / "receiver_secrets",
    )
    with open_warehouse(settings, purpose="dev") as warehouse:
        ensure_ledger(warehouse)
        create_raw_tables(warehouse)
        logs = warehouse.raw_relation("tracking", "tracking_logs")
        if warehouse.rows(f"select count(*) as n from {logs}")[0]["n"] == 0:
            for index, wave in enumerate(data.waves):
                load_sample(warehouse, wave)
                paths = write_files(settings.home / "logs" / str(index), wave)
                load_logs(warehouse, paths, progress=lambda _: None)
            console.print("sample data loaded")
    return data.waves[0].begin


def _environment(
    settings: EmbeddedWarehouse, receiver_url: str, activated_at: datetime
) -> dict[str, str]:
    dagster_home = settings.home / "dagster"
    dagster_home.mkdir(exist_ok=True)
    shutil.copy(PROJECT_ROOT / "deploy" / "dagster.local.yaml", dagster_home / "dagster.yaml")
    return os.environ | {
        "DAGSTER_HOME": os.environ.get("DAGSTER_HOME", str(dagster_home)),
        DEVELOPMENT_SETTING: receiver_url.removeprefix("http://"),
        DIRECTORY_SETTING: str(settings.home / "secrets"),
        "WEBHOOKS_ACTIVATED_AT": activated_at.isoformat(),
    }


def _dagster(environment: dict[str, str], port: int) -> int:
    command = [str(Path(sys.executable).with_name("dagster")), "dev", "--port", str(port)]
    with subprocess.Popen(command, cwd=PROJECT_ROOT, env=environment) as process:
        # Ctrl-C reaches both; Dagster needs its own time to end its children.
        previous = signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGINT))
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
            return 0
        finally:
            signal.signal(signal.SIGTERM, previous)


def _port(setting: str) -> int:
    text = os.environ.get(setting, PORTS[setting])
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ConfigurationError(f"{setting} is {text!r}; it must be a port number")
    return int(text)
