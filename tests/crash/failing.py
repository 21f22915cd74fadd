"""Recordings on a disk that fails at its n-th write, for every n: ``python -m tests.crash.failing``.

A process that has the shim imports everything once and forks a child for each n. The child records a small
mixed workload, meets the error, does what a user would (one more call, ``close()``, ``close()`` again) and
leaves through the interpreter's ordinary exit. Then, without the fault, the recording is read and repaired.
"""

from __future__ import annotations

import argparse
import errno
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from loaders import EpisodeData, ExperimentLoader
from recorder import DataExporter, FlightrecError, WriteError
from recorder.format.layout import COMPLETED, JOURNAL_SUFFIX
from recorder.h5.repair import repair
from tests.crash.shim import configure, environment, operations
from tests.crash.work import event_of, full_call, level, raster

EPISODES = (6, 6, 1100, 6, 400)
"""Steps of the workload's episodes; the last one is still running when the recording is closed."""
BATCH, BATCHED = 400, 99
"""Steps and id of one more episode, whose steps come all at once."""
FAULTS: dict[str, dict[str, int]] = {
    "io": {"error": errno.EIO, "fail_count": 1},
    "full": {"error": errno.ENOSPC},
    "quota": {"error": errno.EDQUOT},
    "read-only": {"error": errno.EROFS},
    "short": {"error": errno.ENOSPC, "short": 1},
    "halves": {"short": 2},
}
"""What goes wrong: one error and then all is well; from then on; after half a write; half a write alone."""
MEMORY = Path("/dev/shm")
"""Where there is such a place, recordings lie there: a sync takes no time."""
PATIENCE = 30.0


@dataclass(frozen=True)
class Case:
    """One recording: how it is written, and what goes wrong when. Operation 0 never comes: no fault."""

    fault: str
    at: int
    writer: str = "caller"
    durability: str = "process"


def record(folder: str, case: Case, told: dict[str, Any]) -> None:
    """The workload, and after the error what a user would do; ``told`` says what came of it."""
    try:
        exporter = DataExporter(
            "run",
            folder,
            {"v": 7},
            validate_data=False,
            chunk_size=250,
            enable_swmr=True,  # blocks are written one by one, however small
            flush_interval=3600.0,
            async_write=case.writer == "thread",
            ring_bytes=1 << 20,
            durability=case.durability,
        )
    except Exception as error:
        told["constructor"] = described(error)
        return
    told["path"] = str(exporter.h5_path)
    try:
        _mixed(exporter, told)
    except Exception as error:
        told["call"] = described(error)
        for name, again in (
            ("log", lambda: exporter.log(10**6, behavior={"x": 0.0})),
            ("save", lambda: exporter.save_metadata({"after": 1})),
        ):
            try:
                again()
            except Exception as second:
                told[name] = described(second)
    for name in ("close", "again"):
        try:
            exporter.close()
        except Exception as error:
            told[name] = described(error)


def _mixed(exporter: DataExporter, told: dict[str, Any]) -> None:
    exporter.save_config({"a": 1})
    told["config"] = True
    for number, steps in enumerate(EPISODES):
        exporter.start_episode(number)
        told["running"] = [number, 0]
        for step in range(steps):
            exporter.log(**CALLS[number][step])
            told["running"][1] = step + 1
            if step == 900:
                exporter.save_checkpoint("middle", {"w": np.arange(3000)})
                told["checkpoint"] = True
        if number + 1 < len(EPISODES):
            exporter.end_episode(success=True, summary={"episode": number})
            told["ended"] = number + 1
        if number == 2:
            exporter.start_episode(BATCHED)
            exporter.log_batch(np.arange(BATCH), behavior={"x": np.arange(BATCH) * 0.5})
            told["batch"] = True
            exporter.end_episode()


CALLS = [[full_call(number, step, steps) for step in range(steps)] for number, steps in enumerate(EPISODES)]


def described(error: BaseException) -> dict[str, Any]:
    """An error as JSON."""
    return {
        "type": type(error).__name__,
        "typed": isinstance(error, FlightrecError | OSError),
        "write": isinstance(error, WriteError),
        "errno": getattr(error, "errno", None),
        "cause": type(error.__cause__).__name__,
        "text": str(error),
    }


def check(case: Case, folder: Path, end: dict[str, Any]) -> None:
    """What must hold after the fault is gone; ``end`` is how the process ended and what it told."""
    assert end["status"] == 0, f"left with {end['status']}: {end['stderr']}"
    assert end["stderr"] == "", end["stderr"]
    told = end["told"]
    errors = {key: told[key] for key in ("constructor", "call", "log", "save", "close") if key in told}
    for key, error in errors.items():
        assert error["typed"], (key, error)
        if key != "constructor":
            assert error["write"], (key, error)
            assert error["cause"] != "NoneType", (key, error)
    assert "again" not in told, told["again"]
    if "call" in told:
        assert set(errors) >= {"log", "save", "close"}, f"not told again: {sorted(errors)}"
    if case.fault == "halves":
        assert not errors, errors
    paths = list(folder.glob("*/experiment_data.h5"))
    if "constructor" in told:
        assert not paths, "a recording that never began"
        return
    (path,) = paths
    if not _half_applied(path, case):
        with h5py.File(path, "r") as file:
            _committed_rows(file)
    before = {p.name for p in path.parent.iterdir()}
    report = repair(path)
    # Clean: the last operations of a close take away what is no longer needed.
    assert report.status in {"recovered", "clean"}, report
    assert not any(p.suffix in {".ring", ".journal", ".lock", ".new"} for p in path.parent.iterdir()), before
    _acknowledged(path, told, closed=not errors)


def _half_applied(path: Path, case: Case) -> bool:
    """Whether the disk failed for good in the middle of a change, whose journal says what is missing."""
    journal = path.with_name(path.name + JOURNAL_SUFFIX)
    return FAULTS[case.fault].get("fail_count") is None and journal.exists() and journal.stat().st_size > 0


def _committed_rows(file: h5py.File) -> None:
    for name, episode in file["episodes"].items():
        number = int(name.removeprefix("episode_"))
        if "x" not in episode["behavior"]:
            continue
        x = episode["behavior/x"]
        stop = int(episode["committed"][x.attrs["counter"]]) if "committed" in episode else None
        rows = x[:stop]
        scale, first = (0.5, 0) if number == BATCHED else (1.0, CALLS[number][0]["behavior"]["x"])
        assert np.array_equal(rows, first + scale * np.arange(len(rows))), f"{name}: committed rows"


def _acknowledged(path: Path, told: dict[str, Any], *, closed: bool) -> None:
    running, logged = told.get("running", (-1, 0))
    with ExperimentLoader(path) as loader:
        if closed:
            assert loader.status == COMPLETED
        if "config" in told:
            assert loader.get_config() == {"a": 1}
        if "checkpoint" in told:
            (checkpoint,) = loader.get_all_checkpoints().values()
            assert np.array_equal(checkpoint["w"], np.arange(3000))
        found = loader.list_episodes()
        for number, steps in enumerate(EPISODES):
            if number >= told.get("ended", 0) and (number != running or not logged):
                continue
            assert number in found, f"episode {number} is gone"
            episode = loader.get_episode(number)
            count = episode.get_metadata()["total_timesteps"]
            assert count >= (logged if number == running else steps), f"{count} steps of episode {number}"
            if number < told.get("ended", 0):
                assert episode.status == COMPLETED
                assert loader.get_episode_summary(number)["episode"] == number
            _whole(episode, number, count, steps)
        if "batch" in told:
            behavior = loader.get_episode(BATCHED).get_behavior()
            assert np.array_equal(behavior["x"], np.arange(BATCH) * 0.5)


def _whole(episode: EpisodeData, number: int, count: int, steps: int) -> None:
    time = np.arange(count)
    levels = level(number, time)
    neural, behavior, rewards = episode.get_neural_states(), episode.get_behavior(), episode.get_rewards()
    assert np.array_equal(neural["u"], np.repeat(levels[:, None], 3, axis=1))
    assert np.array_equal(neural["v"], np.repeat(levels[::7, None], 20, axis=1))
    assert np.array_equal(behavior["x"], levels)
    assert np.array_equal(behavior.get("late", ()), time[steps // 2 + 1 :])
    assert np.array_equal(episode.get_spike_raster(), raster(levels))
    assert np.array_equal(rewards["timesteps"], time[::3])
    assert np.array_equal(rewards["rewards"], time[::3] // 30)
    assert np.array_equal(episode.get_weight_changes()["new_weights"], levels[::20])
    assert list(episode.iter_events()) == [(t, "mark", event_of(t)) for t in time[::50].tolist()]


def forked(case: Case, folder: Path) -> dict[str, Any] | None:
    """Record in a forked child and tell how it ended; None in the child, which is to leave as scripts do."""
    folder.mkdir()
    noise, story = folder.with_suffix(".stderr"), folder.with_suffix(".json")
    pid = os.fork()
    if pid == 0:
        descriptor = os.open(noise, os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, 2)
        told: dict[str, Any] = {}
        fault = FAULTS[case.fault]
        configure(f"{folder}/", fail_from=case.at, **fault)
        record(str(folder), case, told)
        told["operations"] = operations()
        story.write_text(json.dumps(told))
        return None
    deadline = time.monotonic() + PATIENCE
    while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGABRT)
            ended = os.waitpid(pid, 0)
            break
        time.sleep(0.002)
    status = os.waitstatus_to_exitcode(ended[1])
    told = json.loads(story.read_text()) if story.exists() else {}
    end = {"status": status, "stderr": noise.read_text(), "told": told}
    noise.unlink()
    story.unlink(missing_ok=True)
    return end


def _serve() -> None:
    """Take cases from standard input, line by line, and tell their ends; the process with the shim."""
    logging.getLogger("recorder").addHandler(logging.NullHandler())
    logging.getLogger("recorder").propagate = False
    for line in sys.stdin:
        question = json.loads(line)
        end = forked(Case(**question["case"]), Path(question["folder"]))
        if end is None:
            return
        print(json.dumps(end), flush=True)


def run(cases: Iterable[Case]) -> Iterator[tuple[Case, str, dict[str, Any]]]:
    """Record and check each case; yields it with what is wrong, or ``""``, and how its process ended."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.failing", "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert server.stdin is not None
    assert server.stdout is not None
    with server, tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as place:
        try:
            for count, case in enumerate(cases):
                folder = Path(place) / str(count)
                print(
                    json.dumps({"case": asdict(case), "folder": str(folder)}), file=server.stdin, flush=True
                )
                end = json.loads(server.stdout.readline())
                wrong = ""
                try:
                    check(case, folder, end)
                except Exception as error:
                    wrong = f"{type(error).__name__}: {error}"
                yield case, wrong, end
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            server.stdin.close()


def operations_of(writer: str, durability: str) -> int:
    """File operations of the workload when nothing goes wrong."""
    ((_, wrong, end),) = run([Case("full", 0, writer, durability)])
    assert not wrong, wrong
    return int(end["told"]["operations"])


def main() -> None:
    """Sweep; the arguments narrow it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--faults", nargs="+", default=list(FAULTS), choices=FAULTS)
    parser.add_argument("--writers", nargs="+", default=["caller", "thread"])
    parser.add_argument("--durability", nargs="+", default=["process", "fsync"])
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--last", type=int, default=0)
    parser.add_argument("--stride", type=int, default=1)
    options = parser.parse_args()
    if options.serve:
        _serve()
        return
    failed = done = 0
    for writer in options.writers:
        for durability in options.durability:
            last = options.last or operations_of(writer, durability) + 2
            for fault in options.faults:
                cases = [
                    Case(fault, at, writer, durability)
                    for at in range(options.first, last + 1, options.stride)
                ]
                for case, wrong, end in run(cases):
                    done += 1
                    if wrong:
                        failed += 1
                        first = next(
                            (end["told"][k] for k in ("constructor", "call", "close") if k in end["told"]), {}
                        )
                        print(
                            f"{case}: {wrong[:400]}\n    first error: {first.get('text', '')[:200]}",
                            flush=True,
                        )
                print(f"{writer} {durability} {fault}: {len(cases)} cases to operation {last}", flush=True)
    print(f"{done} recordings, {failed} wrong")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
