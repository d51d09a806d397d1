"""Start, find and stop a home directory's embedded warehouse."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from sync.errors import ConfigurationError, SyncError
from sync.local.embedded.server import HOST, SERVICE
from sync.settings import EmbeddedWarehouse

START_SECONDS = 30.0
STOP_SECONDS = 10.0
PROBE_SECONDS = 2.0
NO_CLOUD = {"SNOWFLAKE_DISABLE_PLATFORM_DETECTION": "true"}
"""For processes that log in to the embedded warehouse themselves, as dbt does: otherwise the
connector's first login queries the metadata services of three clouds, from six threads."""

_holders: list[socket.socket] = []


class EmbeddedWarehouseFailed(SyncError):
    """The embedded warehouse did not start or did not stop."""


@dataclass(frozen=True)
class Running:
    """A live embedded warehouse."""

    pid: int
    directory: Path


@dataclass(frozen=True)
class Stopped:
    """Nothing listens on the port."""


@dataclass(frozen=True)
class PortTaken:
    """Something else listens on the port."""


def status(port: int) -> Running | Stopped | PortTaken:
    """What listens on the port."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{HOST}:{port}/health", timeout=PROBE_SECONDS) as response:
            found = json.load(response)
        if found["service"] != SERVICE:
            return PortTaken()
        return Running(found["pid"], Path(found["directory"]))
    except urllib.error.HTTPError:
        return PortTaken()
    except urllib.error.URLError as error:
        return Stopped() if isinstance(error.reason, ConnectionRefusedError) else PortTaken()
    except (OSError, ValueError, KeyError, TypeError):
        return PortTaken()


def ensure_running(settings: EmbeddedWarehouse) -> Running:
    """Find the warehouse, or start it detached from this process.

    Two concurrent processes start one server: the second to get the lock finds it running.

    Raises:
        ConfigurationError: the port is used by another program or another home directory.
        EmbeddedWarehouseFailed: the server exited before it responded; names its log file.
    """
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.home) as probe:
            probe.write(b"x")
    except OSError as error:
        raise ConfigurationError(
            f"LTW_HOME, {settings.home}, cannot be written ({error.strerror}): set it to a "
            "directory that you own, with free space"
        ) from None
    with (settings.home / "warehouse.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        match status(settings.port):
            case Running() as running if running.directory == settings.directory:
                return running
            case Running() as running:
                raise ConfigurationError(
                    f"port {settings.port} serves the embedded warehouse of {running.directory}, "
                    f"not of {settings.directory}; set LTW_WAREHOUSE_PORT to a free port"
                )
            case PortTaken():
                raise ConfigurationError(
                    f"port {settings.port} is used by another program; set LTW_WAREHOUSE_PORT to "
                    "a free port, or stop that program"
                )
            case Stopped():
                return _start(settings)


def stop(settings: EmbeddedWarehouse) -> bool:
    """Stop the warehouse; False when none was running.

    Raises:
        EmbeddedWarehouseFailed: it did not stop in time.
    """
    running = status(settings.port)
    if not isinstance(running, Running) or running.directory != settings.directory:
        return False
    os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        if isinstance(status(settings.port), Stopped):
            return True
        time.sleep(0.05)
    raise EmbeddedWarehouseFailed(
        f"the embedded warehouse (process {running.pid}) did not stop within {STOP_SECONDS:.0f} s"
    )


def free_port() -> int:
    """A free loopback port; on Linux, no other program is given it while this process lives.

    A server starts seconds later. A socket that is bound and does not listen holds the port until
    then; on Linux, a server that reuses addresses, as all of ours do, can bind it nevertheless.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((HOST, 0))
    port: int = holder.getsockname()[1]
    if sys.platform == "linux":
        _holders.append(holder)
    else:
        holder.close()
    return port


def _start(settings: EmbeddedWarehouse) -> Running:
    log = settings.home / "warehouse.log"
    command = [sys.executable, "-m", "sync.local.embedded"]
    command += ["--port", str(settings.port), "--directory", str(settings.directory)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        found = status(settings.port)
        if isinstance(found, Running):
            return found
        time.sleep(0.05)
    process.terminate()
    raise EmbeddedWarehouseFailed(
        f"the embedded warehouse did not start on port {settings.port}; see its log: {log}"
    )
