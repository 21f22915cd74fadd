"""An episode against itself: lengths that belong together, counters, totals, anchors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
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
from recorder.h5.verify.finding import Finding
from recorder.h5.verify.spikes import check_spikes


def counters_of(group: h5py.Group) -> Any:
    """The counters of a running episode; None once it has ended and shapes are exact."""
    return group[COMMITTED][:] if COMMITTED in group else None


def check_episode(group: h5py.Group) -> Iterator[Finding]:
    """Everything that should agree within one episode.

    In a running episode every dataset may end at another step, so that only its groups and bytes
    are checked.
    """
    for name in EPISODE_GROUPS:
        if name not in group:
            yield Finding(group.name, f"has no group {name!r}")
    if COMMITTED in group:
        return
    for name in (NEURAL, BEHAVIOR):
        if name in group:
            yield from _check_columns(group[name])
    if SPIKES in group and len(group[SPIKES]):
        yield from check_spikes(group[SPIKES], group.attrs.get("total_spikes"))
    if REWARDS in group and len(group[REWARDS]):
        yield from _check_rewards(group[REWARDS])
    if WEIGHT_CHANGES in group and len(group[WEIGHT_CHANGES]):
        yield from _check_table(group[WEIGHT_CHANGES], group.attrs.get("total_weight_changes"))
    if EVENTS in group and len(group[EVENTS]):
        yield from _check_events(group[EVENTS], group.attrs.get("total_events"))
    total = group.attrs.get("total_timesteps")
    for name in (NEURAL, BEHAVIOR, SPIKES, REWARDS):
        clock = group.get(f"{name}/{TIMESTEPS}")
        if clock is None or total is None or group[name].attrs.get(ENCODING) == SPIKES_EVENTS:
            continue
        if len(clock) > total:
            yield Finding(clock.name, f"has {len(clock)} rows in an episode of {total} timesteps")


def _check_columns(group: h5py.Group) -> Iterator[Finding]:
    for name, dataset in group.items():
        if name == TIMESTEPS or name.endswith(OWN_TIMESTEPS):
            continue
        clock = dataset.attrs.get("timesteps", TIMESTEPS)
        if clock not in group:
            yield Finding(dataset.name, f"its timesteps {clock!r} are not there")
        elif len(group[clock]) != len(dataset):
            yield Finding(dataset.name, f"has {len(dataset)} rows, its timesteps {len(group[clock])}")


def _check_rewards(group: h5py.Group) -> Iterator[Finding]:
    values, steps = group["values"], len(group[TIMESTEPS])
    rows = len(values)
    if group.attrs.get(ENCODING) == REWARDS_RUNS:
        lengths = group["lengths"]
        if len(lengths) != len(values):
            yield Finding(group.name, f"has {len(values)} values and {len(lengths)} run lengths")
        rows = int(lengths[:].sum(dtype=np.int64))
    if rows != steps:
        yield Finding(group.name, f"has the rewards of {rows} rows and {steps} timesteps")


def _check_table(group: h5py.Group, total: int | None) -> Iterator[Finding]:
    lengths = {name: len(column) for name, column in group.items() if column.shape}
    if len(set(lengths.values())) > 1:
        yield Finding(group.name, f"its columns differ in length: {lengths}")
    if total is not None and lengths.get(TIMESTEPS) != total:
        yield Finding(group.name, f"has {lengths.get(TIMESTEPS)} rows, the episode says {total}")


def _check_events(group: h5py.Group, total: int | None) -> Iterator[Finding]:
    ends, data = group["ends"][:], group["data"]
    if total is not None and len(ends) != total:
        yield Finding(group.name, f"has {len(ends)} events, the episode says {total}")
    if len(group[TIMESTEPS]) != len(ends):
        yield Finding(group.name, f"has {len(ends)} events and {len(group[TIMESTEPS])} timesteps")
    if len(ends) and (np.any(np.diff(ends, prepend=0) < 0) or ends[-1] != len(data)):
        yield Finding(f"{group.name}/ends", f"does not lead up to the {len(data)} bytes of data")
        return
    raw = data[:].tobytes()
    for row, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        try:
            decode_event(raw[start:end])
        except DamagedError as error:
            yield Finding(group.name, f"event {row}: {error}")
