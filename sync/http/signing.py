"""Webhook signatures per Standard Webhooks 1.0.0: ``v1`` (HMAC-SHA256) and ``v1a`` (ed25519).

The signed content is ``{webhook-id}.{webhook-timestamp}.`` followed by the exact body bytes that
are sent. Key material appears in no ``repr`` and in no exception.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sync.errors import SyncError

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"

SYMMETRIC_PREFIX = "whsec_"
PRIVATE_PREFIX = "whsk_"
PUBLIC_PREFIX = "whpk_"

_SYMMETRIC_BYTES = range(24, 65)
SEED_BYTES = 32
# A dot would blur the boundaries of id, timestamp and body; spaces would split the header.
MESSAGE_ID = re.compile(r"[!-\-/-~]{1,255}")


class SigningError(SyncError):
    """A message or a key cannot be used for signing; the text gives the reason and no key."""


class Scheme(StrEnum):
    """Version label of a signature."""

    V1 = "v1"
    V1A = "v1a"


@dataclass(frozen=True)
class SigningKey:
    """One secret of the sender. ``key_id`` is not secret and may be logged."""

    scheme: Scheme
    key_id: str
    material: bytes = field(repr=False)


def parse_key(text: str) -> SigningKey:
    """Read a secret in its text form: ``whsec_…``, ``whsk_…``, or bare base64 for ``v1``.

    Sizes are those of the standard: 24 to 64 bytes for ``v1``; for ``v1a`` a 32-byte seed and its
    public half. Missing base64 padding is tolerated.

    Raises:
        SigningError: the text is not a usable secret.
    """
    if text.startswith(PUBLIC_PREFIX):
        raise SigningError("a public key (whpk_) cannot sign; give the private key (whsk_)")
    if text.startswith(PRIVATE_PREFIX):
        material = decode_key(text.removeprefix(PRIVATE_PREFIX))
        if len(material) != 2 * SEED_BYTES:
            raise SigningError(
                f"an ed25519 private key has 64 bytes, seed then public half; got {len(material)}"
            )
        seed, public = material[:SEED_BYTES], material[SEED_BYTES:]
        if Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw() != public:
            raise SigningError("the public half of the ed25519 key does not belong to its seed")
        return SigningKey(Scheme.V1A, key_id(Scheme.V1A, public), seed)
    material = decode_key(text.removeprefix(SYMMETRIC_PREFIX))
    if len(material) not in _SYMMETRIC_BYTES:
        raise SigningError(f"a whsec_ secret has 24 to 64 bytes; got {len(material)}")
    return SigningKey(Scheme.V1, key_id(Scheme.V1, material), material)


def sign(*, msg_id: str, timestamp: int, body: bytes, keys: Sequence[SigningKey]) -> str:
    """The ``webhook-signature`` header: one entry per key, in the given order (newest first).

    ``timestamp`` is the time of this attempt in whole unix seconds.

    Raises:
        SigningError: an id, timestamp or key list that no receiver could verify safely.
    """
    if not MESSAGE_ID.fullmatch(msg_id):
        raise SigningError("a webhook id is 1 to 255 visible ASCII characters without '.'")
    # bool is a subclass of int; a float would be rendered with a fraction.
    if type(timestamp) is not int or timestamp < 0:
        raise SigningError("a webhook timestamp is a whole, non-negative number of unix seconds")
    if not keys:
        raise SigningError("there is no key to sign with")
    content = signed_content(msg_id, str(timestamp), body)
    return " ".join(f"{key.scheme},{_signature(key, content)}" for key in keys)


def headers_for(
    *, msg_id: str, timestamp: int, body: bytes, keys: Sequence[SigningKey]
) -> dict[str, str]:
    """The three headers of one attempt.

    Raises:
        SigningError: as ``sign``.
    """
    return {
        ID_HEADER: msg_id,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: sign(msg_id=msg_id, timestamp=timestamp, body=body, keys=keys),
    }


def signed_content(msg_id: str, timestamp: str, body: bytes) -> bytes:
    """The content that is signed."""
    return f"{msg_id}.{timestamp}.".encode("ascii") + body


def _signature(key: SigningKey, content: bytes) -> str:
    if key.scheme is Scheme.V1:
        raw = hmac.digest(key.material, content, "sha256")
    else:
        raw = Ed25519PrivateKey.from_private_bytes(key.material).sign(content)
    return base64.b64encode(raw).decode("ascii")


def key_id(scheme: Scheme, identity: bytes) -> str:
    """A fingerprint of at least 24 random bytes, so it reveals nothing about the key."""
    return f"{scheme}-{hashlib.sha256(b'webhook key id:' + identity).hexdigest()[:12]}"


def decode_key(text: str) -> bytes:
    """The bytes of a key without its prefix.

    Raises:
        SigningError: the text is not base64.
    """
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        # `from None`: the cause's text may quote the key.
        raise SigningError("the key is not base64") from None
