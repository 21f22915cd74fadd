"""What it takes to list many recordings: by an index, without one, and by h5py.

    python benchmarks/collection.py                    10,000 recordings, to results/collection.json
    python benchmarks/collection.py --recordings 500

The recordings are copies of a few real ones, each in a folder of its own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import h5py
import numpy as np
from harness import RESULTS, environment, save

from loaders import ExperimentCollection
from recorder import DataExporter

REAL = 10
EPISODES = 5
REPEATS = 3


def make(folder: Path, count: int) -> None:
    """So many recordings of a small sweep."""
    rng, made = np.random.default_rng(0), []
    for number in range(REAL):
        with DataExporter("run", folder) as exporter:
            exporter.save_config(
                {"lr": 10.0**-number, "net": {"n": 100, "layers": [100, 10]}, "seed": number}
            )
            exporter.save_git_info()
            for _ in range(EPISODES):
                exporter.start_episode()
                for t in range(200):
                    exporter.log(timestep=t, behavior={"x": rng.random()}, reward=rng.random())
                exporter.end_episode(success=True, summary={"score": rng.random()})
        made.append(exporter.h5_path)
    for number in range(REAL, count):
        place = folder / f"copy_{number:05d}"
        place.mkdir()
        shutil.copy(made[number % REAL], place)


def by_h5py(folder: Path) -> int:
    """What one would write: the attributes of root, configuration and episodes of each."""
    return len([row_of(path) for path in folder.glob("*/experiment_data.h5")])


def row_of(path: Path) -> dict[str, Any]:
    """Of one recording."""
    with h5py.File(path) as file:
        row = dict(file.attrs.items()) | dict(file["config"].attrs.items())
        row["steps"] = sum(episode.attrs["total_timesteps"] for episode in file["episodes"].values())
        return row


def by_processes(folder: Path) -> int:
    """The same, by a process a core."""
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return len(list(pool.map(row_of, folder.glob("*/experiment_data.h5"), chunksize=64)))


def seconds(call: Callable[[], Any], repeats: int) -> list[float]:
    """Of each repeat."""
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return found


def main() -> None:
    """Parse, measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=10_000)
    parser.add_argument("--scratch", help="folder for the recordings, which are deleted")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    found: dict[str, Any] = {
        "environment": environment(arguments.scratch),
        "recordings": arguments.recordings,
    }
    place = Path(tempfile.mkdtemp(prefix="flightrec-collection-", dir=arguments.scratch))
    os.environ["XDG_CACHE_HOME"] = str(place / "cache")
    try:
        folder = place / "experiments"
        folder.mkdir()
        make(folder, arguments.recordings)

        def listed(workers: int | None = None) -> None:
            assert len(ExperimentCollection(folder, workers=workers)) == arguments.recordings

        def first(workers: int | None) -> Callable[[], None]:
            def look() -> None:
                shutil.rmtree(place / "cache", ignore_errors=True)
                listed(workers)

            return look

        # In turns, so that what else the machine does meets all of them.
        looks = {
            "h5py": lambda: by_h5py(folder),
            "h5py, processes": lambda: by_processes(folder),
            "first look, one process": first(1),
            "first look": first(None),
        }
        for _ in range(REPEATS):
            for name, look in looks.items():
                before = os.times()
                found.setdefault(name, []).extend(seconds(look, 1))
                spent = [after - at for after, at in zip(os.times()[:4], before[:4], strict=True)]
                found.setdefault(f"{name}: cores' seconds", []).append(sum(spent))
                found.setdefault("load", []).append(os.getloadavg()[0])
        found["by the index"] = seconds(listed, 5)
        changed = next(folder.glob("copy_*/experiment_data.h5"))

        def one_changed() -> None:
            os.utime(changed)
            listed()

        found["one has changed"] = seconds(one_changed, 5)
        runs = ExperimentCollection(folder)
        found["filter and sort"] = seconds(
            lambda: runs.filter(lambda run: run["config.seed"] < 5).sort("mean_reward"), 5
        )
        found["to_pandas"] = seconds(runs.to_pandas, 3)
        # Whatever else the machine does makes it slower: the quickest of each says most.
        best = {name: min(found[name]) for name in (*looks, "by the index")}
        for name in ("first look, one process", "first look", "by the index"):
            found[f"h5py / {name}"] = best["h5py"] / best[name]
        found["h5py, processes / first look"] = best["h5py, processes"] / best["first look"]
        alone = [min(found[f"{name}: cores' seconds"]) for name in ("h5py", "first look, one process")]
        found["h5py / first look, one process: cores' seconds"] = alone[0] / alone[1]
    finally:
        shutil.rmtree(place, ignore_errors=True)
    for name, value in found.items():
        print(name, value)
    print(f"saved {save('collection', found, arguments.output)}")


if __name__ == "__main__":
    main()
