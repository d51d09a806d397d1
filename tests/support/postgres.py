"""A real PostgreSQL for one test module, from the machine's own packages."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sync.local.embedded.lifecycle import free_port

PACKAGES = Path("/usr/lib/postgresql")
"""Debian's directory of a version's programs, most of which are not on PATH."""
PASSWORD = "a password of this test"
USER = "dagster"


@dataclass(frozen=True)
class Postgres:
    """A running server with one empty database."""

    port: int
    database: str
    programs: Path

    @property
    def environment(self) -> dict[str, str]:
        """Connection settings for libpq, and so for Dagster."""
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGDATABASE": self.database,
            "PGUSER": USER,
            "PGPASSWORD": PASSWORD,
        }

    def psql(self, statement: str) -> str:
        """The result of the statement, without formatting."""
        return _run(
            [self.programs / "psql", "--no-psqlrc", "--tuples-only", "--no-align", "-c", statement],
            environment=self.environment,
        ).strip()


def postgres_programs() -> Path | None:
    """The directory of the newest installed version; None if there is none."""
    versions = [path.parent for path in PACKAGES.glob("*/bin/initdb")]
    if versions:
        return max(versions, key=lambda path: float(path.parent.name))
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


@contextmanager
def running_postgres(programs: Path, *, database: str) -> Iterator[Postgres]:
    """A server on a free loopback port with password login, for the block."""
    owner = _owner()
    home = Path(tempfile.mkdtemp(prefix="postgres-"))
    data, port = home / "data", free_port()
    (home / "password").write_text(PASSWORD)
    if owner is not None:
        for path in (home, home / "password"):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    user = owner.pw_name if owner is not None else None
    try:
        # Dagster logs in again for each event, and the default method is slow by design.
        options = ["--username", USER, "--encoding", "UTF8", "--auth", "md5", "--no-sync"]
        initdb = [programs / "initdb", "--pgdata", data, "--pwfile", home / "password", *options]
        _run(initdb, user=user)
        # Not durable: after a power failure the test's data is not needed.
        server_options = f"-c listen_addresses=127.0.0.1 -p {port} -k {home} -c fsync=off"
        control = [programs / "pg_ctl", "--pgdata", data, "--wait", "--silent"]
        _run([*control, "--log", home / "log", "--options", server_options, "start"], user=user)
        try:
            server = Postgres(port, database, programs)
            create = [programs / "createdb", "--maintenance-db", "postgres", database]
            _run(create, environment=server.environment)
            yield server
        finally:
            _run([*control, "--mode", "immediate", "stop"], user=user)
    finally:
        shutil.rmtree(home)


def _owner() -> pwd.struct_passwd | None:
    """Another user when we are root, since PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def _run(
    command: list[str | Path], *, user: str | None = None, environment: dict[str, str] | None = None
) -> str:
    done = subprocess.run(
        command,
        cwd="/",
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
    return done.stdout
