"""Signatures of webhooks by Standard Webhooks 1.0.0: ``v1`` (HMAC-SHA256) and ``v1a`` (ed25519).

The signed content is ``{webhook-id}.{webhook-timestamp}.`` followed by the body bytes as they go
over the wire. Key material appears in no ``repr`` and in no exception.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from sync.errors import SyncError

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"

SYMMETRIC_PREFIX = "whsec_"
PRIVATE_PREFIX = "whsk_"
PUBLIC_PREFIX = "whpk_"
TOLERANCE_SECONDS = 300
"""How far a timestamp may lie from the receiver's clock, in both directions."""

_SYMMETRIC_BYTES = range(24, 65)
_SEED_BYTES = 32
# A dot would let the borders of id, timestamp and body move; blanks would split the header.
_ID = re.compile(r"[!-\-/-~]{1,255}")
# int() would also take signs, blanks, underscores and digits of other scripts.
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


class SigningError(SyncError):
    """A message or a key cannot be used for signing; the text says why and never shows a key."""


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


@dataclass(frozen=True)
class PublicKey:
    """The half of an ed25519 key that a receiver holds; same ``key_id`` as the sender's key."""

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


def parse_key(text: str) -> SigningKey:
    """Read a secret as people hold it: ``whsec_…``, ``whsk_…``, or bare base64 for ``v1``.

    Sizes are those of the standard: 24 to 64 bytes for ``v1``; for ``v1a`` a 32-byte seed and
    the public half that belongs to it. Missing base64 padding is tolerated.

    Raises:
        SigningError: the text is no usable secret.
    """
    if text.startswith(PUBLIC_PREFIX):
        raise SigningError("a public key (whpk_) cannot sign; give the private key (whsk_)")
    if text.startswith(PRIVATE_PREFIX):
        material = _decode_key(text.removeprefix(PRIVATE_PREFIX))
        if len(material) != 2 * _SEED_BYTES:
            raise SigningError(
                f"an ed25519 private key has 64 bytes, seed then public half; got {len(material)}"
            )
        seed, public = material[:_SEED_BYTES], material[_SEED_BYTES:]
        if Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw() != public:
            raise SigningError("the public half of the ed25519 key does not belong to its seed")
        return SigningKey(Scheme.V1A, _key_id(Scheme.V1A, public), seed)
    material = _decode_key(text.removeprefix(SYMMETRIC_PREFIX))
    if len(material) not in _SYMMETRIC_BYTES:
        raise SigningError(f"a whsec_ secret has 24 to 64 bytes; got {len(material)}")
    return SigningKey(Scheme.V1, _key_id(Scheme.V1, material), material)


def parse_verification_key(text: str) -> SigningKey | PublicKey:
    """Read a key as a receiver holds it: ``whpk_…``, or anything ``parse_key`` takes.

    Raises:
        SigningError: the text is no usable key.
    """
    if not text.startswith(PUBLIC_PREFIX):
        return parse_key(text)
    material = _decode_key(text.removeprefix(PUBLIC_PREFIX))
    if len(material) != _SEED_BYTES:
        raise SigningError(f"an ed25519 public key has 32 bytes; got {len(material)}")
    return PublicKey(_key_id(Scheme.V1A, material), material)


def sign(*, msg_id: str, timestamp: int, body: bytes, keys: Sequence[SigningKey]) -> str:
    """The ``webhook-signature`` header: one entry per key, in the given order (newest first).

    ``timestamp`` is the time of this attempt in whole unix seconds.

    Raises:
        SigningError: an id, timestamp or key list that no receiver could verify safely.
    """
    if not _ID.fullmatch(msg_id):
        raise SigningError("a webhook id is 1 to 255 visible ASCII characters without '.'")
    # bool is an int in Python; a float would be rendered with a fraction.
    if type(timestamp) is not int or timestamp < 0:
        raise SigningError("a webhook timestamp is a whole, non-negative number of unix seconds")
    if not keys:
        raise SigningError("there is no key to sign with")
    content = _signed_content(msg_id, str(timestamp), body)
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


def verify(
    headers: Mapping[str, str],
    body: bytes,
    *,
    keys: Sequence[SigningKey | PublicKey],
    now: int,
    tolerance_seconds: int = TOLERANCE_SECONDS,
) -> Verified | Rejected:
    """Check a received message; never raises for anything a sender may put on the wire.

    Header names match in any case. A malformed or unknown entry of the signature header counts as
    no match and hides no good entry beside it. Comparison takes constant time. The receiver still
    has to drop ids it has already handled.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    msg_id, stamp, entries = (
        lowered.get(name, "") for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
    )
    if not (msg_id and stamp and entries):
        return Rejected(Rejection.MISSING_HEADER)
    if not _ID.fullmatch(msg_id):
        return Rejected(Rejection.BAD_ID)
    if not _TIMESTAMP.fullmatch(stamp):
        return Rejected(Rejection.BAD_TIMESTAMP)
    if int(stamp) < now - tolerance_seconds:
        return Rejected(Rejection.TOO_OLD)
    if int(stamp) > now + tolerance_seconds:
        return Rejected(Rejection.TOO_NEW)
    content = _signed_content(msg_id, stamp, body)
    for entry in entries.split(" "):
        label, _, encoded = entry.partition(",")
        signature = _decode_signature(encoded)
        for key in keys:
            if signature and label == _scheme(key) and _matches(key, content, signature):
                return Verified(msg_id, int(stamp), key.key_id)
    return Rejected(Rejection.NO_MATCH)


def _signed_content(msg_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{msg_id}.{timestamp}.".encode("ascii") + body


def _signature(key: SigningKey, content: bytes) -> str:
    if key.scheme is Scheme.V1:
        raw = hmac.digest(key.material, content, "sha256")
    else:
        raw = Ed25519PrivateKey.from_private_bytes(key.material).sign(content)
    return base64.b64encode(raw).decode("ascii")


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


def _key_id(scheme: Scheme, identity: bytes) -> str:
    """A fingerprint: at least 24 random bytes stand behind it, so it gives nothing away."""
    return f"{scheme}-{hashlib.sha256(b'webhook key id:' + identity).hexdigest()[:12]}"


def _decode_key(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        # `from None`: the text of the cause may quote what it could not read.
        raise SigningError("the key is not base64") from None


def _decode_signature(text: str) -> bytes:
    """The bytes of an entry; empty when it is malformed."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""
