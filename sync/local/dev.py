"""``make dev``: warehouse, receiver page and Dagster UI together until Ctrl-C."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

from rich.console import Console

from sync.errors import ConfigurationError
from sync.http.network import DEVELOPMENT_SETTING
from sync.http.secrets import DIRECTORY_SETTING, SecretStore
from sync.ledger.tables import ensure_ledger
from sync.local.dev_output import show
from sync.local.dev_settings import published, running_process
from sync.local.embedded.lifecycle import NO_CLOUD, ensure_running, stop
from sync.local.raw_tables import create_raw_tables
from sync.local.receiver import running_receiver
from sync.local.sample_data import (
    SampleData,
    SampleSize,
    generate,
    load_sample,
    write_files,
    write_secrets,
)
from sync.local.tracking_logs import load_logs
from sync.settings import PORT_SETTING, PROJECT_ROOT, UI_SETTING, EmbeddedWarehouse, load_settings
from sync.warehouse import Warehouse, open_warehouse

SEED = 2026
SIZE = SampleSize()
RECEIVER_PORT_SETTING = "LTW_RECEIVER_PORT"
DAGSTER_PORT_SETTING = "LTW_DAGSTER_PORT"
PORTS = {RECEIVER_PORT_SETTING: "8755", DAGSTER_PORT_SETTING: "3000"}
HOST = "127.0.0.1"
PATIENCE_SECONDS = 15
"""How long Dagster may take to stop its children before it is killed."""


def run_dev(console: Console) -> int:
    """Start all three, wait, stop all three; returns the exit code.

    Raises:
        ConfigurationError: Snowflake settings are set, a port setting is not a port or is in use,
            or another ``make dev`` of this home directory is running.
    """
    settings = load_settings(os.environ)
    if not isinstance(settings, EmbeddedWarehouse):
        raise ConfigurationError(
            "make dev uses the embedded warehouse, but SNOWFLAKE_* settings select Snowflake; "
            "unset them, or run `dagster dev` to work against Snowflake"
        )
    # Before anything starts: at the end this process would stop the other one's servers.
    if (other := running_process(settings.home)) is not None:
        raise ConfigurationError(
            f"make dev of {settings.home} is already running, as process {other}: stop it with "
            f"Ctrl-C. For a second one set LTW_HOME, {PORT_SETTING}, {' and '.join(PORTS)} to "
            "other values"
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
            log = settings.home / "dagster" / "dev.log"
            console.print(f"Dagster's output    {log}", soft_wrap=True)
            console.print("Ctrl-C stops all three")
            own = _own_settings(settings, receiver.url, activated_at)
            own[UI_SETTING] = f"http://{HOST}:{dagster_port}"
            with published(settings.home, own):
                return _dagster(os.environ | NO_CLOUD | own, dagster_port, log)
    finally:
        stop(settings)


def _prepare(settings: EmbeddedWarehouse, receiver_url: str, console: Console) -> datetime:
    """Load sample data at the first start; returns the activation time for its completions."""
    data = generate(SIZE, seed=SEED, start=_sample_start(settings), receiver_url=receiver_url)
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
        else:
            _follow_the_receiver(warehouse, data)
    return data.waves[0].begin


def _sample_start(settings: EmbeddedWarehouse) -> datetime:
    """The start of the sample data, chosen so that it ends at the first start of ``make dev``.

    It is stored: a later start must not move the activation.
    """
    note = settings.home / "sample_start"
    if not note.exists():
        start = SIZE.start_before(datetime.now(UTC))
        note.write_text(start.isoformat(timespec="minutes"), encoding="utf-8")
    return datetime.fromisoformat(note.read_text(encoding="utf-8")).replace(tzinfo=UTC)


def _follow_the_receiver(warehouse: Warehouse, data: SampleData) -> None:
    """Point the sample endpoints at this start's receiver, whose port may have changed."""
    table = warehouse.raw_relation(
        "enterprise", "channel_integration_enterprisewebhookconfiguration"
    )
    warehouse.bulk(
        f"""
        update {table} as configuration
        set webhook_url = moved.url
        from (
            select value:id::number(38, 0) as id, value:url::varchar as url
            from table(flatten(input => parse_json(?)))
        ) as moved
        where configuration.id = moved.id
        """,
        ({"id": one.endpoint_id, "url": one.url} for one in data.endpoints),
    )


def _own_settings(
    settings: EmbeddedWarehouse, receiver_url: str, activated_at: datetime
) -> dict[str, str]:
    dagster_home = settings.home / "dagster"
    dagster_home.mkdir(exist_ok=True)
    shutil.copy(PROJECT_ROOT / "deploy" / "dagster.local.yaml", dagster_home / "dagster.yaml")
    return {
        "DAGSTER_HOME": os.environ.get("DAGSTER_HOME", str(dagster_home)),
        DEVELOPMENT_SETTING: receiver_url.removeprefix("http://"),
        DIRECTORY_SETTING: str(settings.home / "secrets"),
        "WEBHOOKS_ACTIVATED_AT": activated_at.isoformat(),
        PORT_SETTING: str(settings.port),
    }


def _dagster(environment: Mapping[str, str], port: int, log: Path) -> int:
    """Run ``dagster dev`` until it exits or this process is told to stop.

    All of its output goes to ``log``, and the useful part to the terminal.
    """
    command = [str(Path(sys.executable).with_name("dagster")), "dev", "--port", str(port)]
    # A shell that starts this in the background ignores SIGINT for it and its children, so they
    # would never stop. Closing the terminal stops it too, except under nohup.
    stopping = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        stopping.remove(signal.SIGHUP)
    previous = {number: signal.signal(number, _interrupt) for number in stopping}
    try:
        with subprocess.Popen(
            command,
            cwd=PROJECT_ROOT,
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            # A thread, since a Dagster child process that outlives it would keep the output open.
            shown = Thread(target=show, args=(process.stdout, log, sys.stderr), daemon=True)
            try:
                # Inside the try: once the output shows, the user may already press Ctrl-C.
                shown.start()
                return process.wait()
            except KeyboardInterrupt:
                _end(process)
                return 0
            finally:
                if shown.is_alive():
                    shown.join(timeout=1)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _end(process: subprocess.Popen[str]) -> None:
    """Interrupt, terminate, then kill; a second Ctrl-C must not leave a server behind."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        process.send_signal(number)
        try:
            process.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return


def _port(setting: str) -> int:
    text = os.environ.get(setting, PORTS[setting])
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ConfigurationError(f"{setting} is {text!r}; it must be a port number")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, int(text)))
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on port {text} ({error.strerror}): set {setting} to another, "
                "or stop what listens there"
            ) from None
    return int(text)
