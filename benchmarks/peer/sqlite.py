"""SQLite: WAL, ``synchronous=NORMAL``, 1,000 rows a transaction by ``executemany``.

Follows https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html#pragma_synchronous and
https://docs.python.org/3/library/sqlite3.html, "executemany". Arrays are blobs: a row a spike would be
slower.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from peer.batched import Batched
from peer.buffer import Batch
from peer.protocol import Part
from peer.work import Work

ROWS = 1000
TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE kinds (neurons TEXT, v TEXT, width INTEGER);
CREATE TABLE steps (episode INTEGER, t INTEGER, x REAL, y REAL, reward REAL, spikes BLOB);
CREATE TABLE potentials (episode INTEGER, t INTEGER, v BLOB);
"""


class Recorder(Batched):
    """A transaction a batch."""

    def __init__(self, folder: Path, work: Work) -> None:
        super().__init__(work, ROWS)
        self._connection = sqlite3.connect(folder / "data.sqlite")
        self._connection.executescript(TABLES)
        with self._connection as connection:
            kinds = (work.neuron_dtype.str, np.dtype(work.dtype).str, work.neurons)
            connection.execute("INSERT INTO kinds VALUES (?, ?, ?)", kinds)

    def write(self, batch: Batch) -> None:
        """Both tables in one transaction."""
        counts, neurons = batch.ragged()
        raw = neurons.tobytes()
        ends = np.cumsum(counts, dtype=np.int64) * neurons.itemsize
        blobs = [raw[start:end] for start, end in pairwise([0, *ends.tolist()])]
        scalars = (batch.episode, batch.t, batch.x, batch.y, batch.reward)
        kept = batch.v_row
        potentials = zip(batch.episode[kept].tolist(), batch.t[kept].tolist(), batch.v, strict=True)
        with self._connection as connection:
            rows = zip(*(column.tolist() for column in scalars), blobs, strict=True)
            connection.executemany("INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?)", rows)
            connection.executemany("INSERT INTO potentials VALUES (?, ?, ?)", potentials)

    def close(self) -> None:
        """Commit and close, which folds the log into the file."""
        self.flush()
        self._connection.close()


def read(folder: Path) -> Iterator[Part]:
    """All committed rows."""
    connection = sqlite3.connect(folder / "data.sqlite")
    try:
        ids, floats, width = connection.execute("SELECT * FROM kinds").fetchone()
        # one statement, one snapshot: potentials that a writer adds meanwhile are no concern
        steps = connection.execute("SELECT x, y, reward, spikes FROM steps ORDER BY rowid").fetchall()
        v = b"".join(row for (row,) in connection.execute("SELECT v FROM potentials ORDER BY rowid"))
    finally:
        connection.close()
    if steps:
        x, y, reward, blobs = zip(*steps, strict=True)
        yield Part(
            counts=np.array([len(blob) // np.dtype(ids).itemsize for blob in blobs]),
            neurons=np.frombuffer(b"".join(blobs), ids),
            x=np.array(x),
            y=np.array(y),
            reward=np.array(reward),
            v=np.frombuffer(v, floats).reshape(-1, width),
        )
