"""What a user would otherwise pick: one module for each, all with the same few methods.

A module has ``Recorder(folder, work)``, with ``log(t, v, spikes, x, y, reward)``, ``start_episode()``,
``end_episode()`` and ``close()``, and ``read(folder)``, which yields what was recorded in pieces. Each
module's docstring names the page of its documentation whose idiom it follows. The call takes plain
arguments, as one would write it for oneself: nothing is paid for being general. Documentation that asks for
batches gets them, from ``peer.buffer``, and a process that is killed loses what was waiting there.

``flightrec`` is a row like the others. Its call is its public one, dictionaries included.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Peer:
    """One row of the tables.

    Attributes
    ----------
    module : str
        In this package.
    needs : tuple of str
        Modules that must be importable.
    most : int
        Timesteps it gets at most, for one that would take minutes; the table says how many it got.
    note : str
        What a reader of the table must know.
    scalars : bool
        It keeps no potentials, and of spikes their number.
    environment : mapping
        Set before anything is imported.
    """

    module: str
    needs: tuple[str, ...] = ()
    most: int | None = None
    note: str = ""
    scalars: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    def missing(self) -> str | None:
        """Why it cannot run here, or None."""
        absent = [name for name in self.needs if importlib.util.find_spec(name) is None]
        if absent:
            return f"{', '.join(absent)} not installed"
        if self.environment and not _compiled():
            return "flightrec has no compiled path here: the row above is this one"
        return None

    def load(self) -> Any:
        """Its module, imported under its environment."""
        os.environ.update(self.environment)
        return importlib.import_module(f"peer.{self.module}")


def _compiled() -> bool:
    import recorder

    return bool(recorder.HOT_PATH == "compiled")


BATCHES = "what its batch holds is lost when killed"
PEERS = {
    "flightrec": Peer("flightrec", note="its defaults; the compiled log() where it was built"),
    "flightrec-python": Peer(
        "flightrec", note="without the compiled log()", environment={"FLIGHTREC_HOT_PATH": "python"}
    ),
    "flightrec-live": Peer("flightrec_live", note="enable_swmr=True: commits every second, for readers"),
    "h5py": Peer("h5py_plain", ("h5py",), note="as most write it: 1,000 rows at a time, dense, gzip"),
    "h5py-strong": Peer("h5py_strong", ("h5py", "hdf5plugin"), note="ragged spikes, zstd, 1 MB, SWMR"),
    "arrow": Peer("arrow", ("pyarrow",), note="IPC stream, zstd, 1 MB batches; " + BATCHES),
    "parquet": Peer("parquet", ("pyarrow",), note="zstd; no file before its footer"),
    "pytables": Peer("pytables", ("tables",), note="Blosc2 lz4, 1 MB, flushed; " + BATCHES),
    "zarr": Peer("zarr3", ("zarr",), note="zarr 3, Blosc zstd, 4 MB appends; " + BATCHES),
    "pynwb": Peer("nwb", ("pynwb", "hdf5plugin"), note="series appended; Units need every spike, at the end"),
    "mcap": Peer("mcap_messages", ("mcap", "mcap_protobuf"), most=200_000, note="protobuf, zstd"),
    "rerun": Peer("rerun_columns", ("rerun",), note="send_columns in 1 MB batches"),
    "tensorboard": Peer(
        "tensorboard_scalars",
        ("tensorboardX", "tensorboard"),
        most=20_000,
        scalars=True,
        note="scalars only, as float32: x, y, reward and the number of spikes",
    ),
    "npz": Peer("npz", note="savez_compressed, a file an episode, the episode waits in memory"),
    "sqlite": Peer("sqlite", note="WAL, 1,000 rows a transaction, spikes and v as blobs"),
}
