"""One dataset in a process of its own: opened, and read in shuffled batches. Called by steering.py.

Prints JSON: ``open_seconds``, ``open_processor``, ``samples_per_s``, and bytes beyond those before opening:
``resident`` (RSS), ``unique`` (USS) after opening and after reading, and the peak of RSS while reading.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import psutil
import resident
import torch

from loaders.steering import JASPERSteeringDataset

BATCH = 32


def warmed(folder: Path) -> None:
    """Have the files in the page cache, and the modules loaded."""
    for path in folder.iterdir():
        path.read_bytes()


def main() -> None:
    """Open, read, report."""
    # As in the workers of a DataLoader.
    torch.set_num_threads(1)
    spec = json.loads(sys.argv[1])
    folder = Path(spec["folder"])
    warmed(folder)
    process = psutil.Process()
    small = JASPERSteeringDataset(spec["tiny"], "train", storage_format=spec["format"], use_mmap=spec["mmap"])
    small.__getitems__([0, 1])
    small.close()
    del small
    resident.give_back()
    before = process.memory_full_info()
    start, used = time.perf_counter(), time.process_time()
    dataset = JASPERSteeringDataset(folder, "train", storage_format=spec["format"], use_mmap=spec["mmap"])
    opened, processor = time.perf_counter() - start, time.process_time() - used
    resident.give_back()
    after = process.memory_full_info()
    resident.reset_peak()
    order = np.random.default_rng(0).permutation(len(dataset))
    wanted = order[: spec["samples"]]
    start = time.perf_counter()
    for first in range(0, len(wanted), BATCH):
        dataset.__getitems__(wanted[first : first + BATCH])
    took = time.perf_counter() - start
    peak = resident.peak()
    last = process.memory_full_info()
    print(
        json.dumps(
            {
                "open_seconds": opened,
                "open_processor": processor,
                "samples_per_s": len(wanted) / took,
                "resident_open": after.rss - before.rss,
                "unique_open": after.uss - before.uss,
                "resident_epoch": last.rss - before.rss,
                "unique_epoch": last.uss - before.uss,
                "peak_epoch": peak - before.rss,
            }
        )
    )


if __name__ == "__main__":
    main()
