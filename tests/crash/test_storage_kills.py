"""Killed stores: every call that had returned is there, every other is absent as a whole.

``benchmarks/storage_crash.py`` does the same by the thousand, and says what it found in its saved result.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash import shim
from tests.crash.harness import in_memory

ROOT = Path(__file__).parents[2]


def test_every_store_that_returned_is_there_after_a_kill(tmp_path: Path) -> None:
    arguments = ["--kills", "6", "--seed", "3", "--output", str(tmp_path)]
    try:
        shim.shim()
    except shim.NoCompilerError:
        modes = ["random"]
    else:
        modes = ["random", "sweep"]
        arguments += ["--sweep", "--stride", "120", "--calls", "25"]
    done = subprocess.run(
        [sys.executable, "benchmarks/storage_crash.py", *arguments],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **in_memory(), "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    found = json.loads((tmp_path / "storage_crash.json").read_text())
    for mode in modes:
        assert found[mode]["kills"] > 2
        assert found[mode]["objects_compared"] > 20
        assert not found[mode]["failures"]


@pytest.mark.parametrize("instant", ["journal", "half applied"])
def test_a_change_that_was_cut_off_is_completed_even_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instant: str
) -> None:
    import shutil

    from recorder.h5 import transaction
    from recorder.storage import HDF5Storage

    path = tmp_path / "s.h5"
    with HDF5Storage(path) as storage:
        storage.store_reservoir_states(1.0, [1.0])
        real, copies = transaction._apply, tmp_path / "left"
        copies.mkdir()

        def cut(descriptor: int, extents: list[tuple[int, bytes]]) -> None:
            if instant == "half applied":
                real(descriptor, extents[: len(extents) // 2])
            for name in ("s.h5", "s.h5.journal", "s.h5.lock"):
                shutil.copyfile(tmp_path / name, copies / name)
            real(descriptor, extents)

        monkeypatch.setattr(transaction, "_apply", cut)
        name = storage.store_spike_train(2.0, [1.0, 2.0], [3, 4])
        monkeypatch.undo()
    before = {p.name: p.read_bytes() for p in copies.iterdir()}

    def refuse(_: object) -> None:
        raise PermissionError(13, "read-only folder")

    with monkeypatch.context() as patch:
        # Permissions do not stop root, who runs many test machines.
        patch.setattr("recorder.h5.store.turns.Turns.take", refuse)
        reader = HDF5Storage(copies / "s.h5")
        found = reader.retrieve_spike_train(name)
        assert found is not None
        assert found.neuron_ids.tolist() == [3, 4]
        assert len(reader.find()) == 2
    assert {p.name: p.read_bytes() for p in copies.iterdir()} == before
    reader.close()
    with HDF5Storage(copies / "s.h5") as storage:
        assert len(storage.find()) == 2
        storage.store_reservoir_states(3.0, [1.0])
        assert storage.verify() == []
    assert [p.name for p in copies.iterdir()] == ["s.h5"]
