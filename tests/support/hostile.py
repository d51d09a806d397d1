"""A raw TCP endpoint on loopback that handles each connection as its script defines."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

Script = Callable[["Conversation"], None]


class Conversation:
    """One accepted connection, for the script."""

    def __init__(self, sock: socket.socket, stopping: threading.Event) -> None:
        self.socket = sock
        self.stopping = stopping
        self._buffer = b""

    def read_request(self) -> bytes:
        """One whole request, head and body; empty if the client has disconnected."""
        while b"\r\n\r\n" not in self._buffer:
            piece = self.socket.recv(65536)
            if not piece:
                return b""
            self._buffer += piece
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(rest) < length:
            piece = self.socket.recv(65536)
            if not piece:
                return b""
            rest += piece
        self._buffer = rest[length:]
        return head + b"\r\n\r\n" + rest[:length]

    def wait_for_data(self) -> None:
        """Wait until the client has sent more data, which stays unread."""
        if not self._buffer:
            select.select([self.socket], [], [], 60)

    def reset(self) -> None:
        """Reset the connection, like a process that no longer knows it."""
        linger = struct.pack("ii", 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send raw bytes."""
        self.socket.sendall(data)

    def drip(self, data: bytes, *, every_seconds: float = 0.05) -> None:
        """Send the bytes one by one, repeatedly, until the client or the test gives up."""
        while not self.stopping.is_set():
            for byte in data:
                self.send(bytes([byte]))
                if self.stopping.wait(every_seconds):
                    return


class Endpoint:
    """Accepts connections until closed, and counts them."""

    def __init__(
        self, script: Script, *, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1"
    ) -> None:
        self._script = script
        self._tls = tls
        self._stopping = threading.Event()
        self._listener = socket.create_server((address, 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._open: list[socket.socket] = []
        self._serving: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Endpoint:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Shut down, not closed: each thread closes its own. The descriptor of a socket closed here
        # could be reused for the next one opened, and the thread would read from that.
        self._stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for sock in self._open:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        self._thread.join(60)
        self.join()
        self._listener.close()

    def stop_listening(self) -> None:
        """Refuse connections from now on."""
        self._listener.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        """Wait until each connection so far has been served and closed."""
        for thread in self._serving:
            thread.join(60)

    def url(self, host: str = "127.0.0.1", path: str = "/in") -> str:
        """The endpoint's URL."""
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{path}"

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._serving.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._open.append(sock)
            self._script(Conversation(sock, self._stopping))
        except OSError:
            pass
        finally:
            sock.close()


def answering(response: bytes, received: list[bytes] | None = None) -> Script:
    """A script that gives the same response to every request of a connection."""

    def script(conversation: Conversation) -> None:
        while request := conversation.read_request():
            if received is not None:
                received.append(request)
            conversation.send(response)

    return script


def response(status: str, body: bytes = b"", **headers: str) -> bytes:
    """A complete HTTP/1.1 response with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
