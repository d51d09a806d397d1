"""The Dockerfile follows the house rules; checked without Docker."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from sync.settings import PROJECT_ROOT
from tests.support.dockerfile import DOCKERFILE, Instruction, read

FINAL = 1
PINNED = re.compile(r"[a-z0-9./-]+:\d+\.\d+\.\d+[a-z0-9.-]*")
SECRET = re.compile(r"PRIVATE_KEY$|PASSPHRASE|PASSWORD|TOKEN|LTW_SECRET_", re.IGNORECASE)
SYSTEM = re.compile(r"(groupadd|useradd|install --directory) ")


def broken_rules(instructions: list[Instruction]) -> set[str]:
    """Rules that these instructions break."""
    names = [one.name for one in instructions]
    final = [one for one in instructions if one.stage == instructions[-1].stage]
    users = [one.text for one in final if one.name == "USER"]
    rules = {
        "a base is not pinned to a version": all(
            PINNED.fullmatch(one.words[0]) for one in instructions if one.name == "FROM"
        ),
        "it runs as root": bool(users)
        and re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]) is not None,
        "it has no health check": any(one.name == "HEALTHCHECK" for one in final),
        "it uses ADD": "ADD" not in names,
        "a package is installed without a hash": all(
            "--require-hashes" in one.text or "--editable" in one.text
            for one in instructions
            if one.name == "RUN" and "pip install" in one.text
        ),
        "a secret is built in": not any(
            SECRET.search(word.split("=")[0])
            for one in instructions
            if one.name in ("ARG", "ENV")
            for word in one.text.split()
        ),
        "its command needs a shell": all(
            one.text.startswith("[") for one in final if one.name in ("CMD", "ENTRYPOINT")
        ),
    }
    return {rule for rule, is_kept in rules.items() if not is_kept}


def test_the_dockerfile_breaks_no_rule() -> None:
    assert broken_rules(read()) == set()


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        ("3.11.14-slim-bookworm\n", "latest\n", "a base is not pinned to a version"),
        ("USER 10001:10001", "USER 0:0", "it runs as root"),
        ("HEALTHCHECK", "LABEL", "it has no health check"),
        ("COPY sync sync", "ADD sync sync", "it uses ADD"),
        ("--require-hashes", "", "a package is installed without a hash"),
        ("ARG SNOWFLAKE_SCHEMA", "ARG SNOWFLAKE_PRIVATE_KEY", "a secret is built in"),
    ],
)
def test_each_rule_would_notice(before: str, after: str, rule: str, tmp_path: Path) -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert before in text
    changed = tmp_path / "Dockerfile"
    changed.write_text(text.replace(before, after), encoding="utf-8")
    assert rule in broken_rules(read(changed))


def test_everything_that_is_copied_exists_and_reaches_the_builder() -> None:
    copied = [
        source
        for one in read()
        if one.name == "COPY" and "from" not in one.options
        for source in one.words[:-1]
    ]
    assert {"sync", "orchestration", "dbt_project", "deploy/requirements.lock"} <= set(copied)
    assert [one for one in copied if not (PROJECT_ROOT / one).exists()] == []
    assert [one for one in copied if not is_sent(one)] == []


@pytest.mark.parametrize(
    "path",
    [
        ".local/secrets/webhook-signing-1",
        "deploy/settings.env",
        "deploy/secrets/key.p8",
        ".git",
        "tests",
    ],
)
def test_nothing_else_does(path: str) -> None:
    assert not is_sent(path)


def is_sent(path: str) -> bool:
    """Whether ``.dockerignore`` admits a path to the build; the last matching rule counts."""
    sent = True
    for line in (PROJECT_ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        pattern = rule.removeprefix("!")
        if any(fnmatch(str(part), pattern) for part in (Path(path), *Path(path).parents)):
            sent = rule.startswith("!")
    return sent


def test_steps_of_the_final_stage_only_make_the_user_and_its_directories() -> None:
    """They need root, so no test runs them, unlike those of the first stage."""
    steps = [one.text for one in read() if one.name == "RUN" and one.stage == FINAL]
    commands = [command.strip() for step in steps for command in step.split("&&")]
    assert [one for one in commands if not SYSTEM.match(one)] == []


def test_the_lock_of_the_image_is_a_part_of_the_lock_that_is_tested() -> None:
    def pins(path: Path) -> dict[str, str]:
        text = path.read_text(encoding="utf-8")
        return dict(re.findall(r"^([a-z0-9._-]+)==([^\s;\\]+)", text, flags=re.MULTILINE))

    image = pins(PROJECT_ROOT / "deploy" / "requirements.lock")
    tested = pins(PROJECT_ROOT / "requirements.lock")
    assert image.items() <= tested.items()
    assert {"dagster-postgres", "dagster-k8s", "opentelemetry-sdk"} <= image.keys()
    assert not {"pytest", "ruff", "sqlfluff", "hypothesis"} & image.keys()
