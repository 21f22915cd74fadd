"""What a store of network states costs, against plain h5py, and whether that grows with what it holds.

    python benchmarks/storage.py                 all of it, to results/storage.json
    python benchmarks/storage.py --objects 10 10000 --snapshots 50

Times are wall-clock medians beside the processor time of this process, which says more on a machine with
other work.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import h5py
import numpy as np
from harness import RESULTS, environment, save
from tqdm import tqdm

from recorder.storage import HDF5Storage

FILTERS = {"compression": "gzip", "compression_opts": 6, "shuffle": True, "fletcher32": True}
SPIKES = 100
BATCH = 5000


def timed(call: Callable[[int], Any], count: int) -> dict[str, float]:
    """Microseconds a call: median by the clock, mean of processor time."""
    walls, begun = [], time.process_time()
    for k in range(count):
        start = time.perf_counter()
        call(k)
        walls.append(time.perf_counter() - start)
    return {
        "median_us": 1e6 * statistics.median(walls),
        "processor_us": 1e6 * (time.process_time() - begun) / count,
    }


def spikes(k: int) -> tuple[Any, Any]:
    """A train of the benchmark."""
    rng = np.random.default_rng(k)
    return np.sort(rng.random(SPIKES)), rng.integers(0, 1000, SPIKES)


def plain_train(file: h5py.File, k: int) -> None:
    """The same objects as most write them with h5py."""
    times, neurons = spikes(k)
    group = file.require_group("spike_trains/raw_data").create_group(f"train_{k}")
    for name, column in (("spike_times", times), ("neuron_ids", neurons)):
        group.create_dataset(name, data=column, chunks=True, maxshape=(None,), **FILTERS)
    group.attrs["timestamp"], group.attrs["num_spikes"] = float(k), SPIKES
    group.attrs["num_neurons"] = len(np.unique(neurons))


ROUNDS = 7


def stores(folder: Path, count: int) -> dict[str, Any]:
    """As :func:`one_round`, several times in turns: of each figure the median, and all rounds."""
    rounds = []
    for number in range(ROUNDS):
        place = folder / f"round{number}"
        place.mkdir()
        rounds.append(one_round(place, count))
    found: dict[str, Any] = {}
    for way, first in rounds[0].items():
        if isinstance(first, dict):
            found[way] = {key: statistics.median(one[way][key] for one in rounds) for key in first}
        else:
            found[way] = first
    return found | {"rounds": rounds}


def one_round(folder: Path, count: int) -> dict[str, Any]:
    """A spike train of 100 spikes: one by one, in a batch, and by plain h5py in three ways."""
    found: dict[str, Any] = {}
    with HDF5Storage(folder / "one.h5") as storage:
        found["one by one"] = timed(lambda k: storage.store_spike_train(float(k), *spikes(k)), count)
    with HDF5Storage(folder / "fsync.h5", durability="fsync") as storage:
        found["one by one, fsync"] = timed(
            lambda k: storage.store_spike_train(float(k), *spikes(k)), count // 4
        )
    with HDF5Storage(folder / "batch.h5") as storage, storage.batch():
        found["in a batch"] = timed(lambda k: storage.store_spike_train(float(k), *spikes(k)), count)

    def opened(k: int) -> None:
        with h5py.File(folder / "opened.h5", "a") as file:
            plain_train(file, k)

    found["h5py, opened for each"] = timed(opened, count)
    with h5py.File(folder / "flushed.h5", "w") as file:

        def flushed(k: int) -> None:
            plain_train(file, k)
            file.flush()

        found["h5py, kept open and flushed"] = timed(flushed, count)
    with h5py.File(folder / "kept.h5", "w") as file:
        found["h5py, kept open, flushed at the end"] = timed(lambda k: plain_train(file, k), count)
    for name in ("one", "batch", "opened", "kept"):
        found[f"bytes an object, {name}"] = (folder / f"{name}.h5").stat().st_size / count
    return found


def growth(folder: Path, sizes: list[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Storing, retrieving and ranges while a store of small reservoir states grows."""
    path, states = folder / "growth.h5", np.arange(16.0)
    done = 0
    bar = tqdm(total=max(sizes), unit="object", mininterval=5.0, disable=None)
    for size in sizes:
        begun, used = time.perf_counter(), time.process_time()
        before = done
        with HDF5Storage(path) as storage:
            while done < size:
                with storage.batch():
                    for _ in range(min(BATCH, size - done)):
                        storage.store_reservoir_states(done / 100, states)
                        done += 1
                        bar.update()
        filled = max(done - before, 1)
        found: dict[str, Any] = {
            "batch_us_an_object": 1e6 * (time.perf_counter() - begun) / filled,
            "batch_processor_us_an_object": 1e6 * (time.process_time() - used) / filled,
            "bytes_an_object": path.stat().st_size / done,
        }
        rng = np.random.default_rng(size)
        found |= looked(path, (rng.integers(0, size, 200) / 100).tolist(), states)
        yield size, found
    bar.close()


def looked(path: Path, wanted: list[float], states: Any) -> dict[str, Any]:
    """Ranges, lookups and one more store, in a store that is full."""
    found: dict[str, Any] = {}

    def cold(k: int) -> None:
        with HDF5Storage(path) as storage:
            assert storage.find("reservoir", wanted[k], wanted[k] + 0.095)

    found["open and range of 10"] = timed(cold, 50)
    with HDF5Storage(path) as storage:
        found["retrieve by id"] = timed(
            lambda k: storage.retrieve_reservoir_states(f"default_{int(wanted[k] * 1000)}"), len(wanted)
        )
        found["range of 10"] = timed(
            lambda k: storage.find("reservoir", wanted[k], wanted[k] + 0.095), len(wanted)
        )
        found["store one"] = timed(lambda k: storage.store_reservoir_states(-1.0 - k, states), 100)
    with h5py.File(path, "r") as file:
        group = file["activations/reservoir_states"]
        if len(group) < 20_000:
            found["h5py, range by looking at all"] = timed(
                lambda _: [n for n, o in group.items() if 1.0 <= o.attrs["timestamp"] <= 1.095], 1
            )
    return found


def series(folder: Path, count: int) -> dict[str, Any]:
    """Snapshots of 1,000 neurons at 5 %, whose weights all change while the topology stays."""
    n, rng = 1000, np.random.default_rng(0)
    adjacency = rng.random((n, n)) < 0.05
    plain = min(count, 10)

    def snapshot(k: int) -> tuple[Any, Any]:
        drawn = np.random.default_rng(k)
        return (adjacency * drawn.random((n, n))).astype(np.float32), drawn.random((n, 3)).astype(np.float32)

    with HDF5Storage(folder / "series.h5") as storage:
        ours = timed(lambda k: storage.store_network_snapshot(float(k), adjacency, *snapshot(k)), count)
        drawn = timed(snapshot, plain)
        back = timed(lambda k: storage.retrieve_network_snapshot(f"snapshot_{k * 1000}"), min(count, 50))
    with h5py.File(folder / "dense.h5", "w") as file:

        def dense(k: int) -> None:
            weights, states = snapshot(k)
            for name, array in (("adjacency", adjacency), ("weights", weights), ("states", states)):
                chunks = tuple(min(1024, m) for m in array.shape)
                file.create_dataset(f"{name}/{k}", data=array, chunks=chunks, **FILTERS)

        theirs = timed(dense, plain)
    parts = {"topology": 0, "weights": 0, "neuron_states": 0}
    with h5py.File(folder / "series.h5", "r") as file:
        for part in parts:
            seen: dict[int, int] = {}

            def add(_: str, item: Any, seen: dict[int, int] = seen) -> None:
                if isinstance(item, h5py.Dataset):
                    seen[h5py.h5o.get_info(item.id).addr] = item.id.get_storage_size()

            file[f"network_states/{part}"].visititems(add)
            parts[part] = sum(seen.values())
    return {
        "snapshots": count,
        "bytes_a_snapshot": (folder / "series.h5").stat().st_size / count,
        "bytes_a_snapshot_dense_gzip": (folder / "dense.h5").stat().st_size / plain,
        "bytes_a_snapshot_unfiltered": float(n * n * (1 + 4) + n * 12),
        "stored_bytes": parts,
        "store": ours,
        "store_dense_h5py": theirs,
        "drawing_of_both": drawn,
        "retrieve": back,
    }


def main() -> None:
    """Parse, measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stores", type=int, default=400, help="spike trains each way")
    parser.add_argument("--objects", type=int, nargs="*", default=[10, 10_000, 1_000_000])
    parser.add_argument("--snapshots", type=int, default=1000)
    parser.add_argument("--scratch", help="folder for the files, which are deleted")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    result: dict[str, Any] = {"environment": environment(arguments.scratch)}
    folder = Path(tempfile.mkdtemp(prefix="flightrec-storage-", dir=arguments.scratch))
    try:
        if arguments.stores:
            result["stores"] = stores(folder, arguments.stores)
            print(result["stores"])
        if arguments.snapshots:
            result["series"] = series(folder, arguments.snapshots)
            print(result["series"])
        result["growth"] = {}
        for size, found in growth(folder, arguments.objects) if arguments.objects else ():
            result["growth"][str(size)] = found
            print(size, found, flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"saved {save('storage', result, arguments.output)}")


if __name__ == "__main__":
    main()
