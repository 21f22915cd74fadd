"""Question and source embeddings with steering vectors, as a dataset for torch."""

from __future__ import annotations

import logging
import operator
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from loaders.steering.choosing import choose_negatives
from loaders.steering.config import VARIANTS
from loaders.steering.contents import Contents
from loaders.steering.drawing import draw
from loaders.steering.items import Item, Items, gather
from loaders.steering.opening import Folder, device_of, open_contents
from loaders.steering.state import State
from loaders.steering.to_hdf5 import convert_pt_to_hdf5
from loaders.steering.to_pt import convert_hdf5_to_pt
from recorder.errors import ClosedError, EmptySplitError, NoItemError, OptionError
from recorder.format.embeddings import CENTROIDS, FIELDS, KEYWORD_LISTS, KEYWORDS, QUESTIONS, SOURCES, SPLITS

logger = logging.getLogger("loaders.steering")

_MB = 1 << 20
_COUNTED = (QUESTIONS, SOURCES, KEYWORDS, CENTROIDS)


class JASPERSteeringDataset(Dataset[Item]):
    """Samples of (question, steering, source) with hard negatives, from one folder.

    A sample is a dict of fresh tensors on ``device``, ``D`` values an embedding and ``n_neg`` negatives:
    ``question_emb``, ``target_source_emb``, ``steering`` ``(D,)``, ``negative_embs`` ``(n_neg, D)``,
    ``cluster_id``, ``relevance``, ``centroid_distance`` scalars, ``steering_variant`` (int64: 0 zero,
    1 centroid, 2 keyword, 3 residual), ``negative_tiers`` ``(n_neg,)``; dtypes as stored.

    The kind of steering of a sample depends on its number and the epoch alone. The epoch and a forced kind
    are shared with the workers of a ``DataLoader``, persistent ones too.

    Parameters
    ----------
    dataset_dir : path
        With ``config.json`` and either ``dataset.h5`` or ``.pt`` files.
    split : "train", "val" or "test"
    epoch : int
        From 0 on.
    device : torch.device, optional
        Where all tensors are put when they are loaded; the CPU by default. Mapped ones stay in their files,
        and samples are moved there.
    storage_format : "auto", "pt" or "hdf5"
        ``"auto"`` takes whichever is newest and whole; the log says which, and why.
    use_mmap : bool, optional
        Leave tensors in their files and read what a sample needs. By default where ``config.json`` lets
        expect more than 10 GiB, and on the CPU. Then NaN and infinite values are noticed when a sample has
        them, and not when the dataset is opened.

    Attributes
    ----------
    config : dict
        All of ``config.json``.
    embedding_dim, n_neg : int
    device : torch.device
    storage_format : "pt" or "hdf5"
    use_mmap : bool
    split : str
    split_indices : torch.Tensor
        Pair numbers of the split.
    question_embs, source_embs, keyword_embs, centroid_embs, pair_index, ... : torch.Tensor
        All tensors by the stems of their files. Mapped ones are for reading; compressed ones that are
        not in memory are read by indexing them.
    pair_keyword_ids : sequence of list of int

    Raises
    ------
    ReadError
        A ``ValueError``: the folder, ``config.json``, the data or the split are missing or damaged, or the
        data contradict themselves; a missing tensor is a ``FileNotFoundError`` as well.
    EmptySplitError
        A ``RuntimeError``: the split has no pair.
    OptionError
        A ``ValueError``: an argument cannot be what it is.
    """

    def __init__(
        self,
        dataset_dir: Folder,
        split: str,
        epoch: int = 0,
        device: torch.device | None = None,
        storage_format: str = "auto",
        use_mmap: bool | None = None,
    ) -> None:
        opened = open_contents(dataset_dir, [split], device, storage_format, use_mmap)
        self._begin(opened, split, epoch, device_of(device))

    def _begin(self, contents: Contents, split: str, epoch: int, device: torch.device) -> None:
        pairs = contents.splits[split]
        if not len(pairs):
            raise EmptySplitError(f"The {split} split of {contents.folder} is empty")
        contents.users += 1
        self._contents: Contents | None = contents
        self.split, self.device, self.use_mmap = split, device, contents.mapped
        self.storage_format = contents.origins[next(iter(FIELDS))]
        self.config = contents.settings.given
        self.embedding_dim, self.n_neg = contents.settings.dimension, contents.settings.negatives
        self._pairs: NDArray[np.int64] = pairs.numpy().astype(np.int64)
        self.split_indices = pairs if contents.mapped else pairs.to(device)
        self._state = State(epoch)
        self._drawn: tuple[int, NDArray[np.int64]] | None = None
        counts = [f"{len(contents.tensors[_embeddings(name)])} {name}" for name in _COUNTED]
        logger.info("Split size: %d", len(pairs))
        logger.info("Loaded embeddings: %s", ", ".join(counts))
        logger.info(
            "Dataset initialized: %d samples, embedding_dim=%d, n_neg=%d, device=%s, memory=%.1f MB",
            len(pairs),
            self.embedding_dim,
            self.n_neg,
            device,
            contents.nbytes / _MB,
        )

    def __len__(self) -> int:
        self._opened()
        return len(self._pairs)

    def __getitem__(self, index: int) -> Item:
        """One sample.

        Raises
        ------
        NoItemError
            An ``IndexError``: there is none of this number.
        DamagedError
            Of a mapped dataset: an embedding has NaN or infinite values.
        ClosedError
        """
        return self.__getitems__([operator.index(index)])[0]

    def __getitems__(self, indices: Sequence[int]) -> Items:
        """Several samples, in the order asked for, that lie side by side in memory.

        Raises
        ------
        NoItemError, DamagedError, ClosedError
            As for one sample.
        """
        contents = self._opened()
        wanted = np.asarray(indices)
        if wanted.size and wanted.dtype.kind not in "iu":
            raise TypeError(f"numbers of samples are integers, got {wanted.dtype}")
        wanted = wanted.astype(np.int64)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= len(self._pairs)):
            wrong = wanted[(wanted < 0) | (wanted >= len(self._pairs))][0]
            raise NoItemError(f"Index {wrong} out of range [0, {len(self._pairs)})")
        batch = gather(contents, self._pairs[wanted], self._variants()[wanted])
        if contents.device != self.device:
            batch = {key: tensor.to(self.device) for key, tensor in batch.items()}
        return Items(batch)

    def __getattr__(self, name: str) -> Any:
        if name in FIELDS or name in (KEYWORD_LISTS, "split_indices"):
            contents = self._opened()
            return contents.keywords if name == KEYWORD_LISTS else contents.tensors[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def current_epoch(self) -> int:
        """The epoch that was set last."""
        return self._state.epoch

    @property
    def steering_probs(self) -> dict[str, float]:
        """Probabilities of ``zero``, ``centroid``, ``keyword`` and ``residual`` in this epoch."""
        return self._opened().settings.steering(self.current_epoch)

    def set_epoch(self, epoch: int) -> None:
        """Draw the kinds of steering anew, with the probabilities of an epoch.

        Raises
        ------
        OptionError
            It is no integer from 0 on.
        ClosedError
        """
        self._opened()
        self._state.epoch = epoch
        probabilities = ", ".join(f"{name}={share:.2f}" for name, share in self.steering_probs.items())
        logger.info("Set epoch %d, steering probs: %s", epoch, probabilities)

    def force_steering(self, variant: str | None) -> None:
        """Give all samples the same kind of steering: ``"zero"``, ``"centroid"``, ...; None draws it again.

        Raises
        ------
        OptionError
            There is no such kind.
        ClosedError
        """
        self._opened()
        if variant is not None and variant not in VARIANTS:
            raise OptionError(f"variant must be None or one of {VARIANTS}, got {variant!r}")
        self._state.forced = None if variant is None else VARIANTS.index(variant)
        logger.info("Forced steering variant: %s", variant)

    def reload_negatives(self) -> None:
        """Read ``hard_negatives`` and ``negative_tiers`` again, from whichever files are newest.

        Workers that are at work keep theirs; those of the next epoch have the new ones, unless they persist.

        Raises
        ------
        ReadError
            They are missing, damaged or cannot be; then those from before stay.
        ClosedError
        """
        contents = self._opened()
        found = choose_negatives(contents.folder, self.storage_format)
        contents.reload_negatives(found)
        logger.info("Reloaded hard negatives from %s files in %s", found, contents.folder)

    def close(self) -> None:
        """Let go of tensors and files; everything but this raises ClosedError from then on. Idempotent."""
        contents, self._contents = self._contents, None
        if contents is None:
            return
        contents.users -= 1
        if not contents.users:
            contents.close()
        del self.split_indices
        logger.info("Dataset closed. %d samples of the %s split were served", len(self._pairs), self.split)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._contents is not None:
            self._contents.users += 1

    def _opened(self) -> Contents:
        contents = self.__dict__.get("_contents")
        if contents is None:
            raise ClosedError("the dataset has been closed: open another one")
        found: Contents = contents
        return found

    def _variants(self) -> NDArray[np.int64]:
        """The kind of steering of every sample."""
        epoch, forced = self._state.epoch, self._state.forced
        if forced is not None:
            return np.full(len(self._pairs), forced, np.int64)
        if self._drawn is None or self._drawn[0] != epoch:
            probabilities = self._opened().settings.steering(epoch)
            self._drawn = epoch, draw(epoch, len(self._pairs), probabilities)
        return self._drawn[1]

    @staticmethod
    def create_combined_splits(
        dataset_dir: Folder,
        epoch: int = 0,
        device: torch.device | None = None,
        storage_format: str = "auto",
        use_mmap: bool | None = None,
    ) -> dict[str, JASPERSteeringDataset]:
        """The datasets of all splits by name, which share their tensors; arguments as the constructor's."""
        contents = open_contents(dataset_dir, SPLITS, device, storage_format, use_mmap)
        found = {}
        for split in SPLITS:
            found[split] = made = JASPERSteeringDataset.__new__(JASPERSteeringDataset)
            made._begin(contents, split, epoch, device_of(device))
        return found

    @staticmethod
    def convert_pt_to_hdf5(dataset_dir: Folder, compression: str | None = "gzip") -> None:
        """See :func:`loaders.steering.to_hdf5.convert_pt_to_hdf5`."""
        convert_pt_to_hdf5(dataset_dir, compression)

    @staticmethod
    def convert_hdf5_to_pt(dataset_dir: Folder) -> None:
        """See :func:`loaders.steering.to_pt.convert_hdf5_to_pt`."""
        convert_hdf5_to_pt(dataset_dir)


def _embeddings(name: str) -> str:
    return next(stem for stem, field in FIELDS.items() if field.rows == name)
