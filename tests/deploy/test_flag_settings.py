"""Every deployment configuration lists all variables of the feature flag."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestration.config import ACTIVATED_AT_SETTING, VARIABLES
from sync.delivery import flag
from sync.delivery.flag import FlagSettings, flag_settings
from sync.settings import PROJECT_ROOT
from tests.support.chart import code_server, values
from tests.support.compose import DEPLOY

NAMES = {
    value for name, value in vars(flag).items() if name.isupper() and name.endswith("_VARIABLE")
}
FILES = [
    PROJECT_ROOT / "README.md",
    PROJECT_ROOT / "docs" / "feature-flag.md",
    DEPLOY / "compose.yaml",
    DEPLOY / "settings.env.example",
    DEPLOY / "kubernetes" / "values.yaml",
]
NAME = re.compile(r"\b(?:ENABLE_WEBHOOK|WEBHOOK)_[A-Z_]*[A-Z]\b")


def example() -> Mapping[str, str]:
    """The settings of ``settings.env.example``."""
    text = (DEPLOY / "settings.env.example").read_text(encoding="utf-8")
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", text, flags=re.MULTILINE))


def test_dagster_and_the_library_know_the_same_variables() -> None:
    assert set(VARIABLES.values()) - {ACTIVATED_AT_SETTING} == NAMES
    assert len(NAMES) == len(vars(FlagSettings()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_file_names_every_variable_and_no_other(path: Path) -> None:
    assert set(NAME.findall(path.read_text(encoding="utf-8"))) == NAMES


def test_a_file_that_lacks_one_or_misspells_it_would_be_noticed() -> None:
    assert NAME.findall("WEBHOOK_DRY_RUN=1 MY_WEBHOOK_URL webhook_url") == ["WEBHOOK_DRY_RUN"]
    assert set(NAME.findall("WEBHOOK_LEARNING_TIME_ROLLOUT=5")) - NAMES


@pytest.mark.parametrize(
    "given", [example(), code_server(values())["env"]], ids=["compose", "chart"]
)
def test_a_deployment_starts_with_the_flag_off_and_everything_else_at_its_default(
    given: Mapping[str, str],
) -> None:
    assert set(given) >= NAMES
    assert flag_settings(given) == FlagSettings()


def test_that_would_notice_a_flag_that_is_on() -> None:
    assert flag_settings({flag.FLAG_VARIABLE: "true"}) != FlagSettings()
