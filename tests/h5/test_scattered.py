"""Rows from anywhere equal h5py's, in every layout, across threads, pickles and forks."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import ClosedError, DamagedError, ReadError
from recorder.h5.reading.perprocess import PerProcess
from recorder.h5.reading.scattered import RowFile

LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "rows": {"chunks": (1, 7, 5)},
    "several rows, unfiltered": {"chunks": (4, 7, 5)},
    "several rows": {"chunks": (4, 7, 5), "compression": "gzip", "shuffle": True},
    "parts of rows": {"chunks": (2, 3, 5), "compression": "gzip", "shuffle": True, "fletcher32": True},
    "parts, unfiltered": {"chunks": (3, 4, 2)},
    "wider than rows": {"chunks": (2, 9, 8), "maxshape": (None, None, None), "compression": "gzip"},
    "wider, unfiltered": {"chunks": (1, 9, 8), "maxshape": (None, None, None)},
    "lzf": {"chunks": (2, 7, 5), "compression": "lzf"},
    "one row deflated": {"chunks": (1, 7, 5), "compression": "gzip"},
}
DATA = np.random.default_rng(0).integers(0, 100, (11, 7, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("rows") / "rows.h5"
    with h5py.File(place, "w", libver=("v110", "v110")) as file:
        for name, keywords in LAYOUTS.items():
            file.create_dataset(name, data=DATA, **keywords)
        file.create_dataset("big-endian", data=DATA.astype(">f4"), chunks=(1, 7, 5))
        file.create_dataset("one value", data=1.0)
        file.create_dataset("holes", (8, 2), np.float32, chunks=(2, 2))[:2] = 1.0
        file.create_dataset("nothing", (0, 3), np.int8, maxshape=(None, 3))
        file.create_dataset("numbers", data=np.arange(50), chunks=(8,), compression="gzip")
    return place


@pytest.mark.parametrize("name", [*LAYOUTS, "big-endian"])
@given(rows=st.lists(st.integers(0, len(DATA) - 1), max_size=20))
def test_rows_are_those_of_h5py(path: Path, name: str, rows: list[int]) -> None:
    found = RowFile(path, name)
    try:
        np.testing.assert_array_equal(found.read(rows), DATA[rows])
    finally:
        found.close()


@pytest.mark.parametrize("name", [*LAYOUTS, "big-endian"])
def test_rows_may_be_told_of_before(path: Path, name: str) -> None:
    found = RowFile(path, name)
    found.expect([])
    found.expect([10, 3, 99, -1])
    np.testing.assert_array_equal(found.read([10, 3]), DATA[[10, 3]])
    found.close()
    RowFile(path, "holes").expect([0, 7])


@pytest.mark.parametrize("name", [*LAYOUTS, "big-endian"])
def test_rows_that_follow_each_other_are_those_of_h5py(path: Path, name: str) -> None:
    rows = RowFile(path, name)
    for wanted in (range(11), range(3, 9), [*range(2, 7), 1, *range(4, 8)]):
        np.testing.assert_array_equal(rows.read(wanted), DATA[list(wanted)])
    rows.close()


def test_one_axis_and_no_rows(path: Path) -> None:
    assert RowFile(path, "numbers").read([49, 0, 49]).tolist() == [49, 0, 49]
    assert RowFile(path, "nothing").read([]).shape == (0, 3)


def test_a_given_array_is_filled(path: Path) -> None:
    rows, out = RowFile(path, "several rows"), np.empty((2, 7, 5), np.float32)
    assert rows.read([3, 9], out) is out
    np.testing.assert_array_equal(out, DATA[[3, 9]])
    with pytest.raises(ValueError, match="C-contiguous float32"):
        rows.read([3], out)


def test_what_is_wrong_is_said(path: Path, tmp_path: Path) -> None:
    rows = RowFile(path, "rows")
    for wrong in (-1, 11):
        with pytest.raises(IndexError, match=f"rows 0 to 10, not {wrong}"):
            rows.read([0, wrong])
    with pytest.raises(DamagedError, match="never stored"):
        RowFile(path, "holes").read([0, 7])
    for name in ("one value", "missing"):
        with pytest.raises(DamagedError, match="there is no dataset"):
            RowFile(path, name)
    with pytest.raises(FileNotFoundError):
        RowFile(tmp_path / "none.h5", "rows")
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(DamagedError, match="no HDF5 file"):
        RowFile(tmp_path / "text.h5", "rows")
    rows.close()
    with pytest.raises(ClosedError):
        rows.read([0])


def test_a_turned_byte_is_noticed(path: Path, tmp_path: Path) -> None:
    data = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        place = file["parts of rows"].id.get_chunk_info(0).byte_offset
    data[place + 9] ^= 1
    broken = tmp_path / "broken.h5"
    broken.write_bytes(data)
    with pytest.raises(DamagedError, match="the chunk of row 0"):
        RowFile(broken, "parts of rows").read([5, 0])


def test_pickles_open_the_file_anew_and_notice_another_one(path: Path, tmp_path: Path) -> None:
    place = tmp_path / "copy.h5"
    place.write_bytes(path.read_bytes())
    rows = RowFile(place, "rows")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(rows)).read([2]), DATA[[2]])
    there = pickle.dumps(rows)
    place.unlink()
    with h5py.File(place, "w") as file:
        file["rows"] = np.zeros((11, 7))
    with pytest.raises(ReadError, match="another file"):
        pickle.loads(there).read([2])
    place.unlink()
    # Of the same layout, but not the same.
    with h5py.File(place, "w", libver=("v110", "v110")) as file:
        file.create_dataset("rows", data=DATA + 1, chunks=(1, 7, 5))
    with pytest.raises(ReadError, match="another file"):
        pickle.loads(there).read([2])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_have_handles_of_their_own(path: Path, method: str) -> None:
    rows = RowFile(path, "several rows")
    rows.read([0])
    with multiprocessing.get_context(method).Pool(2) as pool:
        for k, found in enumerate(pool.map(rows.read, [[k] for k in range(11)])):
            np.testing.assert_array_equal(found, DATA[[k]])
    np.testing.assert_array_equal(rows.read([1]), DATA[[1]])


def test_a_fork_while_another_thread_opens_opens_for_itself() -> None:
    class Opened:
        def __init__(self) -> None:
            opening.set()
            if os.getpid() == parent:
                go_on.wait(10)

        def close(self) -> None:
            pass

    parent, opening, go_on = os.getpid(), threading.Event(), threading.Event()
    own = PerProcess(Opened)
    thread = threading.Thread(target=own.get)
    thread.start()
    assert opening.wait(10)
    child = os.fork()
    if not child:
        signal.alarm(5)
        own.get()
        os._exit(0)
    go_on.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
