"""Statements to a session's own warehouse over a bare connection.

The connector's requests cost this process 1 ms per statement, of 2.4 in all. Files, and requests
through a proxy, to another warehouse or from another process, still use the connector.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from types import SimpleNamespace
from typing import Any

from snowflake.connector.vendored.requests import exceptions as refusals
from snowflake.connector.vendored.requests.models import Response
from snowflake.connector.vendored.requests.sessions import Session

from sync.local.embedded.server import HOST
from tests.support.untraced import PROXIES

PLACE = "bare"
"""Where a session keeps the connection, so that it closes it with its others."""


def bare_requests(port: int) -> Callable[..., Any]:
    """In place of ``Session.request``, for the warehouse on this port."""
    stock, base = Session.request, f"http://{HOST}:{port}"

    def request(session: Any, method: str, url: str, **options: Any) -> Any:
        is_statement = url.startswith(f"{base}/") and "auth" in options
        if not is_statement or any(name in os.environ for name in PROXIES):
            return stock(session, method, url, **options)
        asked = SimpleNamespace(headers=dict(options["headers"]))
        options["auth"](asked)
        try:
            connection = _open(session, port, options["timeout"])
            where = url.removeprefix(base)
            connection.request(method.upper(), where, options["data"], asked.headers)
            return _response(connection, url)
        except TimeoutError as error:
            session.close()
            raise refusals.ReadTimeout(error) from error
        except (OSError, HTTPException) as error:
            session.close()
            raise refusals.ConnectionError(error) from error

    return request


def _open(session: Any, port: int, timeout: float) -> HTTPConnection:
    connection = session.adapters.get(PLACE)
    if connection is None:
        connection = session.adapters[PLACE] = HTTPConnection(HOST, port)
    # Readable before a request was sent: the server has closed it.
    if connection.sock and select.select([connection.sock], [], [], 0)[0]:
        connection.close()
    connection.timeout = timeout
    if connection.sock:
        connection.sock.settimeout(timeout)
    return connection


def _response(connection: HTTPConnection, url: str) -> Response:
    got, response = connection.getresponse(), Response()
    response.headers.update(got.headers)
    vars(response).update(status_code=got.status, reason=got.reason, url=url)
    vars(response).update(_content=got.read(), _content_consumed=True)
    return response
