"""The rollout: the same everywhere, about the requested share, and never reversed."""

from __future__ import annotations

import subprocess
import sys
import uuid
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.rollout import EVERYBODY, LeftOut, Rollout, enterprise_uuids, place_of
from sync.errors import ConfigurationError

ENTERPRISE = "7d3f1c52-0b6e-4a83-9c41-5e2a90d7f6b8"
OTHER = "1b0c9f3a-6f0e-4a41-8d86-2c9f0f0a7e55"
RUN = "course-v1:ExampleX+DATA101+2026_T1"
PAIRS = [
    (user, f"course-v1:ExampleX+C{course}+2026_T1") for user in range(500) for course in range(40)
]

users = st.integers(min_value=1, max_value=10**12)
course_runs = st.text(min_size=1, max_size=255)
percentages = st.integers(min_value=0, max_value=100)


def members(percentage: int) -> set[tuple[int, str]]:
    rollout = Rollout(percentage)
    return {pair for pair in PAIRS if rollout.leaves_out(ENTERPRISE, *pair) is None}


@given(users, course_runs, percentages, percentages)
def test_raising_the_percentage_takes_learning_time_from_nobody(
    user: int, course_run: str, one: int, other: int
) -> None:
    low, high = sorted((one, other))
    if Rollout(low).leaves_out(ENTERPRISE, user, course_run) is None:
        assert Rollout(high).leaves_out(ENTERPRISE, user, course_run) is None


@given(users, course_runs)
def test_nobody_is_in_at_0_and_everybody_at_100(user: int, course_run: str) -> None:
    assert Rollout(0).leaves_out(ENTERPRISE, user, course_run) is LeftOut.SHARE
    assert EVERYBODY.leaves_out(ENTERPRISE, user, course_run) is None


@pytest.mark.parametrize("percentage", [1, 5, 10, 25, 50, 90])
def test_the_share_is_near_the_percentage(percentage: int) -> None:
    """20,000 pairs: four standard deviations are at most 1.4 points."""
    share = 100 * len(members(percentage)) / len(PAIRS)
    assert share == pytest.approx(percentage, abs=1.5)


def test_each_step_of_a_rollout_contains_the_one_before() -> None:
    steps = [members(percentage) for percentage in (0, 1, 5, 10, 25, 50, 100)]
    assert all(low < high for low, high in pairwise(steps))
    assert len(steps[-1]) == len(PAIRS)


def test_learners_of_one_course_and_courses_of_one_learner_are_spread_alike() -> None:
    half = members(50)
    assert 0.4 < sum(pair[1] == PAIRS[0][1] for pair in half) / 500 < 0.6
    assert 4 < sum(pair[0] == 7 for pair in half) < 36


@pytest.mark.parametrize(
    ("user", "course_run", "place"),
    [
        # printf '%s|%s' USER RUN | sha256sum; the first 16 digits times 100, over 2^64.
        pytest.param(1, RUN, 70, id="one"),
        pytest.param(5039, RUN, 61, id="another"),
        pytest.param(5039, "course-v1:ExampleX+Ünïcode+2026_T1", 28, id="beyond ASCII"),
    ],
)
def test_the_place_is_the_one_that_was_promised(user: int, course_run: str, place: int) -> None:
    """Another hash would reshuffle a running rollout: the numbers were computed by hand."""
    assert place_of(user, course_run) == place


def test_another_process_with_another_hash_seed_says_the_same() -> None:
    program = (
        "from sync.domain.rollout import place_of;"
        f"print([place_of(user, {RUN!r}) for user in range(50)])"
    )
    for seed in ("0", "4711"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stdout.strip() == str([place_of(user, RUN) for user in range(50)])


def test_a_customer_off_the_list_is_left_out_whatever_the_percentage() -> None:
    rollout = Rollout(100, frozenset([ENTERPRISE]))
    assert rollout.leaves_out(ENTERPRISE, 1, RUN) is None
    assert rollout.leaves_out(OTHER, 1, RUN) is LeftOut.ENTERPRISE


def test_on_the_list_the_percentage_still_counts() -> None:
    rollout = Rollout(0, frozenset([ENTERPRISE]))
    assert rollout.leaves_out(ENTERPRISE, 1, RUN) is LeftOut.SHARE


@pytest.mark.parametrize("percentage", [-1, 101])
def test_a_percentage_out_of_range_is_refused(percentage: int) -> None:
    with pytest.raises(ConfigurationError, match="rollout_percentage"):
        Rollout(percentage)


@given(st.uuids())
def test_every_spelling_of_a_uuid_is_that_of_the_ledger(one: uuid.UUID) -> None:
    spellings = [str(one), str(one).upper(), one.hex, f"{{{one}}}", one.urn, f"  {one} "]
    assert enterprise_uuids(spellings, setting="x") == (str(one),)


@pytest.mark.parametrize("text", ["Example Industries", "7d3f1c52", "", f"{ENTERPRISE}0"])
def test_anything_else_is_refused_with_the_setting_and_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"enterprise_allowlist: .* must look like"):
        enterprise_uuids([ENTERPRISE, text], setting="enterprise_allowlist")
