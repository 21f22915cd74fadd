"""Starting a training on a cache of EEG windows: from its manifest, and by sampling; and random windows.

    python benchmarks/manifest.py                  500 files, 200 sampled windows, to results/manifest.json
    python benchmarks/manifest.py --samples 1000   as many as the older program once did

Sampling is what the older program did without a manifest: draw windows, inflate the file of each, look
whether its labels have a seizure. The files are made from EDF by the real path, a few recordings under many
names (hard links), so that all of them are in the page cache in both cases.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import edfio
import matplotlib as mpl
import numpy as np
from harness import RESULTS, environment, save, summary
from tqdm import tqdm

from loaders.windows.eeg import BalancedSeizureDataset, compute_pos_weight, scan_existing_cache
from loaders.windows.eeg.cache import complete, make_jobs
from loaders.windows.eeg.folder import WindowFolder
from loaders.windows.eeg.settings import CHANNELS


def recording(path: Path, seed: int, seconds: int) -> None:
    """Noise whose power falls with the frequency, as EEG's does, in EDF's 16 bits; some has a seizure."""
    rng = np.random.default_rng(seed)
    signals = []
    for name in CHANNELS:
        walk = np.cumsum(rng.normal(size=seconds * 256))
        drift = np.convolve(walk, np.ones(256) / 256, "same")
        signals.append(
            edfio.EdfSignal(
                np.clip(4 * (walk - drift), -3000, 3000),
                256,
                label=f"EEG {name.upper()}-REF",
                physical_dimension="uV",
                physical_range=(-3000, 3000),
            )
        )
    edfio.Edf(signals).write(path)
    head = f"# duration = {seconds:.2f} secs\nchannel,start_time,stop_time,label,confidence\n"
    seizure = f"FP1-F7,{100 + seed}.0,{200 + seed}.0,fnsz,1.0\n" if seed % 2 else ""
    path.with_suffix(".csv").write_text(head + seizure + f"FP1-F7,0.0,{seconds}.0,bckg,1.0\n")


def make(folder: Path, files: int, distinct: int, seconds: int) -> tuple[dict[str, Path], dict[str, Any]]:
    """The same windows as our NPZ files, as the older program's, and as one HDF5 file."""
    places = {name: folder / name for name in ("edf", "npz", "old", "hdf5")}
    for place in places.values():
        place.mkdir()
    edfs = [places["edf"] / f"p{k:03d}_s001_t000.edf" for k in range(distinct)]
    for k, edf in enumerate(edfs):
        recording(edf, k, seconds)
    csvs = [edf.with_suffix(".csv") for edf in edfs]
    found: dict[str, Any] = {}
    for form in ("npz", "hdf5"):
        start = time.perf_counter()
        complete(make_jobs(edfs, csvs, places[form]), places[form], stored=form)
        found[f"build_{form}_s"] = time.perf_counter() - start
    start = time.perf_counter()
    for path in sorted(places["npz"].glob("*.npz")):
        with np.load(path) as npz:
            np.savez_compressed(places["old"] / path.name, **npz)
    found["savez_compressed_s"] = time.perf_counter() - start
    for form in ("npz", "old", "hdf5"):
        sizes = [p.stat().st_size for p in places[form].iterdir() if p.suffix in (".npz", ".h5")]
        found[f"bytes_{form}"] = sum(sizes)
    found["recorded_s"] = seconds * distinct
    for form in ("npz", "old"):
        for path in sorted(places[form].glob("*.npz")):
            for copy in range(1, files // distinct):
                os.link(path, places[form] / f"c{copy:02d}{path.name}")
        (places[form] / "_dataset_index.json").unlink(missing_ok=True)
    return places, found


def sample(place: Path, entries: list[tuple[str, int]], count: int) -> dict[str, Any]:
    """The older way: so many windows of the choice at random, the file of each inflated for it."""
    rng = np.random.default_rng(0)
    seizures, start = 0, time.perf_counter()
    for done in range(count):
        name, k = entries[rng.integers(len(entries))]
        with np.load(place / name) as npz:
            _, label = npz["windows"][k], npz["labels"][k]
        seizures += bool(label.any())
        if done % 100 == 99:
            print(f"  {done + 1} windows sampled, {time.perf_counter() - start:.0f} s", flush=True)
    took = time.perf_counter() - start
    return {"windows": count, "seconds": took, "pos_weight": compute_pos_weight(seizures / count)}


def from_manifest(place: Path, repeats: int) -> dict[str, Any]:
    """Our way: choose and weigh by the manifest, which is looked over for staleness each time."""
    took, dataset = [], None
    for _ in range(repeats):
        start = time.perf_counter()
        dataset = BalancedSeizureDataset(place)
        weight = compute_pos_weight(dataset.seizure_ratio)
        took.append(time.perf_counter() - start)
    assert dataset is not None
    folder = WindowFolder(place)
    labels = {name: list(map(np.any, folder.labels(name))) for name in folder.names()}
    truth = np.mean([labels[name][k] for name, k in dataset.entries])
    return {
        "seconds": summary(took),
        "windows": len(dataset),
        "seizure_ratio": dataset.seizure_ratio,
        "pos_weight": weight,
        "pos_weight_by_reading_every_label": compute_pos_weight(float(truth)),
    }


def random_windows(
    ways: dict[str, Callable[[str, int], Any]], entries: list[tuple[str, int]]
) -> dict[str, dict[str, float]]:
    """Milliseconds a window, the ways in turn: the machine may have other work."""
    took: dict[str, list[float]] = {way: [] for way in ways}
    for name, number in tqdm(entries, disable=None):
        for way, read in ways.items():
            start = time.perf_counter()
            read(name, number)
            took[way].append(1e3 * (time.perf_counter() - start))
    return {way: summary(found) for way, found in took.items()}


def plain(place: Path, name: str, number: int) -> Any:
    """A window as most read it."""
    with np.load(place / name) as npz:
        return npz["windows"][number], npz["labels"][number]


def draw(path: Path, result: dict[str, Any]) -> None:
    """Times to start and to read, on a logarithmic axis."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    windows = {name: found["median"] / 1e3 for name, found in result["random_windows_ms"].items()}
    bars = {
        f"start: {result['sampling']['windows']} windows sampled": result["sampling"]["seconds"],
        "start: manifest": result["manifest"]["seconds"]["median"],
        **{f"window: {name}": value for name, value in windows.items()},
    }
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    axes.barh(list(bars), list(bars.values()), log=True)
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    axes.set_title(f"{result['files']} files of {result['windows_a_file']} windows")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Parse, measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--distinct", type=int, default=10, help="recordings under these names")
    parser.add_argument("--seconds", type=int, default=460, help="of each recording, 202 or more")
    parser.add_argument("--reads", type=int, default=20, help="windows read in each way")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--scratch", help="folder for the files, which are deleted")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    result: dict[str, Any] = {"environment": environment(arguments.scratch), "files": arguments.files}
    folder = Path(tempfile.mkdtemp(prefix="flightrec-manifest-", dir=arguments.scratch))
    try:
        places, result["made"] = make(folder, arguments.files, arguments.distinct, arguments.seconds)
        start = time.perf_counter()
        scan_existing_cache(places["npz"])
        result["scan_s"] = time.perf_counter() - start
        result["manifest"] = from_manifest(places["npz"], arguments.repeats)
        dataset = BalancedSeizureDataset(places["npz"])
        rng = np.random.default_rng(1)
        entries = [dataset.entries[k] for k in rng.integers(len(dataset), size=arguments.reads)]
        result["windows_a_file"] = WindowFolder(places["npz"]).count(entries[0][0])
        ours, old = WindowFolder(places["npz"]), WindowFolder(places["old"])
        hdf5 = WindowFolder(places["hdf5"])
        tail = len("p000_s001_t000_windows.npz")
        result["random_windows_ms"] = random_windows(
            {
                "np.load, compressed": lambda n, k: plain(places["old"], n, k),
                "np.load, ours": lambda n, k: plain(places["npz"], n, k),
                "ours": ours.window,
                "ours, HDF5": lambda n, k: hdf5.window(n[-tail:], k),
                "ours, older files": old.window,
            },
            entries,
        )
        print(json.dumps({k: v for k, v in result.items() if k != "environment"}, indent=1), flush=True)
        result["sampling"] = sample(places["old"], dataset.entries, arguments.samples)
        result["ratio"] = result["sampling"]["seconds"] / result["manifest"]["seconds"]["median"]
        result["load_average_after"] = os.getloadavg()
        print(f"{result['ratio']:,.0f} times faster")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"saved {save('manifest', result, arguments.output)}")
    draw(arguments.output / "manifest.png", result)


if __name__ == "__main__":
    main()
