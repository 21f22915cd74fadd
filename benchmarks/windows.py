"""Random windows from a cache in HDF5, against a ``.pt`` file for each and against plain h5py.

    python benchmarks/windows.py                 all of it, to results/windows.json and .png
    python benchmarks/windows.py --small 0 --variants 0 --turns 0 --memory 0     the others stay as they were
    python benchmarks/windows.py --windows 100 --small 500 --variants 20 --turns 32 --memory 1

Windows have 306 channels and 2,000 samples unless they are small ones; data are noise with MEG's spectrum,
band-passed from 1 to 40 Hz. Cold means that the kernel was told to forget the files' pages.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import h5py
import numpy as np
import torch
from harness import HERE, RESULTS, environment, save
from scipy import signal
from tqdm import tqdm
from windows_plot import plot

from loaders.windows import create_hdf5_cache
from loaders.windows.loading import load
from recorder.format.deflate import encode_chunk
from recorder.h5.reading.scattered import RowFile
from recorder.h5.windows.reading import WindowFile

CHANNELS, SIZE, STRIDE, RATE = 306, 2000, 500, 1000
SMALL_CHANNELS, SMALL_SIZE = 8, 64
BATCH = 32
ROUNDS = 3
"""Each way is measured so often, in turns; the median round counts."""


def meg_like(samples: int, seed: int, channels: int = CHANNELS) -> Any:
    """Band-passed noise, partly shared between channels, in fT; float32 as recordings come."""
    rng = np.random.default_rng(seed)
    sources = signal.lfilter(*signal.butter(1, 8, fs=RATE), rng.standard_normal((20, samples)))
    own = signal.lfilter([0.3], [1, -0.98], rng.standard_normal((channels, samples)))
    band = signal.butter(4, [1, 40], "bandpass", fs=RATE, output="sos")
    mixed = own + 5 * rng.standard_normal((channels, 20)) @ sources
    return (100 * signal.sosfiltfilt(band, mixed, axis=1)).astype(np.float32)


def recordings(folder: Path, subjects: int, samples: int, channels: int = CHANNELS) -> list[str]:
    """``.npz`` files of subjects; their names."""
    folder.mkdir(parents=True)
    names = [f"sub-{number:03d}" for number in range(subjects)]
    for number, name in enumerate(names):
        np.savez(folder / f"{name}.npz", data=meg_like(samples, number, channels))
    return names


def pt_files(cache: Path, folder: Path) -> list[Path]:
    """The windows of a cache as float32 ``.pt`` files."""
    file, paths = WindowFile(cache), []
    for name, start, count in zip(file.names, file.starts, file.counts, strict=True):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            paths.append(folder / name / f"{number}.pt")
            torch.save(load(file, [int(start) + number])[0].clone(), paths[-1])
    file.close()
    return paths


def forget(paths: Sequence[Path]) -> None:
    """Have the kernel drop the files' pages, which it can of those that are on the disk."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


class Way:
    """One way of reading windows.

    Parameters
    ----------
    files : list of Path
        What has to be forgotten for a cold read.
    read : callable
        Returns the windows with these numbers, as float32 tensors.
    """

    def __init__(self, files: Sequence[Path], read: Callable[[list[int]], Any]) -> None:
        self.files, self.read = files, read

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return sum(path.stat().st_size for path in self.files)


def of_cache(path: Path) -> Way:
    """Through this library."""
    file = WindowFile(path)
    return Way([path], lambda rows: load(file, rows))


def of_pt(paths: list[Path]) -> Way:
    """A file a window."""
    return Way(paths, lambda rows: [torch.load(paths[row]) for row in rows])


def of_h5py(path: Path) -> Way:
    """As the older system's dataset does."""
    file = h5py.File(path, "r")
    windows = file["windows"]
    return Way([path], lambda rows: [torch.from_numpy(windows[row]).float() for row in rows])


def times(way: Way, total: int, batch: int, most: int, *, cold: bool, seed: int) -> tuple[list[float], float]:
    """Seconds of each read of ``batch`` shuffled windows, none twice; and processor time a window."""
    order = np.random.default_rng(seed).permutation(total)[: most * batch]
    batches = [order[k : k + batch].tolist() for k in range(0, len(order) - batch + 1, batch)]
    if cold:
        forget(way.files)
    else:
        for rows in batches:
            way.read(rows)
    found, used = [], time.process_time()
    for rows in batches:
        start = time.perf_counter()
        way.read(rows)
        found.append(time.perf_counter() - start)
    return found, (time.process_time() - used) / (len(batches) * batch)


def compared(
    ways: dict[str, Way],
    total: int,
    baseline: str,
    *,
    single: int,
    batches: int,
    batch: int,
    rounds: int = ROUNDS,
) -> dict[str, Any]:
    """Single windows and batches of each way, warm and cold, in turns; ratios to the baseline."""
    os.sync()
    collected: dict[str, dict[str, list[tuple[list[float], float]]]] = {name: {} for name in ways}
    for round_ in range(rounds):
        for name, way in ways.items():
            for state in ("warm", "cold"):
                for kind, size, most in (("window", 1, single), ("batch", batch, batches)):
                    found = times(way, total, size, most, cold=state == "cold", seed=round_)
                    collected[name].setdefault(f"{kind}, {state}", []).append(found)
    result: dict[str, Any] = {}
    for name, way in ways.items():
        result[name] = {"bytes_a_window": way.size / total}
        for key, taken in collected[name].items():
            if key.startswith("window"):
                result[name][key] = {
                    f"p{q}_ms": 1e3 * statistics.median(float(np.percentile(one, q)) for one, _ in taken)
                    for q in (50, 99)
                }
            else:
                rate = statistics.median(batch * len(one) / sum(one) for one, _ in taken)
                used = 1e3 * statistics.median(used for _, used in taken)
                result[name][key] = {"windows_per_s": rate, "processor_ms_a_window": used}
    return with_ratios(result, baseline)


def with_ratios(result: dict[str, Any], baseline: str) -> dict[str, Any]:
    """Sizes and rates of batches divided by the baseline's."""
    base = result[baseline]
    for found in result.values():
        found["size_to_baseline"] = found["bytes_a_window"] / base["bytes_a_window"]
        for state in ("warm", "cold"):
            key = f"batch, {state}"
            found[key]["rate_to_baseline"] = found[key]["windows_per_s"] / base[key]["windows_per_s"]
    return result


def large(folder: Path, windows: int) -> dict[str, Any]:
    """The default cache, and then ``.pt`` files, of as many windows as was asked for.

    One after the other, for both together need much of a disk.
    """
    subjects = min(8, windows // 2)
    each = -(-windows // subjects)
    (folder / "in").mkdir()
    data = meg_like(SIZE + (each - 1) * STRIDE, 0)
    names = [f"sub-{number:03d}" for number in range(subjects)]
    for number, name in enumerate(names):
        np.savez(folder / "in" / f"{name}.npz", data=np.roll(data, 997 * number, axis=1))
    start = time.perf_counter()
    report = create_hdf5_cache(
        names, subject_cache_dir=folder / "in", hdf5_path=folder / "cache.h5", verbose=False
    )
    build = time.perf_counter() - start
    sizes = {"single": 250, "batches": max(1, min(15, report.windows // BATCH))}
    batch = min(BATCH, report.windows)
    ways = {"cache": of_cache(folder / "cache.h5")}
    found = compared(ways, report.windows, "cache", batch=batch, **sizes)
    (folder / "cache.h5").unlink()
    paths = []
    for name in names:
        (folder / "pt" / name).mkdir(parents=True)
        with np.load(folder / "in" / f"{name}.npz") as given:
            data = given["data"]
        (folder / "in" / f"{name}.npz").unlink()
        for number in range(each):
            paths.append(folder / "pt" / name / f"{number}.pt")
            window = data[:, number * STRIDE : number * STRIDE + SIZE]
            torch.save(torch.from_numpy(np.ascontiguousarray(window)), paths[-1])
    found |= compared({".pt": of_pt(paths)}, report.windows, ".pt", batch=batch, **sizes)
    shutil.rmtree(folder)
    return {
        "windows": report.windows,
        "built_windows_per_s": report.windows / build,
        **with_ratios(found, ".pt"),
    }


def turns(folder: Path, windows: int) -> dict[str, Any]:
    """The default and ``.pt`` files of fewer windows, in turns: what else the machine does concerns both."""
    names = recordings(folder / "in", 2, SIZE + (-(-windows // 2) - 1) * STRIDE)
    create_hdf5_cache(names, subject_cache_dir=folder / "in", hdf5_path=folder / "cache.h5", verbose=False)
    paths = pt_files(folder / "cache.h5", folder / "pt")
    ways = {".pt": of_pt(paths), "cache": of_cache(folder / "cache.h5")}
    batch = min(BATCH, len(paths))
    batches = len(paths) // batch
    found = compared(ways, len(paths), ".pt", single=64, batches=batches, batch=batch, rounds=3 * ROUNDS)
    shutil.rmtree(folder)
    return {"windows": len(paths), **found}


def small(folder: Path, windows: int) -> dict[str, Any]:
    """The same of many small windows."""
    names = recordings(folder / "in", 4, SMALL_SIZE * windows // 4, SMALL_CHANNELS)
    create_hdf5_cache(
        names,
        SMALL_SIZE,
        SMALL_SIZE,
        folder / "in",
        folder / "cache.h5",
        verbose=False,
    )
    paths = pt_files(folder / "cache.h5", folder / "pt")
    ways = {".pt": of_pt(paths), "cache": of_cache(folder / "cache.h5")}
    batches = max(1, min(40, len(paths) // 256))
    found = compared(ways, len(paths), ".pt", single=400, batches=batches, batch=min(256, len(paths)))
    shutil.rmtree(folder)
    return {"windows": len(paths), "channels": SMALL_CHANNELS, "samples": SMALL_SIZE, **found}


def variants(folder: Path, windows: int) -> dict[str, Any]:
    """What else could have been the default, and how the older system stored."""
    names = recordings(folder / "in", 2, SIZE + (-(-windows // 2) - 1) * STRIDE)
    ways: dict[str, Way] = {}
    for dtype in ("float32", "float16"):
        for compression in (None, "gzip", "lzf"):
            path = folder / f"{dtype}-{compression}.h5"
            create_hdf5_cache(
                names,
                subject_cache_dir=folder / "in",
                hdf5_path=path,
                dtype=dtype,
                compression=compression,
                verbose=False,
            )
            ways[f"{dtype}, {compression or 'no filter'}"] = of_cache(path)
    given = WindowFile(folder / "float32-None.h5")
    total, stored = given.shape[0], given.read(range(given.shape[0]))
    for way in ("gzip 4, as the older system", "gzip 4 with shuffle, by h5py"):
        path = folder / f"{len(ways)}.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset(
                "windows",
                data=stored,
                chunks=(1, CHANNELS, SIZE),
                compression="gzip",
                shuffle="shuffle" in way,
            )
        ways[f"float32, {way}"] = of_h5py(path)
    ways["float16, gzip, window in 2 chunks"] = in_parts(folder / "parts.h5", stored.astype(np.float16), 2)
    paths = pt_files(folder / "float32-None.h5", folder / "pt")
    ways = {".pt": of_pt(paths), **ways}
    found = compared(ways, total, ".pt", single=100, batches=max(1, total // BATCH), batch=min(BATCH, total))
    shutil.rmtree(folder)
    return {"windows": total, **found}


def in_parts(path: Path, stored: Any, parts: int) -> Way:
    """Each window in several chunks, which are inflated in parallel."""
    height = -(-CHANNELS // parts)
    with h5py.File(path, "w") as file:
        made = file.create_dataset(
            "windows", stored.shape, stored.dtype, chunks=(1, height, SIZE), compression="gzip", shuffle=True
        )
        for row, window in enumerate(stored):
            for top in range(0, CHANNELS, height):
                data, mask = encode_chunk(np.ascontiguousarray(window[top : top + height]), "gzip", 4)
                made.id.write_direct_chunk((row, top, 0), data, mask)
    rows = RowFile(path, "windows")
    return Way([path], lambda wanted: torch.from_numpy(rows.read(wanted)).float())


def memory(folder: Path, size: int) -> dict[str, Any]:
    """Peak memory of a build, of a recording and of one four times as long; and one core's rate."""
    found: dict[str, Any] = {}
    for factor in (1, 4):
        samples = 50_000 * size * factor
        data = np.random.default_rng(0).standard_normal((CHANNELS, samples), np.float32)
        (folder / "in").mkdir(parents=True)
        np.savez(folder / "in" / "plain.npz", data=data)
        np.savez_compressed(folder / "in" / "deflated.npz", data=data[:, : samples // 2])
        bytes_ = data.nbytes
        del data
        for name, normalisation in (("plain", "window"), ("plain", "recording"), ("deflated", "window")):
            case = f"{name}, {normalisation}"
            found.setdefault(case, {})[f"{factor}x"] = built(folder, name, normalisation)
        found.setdefault("recording_bytes", {})[f"{factor}x"] = bytes_
        if factor == 1:
            found["on one core"] = built(folder, "plain", "window", one_core=True)
        shutil.rmtree(folder)
    return found


def built(folder: Path, name: str, normalisation: str, *, one_core: bool = False) -> dict[str, float]:
    """A build in a process of its own: peak memory, of which what it had before, and windows a second."""
    given = [str(HERE / "windows.py"), "--build", str(folder), name, normalisation, str(int(one_core))]
    done = subprocess.run([sys.executable, *given], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def build(folder: str, name: str, normalisation: str, one_core: str) -> None:
    """What :func:`built` runs."""
    if int(one_core):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    before = peak_memory()
    start = time.perf_counter()
    target = Path(folder) / f"{name}-{normalisation}.h5"
    report = create_hdf5_cache(
        [name],
        subject_cache_dir=Path(folder) / "in",
        hdf5_path=target,
        normalisation=normalisation,
        overwrite=True,
        verbose=False,
    )
    seconds = time.perf_counter() - start
    target.unlink()
    found = {"peak_bytes": peak_memory(), "before_bytes": before, "windows_per_s": report.windows / seconds}
    print(json.dumps(found))


def peak_memory() -> int:
    """The largest resident set so far, in bytes; ``getrusage`` would count the starting process's."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def main() -> None:
    """Parse, measure, print, save, draw."""
    if sys.argv[1:2] == ["--build"]:
        build(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--windows", type=int, default=2000)
    parser.add_argument("--small", type=int, default=10_000, help="small windows")
    parser.add_argument("--variants", type=int, default=200, help="windows in each way of storing")
    parser.add_argument("--turns", type=int, default=128, help="windows of the default and .pt, in turns")
    parser.add_argument("--memory", type=int, default=4, help="length of the recordings, in 61 MB")
    parser.add_argument("--scratch", help="folder for the files, which are deleted")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="flightrec-windows-", dir=arguments.scratch))
    before = arguments.output / "windows.json"
    result: dict[str, Any] = json.loads(before.read_text()) if before.exists() else {}
    result |= {"environment": environment(arguments.scratch), "torch": torch.__version__}
    parts: list[tuple[str, Callable[[Path, int], dict[str, Any]], int]] = [
        ("small", small, arguments.small),
        ("variants", variants, arguments.variants),
        ("turns", turns, arguments.turns),
        ("memory", memory, arguments.memory),
        ("large", large, arguments.windows),
    ]
    try:
        for name, measure, size in tqdm(parts, disable=None):
            if not size:
                continue
            (folder / name).mkdir()
            result[name] = measure(folder / name, size)
            result[name]["load_average"] = os.getloadavg()
            print(name, json.dumps(result[name], indent=1), flush=True)
            path = save("windows", result, arguments.output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    plot(result, path.with_suffix(".png"))
    print(f"saved {path}")


if __name__ == "__main__":
    main()
