"""What is written to an overlay is what is read from it, at once and in the file."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from recorder.h5 import overlay as module
from recorder.h5.overlay import OverlayFile


@pytest.mark.parametrize("seed", range(40))
def test_pieces_of_every_size_in_every_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(module, "_LARGE", chance.choice([1 << 10, 1 << 16]))
    monkeypatch.setattr(module, "_GATHERED", chance.choice([1 << 12, 1 << 22]))
    path = tmp_path / "file"
    path.write_bytes(chance.randbytes(10_000))
    model = bytearray(path.read_bytes())
    descriptor = os.open(path, os.O_RDWR)
    overlay = OverlayFile(descriptor)
    for _ in range(200):
        start = chance.randrange(40_000) if chance.random() < 0.5 else len(model) + chance.randrange(100)
        data = chance.randbytes(chance.choice([1, 30, 900, 3_000]))
        model.extend(bytes(max(0, start + len(data) - len(model))))
        model[start : start + len(data)] = data
        overlay.seek(start)
        assert overlay.write(data) == len(data)
        at = chance.randrange(len(model))
        overlay.seek(at)
        read = bytearray(chance.randrange(1, 5_000))
        overlay.readinto(read)
        assert read.rstrip(b"\0") == model[at : at + len(read)].rstrip(b"\0")
    assert overlay.size == len(model)
    assert path.read_bytes()[:10_000] != model[:10_000]
    overlay.settle()
    for offset, held in overlay.extents():
        os.pwrite(descriptor, held, offset)
    os.close(descriptor)
    assert path.read_bytes().ljust(len(model), b"\0") == model


@pytest.mark.parametrize("at", [10_000, 12_000, 15_000])
def test_a_disk_that_refuses_is_remembered_and_read_around(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr(module, "_LARGE", 1 << 10)
    path = tmp_path / "file"
    path.write_bytes(bytes(10_000))
    descriptor = os.open(path, os.O_RDWR)
    overlay = OverlayFile(descriptor)
    overlay.seek(10_000)
    overlay.write(b"a" * 100)

    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "pwrite", refuse)
    overlay.seek(at)
    overlay.write(b"b" * 2_000)
    assert overlay.error is not None
    assert overlay.error.errno == 28
    overlay.seek(10_000)
    read = bytearray(7_000)
    overlay.readinto(read)
    expected = bytearray(7_000)
    expected[:100] = b"a" * 100
    expected[at - 10_000 : at - 8_000] = b"b" * 2_000
    assert read == expected
    os.close(descriptor)
