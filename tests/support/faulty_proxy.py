"""A proxy in front of the embedded warehouse that makes a chosen statement fail.

It understands only the HTTP that the connector uses. Statements are counted in order of arrival;
the connector's own retries of a statement do not count again.
"""

from __future__ import annotations

import gzip
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


WAITERS = (
    "Statement '01' has locked table 'T' in transaction 17 and this lock has not yet been "
    "released. Your statement '02' was aborted because the number of waiters for this lock exceeds "
    "the 20 statements limit."
)
"""Snowflake's message, with invented ids."""


class Fault(StrEnum):
    """What happens to the chosen statement."""

    LOST_REQUEST = "lost request"
    """The connection breaks before the warehouse receives it, and again for each retry."""
    LOST_ANSWER = "lost answer"
    """The connection breaks after the warehouse has run it, and again for each retry."""
    HICCUP = "hiccup"
    """The connection breaks after the statement has run; the retry succeeds."""
    FAILED = "failed"
    """A well-formed response reports that the statement failed; it was not run."""
    LOCKED = "locked"
    """A well-formed response reports too many waiters for the table's lock; it was not run."""
    DELAYED = "delayed"
    """It succeeds after a delay."""


@dataclass
class FaultyProxy:
    """A running proxy. Once armed with ``arm``, the n-th statement from then on fails."""

    port: int
    statements: list[str] = field(default_factory=list)
    """First lines of the statements since it was armed."""
    hits: int = 0
    """How often the fault occurred, including retries."""
    delay_seconds: float = 0.3
    lock_code: str = "000625"
    _fault: Fault | None = None
    _positions: range = range(0)
    _request_ids: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, fault: Fault | None, position: int = 0, times: int = 1) -> None:
        """Have the statement at ``position``, counted from 1, fail; or none.

        ``times`` includes the statements after it. A statement that the product sends again counts.
        """
        with self._lock:
            self.statements.clear()
            self._request_ids.clear()
            self.hits = 0
            self._fault, self._positions = fault, range(position, position + times)

    def loses_the_next(self) -> bool:
        """Whether the statement that comes next is to be lost, with its response at least."""
        with self._lock:
            is_lost = self._fault in (Fault.LOST_REQUEST, Fault.LOST_ANSWER)
            return is_lost and len(self._request_ids) + 1 in self._positions

    def fate(self, sql: str, request_id: str) -> Fault | None:
        """The fault for a request."""
        with self._lock:
            is_repetition = request_id in self._request_ids
            if not is_repetition:
                self._request_ids.append(request_id)
                self.statements.append(" ".join(sql.split())[:80])
            if self._request_ids.index(request_id) + 1 not in self._positions:
                return None
            if is_repetition and self._fault is Fault.HICCUP:
                return None
            if self._fault is not None:
                self.hits += 1
            return self._fault


@contextmanager
def faulty_proxy(to_port: int) -> Iterator[FaultyProxy]:
    """A proxy on a free port, harmless until it is armed."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._pass_on(b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            url = urlsplit(self.path)
            if not url.path.endswith("/queries/v1/query-request"):
                self._pass_on(body)
                return
            text = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            request_id = parse_qs(url.query)["requestId"][0]
            fault = proxy.fate(json.loads(text)["sqlText"], request_id)
            match fault:
                case None:
                    self._pass_on(body)
                case Fault.DELAYED:
                    threading.Event().wait(proxy.delay_seconds)
                    self._pass_on(body)
                case Fault.LOST_REQUEST:
                    self._break()
                case Fault.LOST_ANSWER | Fault.HICCUP:
                    self._ask(body)
                    self._break()
                case Fault.FAILED:
                    self._refuse("000603", "XX000", "invented internal error")
                case Fault.LOCKED:
                    self._refuse(proxy.lock_code, "57014", WAITERS)

        def _refuse(self, code: str, state: str, message: str) -> None:
            data = {"errorCode": code, "sqlState": state}
            refusal = {"success": False, "code": code, "message": message, "data": data}
            self._answer(200, {"Content-Type": "application/json"}, refusal)

        def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            upstream = http.client.HTTPConnection("127.0.0.1", to_port, timeout=60)
            try:
                upstream.request(self.command, self.path, body, dict(self.headers))
                answer = upstream.getresponse()
                return answer.status, answer.getheaders(), answer.read()
            finally:
                upstream.close()

        def _pass_on(self, body: bytes) -> None:
            status, headers, content = self._ask(body)
            kept = {name: value for name, value in headers if name.lower() not in HOP_BY_HOP}
            self._answer(status, kept, content)

        def _answer(self, status: int, headers: dict[str, str], content: Any) -> None:
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _break(self) -> None:
            self.close_connection = True
            self.connection.close()

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the test's output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda request, client_address: None
    proxy = FaultyProxy(server.server_address[1])
    # At the end of each test, shutdown waits for the last poll.
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
