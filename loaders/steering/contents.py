"""The tensors of a dataset, however they are stored: loaded, checked, and handed out by rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from loaders.steering import checking
from loaders.steering.config import Settings
from loaders.steering.keywords import KeywordLists
from loaders.steering.residency import Residency
from loaders.steering.rows import StoredRows
from loaders.steering.sources import Rows, Stamp, open_source
from recorder.errors import DamagedError, ReadError
from recorder.format.embeddings import FIELDS, HARD_NEGATIVES, SPLITS, split_stem, tensor_file

Changed = tuple[dict[str, Rows], dict[str, str], dict[str, Stamp]]


class Contents:
    """All of a dataset that items are made of.

    In another process tensors in memory are shared or copied, as torch does it; files that are mapped are
    mapped there anew.

    Parameters
    ----------
    folder : Path
    storage_format : "pt" or "hdf5"
    settings : Settings
    splits : sequence of str
        Which splits are wanted.
    mapped : bool
        Leave the tensors in their files.
    device : torch.device
        Where tensors are kept that are not mapped.

    Attributes
    ----------
    tensors : dict of str to tensor
        By the stems of their files.
    keywords : KeywordLists
    splits : dict of str to tensor

    Raises
    ------
    ReadError
        Files are missing or damaged, or what they hold cannot be.
    """

    def __init__(
        self,
        folder: Path,
        storage_format: str,
        settings: Settings,
        splits: Sequence[str],
        *,
        mapped: bool,
        device: torch.device,
    ) -> None:
        self.folder, self.settings, self.mapped = folder, settings, mapped
        self.device = torch.device("cpu") if mapped else device
        self.users = 0
        self.origins = dict.fromkeys(FIELDS, storage_format)
        with open_source(folder, storage_format) as source:
            self.splits: dict[str, torch.Tensor] = {}
            for name in splits:
                found = source.split(name)
                if found is None:
                    raise no_split(folder, name)
                self.splits[name] = found
            self.stamps = {stem: source.stamp(stem) for stem in FIELDS if mapped}
            self.tensors = {stem: source.tensor(stem, mapped=mapped) for stem in FIELDS}
            self.keywords: KeywordLists = source.keyword_lists()
            self._watch()
            self._check(source.label)
        self._place()

    def take(self, stem: str, rows: torch.Tensor) -> torch.Tensor:
        """Copies of a tensor's rows; ``rows`` are int64 and on :attr:`device`.

        Raises
        ------
        DamagedError
            One has NaN or infinite values; of tensors in memory that was looked at before.
        """
        tensor = self.tensors[stem]
        if isinstance(tensor, StoredRows):
            found = tensor.take(rows.numpy())
        elif self.residency is None:
            found = tensor.index_select(0, rows)
        else:
            found = self._looked_up(tensor, rows, self.residency)
        if self.mapped and found.is_floating_point() and not bool(found.isfinite().all()):
            wrong = rows[~found.isfinite().reshape(len(rows), -1).all(1)][0].item()
            raise DamagedError(f"{self.folder}: {stem} has NaN or infinite values in row {wrong}")
        return found

    @staticmethod
    def _looked_up(tensor: torch.Tensor, rows: torch.Tensor, residency: Residency) -> torch.Tensor:
        found = torch.empty((len(rows), *tensor.shape[1:]), dtype=tensor.dtype)
        for start in range(0, len(rows), residency.step):
            part = rows[start : start + residency.step]
            into = found[start : start + residency.step]
            torch.index_select(tensor, 0, part, out=into)
            residency.looked_at(len(part), into.nbytes)
        return found

    def reload_negatives(self, storage_format: str) -> None:
        """Read hard negatives and their tiers again; what was there stays if they cannot be used.

        Raises
        ------
        ReadError
            They are missing, damaged, or cannot be.
        """
        with open_source(self.folder, storage_format) as source:
            stamps = {stem: source.stamp(stem) for stem in HARD_NEGATIVES if self.mapped}
            fresh = {stem: source.tensor(stem, mapped=self.mapped) for stem in HARD_NEGATIVES}
            parts = checking.Parts({**self.tensors, **fresh}, self.keywords, {}, source.label)
            checking.refuse(self.folder, checking.negatives_faults(parts, self.settings))
        if not self.mapped:
            fresh = {stem: tensor.to(self.device) for stem, tensor in _whole(fresh).items()}
        # Another mapping than before: in one step, for readers on other threads.
        self.tensors = {**self.tensors, **fresh}
        self.origins = {**self.origins, **dict.fromkeys(HARD_NEGATIVES, storage_format)}
        self.stamps = {**self.stamps, **stamps}
        self._watch()

    @property
    def nbytes(self) -> int:
        """Bytes of tensors that are in memory."""
        return sum(tensor.nbytes for tensor in (*self._held().values(), *self.splits.values()))

    def _held(self) -> dict[str, torch.Tensor]:
        """Tensors that are in memory."""
        mapped = {} if self.residency is None else self.residency.mapped
        return {stem: tensor for stem, tensor in _whole(self.tensors).items() if id(tensor) not in mapped}

    def close(self) -> None:
        """Close files, for this process."""
        for tensor in self.tensors.values():
            if isinstance(tensor, StoredRows):
                tensor.close()

    def _check(self, label: Callable[[str], str]) -> None:
        parts = checking.Parts(self.tensors, self.keywords, self.splits, label, self.residency)
        checking.refuse(self.folder, checking.faults(parts, self.settings, mapped=self.mapped))

    def _watch(self) -> None:
        mapped = [t for t in self.tensors.values() if isinstance(t, torch.Tensor)] if self.mapped else []
        self.residency = Residency(mapped) if mapped else None

    def _place(self) -> None:
        # One after the other: the copy in main memory goes with each.
        for stem in FIELDS if self.device.type != "cpu" else ():
            self.tensors[stem] = _whole({stem: self.tensors[stem]})[stem].to(self.device)

    def __getstate__(self) -> dict[str, Any]:
        state = {**self.__dict__, "users": 0}
        if self.mapped:
            state["tensors"] = self._held()
            del state["residency"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if not self.mapped:
            return
        left = [stem for stem in FIELDS if stem not in self.tensors]
        for origin in sorted({self.origins[stem] for stem in left}):
            with open_source(self.folder, origin) as source:
                for stem in (stem for stem in left if self.origins[stem] == origin):
                    self.tensors[stem] = source.tensor(stem, mapped=True)
                    if source.stamp(stem) != self.stamps[stem]:
                        what = f"{self.folder}: {source.label(stem)}"
                        raise ReadError(f"{what} is another file than the one that was opened")
        self._watch()


def no_split(folder: Path, split: str) -> ReadError:
    """The error of a split that is not there."""
    path = folder / tensor_file(split_stem(split))
    return ReadError(f"Split file not found: {path}. Valid splits are: {', '.join(SPLITS)}")


def _whole(tensors: Mapping[str, Rows]) -> dict[str, torch.Tensor]:
    return {stem: tensor for stem, tensor in tensors.items() if isinstance(tensor, torch.Tensor)}
