"""Fixtures of the dbt tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Dbt


@pytest.fixture(scope="session")
def manifest(dbt: Dbt, dbt_target_path: Path) -> dict[str, Any]:
    """The parsed project as dbt writes it for other tools."""
    dbt("parse", "--no-partial-parse")
    return json.loads((dbt_target_path / "manifest.json").read_text(encoding="utf-8"))
