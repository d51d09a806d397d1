"""A token endpoint on loopback that issues numbered tokens, or responds as scripted."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.hostile import Conversation, Endpoint, response

Answer = bytes | Callable[[Conversation], None]


def granted(token: str, expires_in: object = 3600) -> bytes:
    """A successful response."""
    body = json.dumps({"access_token": token, "expires_in": expires_in, "token_type": "bearer"})
    return response("200 OK", body.encode())


@dataclass
class TokenServer:
    """Counts requests. While ``response`` is set, it replaces the numbered tokens."""

    url: str = ""
    port: int = 0
    heads: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    answer: Answer | None = None
    expires_in: float = 3600
    gate: threading.Event = field(default_factory=threading.Event)
    """Responses wait for this event, which is set until a test clears it."""
    was_asked: threading.Event = field(default_factory=threading.Event)

    @property
    def asked(self) -> int:
        return len(self.bodies)


@contextmanager
def token_server() -> Iterator[TokenServer]:
    """A running server; its n-th token is ``token-n``."""
    running = TokenServer()
    running.gate.set()
    lock = threading.Lock()

    def script(conversation: Conversation) -> None:
        while request := conversation.read_request():
            head, _, body = request.partition(b"\r\n\r\n")
            with lock:
                running.heads.append(head.decode())
                running.bodies.append(json.loads(body))
                number = running.asked
            running.was_asked.set()
            running.gate.wait(30)
            if running.answer is None:
                conversation.send(granted(f"token-{number}", running.expires_in))
            elif isinstance(running.answer, bytes):
                conversation.send(running.answer)
            else:
                running.answer(conversation)
                return

    with Endpoint(script) as endpoint:
        running.url, running.port = endpoint.url(path="/token"), endpoint.port
        yield running
        running.gate.set()
