"""NWB by pynwb: series that grow, an epoch an episode, spike times in Units at the end.

Follows https://pynwb.readthedocs.io/en/stable/tutorials/advanced_io/plot_h5dataio.html (``maxshape``,
chunks and filters of hdf5plugin by ``H5DataIO``), https://pynwb.readthedocs.io/en/stable/tutorials/general/add_remove_containers.html
(appending to a file that was read in mode "a") and the Units table of
https://pynwb.readthedocs.io/en/stable/tutorials/domain/ecephys.html. Units is sorted by neuron, so all spikes
wait in memory until the file is closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hdf5plugin
import numpy as np
from hdmf.common import VectorData, VectorIndex
from pynwb import NWBHDF5IO, H5DataIO, NWBFile, TimeSeries
from pynwb.misc import Units

from peer.batched import Batched
from peer.buffer import Batch
from peer.protocol import Array, Part
from peer.work import Work

ZSTD = {**hdf5plugin.Zstd(clevel=1), "allow_plugin_filters": True}
RATE = 1000.0
"""Timesteps a second: NWB's clock has seconds."""


class Recorder(Batched):
    """The file is made whole and empty, then its series grow."""

    def __init__(self, folder: Path, work: Work) -> None:
        rows = work.rows_in(1 << 20)
        super().__init__(work, rows)
        path = str(folder / "data.nwb")
        with NWBHDF5IO(path, "w") as io:
            file = NWBFile("peers", "peers", datetime(2024, 6, 7, tzinfo=UTC))
            for name, dtype, width, chunk, rate in (
                ("x", "f8", (), rows, RATE),
                ("y", "f8", (), rows, RATE),
                ("reward", "f8", (), rows, RATE),
                ("v", work.dtype, (work.neurons,), max(1, rows // work.sampling), RATE / work.sampling),
            ):
                data = H5DataIO(
                    np.empty((0, *width), dtype),
                    maxshape=(None, *width),
                    chunks=(chunk, *width),
                    shuffle=True,
                    **ZSTD,
                )
                file.add_acquisition(TimeSeries(name=name, data=data, unit="n/a", rate=rate))
            io.write(file)
        self._io = NWBHDF5IO(path, "a")
        self._file = self._io.read()
        self._spikes: list[tuple[Array, Array]] = []
        self._rows, self._starts, self._neurons = 0, [0], work.neurons

    def write(self, batch: Batch) -> None:
        """Grow the series; keep the spikes."""
        for name in ("x", "y", "reward", "v"):
            data, values = self._file.acquisition[name].data, getattr(batch, name)
            if len(values):
                start = len(data)
                data.resize(start + len(values), axis=0)
                data[start:] = values
        counts, neurons = batch.ragged()
        self._spikes.append((np.repeat(np.arange(self._rows, self._rows + len(batch)), counts), neurons))
        self._rows += len(batch)

    def end_episode(self) -> None:
        """An epoch's end is a row of the series."""
        self.flush()
        self._starts.append(self._rows)

    def close(self) -> None:
        """Add epochs and Units, and write them."""
        self.flush()
        for start, stop in zip(self._starts, self._starts[1:], strict=False):
            self._file.add_epoch(start / RATE, stop / RATE)
        if self._spikes:
            steps, neurons = (np.concatenate(pieces) for pieces in zip(*self._spikes, strict=True))
            order = np.argsort(neurons, kind="stable")
            ends = np.searchsorted(neurons[order], np.arange(self._neurons), side="right")
            times = _column("spike_times", steps[order] / RATE)
            index = VectorIndex(name="spike_times_index", data=ends, target=times)
            self._file.units = Units(name="units", id=np.arange(self._neurons), columns=[times, index])
        self._io.write(self._file)
        self._io.close()


def _column(name: str, values: Array) -> Any:
    data = H5DataIO(values, shuffle=True, **ZSTD)
    return VectorData(name=name, description="spikes of each neuron, s", data=data)


def read(folder: Path) -> Iterator[Part]:
    """All of it; without Units no spikes."""
    with NWBHDF5IO(str(folder / "data.nwb"), "r") as io:
        file = io.read()
        series = {name: file.acquisition[name].data[:] for name in ("x", "y", "reward", "v")}
        counts = neurons = None
        if file.units is not None:
            times = np.rint(file.units["spike_times"].target.data[:] * RATE).astype(np.int64)
            ids = np.repeat(
                np.arange(len(file.units)), np.diff(file.units["spike_times_index"].data[:], prepend=0)
            )
            counts, neurons = (
                np.bincount(times, minlength=len(series["x"])),
                ids[np.argsort(times, kind="stable")],
            )
        yield Part(counts=counts, neurons=neurons, **series)
