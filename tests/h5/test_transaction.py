"""A structural change happens whole or not at all, whatever write is its last."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from recorder.errors import DamagedError
from recorder.h5 import superblock
from recorder.h5.journal import replay
from recorder.h5.overlay import OverlayFile
from recorder.h5.transaction import LIBVER, commit, transaction


def new_file(folder: Path) -> tuple[Path, Path]:
    path = folder / "file.h5"
    with h5py.File(path, "x", libver=LIBVER) as file:
        file.create_group("episodes").attrs["n"] = 0
        file.create_dataset("rows", (3,), maxshape=(None,), chunks=(2,), dtype="i8")[:] = [1, 2, 3]
    return path, path.with_name("file.h5.journal")


def change(file: h5py.File) -> None:
    file["episodes"].attrs["n"] = 1
    for number in range(20):
        group = file["episodes"].create_group(f"episode_{number:04d}")
        group.create_dataset("x", (50,), maxshape=(None,), chunks=(16,), dtype="f8", compression="gzip")[
            :
        ] = number
    file["rows"].resize((5,))
    file["rows"][3:] = [4, 5]


def state(path: Path) -> str:
    with h5py.File(path, "r") as file:
        if file["episodes"].attrs["n"] == 0:
            assert len(file["episodes"]) == 0
            assert file["rows"][:].tolist() == [1, 2, 3]
            return "old"
        assert len(file["episodes"]) == 20
        for number, group in enumerate(file["episodes"].values()):
            assert (group["x"][:] == number).all()
        assert file["rows"][:].tolist() == [1, 2, 3, 4, 5]
        return "new"


def mend(path: Path, journal: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    overlay = OverlayFile(descriptor)
    replay(overlay, journal)
    block = overlay.read(superblock.SIZE) if overlay.seek(0) == 0 else b""
    overlay.seek(0)
    overlay.write(superblock.mended(block, overlay.size))
    commit(overlay, journal)
    os.close(descriptor)


def test_a_process_that_dies_at_any_write_leaves_the_old_or_the_new_file(tmp_path: Path) -> None:
    seen = set()
    for left in range(1000):
        folder = tmp_path / str(left)
        folder.mkdir()
        path, journal = new_file(folder)
        child = os.fork()
        if child == 0:
            budget = [left]

            def dying(name: str, budget: list[int] = budget) -> None:
                real = getattr(os, name)

                def call(*arguments: object) -> object:
                    budget[0] -= 1
                    if budget[0] < 0:
                        os._exit(9)
                    return real(*arguments)

                setattr(os, name, call)

            for name in ("pwrite", "ftruncate", "unlink"):
                dying(name)
            with transaction(path, journal) as file:
                change(file)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        mend(path, journal)
        seen.add(state(path))
        with h5py.File(path, "r+") as file:
            file["episodes"].create_group("after")
        if code == 0:
            break
    assert code == 0
    assert seen == {"old", "new"}


def test_an_error_inside_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path, journal = new_file(tmp_path)
    with pytest.raises(ZeroDivisionError), transaction(path, journal) as file:
        change(file)
        file.flush()
        raise ZeroDivisionError
    assert state(path) == "old"
    assert not journal.exists()


def test_a_torn_journal_says_nothing(tmp_path: Path) -> None:
    path, journal = new_file(tmp_path)
    descriptor = os.open(path, os.O_RDWR)
    overlay = OverlayFile(descriptor)
    with h5py.File(overlay, "r+", libver=LIBVER) as file:
        change(file)
    os.ftruncate(descriptor, overlay.size)
    kept: list[bytes] = []
    real = Path.unlink

    def keep(self: Path, missing_ok: bool = False) -> None:
        if self == journal:
            kept.append(self.read_bytes())
        real(self, missing_ok)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", keep)
        commit(overlay, journal)
    os.close(descriptor)
    whole = kept[0]
    for cut in (0, 5, 19, 20, len(whole) // 2, len(whole) - 1):
        target = tmp_path / str(cut)
        target.mkdir()
        old, torn = new_file(target)
        torn.write_bytes(whole[:cut])
        mend(old, torn)
        assert state(old) == "old"


def test_nothing_of_a_change_in_memory_reaches_the_disk(tmp_path: Path) -> None:
    path, _ = new_file(tmp_path)
    before = path.read_bytes()
    overlay = OverlayFile(os.open(path, os.O_RDONLY), memory=True, close=True)
    with h5py.File(overlay, "r+", libver=LIBVER) as file:
        change(file)
    with h5py.File(overlay, "r") as file:
        assert len(file["episodes"]) == 20
        assert file["rows"][:].tolist() == [1, 2, 3, 4, 5]
    overlay.close()
    assert path.read_bytes() == before


def test_lookup3_is_the_checksum_hdf5_writes(tmp_path: Path) -> None:
    path, _ = new_file(tmp_path)
    block = path.read_bytes()[: superblock.SIZE]
    assert superblock.mended(block, path.stat().st_size) == block
    # From the test vectors in Bob Jenkins' lookup3.c.
    assert superblock.lookup3(b"") == 0xDEADBEEF
    assert superblock.lookup3(b"Four score and seven years ago") == 0x17770551
    with pytest.raises(DamagedError, match="checksum"):
        superblock.mended(block[:13] + b"\xff" + block[14:], 100)
    with pytest.raises(DamagedError, match="version-3"):
        superblock.mended(np.zeros(48, np.uint8).tobytes(), 100)
