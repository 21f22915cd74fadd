"""Whose a recording is: second writers, stale locks, forked and spawned children."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from loaders import ExperimentLoader
from recorder import DataExporter, RecordingLockedError, StandardDataExporter, TransferError
from recorder.cli import cli
from recorder.h5.lock import RecordingLock, owner_of
from recorder.h5.repair import repair
from tests.zygote import ROOT, Zygote

LOCK, RING = ".lock", ".ring"


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as made:
        yield made


@pytest.fixture(params=["caller", "thread"])
def exporter(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    made = DataExporter("run", tmp_path, ring_bytes=1 << 20, async_write=request.param == "thread")
    made.start_episode()
    made.log(0, behavior={"x": 0.0})
    made._writer.drain()
    yield made
    made.log(1, behavior={"x": 1.0})
    made.close()
    with ExperimentLoader(made.h5_path) as loader:
        assert loader.status == "completed"
        assert loader.get_episode(0).get_behavior()["x"].tolist() == [0.0, 1.0]


SECOND = """
import sys
from pathlib import Path
from recorder import RecordingLockedError
from recorder.h5.lock import RecordingLock
from recorder.h5.repair import repair
for attempt in (repair, lambda path: RecordingLock(path).acquire()):
    try:
        attempt(Path(sys.argv[1]))
    except RecordingLockedError as error:
        print(error)
"""


@pytest.mark.parametrize("lock", ["as it is", "deleted", "empty", "garbage", "no owner in it"])
def test_a_second_writer_touches_nothing_and_learns_who_writes(
    exporter: DataExporter, zygote: Zygote, lock: str
) -> None:
    file = beside(exporter.h5_path, LOCK)
    since = json.loads(file.read_text())["since"]
    if lock == "deleted":
        file.unlink()
    elif lock != "as it is":
        file.write_text({"empty": "", "garbage": "\0\1{", "no owner in it": "[1]"}[lock])
    before = content(exporter.output_dir)
    ended = zygote.run(SECOND, exporter.h5_path)
    assert (ended.code, ended.err) == (0, "")
    who = f"{exporter.h5_path} is being written by process {os.getpid()} on {os.uname().nodename}, since "
    assert [line[: len(who)] for line in ended.out.splitlines()] == [who, who]
    assert all(line[len(who) :][:10] == since[:10] for line in ended.out.splitlines())
    assert content(exporter.output_dir) == before


def test_the_command_refuses_too(exporter: DataExporter) -> None:
    before = content(exporter.output_dir)
    done = CliRunner().invoke(cli, ["repair", str(exporter.output_dir)])
    assert done.exit_code == 1
    assert f"is being written by process {os.getpid()} on " in done.output
    assert content(exporter.output_dir) == before


def test_a_recording_whose_lock_was_deleted_is_read_as_a_living_one(exporter: DataExporter) -> None:
    beside(exporter.h5_path, LOCK).unlink()
    with ExperimentLoader(exporter.h5_path) as loader:
        assert loader.status == "running"


@pytest.mark.parametrize("text", [None, "elsewhere", "", "\0garbage", '{"pid": 1}', '{"pid": "x"}'])
def test_a_dead_process_holds_nothing(zygote: Zygote, tmp_path: Path, text: str | None) -> None:
    code = (
        "import os, sys; from recorder import DataExporter\n"
        "e = DataExporter('run', sys.argv[1], ring_bytes=1 << 20); e.start_episode()\n"
        "for t in range(100): e.log(t, behavior={'x': float(t)})\n"
        "print(e.h5_path, os.getpid(), flush=True); os._exit(9)\n"
    )
    name, pid = zygote.run(code, tmp_path).out.split()
    path = Path(name)
    assert owner_of(path)["pid"] == int(pid)
    lock = beside(path, LOCK)
    if text == "elsewhere":
        text = json.dumps({**json.loads(lock.read_text()), "host": "another.host"})
    if text is not None:
        lock.write_text(text)
    assert repair(path).status == "recovered"
    assert not lock.exists()
    assert not beside(path, RING).exists()
    with RecordingLock(path):
        assert owner_of(path)["pid"] == os.getpid()
    with ExperimentLoader(path) as loader:
        assert len(loader.get_episode(0).get_behavior()["x"]) == 100


def test_its_own_process_is_no_exception(exporter: DataExporter) -> None:
    with pytest.raises(RecordingLockedError):
        RecordingLock(exporter.h5_path).acquire()


@pytest.mark.parametrize("kind", [DataExporter, StandardDataExporter])
@pytest.mark.parametrize("transfer", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_recording_cannot_be_pickled_or_copied(tmp_path: Path, kind: Any, transfer: Any) -> None:
    with kind("run", tmp_path) as made, pytest.raises(TransferError, match="path of its folder"):
        transfer(made)


FORKED = """
import os, signal, sys, time
from recorder import ClosedError, DataExporter

exporter = DataExporter("run", sys.argv[1], ring_bytes=1 << 20, async_write=sys.argv[3] == "thread")
exporter.start_episode()
for t in range(30_000):
    exporter.log(t, behavior={"x": float(t)})
exporter.save_metadata({"streaming": True})
log = exporter.log
for t in range(30_000, 40_000):
    log(t, behavior={"x": float(t)})
exporter._writer.drain()
before = {n: open(exporter.output_dir / n, "rb").read() for n in sorted(os.listdir(exporter.output_dir))}
ready, tell = os.pipe()
pid = os.fork()
if pid == 0:
    os.write(tell, b"!")
    refused = 0
    calls = (
        lambda: log(timestep=7, behavior={"x": -1.0}), lambda: exporter.log(7, behavior={"x": -1.0}),
        exporter.start_episode, exporter.end_episode, lambda: exporter.save_config({"a": 1}),
        lambda: exporter.log_batch([1], behavior={"x": [1.0]}), lambda: exporter.current_episode.end(),
    )
    for call in calls:
        try:
            call()
        except ClosedError:
            refused += 1
    assert refused == len(calls), refused
    exporter.close()
    way = sys.argv[2]
    if way == "exit": sys.exit(0)
    if way == "_exit": os._exit(0)
    if way == "exception": raise ValueError("the child's")
    if way == "with":
        exporter.__exit__(None, None, None)
        sys.exit(0)
    if way == "SIGTERM": os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)
    if way == "own":
        with DataExporter("child", sys.argv[1] + "/child") as own:
            own.start_episode(); own.log(0, behavior={"x": 1.0})
    if way == "outlives":
        time.sleep(1); os._exit(0)
else:
    if sys.argv[2] == "outlives":
        os.read(ready, 1)
        os.kill(os.getpid(), signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code == {"exception": 1, "SIGTERM": -15}.get(sys.argv[2], 0), code
    after = {n: open(exporter.output_dir / n, "rb").read() for n in sorted(os.listdir(exporter.output_dir))}
    assert after == before
    for t in range(40_000, 50_000):
        exporter.log(t, behavior={"x": float(t)})
    exporter.close()
"""


@pytest.mark.parametrize("writer", ["caller", "thread"])
@pytest.mark.parametrize(
    "way", ["return", "exit", "_exit", "exception", "with", "SIGTERM", "own", "outlives"]
)
def test_a_forked_child_touches_nothing_of_its_parents(
    zygote: Zygote, tmp_path: Path, way: str, writer: str
) -> None:
    ended = zygote.run(FORKED, tmp_path, way, writer)
    assert ended.code == (-9 if way == "outlives" else 0), ended
    assert ("the child's" in ended.err) if way == "exception" else ended.err == ""
    (path,) = tmp_path.glob("run_*/experiment_data.h5")
    with ExperimentLoader(path) as loader:
        assert loader.status == ("recovered" if way == "outlives" else "completed")
        x = loader.get_episode(0).get_behavior()["x"]
    assert x.tolist() == list(range(40_000 if way == "outlives" else 50_000))


PROCESSES = """
import multiprocessing, os, sys
from recorder import ClosedError, DataExporter, TransferError

exporter = None

def work(way):
    if exporter is not None:
        try:
            exporter.log(-1, behavior={"x": -1.0})
        except ClosedError:
            pass
        else:
            os._exit(9)
    if way == "exit": sys.exit(4)
    if way == "_exit": os._exit(4)
    if way == "exception": raise ValueError("the child's")

def main():
    global exporter
    context = multiprocessing.get_context(sys.argv[2])
    exporter = DataExporter("run", sys.argv[1], ring_bytes=1 << 20, async_write=sys.argv[3] == "thread")
    exporter.start_episode()
    for t in range(30_000):
        exporter.log(t, behavior={"x": float(t)})
    for way, code in (("return", 0), ("exit", 4), ("_exit", 4), ("exception", 1)):
        process = context.Process(target=work, args=(way,))
        process.start()
        process.join()
        assert process.exitcode == code, (way, process.exitcode)
    if sys.argv[2] != "fork":
        try:
            context.Process(target=print, args=(exporter,)).start()
        except TransferError as error:
            assert "path of its folder" in str(error)
        else:
            raise AssertionError("an exporter was pickled")
    for t in range(30_000, 40_000):
        exporter.log(t, behavior={"x": float(t)})
    exporter.close()

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize(
    ("how", "writer"),
    [("fork", "caller"), ("fork", "thread"), ("forkserver", "thread"), ("spawn", "caller")],
)
def test_processes_of_multiprocessing_leave_it_alone(tmp_path: Path, how: str, writer: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(PROCESSES)
    run = subprocess.run(
        [sys.executable, str(script), str(tmp_path), how, writer],
        check=False, capture_output=True, text=True, timeout=120, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    (path,) = tmp_path.glob("run_*/experiment_data.h5")
    with ExperimentLoader(path) as loader:
        assert loader.status == "completed"
        assert loader.get_episode(0).get_behavior()["x"].tolist() == list(range(40_000))
