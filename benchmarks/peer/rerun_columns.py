"""Rerun: ``send_columns`` in batches of 1 MB, saved to a file.

Follows https://rerun.io/docs/howto/logging, "Send entire columns at once" (rows logged one by one are some
thirty times slower), with partitioned columns for ragged spikes, given
as Arrow arrays, for of NumPy's it makes lists first; read back by ``rerun.chunk.RrdReader``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import rerun as rr
from rerun.chunk import RrdReader

from peer.batched import Batched
from peer.buffer import Batch
from peer.protocol import Array, Part
from peer.work import Work


class Recorder(Batched):
    """Three entities on two timelines."""

    def __init__(self, folder: Path, work: Work) -> None:
        super().__init__(work, work.rows_in(1 << 20))
        self._stream = rr.RecordingStream("peers")
        self._stream.save(folder / "data.rrd")

    def write(self, batch: Batch) -> None:
        """One chunk an entity; copies, for it is written by a thread."""
        counts, neurons = batch.ragged()
        t, episode, kept = batch.t.copy(), batch.episode, batch.v_row
        scalars = np.stack([batch.x, batch.y, batch.reward], axis=1).ravel()
        for entity, rows, values, lengths in (
            ("behavior", slice(None), {"values": pa.array(scalars)}, np.full(len(t), 3)),
            ("potentials", kept, {"v": pa.array(batch.v.flatten())}, np.full(len(kept), batch.work.neurons)),
            ("spikes", slice(None), {"neurons": pa.array(neurons)}, counts.astype(np.int64)),
        ):
            if len(lengths):
                times = [
                    rr.TimeColumn("step", sequence=t[rows]),
                    rr.TimeColumn("episode", sequence=episode[rows].astype(np.int64)),
                ]
                columns = rr.AnyValues.columns(**values).partition(lengths)
                self._stream.send_columns(entity, times, columns)

    def close(self) -> None:
        """Wait for the thread."""
        self.flush()
        self._stream.flush()
        self._stream.disconnect()


def read(folder: Path) -> Iterator[Part]:
    """Chunk by chunk."""
    for chunk in RrdReader(folder / "data.rrd").stream():
        batch, entity = chunk.to_record_batch(), chunk.entity_path.strip("/")
        if entity in {"behavior", "spikes", "potentials"}:
            (name,) = {"values", "v", "neurons"} & set(batch.schema.names)
            lists = batch.column(name)
            flat: Array = lists.flatten().to_numpy()
            if entity == "behavior":
                x, y, reward = flat.reshape(-1, 3).T
                yield Part(x=x, y=y, reward=reward)
            elif entity == "potentials":
                yield Part(v=flat.reshape(len(lists), -1))
            else:
                yield Part(counts=lists.value_lengths().to_numpy(), neurons=flat)
