"""Rotation, retention, compaction, integrity, backups, and the command that does these."""

from __future__ import annotations

import itertools
import logging
import os
import random
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result

from recorder.cli import cli
from recorder.h5.store import compact as compacting
from recorder.storage import HDF5Storage, HDF5StorageError, StorageInputError
from tests.crash.harness import fork
from tests.storage.objects import cases

CASES = cases()
DAY = 86_400.0


def fill(storage: HDF5Storage, t: float) -> dict[str, str]:
    return {case: what.store(storage, t) for case, what in CASES.items()}


def check(storage: HDF5Storage, names: dict[str, str], t: float) -> None:
    for case, name in names.items():
        CASES[case].check(storage, name, t)


def flip(file: Path, dataset: str) -> None:
    """Damage one byte in the middle of a dataset's first chunk."""
    with h5py.File(file, "r") as h5:
        info = h5[dataset].id.get_chunk_info(0)
    with file.open("r+b") as raw:
        raw.seek(info.byte_offset + info.size // 2)
        byte = raw.read(1)[0]
        raw.seek(-1, os.SEEK_CUR)
        raw.write(bytes([byte ^ 0x10]))


def test_rotation_loses_no_file_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.cycle([100.0, 100.0, 50.0, 100.0, 0.0])
    with HDF5Storage(tmp_path / "s.h5") as storage:
        stored = []
        (tmp_path / "s_50.h5").write_text("somebody's own")
        for t in (5.0, 1.0, 9.0, 5.0, 3.0):
            stored.append((fill(storage, t), t))
            monkeypatch.setattr("recorder.storage.managing.time.time", lambda: next(clock))
            storage.rotate_file()
            monkeypatch.undo()
        assert len(storage.files()) == 6
        assert (tmp_path / "s_50.h5").read_text() == "somebody's own"
        for names, t in stored:
            check(storage, names, t)
        found = storage.find()
        assert sorted(entry.id for entry in found) == sorted(n for names, _ in stored for n in names.values())
        assert len({(entry.kind, entry.id) for entry in found}) == len(found)
        assert [entry.timestamp for entry in found] == sorted(entry.timestamp for entry in found)
        assert {e.timestamp for e in storage.find("snapshot", 3, 5)} == {3.0, 5.0}
        assert storage.verify() == []
        gone = storage.files()[1]
        gone.rename(tmp_path / "elsewhere.h5")
        assert storage.retrieve_spike_train(stored[1][0]["train"]) is None
        check(storage, stored[4][0], 3.0)


def test_a_file_that_is_full_is_rotated_by_itself(tmp_path: Path) -> None:
    with HDF5Storage(tmp_path / "s.h5", max_file_size=200_000) as storage:
        values = np.random.default_rng(0).random((30, 100, 30))
        names = [storage.store_reservoir_states(float(t), v) for t, v in enumerate(values)]
        with storage.batch():
            names += [storage.store_reservoir_states(30.0 + t, v) for t, v in enumerate(values)]
        assert len(storage.files()) > 3
        assert storage.check_file_size() is False
        assert [entry.id for entry in storage.find("reservoir")] == names
        for name, value in zip(names, [*values, *values], strict=True):
            found = storage.retrieve_reservoir_states(name)
            assert found is not None
            assert np.array_equal(found[0], value)
    assert all(path.stat().st_size < 1_500_000 for path in tmp_path.iterdir())


def test_a_store_that_another_has_rotated_goes_on_in_the_new_file(tmp_path: Path) -> None:
    with HDF5Storage(tmp_path / "s.h5") as storage, HDF5Storage(tmp_path / "s.h5") as other:
        first, second = storage.store_reservoir_states(1.0, [1]), other.store_reservoir_states(1.0, [2])
        target = other.rotate_file()
        third = storage.store_reservoir_states(1.0, [3])
        assert len({first, second, third}) == 3
        assert [entry.file for entry in storage.find()] == [target, target, storage.file_path]
        assert [entry.id for entry in other.find()] == [first, second, third]


def test_where_a_rotation_fails_storing_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(95, "no links here")

    with HDF5Storage(tmp_path / "s.h5", max_file_size=1) as storage:
        monkeypatch.setattr("recorder.h5.store.rotate.os.link", refuse)
        name = storage.store_reservoir_states(1.0, [1])
        assert "Failed to rotate" in caplog.text
        assert [entry.id for entry in storage.find()] == [name]
    assert [path.name for path in tmp_path.iterdir()] == ["s.h5"]


def test_cleanup_knows_every_kind_and_keeps_what_it_is_told(tmp_path: Path) -> None:
    now = time.time()
    old, new = now - 40 * DAY, now - DAY
    with HDF5Storage(tmp_path / "s.h5") as storage:
        first = fill(storage, old)
        storage.store_checkpoint(old, {"a": 1})
        storage.rotate_file()
        second, kept = fill(storage, old), fill(storage, new)
        states = {"reservoir", "reservoir, scalar"}
        removed = storage.cleanup_old_data(30, kinds={"reservoir": None, "spike_train": 100, "snapshot": 0.5})
        trains = {"train", "train, silent"}
        snapshots = {case for case in CASES if case.startswith("snapshot")}
        assert removed == 2 * (len(CASES) - len(states) - len(trains)) + 1 + len(snapshots)
        check(
            storage,
            {case: n for names in (first, second) for case, n in names.items() if case in states},
            old,
        )
        check(storage, {case: n for case, n in kept.items() if case not in snapshots}, new)
        assert not storage.find("snapshot")
        assert len(storage.files()) == 2
        assert storage.verify() == []
        assert storage.cleanup_old_data(kinds={"reservoir": 30, "spike_train": None}) == 4
        assert storage.cleanup_old_data() == 4
        assert len(storage.files()) == 1, "a rotated file in which nothing is left stays"
        with pytest.raises(StorageInputError, match="kinds"):
            storage.cleanup_old_data(kinds={"snapshots": 3})
        with pytest.raises(StorageInputError, match="retention_days"):
            storage.cleanup_old_data(-1)


def test_cleanup_removes_nothing_by_the_clock_where_time_is_a_runs_own(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    with HDF5Storage(path) as storage:
        storage.store_checkpoint(1.0, {"a": 1})
        storage.rotate_file()
        storage.store_checkpoint(12.0, {"a": 1})
        storage.store_reservoir_states(time.time(), [1])  # of another kind: no help
        for remove in (
            storage.cleanup_old_data,
            lambda: storage.cleanup_old_data(30, kinds={"reservoir": None}),
        ):
            with pytest.raises(StorageInputError, match=r"own time: checkpoint up to 12 s.*now=") as raised:
                remove()
        assert raised.value.stream == "timestamps"
        for wrong in (float("nan"), "12", True, 10**400):
            with pytest.raises(StorageInputError, match="now: expected seconds"):
                storage.cleanup_old_data(now=wrong)  # type: ignore[arg-type]
        refused = run("storage", "cleanup", path)
        assert (refused.exit_code, "--now" in refused.output) == (1, True)
        assert len(storage.find()) == 3
        assert storage.cleanup_old_data(kinds={"checkpoint": None}) == 0
        assert "0 objects removed" in run("storage", "cleanup", path, "--days", 1, "--now", 20).output
        assert storage.cleanup_old_data(5 / DAY, now=np.float64(12.0)) == 1
        assert storage.cleanup_old_data(0) == 2, "all there is by now, whatever its seconds are"
    shown = run("storage", "cleanup", "--help").output
    assert "Unix seconds" in shown
    assert "--now" in shown


def test_compaction_returns_room_and_keeps_everything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with HDF5Storage(tmp_path / "s.h5") as storage:
        for t in range(30):
            storage.store_reservoir_states(float(t), np.random.default_rng(t).random(3000))
        names = fill(storage, 100.0)
        with storage._file_context("a") as file:
            mine = file.create_group("mine")
            mine.attrs["texts"], mine.attrs["n"] = ["a", "é"], np.arange(3)
            mine["link"] = h5py.SoftLink("/activations")
            file["spike_trains/metadata"].attrs["note"] = "kept"
        storage.cleanup_old_data(0, now=50.0)
        steps: list[tuple[int, int]] = []
        with caplog.at_level(logging.INFO):
            assert storage.compact_file(lambda *step: steps.append(step)) is True
        report = storage.last_compaction
        assert report is not None
        assert report.reclaimed > 30 * 3000 * 7
        assert report.after == storage.file_path.stat().st_size
        assert str(report.reclaimed) in caplog.text
        assert steps[-1][0] == steps[-1][1] == report.objects
        check(storage, names, 100.0)
        assert storage.verify() == []
        storage.store_reservoir_states(1.0, [1])
    with h5py.File(tmp_path / "s.h5", "r") as file:
        assert file["mine"].attrs["texts"].tolist() == ["a", "é"]
        assert file["mine"].get("link", getlink=True).path == "/activations"
        assert file["spike_trains/metadata"].attrs["note"] == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["s.h5"]


def test_a_compaction_that_was_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.h5"
    with HDF5Storage(path) as storage:
        with storage.batch():
            names = [storage.store_reservoir_states(float(t), [t]) for t in range(40)]
        monkeypatch.setattr(compacting, "_OBJECTS", 10)

        def stop(done: int, _: int) -> None:
            if done >= 20:
                os._exit(9)

        child = fork(lambda: storage.compact(stop))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert (tmp_path / "s.h5.compact").exists()
        report = storage.compact()
        assert (report.resumed, report.objects) == (20, 40)
        child = fork(lambda: storage.compact(stop))
        os.waitpid(child, 0)
        names.append(storage.store_reservoir_states(40.0, [40]))
        report = storage.compact()
        assert (report.resumed, report.objects) == (0, 41)
        assert [entry.id for entry in storage.find()] == names
        assert storage.verify() == []
    assert [p.name for p in tmp_path.iterdir()] == ["s.h5"]


def test_a_copy_that_is_not_sound_takes_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with HDF5Storage(tmp_path / "s.h5") as storage:
        name = storage.store_reservoir_states(1.0, np.arange(500.0))
        before = storage.file_path.stat().st_ino
        real = compacting._finish

        def damaging(path: Path) -> None:
            real(path)
            flip(path, f"activations/reservoir_states/{name}")

        monkeypatch.setattr(compacting, "_finish", damaging)
        assert storage.compact_file() is False
        assert "Failed to compact HDF5 file" in caplog.text
        assert storage.file_path.stat().st_ino == before
        assert storage.retrieve_reservoir_states(name) is not None


def test_damage_is_named_and_never_returned(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    rng = random.Random(0)
    with HDF5Storage(path) as storage:
        names = fill(storage, 1.0)
        datasets: list[str] = []
        with h5py.File(path, "r") as file:
            file.visititems(
                lambda name, item: (
                    datasets.append(name)
                    if isinstance(item, h5py.Dataset) and item.id.get_num_chunks()
                    else None
                )
            )
        whole = path.read_bytes()
        for dataset in rng.sample([d for d in datasets if not d.startswith("index")], 5):
            flip(path, dataset)
            os.utime(path, ns=(rng.randrange(10**18), rng.randrange(10**18)))
            found = [finding.path.lstrip("/") for finding in storage.verify()]
            assert dataset in found
            refused = 0
            for case, name in names.items():
                try:
                    CASES[case].check(storage, name, 1.0)
                except HDF5StorageError:
                    refused += 1
            assert refused >= 1
            path.write_bytes(whole)
        with storage._file_context("a") as file:
            del file["index/snapshot/names"]
        assert storage.verify() == []  # it was made anew
        with h5py.File(path, "a") as file:
            del file[f"spike_trains/raw_data/{names['train']}/neuron_ids"]
        assert any("neuron_ids" in str(finding) for finding in storage.verify())
        with pytest.raises(HDF5StorageError, match="neuron_ids"):
            storage.retrieve_spike_train(names["train"])


def test_backup_and_restore(tmp_path: Path) -> None:
    path, safe = tmp_path / "s.h5", tmp_path / "safe"
    with HDF5Storage(path) as storage:
        first = fill(storage, 1.0)
        rotated = storage.rotate_file()
        second = fill(storage, 2.0)
        copies = storage.backup(safe)
        assert [copy.name for copy in copies] == [rotated.name, "s.h5"]
        assert storage.backup(safe) == copies
        later = storage.store_reservoir_states(9.0, [9])
        with pytest.raises(HDF5StorageError, match="store itself"):
            storage.backup(tmp_path)
        flip(path, f"spike_trains/raw_data/{second['train']}/spike_times")
        with pytest.raises(HDF5StorageError, match="damaged"):
            storage.backup(safe)
        moved = HDF5Storage.restore(safe, path)
        assert [m.name for m in moved] == [f"{rotated.name}.replaced", "s.h5.replaced"]
        check(storage, first, 1.0)
        check(storage, second, 2.0)
        assert storage.verify() == []
        assert storage.retrieve_reservoir_states(later) is None
    with HDF5Storage(tmp_path / "new" / "s.h5") as other:
        assert HDF5Storage.restore(safe, other.file_path) == [tmp_path / "new" / "s.h5.replaced"]
        check(other, first, 1.0)
    flip(safe / "s.h5", f"spike_trains/raw_data/{second['train']}/spike_times")
    with pytest.raises(HDF5StorageError, match="damaged"):
        HDF5Storage.restore(safe, path)
    with pytest.raises(HDF5StorageError, match="no backup"):
        HDF5Storage.restore(tmp_path / "new", tmp_path / "other.h5")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="flightrec")


def test_the_command(tmp_path: Path) -> None:
    path, now = tmp_path / "s.h5", time.time()
    with HDF5Storage(path) as storage:
        names = fill(storage, now)
        old = storage.store_reservoir_states(1.0, np.arange(4000.0))
    assert f"default_{int(now * 1000)}" not in run("storage", "ls", path, "--until", 2).output
    listed = run("storage", "ls", path, "--kind", "reservoir", "--last", 1)
    assert (listed.exit_code, listed.output.count("reservoir"), old in listed.output) == (0, 1, False)
    assert "rotated to" in run("storage", "rotate", path).output
    shown = run("storage", "info", path)
    assert shown.exit_code == 0
    assert "rotated: s_" in shown.output
    assert "snapshot" in shown.output
    assert (
        "1 objects removed" in run("storage", "cleanup", path, "--days", 30, "--kind", "snapshot", 9).output
    )
    assert "0 objects removed" in run("storage", "cleanup", path, "--keep", "snapshot").output
    done = run("storage", "compact", path)
    assert (done.exit_code, "reclaimed" in done.output) == (0, True)
    assert "sound" in run("storage", "verify", path).output
    rotated = next(tmp_path.glob("s_*.h5"))
    assert "sound" in run("verify", rotated).output
    flip(rotated, f"spike_trains/raw_data/{names['train']}/spike_times")
    for arguments in (("storage", "verify", path), ("verify", rotated)):
        damaged = run(*arguments)
        assert damaged.exit_code == 1
        assert f"{names['train']}/spike_times" in damaged.output
    (tmp_path / "text.h5").write_text("no HDF5")
    failed = run("storage", "info", tmp_path / "text.h5")
    assert failed.exit_code == 1
    assert "Traceback" not in failed.output
