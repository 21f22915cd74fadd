"""HDF5's dimension scales for dense streams: what opens netCDF-4 files then knows time and neurons by name.

See "HDF5 Dimension Scale Specification" and the netCDF-4 format. Timesteps are the scale of the rows that
they belong to. Other axes have one at the root, named by length, and a second axis of the same length one
of its own; the first axis of neural states is ``neuron`` where it has as many entries as the network.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

import h5py
import numpy as np

from recorder.errors import DamagedError
from recorder.format.layout import (
    BEHAVIOR,
    EPISODES,
    NETWORK,
    NEURAL,
    NEURONS,
    OWN_TIMESTEPS,
    TIMESTEPS,
    episode_path,
)
from recorder.h5.reading.guard import child_dataset, child_group, names

NEURON, _AXIS = "neuron", "axis_"
DIMENSION_LIST = b"DIMENSION_LIST"
"""The attribute by which HDF5 keeps scales of a dataset, for each axis."""


def put_scales(file: h5py.File, episode_ids: Iterable[int] | None = None) -> None:
    """Give dense streams their scales, of all episodes or of these, which have ended.

    Those that have scales keep them. Each of HDF5's scales lists what it is attached to, and the list is
    written anew with every entry: with thousands of episodes of vectors that is what takes the time.
    """
    axes = _Axes(file)
    episodes = child_group(file, EPISODES)
    if episode_ids is None:
        chosen = [] if episodes is None else names(episodes)
    else:
        chosen = [episode_path(number).rpartition("/")[2] for number in episode_ids]
    for name in chosen:
        episode = child_group(episodes, name)
        for part in (NEURAL, BEHAVIOR):
            group = None if episode is None else child_group(episode, part)
            if group is not None:
                _part(group, axes, part == NEURAL)


def is_scale(file: h5py.File, name: str) -> bool:
    """Whether something at the root is a scale that :func:`put_scales` made."""
    if name != NEURON and not name.startswith(_AXIS):
        return False
    found = child_dataset(file, name)
    return found is not None and bool(h5py.h5ds.is_scale(found.id))


def scaling(dataset: h5py.h5d.DatasetID) -> list[bytes]:
    """Attributes by which HDF5 keeps the scales of a dataset, or that it is one."""
    names = [DIMENSION_LIST]
    if h5py.h5ds.is_scale(dataset):
        names += [b"CLASS", b"NAME", b"REFERENCE_LIST"]
    return [name for name in names if h5py.h5a.exists(dataset, name)]


def scales_at(dataset: h5py.h5d.DatasetID, axis: int, path: str) -> list[h5py.h5d.DatasetID]:
    """The scales of an axis.

    Raises
    ------
    DamagedError
        One that is named is not there.
    """
    found: list[h5py.h5d.DatasetID] = []
    with contextlib.suppress(RuntimeError, OSError, KeyError, ValueError, TypeError):
        if not h5py.h5a.exists(dataset, DIMENSION_LIST):
            return found
        stored = h5py.h5a.open(dataset, DIMENSION_LIST)
        # HDF5 reads as many as the dataset has axes, whatever is there.
        if stored.shape == (dataset.rank,) and stored.get_type().get_class() == h5py.h5t.VLEN:
            if h5py.h5ds.get_num_scales(dataset, axis):
                h5py.h5ds.iterate(dataset, axis, found.append)
            if all(h5py.h5ds.is_scale(scale) for scale in found):
                return found
    raise DamagedError(f"{path}: the scale of its axis {axis} is not there")


def _part(group: h5py.Group, axes: _Axes, neural: bool) -> None:
    for name in names(group):
        dataset = child_dataset(group, name)
        if dataset is None or name == TIMESTEPS or name.endswith(OWN_TIMESTEPS):
            continue
        own = f"{name}{OWN_TIMESTEPS}"
        clock = group[own if own in group else TIMESTEPS]
        if len(clock) != len(dataset) or h5py.h5ds.get_num_scales(dataset.id, 0):
            continue
        if h5py.h5ds.is_scale(dataset.id):
            continue  # of somebody's own: HDF5 gives a scale no scales
        if not h5py.h5ds.is_scale(clock.id):
            clock.make_scale(clock.name.rpartition("/")[2])
        dataset.dims[0].attach_scale(clock)
        used: set[str] = set()
        for axis, length in enumerate(dataset.shape[1:], start=1):
            dataset.dims[axis].attach_scale(axes.of(length, neural and axis == 1, used))


class _Axes:
    """Scales of axes that are no time, some for each length."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._made: dict[str, h5py.Dataset] = {}
        network = child_group(file, NETWORK)
        neurons = None if network is None else child_group(network, NEURONS)
        ids = None if neurons is None else neurons.get("neuron_ids")
        self._ids: Any = None
        if isinstance(ids, h5py.Dataset) and ids.ndim == 1 and ids.dtype.kind in "iu":
            self._ids = ids[:]

    def of(self, length: int, neurons: bool, used: set[str]) -> h5py.Dataset:
        """A scale of this length, which may be the ``neurons``', and is none of those in ``used``."""
        known = neurons and self._ids is not None and len(self._ids) == length
        name = own = NEURON if known else f"{_AXIS}{length}"
        # One scale twice would be one dimension twice: by its name readers would take the diagonal.
        while name in used:
            name = f"{own}_{int(name.removeprefix(own).strip('_') or 1) + 1}"
        used.add(name)
        if name not in self._made and is_scale(self._file, name) and len(self._file[name]) == length:
            # Of a recording that was taken up again.
            self._made[name] = self._file[name]
        if name not in self._made:
            made = self._file.create_dataset(name, data=self._ids if known else np.arange(length))
            made.make_scale(name)
            self._made[name] = made
        return self._made[name]
