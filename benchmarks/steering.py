"""What a dataset of embeddings costs: bytes on the disk, time to open, memory while it is read, speed.

    python benchmarks/steering.py                      all of it, to results/steering.json
    python benchmarks/steering.py --pairs 2000 --repeats 1

Every figure is taken in a process of its own, with the files in the page cache and one thread. Opening is
compared with opening the ``.pt`` files, in the same run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from harness import RESULTS, environment, run_fresh, save
from tqdm import tqdm

from loaders.steering import JASPERSteeringDataset

DIMENSION, NEGATIVES, CLUSTERS, KEYWORDS = 384, 8, 50, 2000
WAYS = {
    "pt": ("pt", None, False),
    "pt, mapped": ("pt", None, True),
    "hdf5, none": ("hdf5", None, False),
    "hdf5, none, mapped": ("hdf5", None, True),
    "hdf5, gzip": ("hdf5", "gzip", False),
    "hdf5, gzip, by rows": ("hdf5", "gzip", True),
    "hdf5, lzf": ("hdf5", "lzf", False),
    "hdf5, lzf, by rows": ("hdf5", "lzf", True),
}
KINDS = ("float32", "from float16")
"""Embeddings as a model in single precision gives them, and as one in half precision does."""


def unit(rows: Any, kind: str) -> torch.Tensor:
    """Rows of length one, rounded as the model rounds."""
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return torch.from_numpy((rows.astype(np.float16) if kind == "from float16" else rows).astype(np.float32))


def build(folder: Path, pairs: int, kind: str) -> int:
    """Write a dataset of ``.pt`` files as a builder leaves them; returns the bytes of its tensors.

    Questions and sources lie around cluster centres; steering vectors are the pair's centre, the mean of its
    keywords, and what the question has beyond its centre.
    """
    rng = np.random.default_rng(0)
    centroids = unit(rng.standard_normal((CLUSTERS, DIMENSION)), kind)
    keywords = unit(rng.standard_normal((KEYWORDS, DIMENSION)), kind)
    questions, sources = pairs // 3 + 1, pairs // 2 + 1
    asked, answered = rng.integers(0, CLUSTERS, questions), rng.integers(0, CLUSTERS, sources)

    def around(which: Any) -> torch.Tensor:
        return unit(centroids.numpy()[which] + 0.05 * rng.standard_normal((len(which), DIMENSION)), kind)

    question_embs, source_embs = around(asked), around(answered)
    index = np.stack([rng.integers(0, questions, pairs), rng.integers(0, sources, pairs)], 1)
    cluster = asked[index[:, 0]]
    lists = [sorted(rng.choice(KEYWORDS, rng.integers(1, 6), replace=False).tolist()) for _ in range(pairs)]
    weighted = np.stack([keywords.numpy()[one].mean(0) for one in lists])
    order = rng.permutation(pairs)
    cuts = (0, int(pairs * 0.8), int(pairs * 0.9), pairs)
    # Never the pair's own source: one of the others, counted from it.
    negatives = (index[:, 1:] + rng.integers(1, sources, (pairs, NEGATIVES))) % sources
    tensors: dict[str, Any] = {
        "question_embs": question_embs,
        "source_embs": source_embs,
        "keyword_embs": keywords,
        "centroid_embs": centroids,
        "pair_index": torch.from_numpy(index),
        "pair_cluster_id": torch.from_numpy(cluster),
        "pair_relevance": torch.from_numpy(rng.random(pairs, np.float32)),
        "hard_negatives": torch.from_numpy(negatives),
        "negative_tiers": torch.from_numpy(np.sort(rng.integers(1, 5, (pairs, NEGATIVES)), 1)),
        "steering_centroid": centroids[cluster],
        "steering_keyword_weighted": unit(weighted, kind),
        "steering_residual": unit((question_embs[index[:, 0]] - centroids[cluster]).numpy(), kind),
        "centroid_distances": torch.from_numpy(rng.random(pairs, np.float32)),
    }
    tensors |= {
        f"{name}_idx": torch.from_numpy(order[low:high])
        for name, low, high in zip(("train", "val", "test"), cuts, cuts[1:], strict=False)
    }
    for stem, tensor in tensors.items():
        torch.save(tensor.contiguous(), folder / f"{stem}.pt")
    torch.save(lists, folder / "pair_keyword_ids.pt")
    config = {
        "embedding_dim": DIMENSION,
        "n_neg": NEGATIVES,
        "n_pairs": pairs,
        "steering_probabilities": {"zero": 0.25, "centroid": 0.25, "keyword": 0.25, "residual": 0.25},
        "curriculum": {"zero_prob_start": 0.5, "zero_prob_end": 0.1, "epochs_total": 100},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return sum(tensor.nbytes for tensor in tensors.values())


def sizes(folder: Path) -> dict[str, Any]:
    """Bytes on the disk in each way, and of each part of the file with gzip; files of the ways are kept."""
    import h5py

    given = sum(path.stat().st_size for path in folder.glob("*.pt"))
    found: dict[str, Any] = {"pt": {"bytes": given, "smaller": 0.0}}
    for compression in (None, "lzf", "gzip"):
        JASPERSteeringDataset.convert_pt_to_hdf5(folder, compression)
        made = (folder / "dataset.h5").stat().st_size
        found[f"hdf5, {compression or 'none'}"] = {"bytes": made, "smaller": 1 - made / given}
        (folder / "dataset.h5").rename(folder / f"{compression or 'none'}.h5")
    parts: dict[str, float] = {}

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.nbytes > given / 100:
            parts[name] = item.id.get_storage_size() / item.nbytes

    with h5py.File(folder / "gzip.h5", "r") as file:
        file.visititems(add)
    found["of which is left, by part, with gzip"] = parts
    return found


def laid_out(folder: Path, way: str) -> Path:
    """A folder with the files of one way."""
    storage, compression, _ = WAYS[way]
    place = folder / "way"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    (place / "config.json").hardlink_to(folder / "config.json")
    if storage == "hdf5":
        (place / "dataset.h5").hardlink_to(folder / f"{compression or 'none'}.h5")
    else:
        for path in folder.glob("*.pt"):
            (place / path.name).hardlink_to(path)
    return place


def ways(folder: Path, nbytes: int, repeats: int, samples: int, wanted: list[str]) -> dict[str, Any]:
    """Opening, memory and samples a second in each way; the ways take turns."""
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS if way in wanted}
    for _ in tqdm(range(repeats), unit="round", disable=None):
        for way, taken in runs.items():
            storage, _, mapped = WAYS[way]
            place = laid_out(folder, way)
            spec = {
                "folder": str(place),
                "tiny": str(folder / "tiny"),
                "format": storage,
                "mmap": mapped,
                "samples": samples,
            }
            taken.append(json.loads(run_fresh("measure_steering.py", json.dumps(spec))))
    found: dict[str, Any] = {}
    for way, all_of in runs.items():
        found[way] = {key: statistics.median(run[key] for run in all_of) for key in all_of[0]}
        found[way]["repeats"] = all_of
        for key in ("resident_open", "unique_open", "resident_epoch", "unique_epoch", "peak_epoch"):
            found[way][f"{key}_share"] = found[way][key] / nbytes
    for one in found.values():
        one["open_over_pt"] = one["open_seconds"] / found["pt"]["open_seconds"]
        one["open_processor_over_pt"] = one["open_processor"] / found["pt"]["open_processor"]
    return found


def draw(found: dict[str, Any], path: Path) -> None:
    """A picture of memory and of opening, with the bounds that were asked for."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (memory, opening) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", sharey=True)
    names = list(found)
    memory.barh(names, [100 * found[way]["peak_epoch_share"] for way in names])
    memory.axvline(10, color="k", linewidth=0.8, linestyle=":")
    memory.set_xlabel("peak of resident memory while reading, % of the data")
    opening.barh(names, [found[way]["open_processor_over_pt"] for way in names])
    opening.axvline(1.5, color="k", linewidth=0.8, linestyle=":")
    opening.set_xlabel("processor time to open, times that of pt")
    memory.invert_yaxis()
    for axes in (memory, opening):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Parse, measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=60_000, help="pairs; 60,000 are 0.4 GB")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--samples", type=int, default=10_000, help="samples that are read in each way")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="with pt, for the ratios")
    parser.add_argument("--scratch", help="folder for the files, which are deleted")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "environment": {**environment(arguments.scratch), "torch": torch.__version__},
        "pairs": arguments.pairs,
        "sizes": {},
    }
    for kind in KINDS:
        folder = Path(tempfile.mkdtemp(prefix="flightrec-steering-", dir=arguments.scratch))
        try:
            nbytes = build(folder, arguments.pairs, kind)
            result["sizes"][kind] = sizes(folder)
            for name, one in result["sizes"][kind].items():
                print(kind, name, one)
            if kind == KINDS[0]:
                result["bytes"] = nbytes
                (folder / "tiny").mkdir()
                build(folder / "tiny", 100, kind)
                JASPERSteeringDataset.convert_pt_to_hdf5(folder / "tiny")
                result["ways"] = ways(
                    folder, nbytes, arguments.repeats, arguments.samples, ["pt", *arguments.ways]
                )
                for way, one in result["ways"].items():
                    print(
                        f"{way}: opens in {one['open_seconds']:.3f} s ({one['open_over_pt']:.2f} x pt, "
                        f"of processor time {one['open_processor_over_pt']:.2f} x), "
                        f"resident {one['resident_epoch_share']:.1%}, {one['samples_per_s']:,.0f} samples/s"
                    )
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"saved {save('steering', result, arguments.output)}")
    draw(result["ways"], arguments.output / "steering.png")


if __name__ == "__main__":
    main()
