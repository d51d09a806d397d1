"""Signatures: published examples, the public verifier as an oracle, and what must be refused."""

from __future__ import annotations

import base64
import dataclasses
import traceback
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from sync.http.signing import Scheme, SigningError, headers_for, parse_key, sign
from sync.local.verification import Rejected, Rejection, Verified, parse_verification_key, verify

pytestmark = pytest.mark.usefixtures("local_zone")

# Published: the libraries of Standard Webhooks, and the specification's ed25519 example.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PRIVATE = (
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
)
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
MSG_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
V1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
V1A = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
SECRETS = st.binary(min_size=24, max_size=64).map(
    lambda material: "whsec_" + base64.b64encode(material).decode()
)
IDS = st.from_regex(r"[A-Za-z0-9_-]{1,60}", fullmatch=True)


def test_published_signatures_are_reproduced():
    keys = [parse_key(SECRET), parse_key(PRIVATE)]
    signature = sign(msg_id=MSG_ID, timestamp=TIMESTAMP, body=BODY, keys=keys)
    assert signature == f"{V1} {V1A}"
    assert [key.scheme for key in keys] == [Scheme.V1, Scheme.V1A]


def test_the_public_half_of_an_ed25519_key_has_the_same_id():
    key = parse_key(PRIVATE)
    assert parse_verification_key(PUBLIC).key_id == key.key_id


@given(SECRETS, IDS, st.integers(0, 4_000_000_000), st.text())
def test_the_public_library_computes_the_same_signature(
    secret: str, msg_id: str, timestamp: int, body: str
):
    ours = sign(msg_id=msg_id, timestamp=timestamp, body=body.encode(), keys=[parse_key(secret)])
    at = datetime.fromtimestamp(timestamp, UTC)
    assert ours == Webhook(secret).sign(msg_id, at, body)


@given(SECRETS, SECRETS, IDS, st.binary(), st.integers(0, 2_000_000_000))
def test_a_message_verifies_with_its_own_keys_and_with_no_other(
    secret: str, other: str, msg_id: str, body: bytes, timestamp: int
):
    keys = [parse_key(secret), parse_key(PRIVATE)]
    headers = headers_for(msg_id=msg_id, timestamp=timestamp, body=body, keys=keys)
    for key in keys:
        outcome = verify(headers, body, keys=[key], now=timestamp)
        assert outcome == Verified(msg_id, timestamp, key.key_id)
    if parse_key(other) != keys[0]:
        rejected = verify(headers, body, keys=[parse_key(other)], now=timestamp)
        assert rejected == Rejected(Rejection.NO_MATCH)
    changed = verify(headers, body + b" ", keys=keys, now=timestamp)
    assert changed == Rejected(Rejection.NO_MATCH)


@given(
    st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text()
    )
)
def test_nothing_that_a_sender_may_put_into_headers_raises(headers: dict[str, str]):
    outcome = verify(headers, BODY, keys=[parse_key(SECRET), parse_key(PRIVATE)], now=TIMESTAMP)
    assert isinstance(outcome, Rejected)


@pytest.mark.parametrize(
    ("offset", "expected"),
    [(-301, Rejection.TOO_OLD), (-300, None), (300, None), (301, Rejection.TOO_NEW)],
)
def test_timestamps_may_differ_by_five_minutes_either_way(offset: int, expected: Rejection | None):
    key = parse_key(SECRET)
    headers = headers_for(msg_id=MSG_ID, timestamp=TIMESTAMP + offset, body=BODY, keys=[key])
    outcome = verify(headers, BODY, keys=[key], now=TIMESTAMP)
    if expected is None:
        assert isinstance(outcome, Verified)
    else:
        assert outcome == Rejected(expected)


@pytest.mark.parametrize("msg_id", ["", "a.b", "a b", "a\nb", "a\r\nx: y", "ä", "x" * 256])
def test_an_id_that_could_move_a_border_is_neither_signed_nor_accepted(msg_id: str):
    key = parse_key(SECRET)
    with pytest.raises(SigningError, match="webhook id"):
        sign(msg_id=msg_id, timestamp=TIMESTAMP, body=BODY, keys=[key])
    headers = {"webhook-id": msg_id, "webhook-timestamp": str(TIMESTAMP), "webhook-signature": V1}
    assert isinstance(verify(headers, BODY, keys=[key], now=TIMESTAMP), Rejected)


@pytest.mark.parametrize("timestamp", [1.5, -1, "1614265330", True, None])
def test_a_timestamp_that_is_no_whole_second_is_not_signed(timestamp: object):
    with pytest.raises(SigningError, match="timestamp"):
        sign(msg_id=MSG_ID, timestamp=timestamp, body=BODY, keys=[parse_key(SECRET)])  # pyright: ignore[reportArgumentType]


def test_nothing_is_sent_unsigned():
    with pytest.raises(SigningError, match="no key"):
        sign(msg_id=MSG_ID, timestamp=TIMESTAMP, body=BODY, keys=[])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("whsec_", "got 0"),
        ("whsec_AA==", "got 1"),
        ("whsec_" + base64.b64encode(bytes(23)).decode(), "got 23"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "got 65"),
        ("whsec_@@@@", "not base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwä", "not base64"),
        ("whsk_" + base64.b64encode(bytes(63)).decode(), "got 63"),
        ("whsk_" + base64.b64encode(bytes(64)).decode(), "does not belong"),
        (PUBLIC, "cannot sign"),
    ],
)
def test_an_unfit_key_is_refused_with_the_reason(text: str, problem: str):
    with pytest.raises(SigningError, match=problem):
        parse_key(text)


def test_a_public_key_of_another_size_is_refused():
    with pytest.raises(SigningError, match="got 31"):
        parse_verification_key("whpk_" + base64.b64encode(bytes(31)).decode())


@pytest.mark.parametrize("text", [SECRET, PRIVATE])
def test_key_material_shows_in_no_repr_and_in_no_exception(text: str):
    key = parse_key(text)
    material = base64.b64encode(key.material).decode()
    assert material[:12] not in repr(key)
    assert repr(key.material)[2:14] not in repr(key)
    assert key.key_id in repr(key)
    for broken in (text + "!", text[:-6]):
        with pytest.raises(SigningError) as caught:
            parse_key(broken)
        assert material[:12] not in "".join(traceback.format_exception(caught.value))


def test_key_ids_differ_by_key_and_do_not_depend_on_the_spelling():
    other = parse_key("whsec_" + base64.b64encode(bytes(range(24))).decode())
    assert parse_key(SECRET).key_id == parse_key(SECRET.removeprefix("whsec_")).key_id
    assert parse_key(SECRET).key_id != other.key_id
    with pytest.raises(dataclasses.FrozenInstanceError):
        other.key_id = "x"  # pyright: ignore[reportAttributeAccessIssue]
