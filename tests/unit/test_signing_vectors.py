"""All published and derived cases of Standard Webhooks, for signing and for verification."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from sync.http.signing import SigningError, parse_key, sign
from sync.local.verification import Rejected, Verified, parse_verification_key, verify
from tests.support.vectors import load_vectors

VECTORS = load_vectors("standard_webhooks.json")


def named(cases: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in cases]


@pytest.mark.parametrize("vector", named(VECTORS["vectors"]))
def test_published_vectors_are_reproduced(vector: dict[str, Any]):
    key = parse_key(vector.get("private_key") or vector["key"])
    signature = sign(
        msg_id=vector["id"],
        timestamp=vector["timestamp"],
        body=vector["body"].encode(),
        keys=[key],
    )
    assert signature == vector["signature"]
    if "public_key" in vector:
        assert parse_verification_key(vector["public_key"]).key_id == key.key_id


@pytest.mark.parametrize("case", named(VECTORS["sign_cases"]))
def test_the_signer_signs_or_refuses_as_the_standard_wants(case: dict[str, Any]):
    def attempt() -> str:
        keys = [parse_key(text) for text in case["keys"]]
        body = case["body"].encode()
        return sign(msg_id=case["id"], timestamp=case["timestamp"], body=body, keys=keys)

    if case["want"] == "ok":
        assert attempt() == case["signature"]
    else:
        with pytest.raises(SigningError):
            attempt()


@pytest.mark.parametrize("case", named(VECTORS["verify_cases"]))
def test_the_verifier_accepts_or_rejects_as_the_standard_wants(case: dict[str, Any]):
    body = (
        base64.b64decode(case["body_base64"])
        if "body_base64" in case
        else case["body"].encode("utf-8")
    )
    outcome = verify(
        case["headers"],
        body,
        keys=[parse_verification_key(text) for text in case["keys"]],
        now=case["now"],
    )
    assert isinstance(outcome, Verified if case["want"] == "accept" else Rejected), outcome
