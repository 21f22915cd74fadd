"""What is learned of timesteps block by block is what the whole says, and attributes keep it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import DamagedError
from recorder.format.course import Course, Hint
from tests.format.test_clock import STEPS

CUTS = st.lists(st.integers(0, 12), max_size=4)


def naive(steps: list[int]) -> dict[str, Any]:
    pairs = list(itertools.pairwise(steps))
    differences = {after - before for before, after in pairs}
    if not pairs or min(differences) < 0:
        return {}
    even = len(differences) == 1 and 0 < min(differences) < 2**63
    return {"first": steps[0], "step": differences.pop()} if even else {"sorted": True}


@given(STEPS, CUTS)
def test_any_partition_says_what_the_whole_says(steps: list[int], cuts: list[int]) -> None:
    whole = np.array(steps, np.int64)
    course = Course()
    for block in np.split(whole, sorted(min(cut, len(whole)) for cut in cuts)):
        course = course.joined(Course.of(block))
    assert course == Course.of(whole)
    assert course.attributes() == naive(steps)


@given(STEPS, CUTS)
def test_joining_is_associative(steps: list[int], cuts: list[int]) -> None:
    parts = [Course.of(block) for block in np.split(np.array(steps, np.int64), sorted(cuts))]
    from_the_right = Course()
    for part in reversed(parts):
        from_the_right = part.joined(from_the_right)
    assert from_the_right == Course.of(np.array(steps, np.int64))


@given(STEPS)
def test_attributes_lead_back_to_the_timesteps(steps: list[int]) -> None:
    course = Course.of(np.array(steps, np.int64))
    hint = Hint.of(course.attributes(), len(steps))
    assert (hint is None) == (not course.attributes())
    if hint is not None:
        assert hint.contradiction(course) == ""
        assert not hint.even or hint.clock(len(steps)).values().tolist() == steps


@given(STEPS, STEPS)
def test_a_lie_is_a_contradiction(told: list[int], steps: list[int]) -> None:
    facts, truth = naive(told), Course.of(np.array(steps, np.int64))
    try:
        hint = Hint.of(facts, len(steps))
    except DamagedError:
        return
    if hint is None:
        return
    if hint.even:
        true = steps == [facts["first"] + facts["step"] * row for row in range(len(steps))]
    else:
        true = steps == sorted(steps)
    assert (hint.contradiction(truth) == "") == true


@pytest.mark.parametrize(
    "facts",
    [
        {"first": 0},
        {"step": 1},
        {"first": 0, "step": 0},
        {"first": 0, "step": -1},
        {"first": 0.0, "step": 1},
        {"first": 0, "step": "1"},
        {"first": True, "step": 1},
        {"first": np.arange(3), "step": 1},
        {"first": None, "step": None},
        {"first": 2**63 - 5, "step": 1},
        {"first": 2**63, "step": 1},
        {"first": -(2**63) - 1, "step": 1},
        {"first": 0, "step": 2**62},
        {"sorted": 1},
        {"sorted": "yes"},
        {"sorted": np.ones(2, bool)},
    ],
)
def test_attributes_that_nobody_wrote_are_damage(facts: dict[str, Any]) -> None:
    with pytest.raises(DamagedError):
        Hint.of(facts, 10)


def test_what_says_nothing() -> None:
    assert Hint.of({}, 10) is None
    assert Hint.of({"sorted": False, "counter": 3}, 10) is None
