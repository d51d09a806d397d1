"""A scriptable webhook receiver on loopback that records all requests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.untraced import untraced


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def webhook_id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """Responds with 200, or with the status and headers of a path prefix in ``responses``."""

    url: str
    host_port: str
    received: list[Received] = field(default_factory=list)
    answers: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    hang: threading.Event = field(default_factory=threading.Event)
    """Requests to ``/hang`` wait for this."""


class _Server(ThreadingHTTPServer):
    """Its threads run no measured code."""

    daemon_threads = True
    process_request_thread = untraced(ThreadingHTTPServer.process_request_thread)


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A running receiver on a free port."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                running.received.append(Received(self.path, headers, body))
            if self.path.startswith("/hang"):
                running.hang.wait(30)
            status, extra = next(
                (said for prefix, said in running.answers.items() if self.path.startswith(prefix)),
                (200, {}),
            )
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the test's output quiet."""

    server = _Server(("127.0.0.1", 0), Handler)
    port = server.server_address[1]
    running = Receiver(f"http://127.0.0.1:{port}", f"127.0.0.1:{port}")
    # At the end of each test, shutdown waits for the last poll.
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.hang.set()
        server.shutdown()
        server.server_close()
        thread.join()
