"""Secrets by name, from the environment or from files."""

from __future__ import annotations

import base64
import traceback
from pathlib import Path

import pytest

from sync.errors import SyncError
from sync.http.secrets import (
    MOST_KEYS,
    MissingSecret,
    SecretError,
    SecretStore,
    environment_variable,
)
from sync.http.signing import parse_key

NEW = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def test_a_secret_comes_from_its_variable():
    store = SecretStore.from_environment({"LTW_SECRET_WEBHOOK_SIGNING_7": "canary"})
    assert store.get("webhook-signing-7") == "canary"
    assert environment_variable("oauth.client-7") == "LTW_SECRET_OAUTH_CLIENT_7"


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_comes_from_its_file_without_the_trailing_line_break(tmp_path: Path, ending: str):
    (tmp_path / "token").write_bytes(b" canary" + ending.encode())
    store = SecretStore.from_environment({"LTW_SECRETS_DIR": str(tmp_path)})
    assert store.get("token") == " canary"


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_variable_loses_the_line_break_that_echo_has_left_in_it(ending: str):
    assert SecretStore({"LTW_SECRET_TOKEN": f"canary{ending}"}, None).get("token") == "canary"


def test_a_byte_order_mark_is_no_part_of_a_secret(tmp_path: Path):
    (tmp_path / "webhook-signing-7").write_text(f"{NEW}\r\n{OLD}\r\n", encoding="utf-8-sig")
    keys = SecretStore({}, tmp_path).signing_keys(7)
    assert keys == (parse_key(NEW), parse_key(OLD))


def test_the_variable_wins_over_the_file(tmp_path: Path):
    (tmp_path / "token").write_text("from file")
    store = SecretStore({"LTW_SECRET_TOKEN": "from environment"}, tmp_path)
    assert store.get("token") == "from environment"


def test_a_rotated_file_counts_at_the_next_call(tmp_path: Path):
    store = SecretStore({}, tmp_path)
    for value in ("old", "new"):
        (tmp_path / "token").write_text(value)
        assert store.get("token") == value


@pytest.mark.parametrize("is_directory_set", [True, False])
def test_a_missing_secret_names_both_places(tmp_path: Path, *, is_directory_set: bool):
    store = SecretStore({"LTW_SECRET_OTHER": "x"}, tmp_path if is_directory_set else None)
    with pytest.raises(MissingSecret) as caught:
        store.get("token")
    assert "LTW_SECRET_TOKEN" in str(caught.value)
    assert (str(tmp_path) if is_directory_set else "LTW_SECRETS_DIR") in str(caught.value)
    assert isinstance(caught.value, SyncError)


def test_an_empty_secret_is_a_missing_one(tmp_path: Path):
    (tmp_path / "token").write_text("\n")
    with pytest.raises(MissingSecret):
        SecretStore({"LTW_SECRET_TOKEN": ""}, tmp_path).get("token")


@pytest.mark.parametrize("name", ["", "../token", "a/b", "/etc/hostname", ".hidden", "a\0b"])
def test_a_name_cannot_lead_out_of_the_directory(tmp_path: Path, name: str):
    (tmp_path / "inner").mkdir()
    (tmp_path / "token").write_text("canary")
    with pytest.raises(SecretError, match="name"):
        SecretStore({}, tmp_path / "inner").get(name)


def test_a_file_that_is_no_text_is_named_and_not_shown(tmp_path: Path):
    (tmp_path / "token").write_bytes(b"canary\xff")
    with pytest.raises(SecretError, match="UTF-8") as caught:
        SecretStore({}, tmp_path).get("token")
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__suppress_context__, "the error below carries the bytes"


def test_a_directory_in_place_of_a_file_is_reported(tmp_path: Path):
    (tmp_path / "token").mkdir()
    with pytest.raises(SecretError, match="cannot read"):
        SecretStore({}, tmp_path).get("token")


@pytest.mark.parametrize("separator", ["\n", " ", "\r\n", "\n\n"])
def test_signing_keys_come_in_their_order_newest_first(separator: str):
    store = SecretStore({"LTW_SECRET_WEBHOOK_SIGNING_7": f"{NEW}{separator}{OLD}\n"}, None)
    assert store.signing_keys(7) == (parse_key(NEW), parse_key(OLD))


def test_a_bad_signing_key_is_named_by_its_place_and_not_shown():
    store = SecretStore({"LTW_SECRET_WEBHOOK_SIGNING_7": f"{NEW} whsec_canary"}, None)
    with pytest.raises(SecretError, match=r"webhook-signing-7.*key 2") as caught:
        store.signing_keys(7)
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_more_live_keys_than_the_log_of_attempts_can_name_are_refused():
    def store(count: int) -> SecretStore:
        keys = [f"whsec_{base64.b64encode(bytes([n] * 32)).decode()}" for n in range(count)]
        return SecretStore({"LTW_SECRET_WEBHOOK_SIGNING_7": " ".join(keys)}, None)

    ids = " ".join(key.key_id for key in store(MOST_KEYS).signing_keys(7))
    assert len(ids) <= 400 - MOST_KEYS, "signing_key_ids varchar(400), and v1a has one more each"
    with pytest.raises(SecretError, match="21 signing keys, 20 at most"):
        store(MOST_KEYS + 1).signing_keys(7)


def test_a_blank_signing_secret_is_a_missing_one():
    with pytest.raises(MissingSecret, match="webhook-signing-7"):
        SecretStore({"LTW_SECRET_WEBHOOK_SIGNING_7": " \n"}, None).signing_keys(7)


def test_values_do_not_show_in_repr():
    assert "canary" not in repr(SecretStore({"LTW_SECRET_TOKEN": "canary"}, None))
