"""A receiver's check of a signature per Standard Webhooks 1.0.0, ``v1`` and ``v1a``.

The sample receiver and tests use it; ``docs/receiving.md`` has the same for customers.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sync.http.signing import (
    ID_HEADER,
    MESSAGE_ID,
    PUBLIC_PREFIX,
    SEED_BYTES,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    Scheme,
    SigningError,
    SigningKey,
    decode_key,
    key_id,
    parse_key,
    signed_content,
)

TOLERANCE_SECONDS = 300
"""How far a timestamp may be from the receiver's clock, in either direction."""
# int() would also accept signs, spaces, underscores and digits of other scripts.
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True)
class PublicKey:
    """The public half of an ed25519 key; same ``key_id`` as the sender's key."""

    key_id: str
    material: bytes = field(repr=False)


class Rejection(StrEnum):
    """Why a message was not accepted."""

    MISSING_HEADER = "missing_header"
    BAD_ID = "bad_id"
    BAD_TIMESTAMP = "bad_timestamp"
    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    NO_MATCH = "no_match"


@dataclass(frozen=True)
class Verified:
    """The message was signed with this key at this time (unix seconds)."""

    msg_id: str
    timestamp: int
    key_id: str


@dataclass(frozen=True)
class Rejected:
    """The message must not be trusted."""

    reason: Rejection


def parse_verification_key(text: str) -> SigningKey | PublicKey:
    """Read a receiver's key: ``whpk_…``, or anything ``parse_key`` accepts.

    Raises:
        SigningError: the text is not a usable key.
    """
    if not text.startswith(PUBLIC_PREFIX):
        return parse_key(text)
    material = decode_key(text.removeprefix(PUBLIC_PREFIX))
    if len(material) != SEED_BYTES:
        raise SigningError(f"an ed25519 public key has 32 bytes; got {len(material)}")
    return PublicKey(key_id(Scheme.V1A, material), material)


def verify(
    headers: Mapping[str, str],
    body: bytes,
    *,
    keys: Sequence[SigningKey | PublicKey],
    now: int,
) -> Verified | Rejected:
    """Check a received message; never raises, whatever the sender sent.

    Header names match in any case. A malformed or unknown entry of the signature header counts as
    no match and does not affect a valid entry next to it. Comparison takes constant time. The
    receiver still has to drop ids it has already handled.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    msg_id, stamp, entries = (
        lowered.get(name, "") for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
    )
    if not (msg_id and stamp and entries):
        return Rejected(Rejection.MISSING_HEADER)
    if not MESSAGE_ID.fullmatch(msg_id):
        return Rejected(Rejection.BAD_ID)
    if not _TIMESTAMP.fullmatch(stamp):
        return Rejected(Rejection.BAD_TIMESTAMP)
    if int(stamp) < now - TOLERANCE_SECONDS:
        return Rejected(Rejection.TOO_OLD)
    if int(stamp) > now + TOLERANCE_SECONDS:
        return Rejected(Rejection.TOO_NEW)
    content = signed_content(msg_id, stamp, body)
    for entry in entries.split(" "):
        label, _, encoded = entry.partition(",")
        signature = _decode_signature(encoded)
        for key in keys:
            if signature and label == _scheme(key) and _matches(key, content, signature):
                return Verified(msg_id, int(stamp), key.key_id)
    return Rejected(Rejection.NO_MATCH)


def _matches(key: SigningKey | PublicKey, content: bytes, signature: bytes) -> bool:
    if isinstance(key, SigningKey) and key.scheme is Scheme.V1:
        return hmac.compare_digest(hmac.digest(key.material, content, "sha256"), signature)
    try:
        Ed25519PublicKey.from_public_bytes(_public_bytes(key)).verify(signature, content)
    except InvalidSignature:
        return False
    return True


def _scheme(key: SigningKey | PublicKey) -> Scheme:
    return key.scheme if isinstance(key, SigningKey) else Scheme.V1A


def _public_bytes(key: SigningKey | PublicKey) -> bytes:
    if isinstance(key, PublicKey):
        return key.material
    return Ed25519PrivateKey.from_private_bytes(key.material).public_key().public_bytes_raw()


def _decode_signature(text: str) -> bytes:
    """The bytes of an entry; empty when it is malformed."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""
