"""All windows of a list of recordings, for training: built where they are missing, read at random."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loaders.windows.eeg.cache import complete, keep_labels, make_jobs
from loaders.windows.eeg.flags import say
from loaders.windows.eeg.folder import DECODED_BYTES
from loaders.windows.eeg.index import read_index
from loaders.windows.eeg.item import Item, ItemDataset, as_item, need_torch
from loaders.windows.eeg.npzread import Window
from loaders.windows.eeg.one import Job, Prepared, build, prepare
from loaders.windows.eeg.paths import PathLike
from loaders.windows.eeg.preprocess import resampled_length, window_starts
from loaders.windows.eeg.recording import length_of
from loaders.windows.groups import Groups
from recorder.errors import CacheMissingError, DamagedError, OptionError
from recorder.h5.reading.perprocess import PerProcess

if TYPE_CHECKING:
    import torch

_PREPARED = 2


class EEGWindowDataset(ItemDataset):
    """Windows of 60 s, one each 10 s, of recordings in their order.

    Missing and stale files of the cache are built at construction, by as many processes as there are cores.
    Instances go to the workers of a DataLoader by fork or pickle; every process opens files for itself.

    Parameters
    ----------
    edf_files : sequence of path
        Recordings. They need not be there as long as their windows are.
    label_files : sequence of path or None, optional
        Annotations, ``.csv`` or ``.npy``, one a recording. Without, labels are those that are cached, and
        zeros where there are none.
    cache_dir : path, optional
        Folder of the windows; made where there is none. Without, windows are computed as they are read,
        and a process keeps the last two recordings.
    transform : callable, optional
        Called with a window; its result is returned in the window's place.
    allow_on_demand : bool
        Compute the windows of a file again that has gone since construction; else reading them raises.
    allow_missing_labels : bool
        Take an annotation file that is missing for one without seizures.
    allow_damaged : bool
        Leave out recordings that cannot be used; they are said.
    stored : "npz" or "hdf5", optional
        Where new windows go; by default to the HDF5 file if the folder has one.
    workers : int, optional
        Processes that build.
    decoded_bytes : int
        What a process keeps decoded of files that the older program wrote; ours are read by windows.

    Attributes
    ----------
    edf_files : list of Path
    window_counts : list of int

    Raises
    ------
    MissingAnnotationError
        A recording that is to be built has no annotation file, or ``label_files`` does not say where those of
        windows with labels are; nothing was built.
    CacheBuildError
        Recordings that cannot be used; all others were built.
    OptionError
        Arguments that do not go together.
    MissingExtraError
        torch is not installed, or MNE where something is to be built.
    """

    def __init__(
        self,
        edf_files: Sequence[PathLike],
        label_files: Sequence[PathLike | None] | None = None,
        cache_dir: PathLike | None = None,
        transform: Callable[[torch.Tensor], Any] | None = None,
        allow_on_demand: bool = True,
        *,
        allow_missing_labels: bool = False,
        allow_damaged: bool = False,
        stored: str | None = None,
        workers: int | None = None,
        decoded_bytes: int = DECODED_BYTES,
    ) -> None:
        need_torch()
        self.transform, self.allow_on_demand = transform, allow_on_demand
        place = Path() if cache_dir is None else Path(cache_dir)
        self._jobs = make_jobs(edf_files, label_files, place, allow_missing_labels=allow_missing_labels)
        self.edf_files = [job.edf for job in self._jobs]
        self._folder = None
        self._prepared: PerProcess[_Recordings] = PerProcess(_Recordings)
        if cache_dir is None:
            if not allow_on_demand:
                raise OptionError(
                    "without cache_dir windows are computed on demand, which allow_on_demand=False forbids"
                )
            self.window_counts = [len(window_starts(resampled_length(*length_of(f)))) for f in self.edf_files]
        else:
            self._folder, self.window_counts = complete(
                self._jobs,
                place,
                stored=stored,
                workers=workers,
                allow_damaged=allow_damaged,
                decoded_bytes=decoded_bytes,
            )
        self._jobs = [job.absolute() for job in self._jobs]
        self._groups = Groups.of_counts([job.target.name for job in self._jobs], self.window_counts)
        say(f"[DATA] Dataset ready! Total windows: {len(self)}")

    def __len__(self) -> int:
        return self._groups.total

    def __getitem__(self, index: int) -> Item:
        """A window ``(19, 15360)`` and its labels ``(15360,)``, float32, memory of their own.

        Labels are zeros where there are none.

        Raises
        ------
        IndexError
        CacheMissingError
            Its file has gone, and windows are not computed on demand.
        MissingAnnotationError
            Its file has gone, which had labels, and ``label_files`` does not say where these are.
        DamagedError
            Its file is damaged, or another one than was counted.
        """
        number = int(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"there are windows 0 to {len(self) - 1}, not {index}")
        group, within = self._groups.locate(number % len(self))
        return as_item(*self._read(self._jobs[group], within), self.transform)

    def _read(self, job: Job, number: int) -> tuple[Window, Window | None]:
        if self._folder is None:
            return self._prepared.get().window(job, number)
        name = job.target.name
        try:
            try:
                return self._folder.window(name, number)
            except FileNotFoundError as error:
                if not self.allow_on_demand:
                    raise CacheMissingError(
                        f"Cache missing for {job.edf}: {job.target}, on-demand disabled"
                    ) from error
            keep_labels([job], self._folder, read_index(self._folder.path, self._jobs, quiet=True))
            build(job)
            return self._folder.window(name, number)
        except IndexError as error:
            raise DamagedError(
                f"{job.target} is another file than the one that was counted: {error}"
            ) from error


class _Recordings:
    """The recordings that a process has read last, ready to be cut into windows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Path, Prepared] = OrderedDict()

    def window(self, job: Job, number: int) -> tuple[Window, Window | None]:
        with self._lock:
            found = self._kept.pop(job.edf, None) or prepare(job)
            self._kept[job.edf] = found
            while len(self._kept) > _PREPARED:
                self._kept.popitem(last=False)
        window, labels = found.window(number)
        return window.copy(), None if labels is None else labels.copy()

    def close(self) -> None:
        """Forget them."""
        self._kept.clear()
