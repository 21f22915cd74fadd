"""Parquet by pyarrow, row groups of up to 20,000 steps, zstd, byte stream split for floats.

Follows https://arrow.apache.org/docs/python/parquet.html, "Finer-grained Reading and Writing"
(``ParquetWriter``, a row group a call) and "Compression, Encoding, and File Compatibility". The
footer comes last: before ``close`` there is nothing to read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from peer import arrow_columns
from peer.batched import Batched
from peer.buffer import Batch
from peer.protocol import Part
from peer.work import Work

FLOATS = ["x", "y", "v.list.element"]


class Recorder(Batched):
    """A row group a batch; the episode is a column."""

    def __init__(self, folder: Path, work: Work) -> None:
        super().__init__(work, work.rows_in(32 << 20, most=20_000))
        self._schema = arrow_columns.schema(work)
        self._writer = pq.ParquetWriter(
            folder / "data.parquet",
            self._schema,
            compression="zstd",
            use_dictionary=["episode", "reward"],
            use_byte_stream_split=FLOATS,
            column_encoding={"t": "DELTA_BINARY_PACKED"},
        )

    def write(self, batch: Batch) -> None:
        """One row group."""
        self._writer.write_batch(arrow_columns.record_batch(batch, self._schema))

    def close(self) -> None:
        """Write the footer."""
        self.flush()
        self._writer.close()


def read(folder: Path) -> Iterator[Part]:
    """Row group by row group."""
    with pq.ParquetFile(folder / "data.parquet") as file:
        for group in range(file.num_row_groups):
            yield arrow_columns.part(file.read_row_group(group))
