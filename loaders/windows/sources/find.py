"""Which file a subject's samples are in."""

from __future__ import annotations

import os
from pathlib import Path

from loaders.windows.sources.arrays import ArrayFile
from loaders.windows.sources.physiology import SUFFIXES, PhysiologyFile, Picks
from loaders.windows.sources.source import Source
from loaders.windows.sources.tensors import SUFFIX, TensorFile
from recorder.errors import OptionError, ReadError

ARRAYS = (".npz", ".npy")
KNOWN = (*ARRAYS, SUFFIX, *SUFFIXES)


def source_of(path: str | os.PathLike[str], picks: Picks = None) -> Source:
    """A file as a source of samples; it need not be there yet.

    Raises
    ------
    OptionError
        Its suffix is none of ``KNOWN``.
    """
    place = Path(path)
    suffix = place.suffix.lower()
    if suffix in ARRAYS:
        return ArrayFile(place)
    if suffix == SUFFIX:
        return TensorFile(place)
    if suffix in SUFFIXES:
        return PhysiologyFile(place, picks)
    raise OptionError(f"{place}: windows are made from {', '.join(KNOWN)}, got {suffix or 'no suffix'!r}")


def find_subject(subject: str, folder: Path, base: Path | None, picks: Picks = None) -> Source:
    """The file of a subject: ``<folder>/<subject>.*``, else its ``.fif`` below ``base``.

    Of several formats the first of ``KNOWN`` is taken. Below ``base`` the places are
    ``<subject>/meg/<subject>_task-rest_meg.fif`` and ``<subject>.*``.

    Raises
    ------
    ReadError
        There is none.
    """
    places = [folder / f"{subject}{suffix}" for suffix in KNOWN]
    if base is not None:
        places.append(base / subject / "meg" / f"{subject}_task-rest_meg.fif")
        places += [base / f"{subject}{suffix}" for suffix in KNOWN]
    for place in places:
        if place.is_file():
            return source_of(place, picks)
    below = "" if base is None else f" nor below {base}"
    raise ReadError(f"no data: neither {folder / subject}.npz nor another format there{below}")
