"""Wait for a condition instead of a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(is_so: Callable[[], bool], *, seconds: float = 30.0, every: float = 0.02) -> None:
    """Return as soon as the condition holds, checked every ``every`` seconds.

    Raises:
        AssertionError: it did not hold within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not so after {seconds:.0f} s"
        time.sleep(every)
