"""Published test vectors stored beside the repository; tests skip without them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sync.settings import PROJECT_ROOT


def load_vectors(name: str) -> dict[str, Any]:
    """The content of one vector file; skips the importing test module if it is missing."""
    path = PROJECT_ROOT.parent / "shared" / "vectors" / name
    if not path.exists():
        pytest.skip(f"no vector file {name}", allow_module_level=True)
    return json.loads(path.read_text(encoding="utf-8"))
