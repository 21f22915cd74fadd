"""Arrow IPC in its streaming format, zstd, batches of 1 MB.

Follows https://arrow.apache.org/docs/python/ipc.html, "Writing and Reading Streams" (the streaming format is
the one that can be read without a footer), with ``IpcWriteOptions(compression=...)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from peer import arrow_columns
from peer.batched import Batched
from peer.buffer import Batch
from peer.protocol import Part
from peer.work import Work


class Recorder(Batched):
    """A record batch a batch; the episode is a column."""

    def __init__(self, folder: Path, work: Work) -> None:
        super().__init__(work, work.rows_in(1 << 20))
        self._schema = arrow_columns.schema(work)
        self._sink = pa.OSFile(str(folder / "data.arrows"), "wb")
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        self._writer = pa.ipc.new_stream(self._sink, self._schema, options=options)

    def write(self, batch: Batch) -> None:
        """Into the stream."""
        self._writer.write_batch(arrow_columns.record_batch(batch, self._schema))

    def close(self) -> None:
        """End the stream."""
        self.flush()
        self._writer.close()
        self._sink.close()


def read(folder: Path) -> Iterator[Part]:
    """Record batch by record batch, up to one that is cut off."""
    with pa.OSFile(str(folder / "data.arrows"), "rb") as source, pa.ipc.open_stream(source) as stream:
        for batch in stream:
            yield arrow_columns.part(batch)
