"""Samples, gathered a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray

from loaders.steering.contents import Contents
from recorder.format.embeddings import STEERINGS

ITEM = (
    "question_emb",
    "target_source_emb",
    "steering",
    "negative_embs",
    "cluster_id",
    "relevance",
    "centroid_distance",
    "steering_variant",
    "negative_tiers",
)
"""Keys of a sample, in their order."""

Item = dict[str, torch.Tensor]


class Items(Sequence[Item]):
    """Samples that stand side by side in one tensor for each key.

    Attributes
    ----------
    batch : dict of str to torch.Tensor
        By key, the samples along the first axis.
    """

    def __init__(self, batch: Item) -> None:
        self.batch = batch
        self._apart: list[Item] | None = None

    def __len__(self) -> int:
        return len(self.batch["steering_variant"])

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if self._apart is None:
            columns = [tensor.unbind() for tensor in self.batch.values()]
            self._apart = [dict(zip(self.batch, row, strict=True)) for row in zip(*columns, strict=True)]
        return self._apart[index]


def collate(items: Any) -> Any:
    """Samples as a batch, without a copy where they are one already: ``collate_fn`` of a ``DataLoader``."""
    return items.batch if isinstance(items, Items) else torch.utils.data.default_collate(items)


def gather(contents: Contents, pairs: NDArray[np.int64], variants: NDArray[np.int64]) -> Item:
    """The samples of these pairs with these kinds of steering, in fresh tensors on ``contents.device``."""
    device = contents.device
    rows = torch.from_numpy(pairs).to(device)
    ends = contents.take("pair_index", rows).long()
    negatives = contents.take("hard_negatives", rows).long()
    wrong = contents.take("source_embs", negatives.reshape(-1))
    found = {
        "question_emb": contents.take("question_embs", ends[:, 0]),
        "target_source_emb": contents.take("source_embs", ends[:, 1]),
        "steering": _steering(contents, rows, variants),
        "negative_embs": wrong.reshape(*negatives.shape, wrong.shape[-1]),
        "cluster_id": contents.take("pair_cluster_id", rows),
        "relevance": contents.take("pair_relevance", rows),
        "centroid_distance": contents.take("centroid_distances", rows),
        "steering_variant": torch.from_numpy(variants).to(device),
        "negative_tiers": contents.take("negative_tiers", rows),
    }
    return {key: found[key] for key in ITEM}


def _steering(contents: Contents, rows: torch.Tensor, variants: NDArray[np.int64]) -> torch.Tensor:
    like = contents.tensors[STEERINGS[0]]
    # Made where the others are: a batch lies on one device.
    steering = torch.zeros((len(rows), *like.shape[1:]), dtype=like.dtype, device=contents.device)
    for code, stem in enumerate(STEERINGS, start=1):
        places = np.flatnonzero(variants == code)
        if len(places):
            at = torch.from_numpy(places).to(contents.device)
            steering[at] = contents.take(stem, rows[at])
    return steering
