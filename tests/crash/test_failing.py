"""Disks that fill up, fail or vanish: a typed error at the next call and at ``close()``, and nothing lost."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import DataExporter, WriteError
from recorder.h5.repair import repair
from tests.crash.failing import FAULTS, Case, operations_of, run
from tests.crash.shim import NoCompilerError, shim
from tests.tmpfs import needs_mount, remount, tmpfs
from tests.zygote import Zygote

CASES = 6
"""Operations of each kind that fail here; ``python -m tests.crash.failing`` takes every one."""


@pytest.mark.parametrize(("writer", "durability"), [("caller", "process"), ("thread", "fsync")])
def test_no_operation_that_fails_loses_anything(writer: str, durability: str) -> None:
    try:
        shim()
    except NoCompilerError as error:
        pytest.skip(str(error))
    last = operations_of(writer, durability)
    places = [last * (6 * n + k + 1) // (6 * CASES + 1) for k in range(6) for n in range(CASES)]
    faults = [fault for fault in FAULTS for _ in range(CASES)]
    cases = [Case(fault, at, writer, durability) for fault, at in zip(faults, places, strict=True)]
    assert [f"{case}: {what}" for case, what, _ in run(cases) if what] == []


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as made:
        yield made


FILLING = """
import json, resource, sys
import numpy as np
from recorder import DataExporter, WriteError

exporter = DataExporter("run", sys.argv[1], 1, ring_bytes=1 << 20, async_write=sys.argv[2] == "thread",
                        durability=sys.argv[3], chunk_size=100)
if sys.argv[4] != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), resource.RLIM_INFINITY))
exporter.start_episode()
chance, logged, errors = np.random.default_rng(0), 0, []
def attempt(call):
    try:
        call()
    except WriteError as error:
        errors.append([error.errno, type(error.__cause__).__name__])
try:
    while True:
        exporter.log(logged, neural_state={"v": chance.random(500)}, behavior={"x": float(logged)})
        logged += 1
except WriteError as error:
    errors.append([error.errno, type(error.__cause__).__name__])
attempt(lambda: exporter.log(0, behavior={"x": 0.0}))
attempt(lambda: exporter.save_config({}))
attempt(exporter.close)
attempt(exporter.close)
print(json.dumps([str(exporter.h5_path), logged, errors]))
"""


def check_filled(zygote: Zygote, folder: Path, writer: str, durability: str, limit: int, number: int) -> Path:
    """Record until nothing more is stored; returns the file, with ``logged`` steps in file and ring."""
    ended = zygote.run(FILLING, folder, writer, durability, limit)
    assert (ended.code, ended.err) == (0, ""), ended
    path, logged, errors = json.loads(ended.out)
    assert errors == [[number, errors[0][1]]] * 4
    assert logged > 500
    with h5py.File(path) as file:
        episode = file["episodes/episode_0000"]
        x, count = episode["behavior/x"], episode["committed"]
        rows = x[: count[x.attrs["counter"]]]
        assert rows.tolist() == list(range(len(rows)))
    return Path(path)


def check_whole(path: Path) -> None:
    """Nothing is missing after repair: no row of zeros, none less than was acknowledged."""
    with ExperimentLoader(path) as loader:
        episode = loader.get_episode(0)
        x, v = episode.get_behavior()["x"], episode.get_neural_states()["v"]
    chance = np.random.default_rng(0)
    assert x.tolist() == list(range(len(x)))
    assert np.array_equal(v, [chance.random(500) for _ in range(len(v))])
    assert len(v) == len(x)


@pytest.mark.parametrize("writer", ["caller", "thread"])
@pytest.mark.parametrize(("durability", "limit"), [("process", 40 << 20), ("fsync", 8 << 20)])
def test_a_file_that_may_grow_no_further(
    zygote: Zygote, tmp_path: Path, writer: str, durability: str, limit: int
) -> None:
    path = check_filled(zygote, tmp_path, writer, durability, limit, 27)
    assert repair(path).status == "recovered"
    check_whole(path)


@needs_mount
@pytest.mark.parametrize("writer", ["caller", "thread"])
@pytest.mark.parametrize("durability", ["process", "fsync"])
def test_a_disk_that_is_full(zygote: Zygote, tmp_path: Path, writer: str, durability: str) -> None:
    with tmpfs(tmp_path / "disk", "6m") as disk:
        path = check_filled(zygote, disk, writer, durability, 0, 28)
        before = path.read_bytes()
        for _ in range(2):
            check_whole(path)  # in memory, as long as there is no room
        assert path.read_bytes() == before
        remount(disk, "size=64m")
        assert repair(path).status == "recovered"
        check_whole(path)


@needs_mount
def test_a_disk_too_full_to_begin(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "2m") as disk:
        with pytest.raises(OSError, match="No space left"):
            DataExporter("run", disk)
        assert list(disk.iterdir()) == []
        for filled in range(0, 1 << 20, 1 << 17):
            (disk / "others").write_bytes(bytes((1 << 20) - filled))
            (disk / "more").write_bytes(bytes((1 << 20) - (1 << 14)))
            with contextlib.suppress(OSError):
                DataExporter("run", disk, ring_bytes=1 << 20).close()
            shutil.rmtree(next(disk.glob("run_*"), disk / "none"), ignore_errors=True)
            assert {p.name for p in disk.iterdir()} == {"others", "more"}


VANISHING = """
import os, shutil, sys
from pathlib import Path
from recorder import DataExporter, WriteError

exporter = DataExporter("run", sys.argv[1], ring_bytes=1 << 20, async_write=sys.argv[2] == "thread")
exporter.start_episode()
def log(first, last):
    for t in range(first, last): exporter.log(t, behavior={"x": float(t)})
log(0, 50_000)
folder, path = exporter.output_dir, exporter.h5_path
what = sys.argv[3]
if what == "folder removed":
    while folder.exists(): shutil.rmtree(folder, ignore_errors=True)  # the thread may be making its journal
if what == "folder renamed": folder.rename(folder.with_name("elsewhere"))
if what == "file deleted": path.unlink()
if what == "lock deleted": path.with_name(path.name + ".lock").unlink()
if what == "ring deleted": path.with_name(path.name + ".ring").unlink()
errors = []
def attempt(call):
    try: call()
    except WriteError as error: errors.append(type(error.__cause__).__name__)
attempt(lambda: log(50_000, 120_000))
attempt(lambda: exporter.save_config({"a": 1}))
attempt(exporter.close)
attempt(exporter.close)
print(len(errors), errors)
"""


@pytest.mark.parametrize("writer", ["caller", "thread"])
@pytest.mark.parametrize("what", ["folder removed", "folder renamed", "file deleted"])
def test_what_vanishes_is_an_error(zygote: Zygote, tmp_path: Path, writer: str, what: str) -> None:
    ended = zygote.run(VANISHING, tmp_path, writer, what)
    assert (ended.code, ended.err) == (0, ""), ended
    assert ended.out in {f"{n} {['FileNotFoundError'] * n}\n" for n in (2, 3)}
    if what == "folder renamed":
        path = tmp_path / "elsewhere" / "experiment_data.h5"
        assert repair(path).status == "recovered"
        with ExperimentLoader(path) as loader:
            x = loader.get_episode(0).get_behavior()["x"].tolist()
        assert x == list(range(len(x)))
        assert len(x) >= 50_000


@pytest.mark.parametrize("writer", ["caller", "thread"])
@pytest.mark.parametrize("what", ["lock deleted", "ring deleted"])
def test_what_is_not_needed_may_vanish(zygote: Zygote, tmp_path: Path, writer: str, what: str) -> None:
    ended = zygote.run(VANISHING, tmp_path, writer, what)
    assert (ended.code, ended.err, ended.out) == (0, "", "0 []\n")
    (path,) = tmp_path.glob("run_*/experiment_data.h5")
    with ExperimentLoader(path) as loader:
        assert loader.status == "completed"
        assert loader.get_episode(0).get_behavior()["x"].tolist() == list(range(120_000))


@needs_mount
def test_a_disk_that_is_read_only(zygote: Zygote, tmp_path: Path) -> None:
    killed = VANISHING.replace("exporter.close", "lambda: os._exit(9)")
    with tmpfs(tmp_path / "disk", "16m") as disk:
        assert zygote.run(killed, disk, "caller", "nothing").code == 9
        remount(disk, "ro")
        with pytest.raises(OSError, match="Read-only"):
            DataExporter("run", disk)
        (path,) = disk.glob("run_*/experiment_data.h5")
        with ExperimentLoader(path) as loader:
            assert loader.status == "recovered"
            assert loader.get_episode(0).get_behavior()["x"].tolist() == list(range(120_000))


def test_the_users_own_exception_stays_what_it_is(tmp_path: Path) -> None:
    exporter = DataExporter("run", tmp_path, ring_bytes=1 << 20)
    with pytest.raises(KeyError, match="the user's") as caught, exporter:
        exporter.start_episode()
        exporter.log(0, behavior={"x": 0.0})
        exporter.h5_path.unlink()
        raise KeyError("the user's")
    assert any("Closing" in note and "failed too" in note for note in caught.value.__notes__)
    exporter.close()


def test_an_error_in_close_does_not_hide_behind_with(tmp_path: Path) -> None:
    exporter = DataExporter("run", tmp_path, ring_bytes=1 << 20)
    with pytest.raises(WriteError), exporter:
        exporter.start_episode()
        exporter.log(0, behavior={"x": 0.0})
        exporter.h5_path.unlink()
    exporter.close()
