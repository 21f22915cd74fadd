"""Small datasets of embeddings, written the way a builder leaves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

REFERENCE = Path(__file__).parent.parent / "data" / "reference" / "jasper_a"
QUESTIONS, SOURCES, KEYWORDS, CENTROIDS = 15, 20, 9, 4
EVEN = {"zero": 0.25, "centroid": 0.25, "keyword": 0.25, "residual": 0.25}


def config(dimension: int = 8, negatives: int = 3, **more: Any) -> dict[str, Any]:
    """A configuration without a curriculum."""
    return {"embedding_dim": dimension, "n_neg": negatives, "steering_probabilities": EVEN, **more}


def tensors(pairs: int = 50, dimension: int = 8, negatives: int = 3) -> dict[str, Any]:
    """All tensors by stem, the keyword lists and the splits."""
    rng = np.random.default_rng(1)

    def floats(*shape: int) -> Any:
        return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))

    index = np.stack([rng.integers(0, QUESTIONS, pairs), rng.integers(0, SOURCES, pairs)], 1)
    others = (index[:, 1:] + rng.integers(1, SOURCES, (pairs, negatives))) % SOURCES
    order = torch.from_numpy(rng.permutation(pairs))
    third = pairs // 5
    return {
        "question_embs": floats(QUESTIONS, dimension),
        "source_embs": floats(SOURCES, dimension),
        "keyword_embs": floats(KEYWORDS, dimension),
        "centroid_embs": floats(CENTROIDS, dimension),
        "pair_index": torch.from_numpy(index),
        "pair_cluster_id": torch.from_numpy(rng.integers(0, CENTROIDS, pairs)),
        "pair_relevance": torch.from_numpy(rng.random(pairs, np.float32)),
        "hard_negatives": torch.from_numpy(others),
        "negative_tiers": torch.from_numpy(rng.integers(1, 5, (pairs, negatives))),
        "steering_centroid": floats(pairs, dimension),
        "steering_keyword_weighted": floats(pairs, dimension),
        "steering_residual": floats(pairs, dimension),
        "centroid_distances": torch.from_numpy(2 * rng.random(pairs, np.float32)),
        "pair_keyword_ids": [
            sorted(rng.choice(KEYWORDS, rng.integers(0, 4), replace=False).tolist()) for _ in range(pairs)
        ],
        "train_idx": order[2 * third :],
        "val_idx": order[:third],
        "test_idx": order[third : 2 * third],
    }


def write(folder: Path, values: dict[str, Any] | None = None, given: dict[str, Any] | None = None) -> Path:
    """Write ``.pt`` files and ``config.json``; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem, value in (tensors() if values is None else values).items():
        torch.save(value, folder / f"{stem}.pt")
    (folder / "config.json").write_text(json.dumps(config() if given is None else given))
    return folder


def equal(one: Any, other: Any) -> None:
    """Assert that two samples or batches are the same, dtypes and all."""
    assert list(one) == list(other)
    for key, value in one.items():
        assert value.dtype == other[key].dtype, key
        assert torch.equal(value, other[key]), key
