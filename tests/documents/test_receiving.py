"""``docs/receiving.md`` is correct: its code verifies, its bodies are those on the wire."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sync.domain.responses import Response
from sync.domain.retry import JITTER, STEPS, follow_up
from sync.http.headers import REPLAY_HEADER, TEST_HEADER, USER_AGENT
from sync.http.signing import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, headers_for, parse_key
from sync.operations.openapi import document
from sync.settings import PROJECT_ROOT
from tests.support.document_blocks import blocks_of
from tests.support.programs import needs
from tests.support.receiver import receiver
from tests.support.samples import (
    EXAMPLE_SECRET,
    RECEIVING,
    blocks,
    bodies,
    code,
    code_with_a_library,
    shown,
)
from tests.support.schedule_table import FIRST_AT, clock_table

NOW = 1_773_288_609
OTHER_SECRET = "whsec_" + base64.b64encode(b"another key, thirty-two bytes!!!").decode()
HEADERS = (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)


@dataclass(frozen=True)
class Case:
    """One request at a receiver, and whether it must be accepted."""

    name: str
    secrets: tuple[str, ...]
    headers: dict[str, str]
    body: bytes
    now: int
    is_good: bool

    def fields(self) -> list[str]:
        """Plain words for a program in any language; ``-`` for a missing header."""
        values = [self.headers.get(name) for name in HEADERS]
        return [
            _packed(" ".join(self.secrets)),
            *("-" if value is None else _packed(value) for value in values),
            base64.b64encode(self.body).decode() or "=",
            str(self.now),
        ]


def _packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode() or "="


def own_cases(now: int = NOW) -> list[Case]:
    """Requests from our signer, and ways that others might change them."""
    body = '{"name":"Zoë, 学習"}'.encode()
    key, other = parse_key(EXAMPLE_SECRET), parse_key(OTHER_SECRET)

    def signed(*keys: object, msg_id: str = "2ec0acb6-9811-54aa", at: int = now) -> dict[str, str]:
        return headers_for(msg_id=msg_id, timestamp=at, body=body, keys=list(keys))  # pyright: ignore[reportArgumentType]

    good = Case("ours", (EXAMPLE_SECRET,), signed(key), body, now, True)

    def bad(name: str, **changes: object) -> Case:
        return replace(good, name=name, is_good=False, **changes)  # pyright: ignore[reportArgumentType]

    def with_header(header: str, value: str | None) -> dict[str, str]:
        headers = {name: text for name, text in good.headers.items() if name != header}
        return headers if value is None else headers | {header: value}

    entry = good.headers[SIGNATURE_HEADER]
    return [
        good,
        replace(good, name="299 s late", now=now + 299),
        replace(good, name="299 s early", now=now - 299),
        replace(good, name="both keys of a rotation sign", headers=signed(other, key)),
        replace(good, name="both secrets are valid", secrets=(OTHER_SECRET, EXAMPLE_SECRET)),
        replace(
            good,
            name="noise before the good entry",
            headers=with_header(SIGNATURE_HEADER, f"v9,xx v1 v1, v1a,AA {entry}"),
        ),
        bad("another body", body=body + b" "),
        bad("another key", secrets=(OTHER_SECRET,)),
        bad("301 s late", now=now + 301),
        bad("301 s early", now=now - 301),
        bad("another id", headers=with_header(ID_HEADER, "another")),
        bad("another time", headers=with_header(TIMESTAMP_HEADER, str(now + 1))),
        bad("a word for a time", headers=with_header(TIMESTAMP_HEADER, "hello")),
        bad("a time with a blank", headers=with_header(TIMESTAMP_HEADER, f" {now}")),
        bad("a version that is not ours", headers=with_header(SIGNATURE_HEADER, "v2" + entry[2:])),
        bad("half a signature", headers=with_header(SIGNATURE_HEADER, entry[:-10])),
        bad("an empty signature", headers=with_header(SIGNATURE_HEADER, "")),
        *(bad(f"no {name}", headers=with_header(name, None)) for name in HEADERS),
    ]


def published_cases() -> list[Case]:
    """The published cases for symmetric keys; none if the vectors are missing."""
    path = PROJECT_ROOT.parent / "shared" / "vectors" / "standard_webhooks.json"
    if not path.exists():
        return []
    cases = []
    for one in json.loads(path.read_text(encoding="utf-8"))["verify_cases"]:
        if any(key.startswith(("whsk_", "whpk_")) for key in one["keys"]):
            continue
        headers = {name.lower(): value for name, value in one["headers"].items()}
        body = (
            base64.b64decode(one["body_base64"]) if "body_base64" in one else one["body"].encode()
        )
        is_good = one["want"] == "accept"
        cases.append(Case(one["name"], tuple(one["keys"]), headers, body, one["now"], is_good))
    return cases


CASES = [*own_cases(), *published_cases()]
Verifier = Callable[[Sequence[Case], Path], list[bool]]


def in_python(cases: Sequence[Case], directory: Path) -> list[bool]:
    names: dict[str, Callable[..., bool]] = {}
    exec(code("python"), names)  # noqa: S102 - the document under test
    return [names["verify"](one.secrets, one.headers, one.body, one.now) for one in cases]


def in_node(cases: Sequence[Case], directory: Path) -> list[bool]:
    main = """
const un = (text) => Buffer.from(text, "base64");
for (const line of require("fs").readFileSync(0, "utf8").trimEnd().split("\\n")) {
  const [secrets, id, stamp, signature, body, now] = line.split("\\t");
  const headers = {};
  if (id !== "-") headers["webhook-id"] = un(id).toString();
  if (stamp !== "-") headers["webhook-timestamp"] = un(stamp).toString();
  if (signature !== "-") headers["webhook-signature"] = un(signature).toString();
  console.log(verify(un(secrets).toString().split(" "), headers, un(body), Number(now)));
}
"""
    program = directory / "verify.js"
    program.write_text(code("javascript") + main, encoding="utf-8")
    return _ran(["node", str(program)], cases)


def in_java(cases: Sequence[Case], directory: Path) -> list[bool]:
    main = """
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;

class Main {
    static byte[] un(String text) {
        return text.equals("=") ? new byte[0] : Base64.getDecoder().decode(text);
    }
    static String text(String field) {
        return field.equals("-") ? null : new String(un(field), StandardCharsets.UTF_8);
    }
    public static void main(String[] arguments) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] f = line.split("\\t");
            System.out.println(WebhookVerifier.verify(
                List.of(text(f[0]).split(" ")), text(f[1]), text(f[2]), text(f[3]), un(f[4]),
                Long.parseLong(f[5])));
        }
    }
}
"""
    (directory / "WebhookVerifier.java").write_text(code("java"), encoding="utf-8")
    (directory / "Main.java").write_text(main, encoding="utf-8")
    _compiled(["javac", *(one.name for one in directory.glob("*.java"))], directory)
    return _ran(["java", "-cp", str(directory), "Main"], cases)


def in_csharp(cases: Sequence[Case], directory: Path) -> list[bool]:
    main = """
class Program
{
    static byte[] Un(string text)
    {
        return text == "=" ? new byte[0] : Convert.FromBase64String(text);
    }
    static string Text(string field)
    {
        return field == "-" ? null : Encoding.UTF8.GetString(Un(field));
    }
    static void Main()
    {
        for (string line = Console.ReadLine(); line != null; line = Console.ReadLine())
        {
            string[] f = line.Split('\\t');
            bool isGood = WebhookVerifier.Verify(
                Text(f[0]).Split(' '), Text(f[1]), Text(f[2]), Text(f[3]), Un(f[4]),
                long.Parse(f[5]));
            Console.WriteLine(isGood ? "true" : "false");
        }
    }
}
"""
    program = directory / "Verify.cs"
    program.write_text(code("csharp") + main, encoding="utf-8")
    _compiled(["mcs", f"-out:{directory / 'verify.exe'}", str(program)], directory)
    return _ran(["mono", str(directory / "verify.exe")], cases)


def in_go(cases: Sequence[Case], directory: Path) -> list[bool]:
    main = """package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"

	"example.com/verify/webhooks"
)

func un(field string) string {
	if field == "=" {
		return ""
	}
	found, _ := base64.StdEncoding.DecodeString(field)
	return string(found)
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		f := strings.Split(lines.Text(), "\\t")
		header := http.Header{}
		for n, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
			if f[n+1] != "-" {
				header.Set(name, un(f[n+1]))
			}
		}
		now, _ := strconv.ParseInt(f[5], 10, 64)
		fmt.Println(webhooks.Verify(strings.Split(un(f[0]), " "), header, []byte(un(f[4])), now))
	}
}
"""
    (directory / "webhooks").mkdir()
    (directory / "webhooks" / "verify.go").write_text(code("go"), encoding="utf-8")
    (directory / "main.go").write_text(main, encoding="utf-8")
    (directory / "go.mod").write_text("module example.com/verify\n\ngo 1.19\n", encoding="utf-8")
    _compiled(["go", "build", "-o", "verify", "."], directory)
    return _ran([str(directory / "verify")], cases)


def _compiled(command: Sequence[str], directory: Path) -> None:
    subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=300)


def _ran(command: Sequence[str], cases: Iterable[Case]) -> list[bool]:
    lines = "\n".join("\t".join(one.fields()) for one in cases)
    done = subprocess.run(
        command, input=lines + "\n", capture_output=True, text=True, check=True, timeout=120
    )
    return [word == "true" for word in done.stdout.split()]


@pytest.mark.parametrize(
    "verifier",
    [
        pytest.param(in_python, id="Python"),
        pytest.param(in_node, id="JavaScript", marks=needs("node")),
        pytest.param(in_java, id="Java", marks=needs("javac", "java")),
        pytest.param(in_csharp, id="C#", marks=needs("mcs", "mono")),
        # Go compiles net/http if its cache is empty, which takes half a minute.
        pytest.param(in_go, id="Go", marks=[needs("go"), pytest.mark.prove]),
    ],
)
def test_the_code_shown_accepts_what_is_ours_and_nothing_else(
    verifier: Verifier, tmp_path: Path
) -> None:
    found = verifier(CASES, tmp_path)
    assert len(found) == len(CASES)
    wrong = [one.name for one, said in zip(CASES, found, strict=True) if said is not one.is_good]
    assert wrong == []


def test_the_cases_hold_both_kinds() -> None:
    assert {one.is_good for one in own_cases()} == {True, False}


def test_every_body_shown_is_the_one_that_is_sent() -> None:
    assert shown() == blocks()


def test_the_schedule_shown_is_the_one_that_is_kept() -> None:
    assert clock_table() in RECEIVING.read_text(encoding="utf-8")


@pytest.mark.parametrize("attempt", range(1, len(STEPS)))
def test_an_attempt_comes_within_the_times_shown(attempt: int) -> None:
    """Each one later than the one before, for any event."""
    waits: list[timedelta] = []
    for n in range(200):
        failed = Response(500, None, "")
        found = follow_up(failed, webhook_id=f"{n}", attempt_number=attempt, now=FIRST_AT)
        assert found.next_attempt_at is not None
        waits.append(found.next_attempt_at - FIRST_AT)
    earliest, latest = (STEPS[attempt] * share for share in (1 - JITTER, 1 + JITTER))
    assert earliest <= min(waits) < max(waits) <= latest


def test_the_functions_with_a_library_take_what_is_ours_and_nothing_else() -> None:
    names: dict[str, Callable[..., Any]] = {}
    exec(code_with_a_library("python"), names)  # noqa: S102 - the document under test
    for one in library_cases():
        found = names["verified"](one.secrets, one.headers, one.body)
        assert (found is not None) is one.is_good, one.name
        assert found is None or found == json.loads(one.body)


@needs("node")
def test_the_functions_in_javascript_do_so_too(tmp_path: Path) -> None:
    probe = ["node", "-e", 'require("standardwebhooks")']
    if subprocess.run(probe, capture_output=True, timeout=60, check=False).returncode:
        pytest.skip("not on this machine: npm install standardwebhooks, and NODE_PATH")
    main = """
const un = (text) => Buffer.from(text, "base64");
for (const line of require("fs").readFileSync(0, "utf8").trimEnd().split("\\n")) {
  const [secrets, id, stamp, signature, body] = line.split("\\t");
  const headers = {};
  if (id !== "-") headers["webhook-id"] = un(id).toString();
  if (stamp !== "-") headers["webhook-timestamp"] = un(stamp).toString();
  if (signature !== "-") headers["webhook-signature"] = un(signature).toString();
  console.log(verified(un(secrets).toString().split(" "), headers, un(body)) !== null);
}
"""
    program = tmp_path / "verified.js"
    program.write_text(code_with_a_library("javascript") + main, encoding="utf-8")
    cases = library_cases()
    said = _ran(["node", str(program)], cases)
    assert said == [one.is_good for one in cases]


def library_cases() -> list[Case]:
    """Our own cases with the current time, since a library reads the clock itself; without two that
    it interprets differently: unknown entries in a header, and a blank before a time."""
    now = int(time.time())
    read_otherwise = ("noise before the good entry", "a time with a blank")
    return [one for one in own_cases(now) if one.now == now and one.name not in read_otherwise]


@needs("bash", "openssl", "curl")
@pytest.mark.parametrize("kind", ["percipio enrollment", "xapi enrollment", "test event"])
def test_whoever_builds_a_receiver_can_send_itself_a_test_event(kind: str, tmp_path: Path) -> None:
    (script,) = (one.text for one in blocks_of(RECEIVING) if one.text.startswith("url="))
    (tmp_path / "sample.json").write_bytes(bodies()[kind])
    verify: dict[str, Callable[..., bool]] = {}
    exec(code("python"), verify)  # noqa: S102 - the document under test
    with receiver() as target:
        to_us = script.replace("http://127.0.0.1:8080", target.url)
        assert to_us != script
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", to_us],  # noqa: S607
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
            check=True,
            env=os.environ | {"NO_PROXY": "127.0.0.1"},
        )
        assert done.stdout.startswith(b"HTTP/1.1 200")
        (got,) = target.received
    assert verify["verify"]([EXAMPLE_SECRET], got.headers, got.body, time.time())
    assert not verify["verify"]([OTHER_SECRET], got.headers, got.body, time.time())
    assert (got.body, got.headers[TEST_HEADER]) == (bodies()[kind], "true")
    assert got.webhook_id.startswith("test-")


def test_every_webhook_is_in_the_log_of_changes() -> None:
    _, _, log = RECEIVING.read_text(encoding="utf-8").partition("| since | webhook | what |")
    told = set(re.findall(r"`([a-zA-Z0-9]+)`", log.split("\n\n")[0]))
    assert document()["webhooks"].keys() - {"tokenRequest"} <= told


def test_every_header_that_is_sent_is_explained() -> None:
    text = RECEIVING.read_text(encoding="utf-8")
    for header in (*HEADERS, REPLAY_HEADER, TEST_HEADER):
        assert f"| `{header}` |" in text
    assert f"| `user-agent` | `{USER_AGENT}` |" in text
