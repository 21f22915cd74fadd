"""Watch a recording with h5py alone, as a dashboard would that knows nothing of flightrec.

    python examples/swmr_reader.py experiments/my_experiment_20260101_120000/experiment_data.h5

The program that records has opened it with ``enable_swmr=True``; what it logs is here a second later. While
an episode runs, its datasets only grow, and ``refresh()`` shows it. When one begins or ends, the file's
structure changes: then it is opened anew (section 6 of the file's specification).
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import h5py


def state(path: Path) -> tuple[int, bool]:
    """Changes with the file's structure: the folder's time, and whether a change is under way."""
    return path.parent.stat().st_mtime_ns, path.with_name(path.name + ".journal").exists()


def quiet(path: Path) -> tuple[int, bool]:
    """The state once no change is under way."""
    while True:
        found = state(path)
        if not found[1] and time.time_ns() - found[0] > 20_000_000:
            return found
        time.sleep(0.01)


def rewards(path: Path) -> Iterator[tuple[str, int, float]]:
    """Of the last episode its name, how many rewards there are, and their sum, as they come."""
    while True:
        quiet(path)
        with contextlib.suppress(OSError, RuntimeError, KeyError):  # it changed while it was read
            with h5py.File(path, "r", swmr=True) as file:
                running = file.attrs["status"] == "running"
                name = max(file["episodes"], key=lambda name: int(name.rpartition("_")[2]), default=None)
                group = None if name is None else file.get(f"episodes/{name}/rewards")
                if group is None or "lengths" not in group:
                    time.sleep(0.1)
                else:
                    for count, total in sums(group, path):
                        yield name, count, total
            if not running:
                return


def sums(group: h5py.Group, path: Path) -> Iterator[tuple[int, float]]:
    """Number and sum of an episode's rewards, as long as the file has the same structure."""
    before = state(path)
    values, lengths = group["values"], group["lengths"]
    while True:
        lengths.refresh()
        values.refresh()
        # The shorter one counts: rows of both are there as far as it goes.
        runs = min(len(values), len(lengths))
        counts = lengths[:runs]
        found = int(counts.sum()), float((values[:runs] * counts).sum())
        if state(path) != before:
            return
        yield found
        if group.file.attrs["status"] != "running":
            return
        time.sleep(0.2)


def main(path: Path) -> None:
    """Print a line whenever there is something new, until the recording ends."""
    shown = None
    for found in rewards(path):
        if found != shown:
            shown = found
            print(f"{found[0]}: {found[1]:,} rewards, {found[2]:g} in all", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("which recording? python examples/swmr_reader.py RECORDING/experiment_data.h5")
    main(Path(sys.argv[1]))
