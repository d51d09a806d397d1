"""The embedded warehouse of a test session, whose databases can be saved and restored as files.

Restoring one takes 4 ms, building an empty ledger 150 ms, and the models several seconds. Workers'
servers share their translations, which saves 15 ms per statement of a model.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import duckdb
import fakesnow.server
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sync.local.embedded import server
from sync.local.embedded.server import DATABASES


class OnDisk(server.Newest):
    """Translations that the servers of all workers share."""

    def __init__(self, directory: Path) -> None:
        super().__init__(server.KEPT_TRANSLATIONS)
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory

    def get(self, key: Any, default: Any = None) -> Any:
        if (found := super().get(key)) is None and (file := self._file(key)).exists():
            found = pickle.loads(file.read_bytes())  # noqa: S301
            for part in found:
                part.meta["written"] = (id(part), part.meta["written"][1])
            super().__setitem__(key, found)
        return found or default

    def __setitem__(self, key: Any, translated: Any) -> None:
        super().__setitem__(key, translated)
        # That of a new database names a file of this server.
        if not any("create_db_name" in part.args for part in translated):
            part = self._file(key).with_suffix(f".{os.getpid()}-{threading.get_ident()}")
            part.write_bytes(pickle.dumps(translated))
            part.rename(self._file(key))

    def _file(self, key: Any) -> Path:
        return self._directory / hashlib.sha256(repr(key).encode()).hexdigest()


def keep(request: Request) -> Response:
    """Copy the databases to the directory in the request."""
    return _swap(request, lambda file, kept: shutil.copy(file, kept))


def put_back(request: Request) -> Response:
    """Replace the databases with those in the directory; open sessions continue with them."""
    return _swap(request, lambda file, kept: shutil.copy(kept, file))


def _swap(request: Request, copy: Any) -> Response:
    engine: Any = fakesnow.server.shared_fs
    connection = engine.duck_conn.cursor()
    try:
        for database in DATABASES:
            file = Path(engine.db_path) / f"{database}.db"
            # A swap that failed halfway must not make all later ones fail.
            connection.execute(f"detach database if exists {database}")
            file.with_suffix(".db.wal").unlink(missing_ok=True)
            copy(file, Path(request.query_params["directory"]) / file.name)
            connection.execute(f"attach '{file}' as {database}")
    except (duckdb.Error, OSError) as error:
        return Response(str(error), status_code=503)
    return Response()


def main(port: int, directory: Path, translations: Path) -> None:
    stock = server.application

    class Translations(server.Translations):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self._translated = OnDisk(translations)

    def application(at: Path) -> Any:
        server.Translations = Translations
        app = stock(at)
        # These files need not survive a crash of the machine.
        engine: Any = fakesnow.server.shared_fs
        engine.duck_conn.execute("set fsync_mode = 'NONE'")
        # For a few rows, a second thread costs a tenth of the CPU time and saves nothing.
        engine.duck_conn.execute("set threads = 1")
        app.routes.append(Route("/keep", keep, methods=["POST"]))
        app.routes.append(Route("/put_back", put_back, methods=["POST"]))
        return app

    # Exits with the tests even if they are killed, because the pipe then closes.
    threading.Thread(target=lambda: sys.stdin.read() or os._exit(0), daemon=True).start()
    server.application = application
    server.serve(port, directory)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
