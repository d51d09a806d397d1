"""A fast webhook receiver in a separate process, and the handle with which a test queries it.

The path determines the response: ``/ok/7`` responds with 200, ``/wait/50/7`` does so after 50 ms,
``/status/500/7`` responds with that status, ``/first/503/7`` does so to the first request of each
id and later with 200, ``/lose/7`` breaks the connection once per id after reading the request,
``/hang/7`` never responds, ``/echo/500/7`` returns the request, headers included, and
``/gather/8/10/7`` responds to its first request immediately and to others after 10 ms, counted from
when 8 wait at the same time. The last part only distinguishes endpoints. ``REPAIR`` on any path
makes all of them respond with 200 from then on.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from sync.settings import PROJECT_ROOT

HEAD = re.compile(rb"(\w+) (\S+) HTTP/1\.1\r\n")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
WEBHOOK_ID = re.compile(rb"\r\nwebhook-id: *(\S+)", re.IGNORECASE)
EPOCH_DIGITS = 6


@dataclass(frozen=True)
class Receipt:
    """One request as the receiver saw it, in the order of arrival."""

    webhook_id: str
    digest: str
    """SHA-256 of the body, in hex."""
    path: str
    status: int
    """The response's status; 0 if there was none."""
    received_at: float
    """Unix time in seconds."""


@dataclass(frozen=True)
class ReceiverProcess:
    """A running receiver."""

    port: int
    pid: int

    @property
    def host_port(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str) -> str:
        return f"http://{self.host_port}{path}"

    def received(self, *, after: int = 0) -> list[Receipt]:
        """All receipts, or those after the first ``after``."""
        return [Receipt(*row) for row in json.loads(self._ask("GET", f"/{after}"))]

    def count(self) -> int:
        """The number of requests received."""
        return int(self._ask("COUNT", "/"))

    def most_at_once(self) -> dict[str, int]:
        """The most requests that waited for a response at once: by path, and "" for all."""
        return json.loads(self._ask("MOST", "/"))

    def mean_wait(self) -> float:
        """Actual seconds from reading a request on ``/wait`` to its response."""
        return float(self._ask("WAITED", "/"))

    def clear(self) -> None:
        """Reset receipts, seen ids and wait times."""
        self._ask("DELETE", "/")

    def repair(self) -> None:
        """Respond with 200 on every path from now on."""
        self._ask("REPAIR", "/")

    def break_again(self) -> None:
        """Undo ``repair``."""
        self._ask("BREAK", "/")

    def _ask(self, method: str, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path)
            return connection.getresponse().read()
        finally:
            connection.close()


@contextmanager
def receiver_process() -> Iterator[ReceiverProcess]:
    """A receiver on a free port, for the block."""
    command = [sys.executable, "-m", "tests.support.receiver_process"]
    with subprocess.Popen(
        command, cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield ReceiverProcess(int(process.stdout.readline()), process.pid)
        finally:
            process.kill()


class _Store:
    def __init__(self) -> None:
        self.receipts: list[tuple[str, str, str, int, float]] = []
        self.seen: Counter[str] = Counter()
        self.paths: set[str] = set()
        self.held: list[Callable[[], object]] = []
        self.waiting: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.waits: list[float] = []
        self.is_repaired = False


class _Connection(asyncio.Protocol):
    def __init__(self, store: _Store) -> None:
        self._store = store
        self._buffer = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[: end + 2]
            length = LENGTH.search(head)
            total = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < total:
                return
            body = self._buffer[end + 4 : total]
            self._buffer = self._buffer[total:]
            line = HEAD.match(head)
            assert line is not None
            if line[1] == b"POST":
                self._webhook(line[2].decode(), head, body)
            else:
                self._control(line[1].decode(), line[2].decode())

    def _webhook(self, path: str, head: bytes, body: bytes) -> None:
        store = self._store
        found = WEBHOOK_ID.search(head)
        webhook_id = found[1].decode() if found else ""
        store.seen[webhook_id] += 1
        kind, *rest = path.strip("/").split("/")
        is_first = store.seen[webhook_id] == 1
        status, wait, gather, content = 200, 0.0, 0, b"ok"
        if store.is_repaired:
            kind = "ok"
        if kind == "wait":
            wait = float(rest[0]) / 1000
        elif kind == "gather" and path in store.paths:
            gather, wait = int(rest[0]), float(rest[1]) / 1000
        elif kind == "status" or (kind == "first" and is_first):
            status = int(rest[0])
        elif kind == "echo":
            status, content = int(rest[0]), head + b"\r\n" + body
        elif kind == "hang" or (kind == "lose" and is_first):
            status = 0
        digest = hashlib.sha256(body).hexdigest()
        now = round(time.time(), EPOCH_DIGITS)
        store.receipts.append((webhook_id, digest, path, status, now))
        store.paths.add(path)
        if status:
            answer = b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\n\r\n" % (status, len(content))
            if wait:
                for which in ("", path):
                    store.waiting[which] += 1
                    store.most[which] = max(store.most[which], store.waiting[which])
                loop = asyncio.get_running_loop()
                late = partial(self._answer_late, path, answer + content, loop.time())
                store.held.append(late)
                while store.most[""] >= gather and store.held:
                    loop.call_later(wait, store.held.pop())
            else:
                self._transport.write(answer + content)
        elif kind == "lose":
            self._transport.abort()

    def _answer_late(self, path: str, answer: bytes, read_at: float) -> None:
        self._store.waiting.subtract(("", path))
        self._store.waits.append(asyncio.get_running_loop().time() - read_at)
        self._transport.write(answer)

    def _control(self, method: str, path: str) -> None:
        store = self._store
        content = b"ok"
        if method == "GET":
            content = json.dumps(store.receipts[int(path.strip("/") or 0) :]).encode()
        elif method == "COUNT":
            content = str(len(store.receipts)).encode()
        elif method == "MOST":
            content = json.dumps(store.most).encode()
        elif method == "WAITED":
            content = str(sum(store.waits) / len(store.waits)).encode()
        elif method == "DELETE":
            store.receipts.clear()
            store.seen.clear()
            store.waits.clear()
        else:
            store.is_repaired = method == "REPAIR"
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(content)
        self._transport.write(head + content)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    store = _Store()
    server = await loop.create_server(lambda: _Connection(store), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    # Standard input closes with the test that started this process, so it cannot outlive the test.
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve())
