"""One episode written the plain way: every value resizes its dataset by a row and writes it.

Nothing is buffered here, so what a call stored is what h5py was told, and no more. HDF5's own chunk
cache is what keeps a chunk from being compressed anew for every row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from recorder.format.layout import (
    ENCODING,
    EVENTS,
    EVENTS_JSON,
    OWN_TIMESTEPS,
    PRECISION,
    REWARDS,
    REWARDS_VALUES,
    SPIKES,
    SPIKES_EVENTS,
    TABLE,
    TIMESTEPS,
    WEIGHT_CHANGES,
)
from recorder.format.rounding import rounded
from recorder.format.spikes import raster_cells
from recorder.spike_input import INDICES, SpikeType

CHUNK_BYTES = 1 << 20
"""No chunk is larger: the default chunk cache of HDF5 holds eight of these."""
_ITEMS_PER_ROW = 8


@dataclass(slots=True)
class _Clocked:
    """One of the groups ``neural_states`` and ``behavior``."""

    rows: int = 0
    shared: set[str] = field(default_factory=set)
    """Keys whose rows are the group's rows."""
    own: set[str] = field(default_factory=set)


class PlainEpisode:
    """The datasets of one episode's group; ``totals`` counts what was written.

    Parameters
    ----------
    group : h5py.Group
        Made by :func:`recorder.h5.skeleton.create_episode`.
    keywords : mapping
        Of :func:`recorder.h5.keywords.filter_keywords`.
    chunk_rows : int
        Rows of a chunk, as long as it stays below ``CHUNK_BYTES``.
    precision : mapping of str to float
        How far stored values may be from the given ones, by stream.
    """

    def __init__(
        self, group: Any, keywords: Mapping[str, Any], chunk_rows: int, precision: Mapping[str, float]
    ) -> None:
        self.group, self._precision = group, precision
        self.totals: dict[str, Any] = {
            "total_timesteps": 0,
            "total_spikes": 0,
            "total_reward": 0.0,
            "total_weight_changes": 0,
            "total_events": 0,
        }
        self._keywords, self._chunk_rows = keywords, chunk_rows
        self._datasets: dict[str, Any] = {}
        self._clocked: dict[str, _Clocked] = {}
        self._event_bytes = 0

    def write_values(self, group: str, step: int, values: Mapping[str, NDArray[Any]]) -> None:
        """A row of ``neural_states`` or ``behavior``: values by key, as admitted; none is no row."""
        if not values:
            return
        clocked = self._clocked.setdefault(group, _Clocked())
        for key, value in values.items():
            if f"{group}/{key}" not in self._datasets:
                attributes = self._dataset(f"{group}/{key}", value.dtype, value.shape).attrs
                attributes[TIMESTEPS] = TIMESTEPS
                if f"{group}/{key}" in self._precision:
                    attributes[PRECISION] = self._precision[f"{group}/{key}"]
                clocked.shared.add(key)
                if clocked.rows:
                    self._diverge(group, key, clocked, shared=0)
            bound = self._precision.get(f"{group}/{key}")
            self._append(f"{group}/{key}", value if bound is None else rounded(np.asarray(value), bound))
        for key in clocked.shared - values.keys():
            self._diverge(group, key, clocked, shared=clocked.rows)
        for key in clocked.own & values.keys():
            self._append(f"{group}/{key}{OWN_TIMESTEPS}", np.int64(step))
        self._append(f"{group}/{TIMESTEPS}", np.int64(step))
        clocked.rows += 1

    def write_spikes(self, step: int, kind: SpikeType, row: NDArray[Any]) -> None:
        """One step's spikes: a dense row, or sorted indices, as ``kind`` says."""
        neurons = row if kind.form == INDICES else raster_cells(row)
        if f"{SPIKES}/rows" not in self._datasets:
            attributes = self.group[SPIKES].attrs
            attributes[ENCODING] = SPIKES_EVENTS
            attributes["n_neurons"] = np.int64(kind.n_neurons)
            attributes["dtype"] = kind.logged_dtype
            for name in (TIMESTEPS, "values"):
                self._dataset(f"{SPIKES}/{name}", np.dtype(np.int64), (), _ITEMS_PER_ROW)
            if kind.graded:
                self._dataset(f"{SPIKES}/amplitudes", kind.dtype, (), _ITEMS_PER_ROW)
        if len(neurons):
            self._extend(f"{SPIKES}/{TIMESTEPS}", np.full(len(neurons), step, np.int64))
            self._extend(f"{SPIKES}/values", neurons)
            if kind.graded:
                self._extend(f"{SPIKES}/amplitudes", row[neurons])
        self.totals["total_spikes"] += len(neurons)
        self._append(f"{SPIKES}/rows", np.int64(step))
        self._append(f"{SPIKES}/row_ends", np.int64(self.totals["total_spikes"]))

    def write_reward(self, step: int, reward: float) -> None:
        """One reward, float64."""
        self._mark(REWARDS, REWARDS_VALUES)
        self._append(f"{REWARDS}/{TIMESTEPS}", np.int64(step))
        self._append(f"{REWARDS}/values", np.float64(reward))
        self.totals["total_reward"] += reward

    def write_weight_change(self, columns: Mapping[str, np.generic]) -> None:
        """One weight change: a NumPy scalar for each column of the table."""
        self._mark(WEIGHT_CHANGES, TABLE)
        for name, value in columns.items():
            self._append(f"{WEIGHT_CHANGES}/{name}", value)
        self.totals["total_weight_changes"] += 1

    def write_event(self, step: int, document: bytes) -> None:
        """One event as its document's bytes."""
        self._mark(EVENTS, EVENTS_JSON)
        path = f"{EVENTS}/data"
        if path not in self._datasets:
            self._dataset(path, np.dtype(np.uint8), (), 64)
        self._extend(path, np.frombuffer(document, np.uint8))
        self._event_bytes += len(document)
        self._append(f"{EVENTS}/{TIMESTEPS}", np.int64(step))
        self._append(f"{EVENTS}/ends", np.int64(self._event_bytes))
        self.totals["total_events"] += 1

    def _mark(self, group: str, encoding: str) -> None:
        if f"{group}/{TIMESTEPS}" not in self._datasets:
            self.group[group].attrs[ENCODING] = encoding

    def _diverge(self, group: str, key: str, clocked: _Clocked, shared: int) -> None:
        """Timesteps of a key's own from now on, which begin with the rows that it shared."""
        clocked.shared.remove(key)
        clocked.own.add(key)
        name = f"{key}{OWN_TIMESTEPS}"
        self._dataset(f"{group}/{name}", np.dtype(np.int64), ())
        if shared:
            self._extend(f"{group}/{name}", self._datasets[f"{group}/{TIMESTEPS}"][:shared])
        self._datasets[f"{group}/{key}"].attrs[TIMESTEPS] = name

    def _dataset(self, path: str, dtype: np.dtype[Any], shape: tuple[int, ...], items: int = 1) -> Any:
        row_bytes = max(1, dtype.itemsize * int(np.prod(shape, dtype=np.int64)))
        rows = max(1, min(self._chunk_rows * items, CHUNK_BYTES // row_bytes))
        dataset = self.group.create_dataset(
            path, (0, *shape), dtype, maxshape=(None, *shape), chunks=(rows, *shape), **self._keywords
        )
        self._datasets[path] = dataset
        return dataset

    def _append(self, path: str, row: Any) -> None:
        dataset = self._datasets.get(path)
        if dataset is None:
            dataset = self._dataset(path, row.dtype, row.shape)
        count = dataset.shape[0]
        dataset.resize(count + 1, axis=0)
        dataset[count] = row

    def _extend(self, path: str, rows: NDArray[Any]) -> None:
        dataset = self._datasets[path]
        count = dataset.shape[0]
        dataset.resize(count + len(rows), axis=0)
        dataset[count:] = rows


def create_file(path: Any) -> Any:
    """A new HDF5 file, made exclusively: FileExistsError where one stands."""
    return h5py.File(path, "x", libver=("v110", "v110"))
