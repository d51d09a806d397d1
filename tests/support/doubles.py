"""Doubles with the signature of what they replace, patched in by dotted name."""

from __future__ import annotations

import importlib
from typing import Any
from unittest.mock import Mock, create_autospec

import pytest

from sync.errors import SyncError


class Reached(SyncError):
    """Raised by a double that only records its arguments."""


def recorded(patch: pytest.MonkeyPatch, target: str) -> Mock:
    """Record each call of a function, and call it."""
    original = _of(target)
    return _put(patch, target, create_autospec(original, side_effect=original))


def stopped(patch: pytest.MonkeyPatch, target: str) -> Mock:
    """Record the call of a function, and stop there."""
    return _put(patch, target, create_autospec(_of(target), side_effect=Reached("reached")))


def returning(patch: pytest.MonkeyPatch, target: str, value: Any) -> Mock:
    """Have each call of a function return a value."""
    return _put(patch, target, create_autospec(_of(target), return_value=value))


def _of(target: str) -> Any:
    module, _, name = target.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _put(patch: pytest.MonkeyPatch, target: str, double: Mock) -> Mock:
    patch.setattr(target, double)
    return double
