"""An episode against itself: lengths that belong together, counters, totals, anchors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from recorder.errors import DamagedError
from recorder.format.events import decode_event
from recorder.format.layout import (
    BEHAVIOR,
    COMMITTED,
    ENCODING,
    EPISODE_GROUPS,
    EVENTS,
    NEURAL,
    OWN_TIMESTEPS,
    REWARDS,
    REWARDS_RUNS,
    SPIKES,
    SPIKES_EVENTS,
    TIMESTEPS,
    WEIGHT_CHANGES,
)
from recorder.h5.verify.clocks import check_clocks
from recorder.h5.verify.finding import Finding
from recorder.h5.verify.spikes import check_spikes
from recorder.h5.verify.unit import Unit, leads_up

_EVENTS = 16_384
"""Events decoded at a time."""


def check_episode(unit: Unit) -> Iterator[Finding]:
    """Everything that should agree within one episode; what is damaged is left out.

    In a running episode every dataset may end at another step, so that only its groups and bytes
    are checked.
    """
    for name in EPISODE_GROUPS:
        if not unit.has(name):
            yield Finding(unit.path, f"has no group {name!r}")
    if unit.has(COMMITTED):
        return
    facts = unit.facts()
    yield from check_clocks(unit)
    for name in (NEURAL, BEHAVIOR):
        yield from _check_columns(unit, name)
    if unit.columns(SPIKES):
        yield from check_spikes(unit, facts.get("total_spikes"))
    if unit.columns(REWARDS):
        yield from _check_rewards(unit)
    if unit.columns(WEIGHT_CHANGES):
        yield from _check_table(unit, facts.get("total_weight_changes"))
    if unit.columns(EVENTS):
        yield from _check_events(unit, facts.get("total_events"))
    total = facts.get("total_timesteps")
    for name in (NEURAL, BEHAVIOR, SPIKES, REWARDS):
        rows = unit.rows(f"{name}/{TIMESTEPS}")
        if rows is None or total is None or unit.facts(name).get(ENCODING) == SPIKES_EVENTS:
            continue
        if rows > total:
            yield Finding(
                f"{unit.path}/{name}/{TIMESTEPS}", f"has {rows} rows in an episode of {total} timesteps"
            )


def _check_columns(unit: Unit, group: str) -> Iterator[Finding]:
    for name in unit.columns(group):
        if name == TIMESTEPS or name.endswith(OWN_TIMESTEPS):
            continue
        path = f"{unit.path}/{group}/{name}"
        rows = unit.rows(f"{group}/{name}")
        clock = unit.facts(f"{group}/{name}").get("timesteps", TIMESTEPS)
        steps = unit.rows(f"{group}/{clock}")
        if steps is None:
            yield Finding(path, f"its timesteps {clock!r} are not there")
        elif steps != rows:
            yield Finding(path, f"has {rows} rows, its timesteps {steps}")


def _check_rewards(unit: Unit) -> Iterator[Finding]:
    path, values, steps = f"{unit.path}/{REWARDS}", f"{REWARDS}/values", unit.rows(f"{REWARDS}/{TIMESTEPS}")
    rows = unit.rows(values)
    if rows is None or steps is None:
        yield Finding(path, "has no values or no timesteps")
        return
    if unit.facts(REWARDS).get(ENCODING) == REWARDS_RUNS:
        lengths = f"{REWARDS}/lengths"
        if unit.rows(lengths) != rows:
            yield Finding(path, f"has {rows} values and {unit.rows(lengths)} run lengths")
        if not unit.sound(lengths):
            return
        rows = sum(int(block.sum(dtype=np.int64)) for block in unit.blocks(lengths))
    if rows != steps:
        yield Finding(path, f"has the rewards of {rows} rows and {steps} timesteps")


def _check_table(unit: Unit, total: int | None) -> Iterator[Finding]:
    path = f"{unit.path}/{WEIGHT_CHANGES}"
    names = unit.columns(WEIGHT_CHANGES)
    lengths = {name: unit.rows(f"{WEIGHT_CHANGES}/{name}") for name in names}
    if len(set(lengths.values())) > 1:
        yield Finding(path, f"its columns differ in length: {lengths}")
    if total is not None and lengths.get(TIMESTEPS) != total:
        yield Finding(path, f"has {lengths.get(TIMESTEPS)} rows, the episode says {total}")


def _check_events(unit: Unit, total: int | None) -> Iterator[Finding]:
    path, ends, data = f"{unit.path}/{EVENTS}", f"{EVENTS}/ends", f"{EVENTS}/data"
    count, size, steps = unit.rows(ends), unit.rows(data), unit.rows(f"{EVENTS}/{TIMESTEPS}")
    if count is None or size is None:
        yield Finding(path, "has no ends or no data")
        return
    if total is not None and count != total:
        yield Finding(path, f"has {count} events, the episode says {total}")
    if steps != count:
        yield Finding(path, f"has {count} events and {steps} timesteps")
    if not unit.sound(ends, data):
        return
    whole = unit.read(ends).astype(np.int64, copy=False)
    if not leads_up(whole, size):
        yield Finding(f"{path}/ends", f"does not lead up to the {size} bytes of data")
        return
    start = 0
    for row in range(0, count, _EVENTS):
        stops = whole[row : row + _EVENTS]
        raw, base = unit.read(data, start, int(stops[-1])).tobytes(), start
        for number, stop in enumerate(stops.tolist(), row):
            try:
                decode_event(raw[start - base : stop - base])
            except DamagedError as error:
                yield Finding(path, f"event {number}: {error}")
            start = stop
