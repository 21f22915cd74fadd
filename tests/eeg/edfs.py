"""EDF files as the tests need them, written by edfio: sound, short, oddly named, damaged, with gaps."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loaders.windows.eeg.settings import CHANNELS

REFERENCE = Path(__file__).parents[1] / "data" / "reference" / "tusz_cache_a"
TUSZ = [f"EEG {name.upper()}-REF" for name in CHANNELS]


def write_edf(
    path: Path,
    seconds: int = 70,
    *,
    labels: Sequence[str] = TUSZ,
    rate: int = 256,
    seed: int = 0,
    **extra: Any,
) -> Path:
    """A recording of these signals, each a sine of its own."""
    import edfio

    times = np.arange(seconds * rate) / rate
    signals = [
        edfio.EdfSignal(
            50 * np.sin(2 * np.pi * (3 + k + seed) * times),
            rate,
            label=label,
            physical_dimension="uV",
            physical_range=(-100, 100),
        )
        for k, label in enumerate(labels)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    edfio.Edf(signals, **extra).write(path)
    return path


def write_csv(path: Path, *seizures: tuple[float, float], duration: float = 70.0) -> Path:
    """Annotations as TUSZ writes them."""
    rows = [f"FP1-F7,{start:.4f},{stop:.4f},fnsz,1.0000" for start, stop in seizures]
    head = ["# version = csv_v1.0.0", f"# duration = {duration:.2f} secs", "#"]
    columns = "channel,start_time,stop_time,label,confidence"
    rest = f"TERM,0.0000,{duration:.4f},bckg,1.0000"
    path.write_text("\n".join([*head, columns, *rows, rest]) + "\n")
    return path


def recordings(folder: Path, count: int, seconds: int = 70) -> tuple[list[Path], list[Path]]:
    """So many of them with annotations: a seizure in part, none, all through, and so on."""
    edfs, csvs = [], []
    for k in range(count):
        edf = write_edf(folder / f"pat{k}_s001_t000.edf", seconds, seed=k)
        seizures = ([(65.0, 68.0)], [], [(0.0, 500.0)])[k % 3]
        csvs.append(write_csv(edf.with_suffix(".csv"), *seizures))
        edfs.append(edf)
    return edfs, csvs


def reference_edfs(folder: Path) -> list[Path]:
    """The reference recordings, inflated, with their annotations beside them."""
    source = REFERENCE / "edf" / "train"
    for packed in sorted(source.glob("*.gz")):
        with gzip.open(packed) as inflated, (folder / packed.stem).open("wb") as out:
            shutil.copyfileobj(inflated, out)
    for csv in source.glob("*.csv"):
        shutil.copy(csv, folder / csv.name)
    return sorted(folder.glob("*.edf"))


def patched(source: Path, path: Path, at: int, field: bytes) -> Path:
    """A copy with other bytes in its header."""
    data = bytearray(source.read_bytes())
    data[at : at + len(field)] = field
    path.write_bytes(data)
    return path
