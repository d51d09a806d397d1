"""Signing secrets for the endpoints of the sample data, for both ends of the wire."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable
from pathlib import Path

from sync.http.secrets import signing_secret_name
from sync.http.signing import SYMMETRIC_PREFIX
from sync.local.sample_customers import Endpoint

_KEY_BYTES = 32


def write_secrets(endpoints: Iterable[Endpoint], *, sender: Path, receiver: Path) -> None:
    """Write one new ``v1`` secret per endpoint into two directories, made if missing.

    The sender looks it up by endpoint id (``sync.http.secrets``), the receiver by the
    endpoint's name.
    A secret that the sender already has is kept, and given to the receiver again.
    """
    for directory in (sender, receiver):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for endpoint in endpoints:
        kept = sender / signing_secret_name(endpoint.endpoint_id)
        if not kept.exists():
            key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode("ascii")
            _write_private(kept, f"{SYMMETRIC_PREFIX}{key}\n")
        _write_private(receiver / endpoint.name, kept.read_text(encoding="utf-8"))


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
