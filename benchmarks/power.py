"""Does a power cut take anything that a commit covered?

    python benchmarks/power.py

Records mixed work with ``durability="fsync"`` while every write, rename and sync is written down. After
each of them the power "fails" in several ways that their order allows (tests/crash/power.py); then the
recording is brought back, and whatever had been committed, by an episode's end, a checkpoint or
``flush()``, must be there. Needs a C compiler.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import h5py
from harness import RESULTS, environment, save
from tqdm import tqdm

from loaders import ExperimentLoader
from recorder import DataExporter
from recorder.format.layout import UNVERIFIED
from tests.crash import shim
from tests.crash.checking import check_episode, check_recovered
from tests.crash.harness import ask, fork
from tests.crash.power import RINGS, Disk, lay_ring, read_trace
from tests.crash.work import SAMPLING, Told, plan_of, record

LONGEST = 400
HOWS = ("none", "all", "some", "some")


class Promises(Told):
    """Words that are written into the trace whenever one of them changes; each keeps the ring of then."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder, self._rings = folder, 0

    def __setitem__(self, name: str, value: int) -> None:
        super().__setitem__(name, value)
        image = self._folder / f"{self._rings}.ring"
        if name in {"ended", "checkpoints"} or (name == "calls" and value):
            (ring,) = self._folder.glob("data/*/*.ring")
            image.write_bytes(ring.read_bytes())
            self._rings += 1
        text = json.dumps({**self.as_dict(), "ring": self._rings - 1})
        ctypes.CDLL(None).syscalls_mark(text.encode())


def trace(folder: Path, seed: int, episodes: int, *, threaded: bool) -> None:
    """Record under the shim."""
    data = folder / "data"
    data.mkdir()

    def work() -> None:
        library, never = ctypes.CDLL(None), ctypes.c_long(0)
        library.syscalls_configure(bytes(data), never, never, never, 0, bytes(folder / "trace"))
        exporter = DataExporter(
            "run",
            data,
            neural_sampling_rate={"v": SAMPLING},
            validate_data=False,
            ring_bytes=1 << 20,
            chunk_size=100,
            durability="fsync",
            async_write=threaded,
        )
        with exporter:
            record(exporter, seed, Promises(folder), episodes, LONGEST, flush_every=100)
        library.syscalls_configure(b"", never, never, never, 0, b"")

    if os.waitstatus_to_exitcode(os.waitpid(fork(work), 0)[1]):
        raise SystemExit("the work itself fails")


def judge(root: Path, disk: Disk, seed: int) -> dict[str, Any]:
    """Lay out what is left, bring it back, compare."""
    how, ring = HOWS[seed % len(HOWS)], RINGS[seed // len(HOWS) % len(RINGS)]
    path = disk.after_power_cut(root, seed, how)
    promised = disk.promised
    if path is None:
        return {} if not promised.get("started") else {"error": f"{how}: no file, promised {promised}"}
    if promised.get("ring", -1) >= 0:
        lay_ring(path, (root.parent / f"{promised['ring']}.ring").read_bytes(), ring, seed)
    told = {name: promised.get(name, 0) for name in Told.NAMES}
    if not told["calls"]:
        # That an episode has begun is no promise; that some of it was flushed, or all of it ended, is one.
        told["started"] = told["ended"]
    if ring != "torn":
        check_recovered(path, 0, told, LONGEST, at_least=True)
        return {}
    with ExperimentLoader(path) as loader:
        for number in range(told["ended"]):
            plan = plan_of(0, number, LONGEST)
            assert check_episode(loader.get_episode(number), plan) == plan.calls
    with h5py.File(path) as file:
        return {"unverified": int(file.attrs.get(UNVERIFIED, 0))}


def main() -> None:
    """Parse, record, cut, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stride", type=int, default=1, help="operations from cut to cut")
    parser.add_argument("--ways", type=int, default=8, help="states of the disk that are tried at each cut")
    parser.add_argument("--episodes", type=int, default=12)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if "flightrec-shim" not in os.environ.get("LD_PRELOAD", ""):
        os.execve(sys.executable, [sys.executable, *sys.argv], shim.environment())
    before, failures, cuts, operations = environment(), [], 0, 0
    for threaded in (False, True):
        folder = Path(tempfile.mkdtemp(prefix="flightrec-power-"))
        trace(folder, 0, arguments.episodes, threaded=threaded)
        disk = Disk()
        for index, operation in enumerate(tqdm(list(read_trace(folder / "trace")), unit="op", disable=None)):
            disk.add(operation)
            operations += operation.kind != "mark"
            if index % arguments.stride:
                continue
            for way in range(arguments.ways):
                root = folder / f"{index}-{way}"
                seed = index + way
                found = ask(functools.partial(judge, root, disk, seed))
                cuts += 1
                if "error" in found:
                    failures.append({"after": index, "seed": seed, "threaded": threaded, **found})
                shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(folder)
    print(f"{operations:,} file operations, {cuts:,} power cuts, with a loss or an error: {len(failures)}")
    for failure in failures[:20]:
        print(failure)
    result = {"operations": operations, "power_cuts": cuts, "failures": failures}
    print(f"\nsaved {save('power', {'environment': before, **result}, arguments.output)}")
    if failures:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
