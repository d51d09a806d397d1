"""A TCP proxy on loopback that can stall, like a black hole in the network."""

from __future__ import annotations

import socket
import threading
from types import TracebackType


class StallingProxy:
    """Forwards bytes in both directions to a local port until it is stalled."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._flows = threading.Event()
        self._flows.set()
        self._is_closed = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self.connections = 0

    def __enter__(self) -> StallingProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def stall(self) -> None:
        """Hold back all bytes from now on, on old and new connections."""
        self._flows.clear()

    def resume(self) -> None:
        """Forward the held bytes and all that follow."""
        self._flows.set()

    def close(self) -> None:
        """Refuse new connections and break the open ones."""
        if self._is_closed:
            return
        self._is_closed = True
        # After closing alone, the accepting thread's socket would still listen.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._flows.set()
        for sock in self._sockets:
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to_port))
            except OSError:
                return
            self.connections += 1
            self._sockets += [client, server]
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self._flows.wait()
                if self._is_closed:
                    return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return
