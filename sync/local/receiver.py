"""A webhook receiver for a laptop: records what arrives, checks signatures, shows a page.

``POST /hooks/{name}`` responds with 200 and ``POST /status/{code}/{name}`` with that code, to show
failures; both record the request. A request is checked against the secret called ``name``.
``GET /`` is the page, ``GET /api/webhooks`` its data, ``DELETE`` there empties it.

It listens on loopback only and shows bodies to anyone who can reach it: do not send data of real
learners to it.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from sync.errors import ConfigurationError, SyncError
from sync.http.secrets import SecretError, SecretStore
from sync.http.signing import ID_HEADER, SigningError
from sync.local.receiver_store import WebhookStore
from sync.local.verification import Rejected, parse_verification_key, verify

HOST = "127.0.0.1"
DEFAULT_PORT = 8755
BODY_BYTES = 1_048_576
"""Larger requests are refused unread; webhook bodies are about 1 kB."""
PAGE_LIMIT = 200
MAXIMUM_LIMIT = 2_000
START_SECONDS = 10.0

Clock = Callable[[], datetime]


class ReceiverError(SyncError):
    """The receiver could not start."""


@dataclass(frozen=True)
class RunningReceiver:
    """A receiver that accepts requests."""

    url: str
    """Without a trailing slash."""
    store: WebhookStore


def utc_now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


def make_app(*, secrets: SecretStore, store: WebhookStore, clock: Clock = utc_now) -> Starlette:
    """The ASGI application. Secrets are looked up at each request, so new ones apply at once."""

    async def page(_: Request) -> Response:
        html = Path(__file__).with_name("receiver_page.html").read_text(encoding="utf-8")
        return HTMLResponse(html, headers={"cache-control": "no-store"})

    async def receive(request: Request) -> Response:
        status = request.path_params.get("code", 200)
        if not 200 <= status <= 599:
            return _error(400, "the status to respond with must lie between 200 and 599")
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_BYTES:
                return _error(413, f"the body is larger than {BODY_BYTES} bytes")
        received_at = clock()
        received = store.record(
            received_at=received_at,
            endpoint=request.path_params["name"],
            status=status,
            webhook_id=request.headers.get(ID_HEADER, ""),
            verification=_verification(request, bytes(body), secrets, received_at),
            headers=request.headers,
            body=bytes(body),
        )
        # 204 and 304 must not have a body.
        if status in (204, 304):
            return Response(status_code=status)
        return JSONResponse({"sequence": received.sequence}, status_code=status)

    async def listing(request: Request) -> Response:
        query = request.query_params
        after, limit = query.get("after", "0"), query.get("limit", str(PAGE_LIMIT))
        if not (_is_number(after) and _is_number(limit)):
            return _error(400, "after and limit must be whole numbers")
        newest = store.newest(
            limit=min(int(limit), MAXIMUM_LIMIT),
            after=int(after),
            webhook_id=query.get("webhook_id", ""),
            endpoint=query.get("endpoint", ""),
        )
        webhooks = [received.as_json() for received in newest]
        return JSONResponse({"counts": store.counts(), "webhooks": webhooks})

    async def empty(_: Request) -> Response:
        return JSONResponse({"forgotten": store.clear()})

    return Starlette(
        routes=[
            Route("/", page),
            Route("/hooks/{name}", receive, methods=["POST"]),
            Route("/status/{code:int}/{name}", receive, methods=["POST"]),
            Route("/api/webhooks", listing),
            Route("/api/webhooks", empty, methods=["DELETE"]),
        ]
    )


@contextlib.contextmanager
def running_receiver(
    *, secrets: SecretStore, port: int = 0, clock: Clock = utc_now
) -> Iterator[RunningReceiver]:
    """A receiver in a thread of this process, by default on a free port; stopped at the end.

    Raises ReceiverError when the port is taken or the server does not start.
    """
    store = WebhookStore()
    with _listen(port) as listener:
        server = _server(make_app(secrets=secrets, store=store, clock=clock))
        thread = threading.Thread(
            target=server.run, args=([listener],), name="receiver", daemon=True
        )
        thread.start()
        try:
            _await_start(server, thread)
            yield RunningReceiver(f"http://{HOST}:{listener.getsockname()[1]}", store)
        finally:
            server.should_exit = True
            thread.join(START_SECONDS)


def main(arguments: list[str] | None = None) -> int:
    """Run in the foreground until interrupted; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sync.local.receiver", description=__doc__)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 picks a free one")
    parser.add_argument("--secrets", type=Path, help="directory with one file per endpoint name")
    options = parser.parse_args(arguments)
    try:
        if options.secrets and not options.secrets.is_dir():
            raise ConfigurationError(f"--secrets: {options.secrets} is not a directory")
        listener = _listen(options.port)
    except SyncError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with listener:
        app = make_app(secrets=SecretStore({}, options.secrets), store=WebhookStore())
        print(f"webhook receiver on http://{HOST}:{listener.getsockname()[1]}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            _server(app).run([listener])
    return 0


def _server(app: Starlette) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
    )


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(1024)
    except (OSError, OverflowError) as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise ReceiverError(
                f"port {port} is in use; choose another with --port, or stop what listens there"
            ) from error
        raise ReceiverError(f"cannot listen on {HOST}:{port}: {error}") from error
    return listener


def _await_start(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise ReceiverError("the webhook receiver did not start")
        time.sleep(0.005)


def _verification(
    request: Request, body: bytes, secrets: SecretStore, received_at: datetime
) -> str:
    try:
        texts = secrets.get(request.path_params["name"]).split()
        keys = [parse_verification_key(text) for text in texts]
    except (SecretError, SigningError):
        return "no_secret"
    now = int(received_at.timestamp())
    outcome = verify(dict(request.headers), body, keys=keys, now=now)
    return outcome.reason.value if isinstance(outcome, Rejected) else "verified"


def _error(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status_code=status)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16


if __name__ == "__main__":
    sys.exit(main())
