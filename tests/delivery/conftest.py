"""Helpers of these tests fail with the values that they compared."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.support.crashes", "tests.support.delivery")
