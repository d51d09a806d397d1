"""Doubles with the signature of what they stand for, put in its place by its dotted name."""

from __future__ import annotations

import importlib
from typing import Any
from unittest.mock import Mock, create_autospec

import pytest

from sync.errors import SyncError


class Reached(SyncError):
    """What a double raises that only wants to know what it was given."""


def recorded(patch: pytest.MonkeyPatch, target: str) -> Mock:
    """Note each call of a function, and let it do its work."""
    original = _of(target)
    return _put(patch, target, create_autospec(original, side_effect=original))


def stopped(patch: pytest.MonkeyPatch, target: str) -> Mock:
    """Note the call of a function, and go no further."""
    return _put(patch, target, create_autospec(_of(target), side_effect=Reached("reached")))


def returning(patch: pytest.MonkeyPatch, target: str, value: Any) -> Mock:
    """Response each call of a function with a value."""
    return _put(patch, target, create_autospec(_of(target), return_value=value))


def _of(target: str) -> Any:
    module, _, name = target.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _put(patch: pytest.MonkeyPatch, target: str, double: Mock) -> Mock:
    patch.setattr(target, double)
    return double
