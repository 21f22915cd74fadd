"""MEG and EEG files through MNE: ``.fif``, EDF and BDF, read in pieces."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loaders.windows.eeg.edfheader import BDF, EDF, look
from loaders.windows.sources.source import file_fingerprint
from recorder.errors import ReadError

SUFFIXES = (".fif", ".edf", ".bdf")
UNITS = {"mag": "fT", "grad": "fT/cm", "eeg": "uV"}
"""Of what is read. In tesla, a window's deviation would drown in the epsilon of its normalisation."""

Picks = str | tuple[str, ...] | None


@dataclass(frozen=True)
class PhysiologyFile:
    """A file that MNE reads.

    Attributes
    ----------
    path : Path
    picks : str, tuple of str, or None
        Channels, by type or name as MNE takes them; None for all MEG channels, or all data channels where
        there are none of MEG.
    """

    path: Path
    picks: Picks = None

    def open(self, scratch: Path) -> PhysiologySamples:  # noqa: ARG002 - as every source
        """See :class:`Source`."""
        return PhysiologySamples(self.path, self.picks)

    def fingerprint(self) -> dict[str, Any]:
        """See :class:`Source`."""
        picks = list(self.picks) if isinstance(self.picks, tuple) else self.picks
        return {**file_fingerprint(self.path), "picks": picks}

    def place(self) -> dict[str, str]:
        """See :class:`Source`."""
        return {"folder": os.fspath(self.path.resolve().parent), "format": self.path.suffix[1:].lower()}


class PhysiologySamples:
    """A file open in MNE, which reads for one thread at a time."""

    def __init__(self, path: Path, picks: Picks) -> None:
        try:
            import mne
        except ImportError as error:
            raise ReadError(f"{path}: reading it needs MNE: pip install mne") from error
        _check_whole(path)
        readers = {
            ".fif": mne.io.read_raw_fif,
            ".edf": mne.io.read_raw_edf,
            ".bdf": mne.io.read_raw_bdf,
        }
        self._path, self._lock = path, threading.Lock()
        try:
            self._raw: Any = readers[path.suffix.lower()](path, preload=False, verbose="ERROR")
            self._picks, self._units = _picked(self._raw, picks)
        except Exception as error:
            # MNE raises whatever its parsers meet.
            raise ReadError(f"{path} cannot be read: {error}") from error
        if not len(self._picks):
            raise ReadError(f"{path} has no such channels: {picks or 'MEG, or data'}")
        self.channels, self.samples = len(self._picks), int(self._raw.n_times)
        self.rate: float | None = float(self._raw.info["sfreq"])

    def read(self, start: int, stop: int) -> NDArray[np.float64]:
        """See :class:`Samples`; in fT, fT/cm and µV, other types in SI units."""
        try:
            with self._lock:
                data = self._raw.get_data(self._picks, start, stop, units=self._units, verbose="ERROR")
        except Exception as error:
            raise ReadError(f"{self._path}: samples {start} to {stop} cannot be read: {error}") from error
        return np.ascontiguousarray(data, np.float64)

    def close(self) -> None:
        """See :class:`Samples`."""
        self._raw.close()


def _check_whole(path: Path) -> None:
    """MNE takes what there is of a cut file, and reads over gaps."""
    kind = {".edf": EDF, ".bdf": BDF}.get(path.suffix.lower())
    if kind is not None:
        look(path, kind)


def _picked(raw: Any, picks: Picks) -> tuple[list[int], dict[str, str]]:
    import mne

    if picks is None:
        types = set(raw.get_channel_types())
        chosen: str | Sequence[str] = "meg" if types & {"mag", "grad"} else "data"
    else:
        chosen = picks if isinstance(picks, str) else list(picks)
    selected = raw.copy().pick(chosen, verbose="ERROR").ch_names
    numbers = [raw.ch_names.index(name) for name in selected]
    kinds = {mne.channel_type(raw.info, number) for number in numbers}
    return numbers, {kind: unit for kind, unit in UNITS.items() if kind in kinds}
