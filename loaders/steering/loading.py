"""Datasets in a ``DataLoader``, and a look at its first batch."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from loaders.steering.checking import DISTANCE_ROUNDING
from loaders.steering.dataset import JASPERSteeringDataset
from loaders.steering.items import ITEM, collate
from loaders.steering.opening import Folder
from recorder.errors import BatchError

logger = logging.getLogger("loaders.steering")


def create_loader(
    dataset_dir: Folder,
    split: str,
    batch_size: int,
    num_workers: int = 0,
    distributed: bool = False,
    epoch: int = 0,
    drop_last: bool | None = None,
    pin_memory: bool = True,
    *,
    storage_format: str = "auto",
    use_mmap: bool | None = None,
) -> DataLoader[Any]:
    """Batches of a split, shuffled for training.

    Parameters
    ----------
    dataset_dir, split, epoch, storage_format, use_mmap
        As :class:`JASPERSteeringDataset`'s.
    batch_size, num_workers : int
        As the ``DataLoader``'s.
    distributed : bool
        Give each process of ``torch.distributed`` its part.
    drop_last : bool, optional
        Leave the last batch out if it is smaller; by default for training.
    pin_memory : bool
        Have batches in memory that is copied to the GPU faster; without a GPU it does nothing.

    Returns
    -------
    DataLoader
        With the dataset as ``dataset_obj`` and the distributed sampler, or None, as ``sampler_obj``.

    Raises
    ------
    ReadError, EmptySplitError, OptionError
        As :class:`JASPERSteeringDataset`.
    """
    dataset = JASPERSteeringDataset(
        dataset_dir, split, epoch, storage_format=storage_format, use_mmap=use_mmap
    )
    training = split == "train"
    drop = training if drop_last is None else drop_last
    if drop and len(dataset) < batch_size:
        logger.warning(
            "%d samples make no batch of %d, and drop_last leaves them out", len(dataset), batch_size
        )
    sampler: DistributedSampler[Any] | None = None
    if distributed:
        sampler = DistributedSampler(dataset, shuffle=training, drop_last=drop)
        sampler.set_epoch(epoch)
    loader: Any = DataLoader(
        dataset,
        batch_size=batch_size,
        shuffle=training and sampler is None,
        sampler=sampler,
        num_workers=num_workers,
        collate_fn=collate,
        pin_memory=pin_memory and torch.cuda.is_available(),
        drop_last=drop,
    )
    loader.dataset_obj, loader.sampler_obj = dataset, sampler
    found: DataLoader[Any] = loader
    return found


def set_epoch(loader: DataLoader[Any], epoch: int) -> None:
    """Set the epoch of a loader's dataset, and of its sampler where that has one.

    Raises
    ------
    OptionError
        It is no integer from 0 on.
    """
    dataset: Any = loader.dataset
    dataset.set_epoch(epoch)
    if isinstance(loader.sampler, DistributedSampler):
        loader.sampler.set_epoch(epoch)


def validate_first_batch(loader: DataLoader[Any]) -> bool:
    """Look at the first batch of a loader of :class:`JASPERSteeringDataset`.

    Returns
    -------
    bool
        True.

    Raises
    ------
    BatchError
        An ``AssertionError``: there is no batch, or keys, shapes or values are not what they must be.
    """
    batch = next(iter(loader), None)
    _require(batch is not None, "the loader has no batch")
    assert batch is not None
    lacks = [key for key in ITEM if key not in batch]
    _require(not lacks, f"the batch lacks {', '.join(lacks)}")
    dataset: Any = loader.dataset
    d, n = dataset.embedding_dim, dataset.n_neg
    count = len(batch["steering_variant"])
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(ITEM[:3], (d,))
    shapes |= {"negative_embs": (n, d), "negative_tiers": (n,)}
    for key in ITEM:
        expected, tensor = (count, *shapes.get(key, ())), batch[key]
        _require(
            tuple(tensor.shape) == expected, f"{key} has shape {tuple(tensor.shape)}, expected {expected}"
        )
        _require(bool(torch.isfinite(tensor).all()), f"{key} has NaN or infinite values")
    _within(batch, "cluster_id", 0, len(dataset.centroid_embs) - 1)
    _within(batch, "relevance", 0, 1)
    # As when the dataset was loaded: distances of float32 leave their bounds a little.
    _within(batch, "centroid_distance", -DISTANCE_ROUNDING, 2 + DISTANCE_ROUNDING)
    _within(batch, "steering_variant", 0, 3)
    _within(batch, "negative_tiers", 1, 4)
    return True


def _within(batch: dict[str, torch.Tensor], key: str, least: float, most: float) -> None:
    tensor = batch[key]
    if tensor.numel():
        low, high = (end.item() for end in tensor.aminmax())
        _require(least <= low <= high <= most, f"{key} is from {low} to {high}, expected {least} to {most}")


def _require(holds: bool, text: str) -> None:
    # Not `assert`, which python -O leaves out.
    if not holds:
        raise BatchError(text)
