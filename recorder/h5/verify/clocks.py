"""What attributes say of timesteps, against the timesteps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from recorder.errors import DamagedError
from recorder.format.course import Course, Hint
from recorder.format.layout import (
    BEHAVIOR,
    FIRST,
    NEURAL,
    OWN_TIMESTEPS,
    REWARDS,
    SORTED,
    SPIKES,
    STEP,
    TIMESTEPS,
)
from recorder.h5.verify.finding import Finding
from recorder.h5.verify.unit import Unit


def check_clocks(unit: Unit) -> Iterator[Finding]:
    """All timesteps of which attributes say how they go, of an episode that has ended."""
    for group in (NEURAL, SPIKES, BEHAVIOR, REWARDS):
        for name in unit.columns(group):
            if name == TIMESTEPS or name.endswith(OWN_TIMESTEPS):
                yield from _check(unit, f"{group}/{name}")


def _check(unit: Unit, name: str) -> Iterator[Finding]:
    facts, rows = unit.facts(name), unit.rows(name)
    if facts.keys().isdisjoint((FIRST, STEP, SORTED)) or rows is None:
        return
    try:
        hint = Hint.of(facts, rows)
    except DamagedError as error:
        yield Finding(f"{unit.path}/{name}", str(error))
        return
    if hint is None or not unit.sound(name):
        return
    course = Course()
    for block in unit.blocks(name):
        if block.ndim != 1 or block.dtype.kind not in "iu":
            return
        course = course.joined(Course.of(block.astype(np.int64, copy=False)))
    if wrong := hint.contradiction(course):
        yield Finding(f"{unit.path}/{name}", wrong)
