"""The local receiver over real HTTP."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from sync.http.secrets import SecretStore
from sync.http.signing import headers_for, parse_key
from sync.local import receiver
from sync.local.receiver import ReceiverError, RunningReceiver, running_receiver
from sync.local.sample_data import write_secrets
from sync.local.sample_replica import Endpoint
from sync.settings import PROJECT_ROOT

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
BODY = b'{"event_type": "course_completion",  "learning_time": {"total_seconds": 60}}'
TIMEOUT = 60


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningReceiver]:
    (tmp_path / "acme-us").write_text(f"{KEY}\n", encoding="utf-8")
    with running_receiver(secrets=SecretStore({}, tmp_path), clock=lambda: NOW) as one:
        yield one


def send(
    running: RunningReceiver,
    path: str = "/hooks/acme-us",
    *,
    body: bytes = BODY,
    webhook_id: str = "msg-1",
    signed: bytes = BODY,
    at: datetime = NOW,
) -> requests.Response:
    headers = headers_for(
        msg_id=webhook_id, timestamp=int(at.timestamp()), body=signed, keys=[parse_key(KEY)]
    )
    return requests.post(f"{running.url}{path}", data=body, headers=headers, timeout=TIMEOUT)


def listed(running: RunningReceiver, query: str = "") -> list[dict[str, object]]:
    answer = requests.get(f"{running.url}/api/webhooks{query}", timeout=TIMEOUT)
    return answer.json()["webhooks"]


def test_a_signed_webhook_is_recorded_byte_for_byte_and_verified(running: RunningReceiver) -> None:
    assert send(running).status_code == 200
    [webhook] = listed(running)
    assert webhook["body"] == BODY.decode()
    assert webhook["verification"] == "verified"
    assert (webhook["endpoint"], webhook["webhook_id"]) == ("acme-us", "msg-1")
    assert webhook["learning_time"] == 60
    assert running.store.newest(limit=1)[0].body == BODY


@pytest.mark.parametrize(
    ("arguments", "verification"),
    [
        pytest.param({"body": BODY + b" "}, "no_match", id="body changed by one blank"),
        pytest.param({"at": datetime(2026, 3, 4, 8, 54, 59, tzinfo=UTC)}, "too_old", id="old"),
        pytest.param({"path": "/hooks/nobody"}, "no_secret", id="unknown endpoint"),
    ],
)
def test_a_webhook_that_cannot_be_trusted_is_recorded_as_such(
    arguments: dict[str, object], verification: str, running: RunningReceiver
) -> None:
    assert send(running, **arguments).status_code == 200  # type: ignore[arg-type]
    [webhook] = listed(running)
    assert (webhook["is_verified"], webhook["verification"]) == (False, verification)


def test_a_request_without_any_header_is_recorded(running: RunningReceiver) -> None:
    requests.post(f"{running.url}/hooks/acme-us", data=b"hello", timeout=TIMEOUT)
    assert listed(running)[0]["verification"] == "missing_header"


@pytest.mark.parametrize("code", [204, 400, 429, 503])
def test_a_failing_endpoint_responds_with_its_code_and_records_every_attempt(
    code: int, running: RunningReceiver
) -> None:
    for _ in range(2):
        assert send(running, f"/status/{code}/acme-us").status_code == code
    assert [(one["attempt"], one["status"]) for one in listed(running)] == [(2, code), (1, code)]


def test_a_status_that_http_does_not_have_is_refused(running: RunningReceiver) -> None:
    assert send(running, "/status/42/acme-us").status_code == 400
    assert listed(running) == []


def test_the_list_is_filtered_newest_first(running: RunningReceiver) -> None:
    for webhook_id in ("a", "b", "a"):
        send(running, webhook_id=webhook_id)
    send(running, "/hooks/other", webhook_id="c")
    sequences = {
        query: [one["sequence"] for one in listed(running, query)]
        for query in ("", "?webhook_id=a", "?endpoint=other", "?after=2", "?limit=1")
    }
    assert sequences == {
        "": [4, 3, 2, 1],
        "?webhook_id=a": [3, 1],
        "?endpoint=other": [4],
        "?after=2": [4, 3],
        "?limit=1": [4],
    }


@pytest.mark.parametrize("query", ["?limit=x", "?after=-1", "?limit=1e3"])
def test_a_bad_query_is_refused_by_name(query: str, running: RunningReceiver) -> None:
    answer = requests.get(f"{running.url}/api/webhooks{query}", timeout=TIMEOUT)
    assert (answer.status_code, answer.json()) == (
        400,
        {"error": "after and limit must be whole numbers"},
    )


def test_deleting_empties_the_list(running: RunningReceiver) -> None:
    send(running)
    answer = requests.delete(f"{running.url}/api/webhooks", timeout=TIMEOUT)
    assert answer.json() == {"forgotten": 1}
    assert listed(running) == []


def test_a_body_over_the_limit_is_refused_and_not_kept(
    running: RunningReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "BODY_BYTES", 10)
    assert send(running, body=b"x" * 11).status_code == 413
    assert send(running, body=b"x" * 10).status_code == 200


def test_the_page_needs_nothing_from_elsewhere(running: RunningReceiver) -> None:
    answer = requests.get(running.url, timeout=TIMEOUT)
    assert answer.headers["content-type"].startswith("text/html")
    assert "Received webhooks" in answer.text
    assert "://" not in answer.text
    assert "prefers-color-scheme: dark" in answer.text


def test_a_secret_written_later_counts_at_once(running: RunningReceiver, tmp_path: Path) -> None:
    send(running, "/hooks/late")
    (tmp_path / "late").write_text(KEY, encoding="utf-8")
    send(running, "/hooks/late")
    assert [one["verification"] for one in listed(running)] == ["verified", "no_secret"]


def test_a_port_in_use_is_named_with_the_fix(running: RunningReceiver) -> None:
    port = int(running.url.rpartition(":")[2])
    with (
        pytest.raises(ReceiverError, match=rf"port {port} is in use; choose another with --port"),
        running_receiver(secrets=SecretStore({}, None), port=port),
    ):
        pass


def test_it_stops_listening_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where no other process listens: it could be given the port in between.
    monkeypatch.setattr(receiver, "HOST", "127.2.0.1")
    with running_receiver(secrets=SecretStore({}, None)) as one:
        port = int(one.url.rpartition(":")[2])
        socket.create_connection(("127.2.0.1", port), TIMEOUT).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.2.0.1", port), TIMEOUT)


def test_the_command_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sync.local.receiver", "--port", "0", "--secrets", tmp_path]
    with subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        url = process.stdout.readline().split()[-1]
        assert requests.get(f"{url}/api/webhooks", timeout=TIMEOUT).json()["webhooks"] == []
        process.terminate()
        process.wait(TIMEOUT)


def test_the_command_refuses_a_taken_port_and_a_missing_directory(
    running: RunningReceiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert receiver.main(["--port", running.url.rpartition(":")[2]]) == 2
    assert receiver.main(["--port", "0", "--secrets", str(tmp_path / "absent")]) == 2
    assert receiver.main(["--port", "70000"]) == 2
    shown = capsys.readouterr().err.splitlines()
    assert ["in use" in shown[0], "absent is not a directory" in shown[1]] == [True, True]
    assert "70000" in shown[2]


def test_secrets_of_the_sample_data_fit_both_ends_and_survive_a_second_writing(
    tmp_path: Path,
) -> None:
    endpoint = Endpoint(
        endpoint_id=7, name="acme-us", url="", region="US", enterprise_customer_uuid=""
    )
    sender, here = tmp_path / "sender", tmp_path / "receiver"
    write_secrets([endpoint], sender=sender, receiver=here)
    keys = SecretStore({}, sender).signing_keys(7)
    write_secrets([endpoint], sender=sender, receiver=here)
    assert SecretStore({}, sender).signing_keys(7) == keys
    assert (here / "acme-us").stat().st_mode & 0o077 == 0
    with running_receiver(secrets=SecretStore({}, here), clock=lambda: NOW) as one:
        stamp = int(NOW.timestamp())
        headers = headers_for(msg_id="msg", timestamp=stamp, body=b"{}", keys=keys)
        requests.post(f"{one.url}/hooks/acme-us", data=b"{}", headers=headers, timeout=TIMEOUT)
        assert json.dumps(listed(one)[0]["is_verified"]) == "true"
