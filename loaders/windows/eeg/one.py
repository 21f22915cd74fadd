"""Making the windows of one recording: into an NPZ, with a record of what it was made from."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loaders.windows.eeg import fingerprint
from loaders.windows.eeg.annotations import read_mask
from loaders.windows.eeg.npzwrite import NpzWriter
from loaders.windows.eeg.paths import aside
from loaders.windows.eeg.preprocess import preprocess, window_starts
from loaders.windows.eeg.recording import read_recording
from loaders.windows.eeg.settings import CHANNELS, SETTINGS, WINDOW, differences
from recorder.errors import MissingAnnotationError

RECORD = 1
"""Version of the record."""

Record = dict[str, Any]
NOTHING: Record = {"flightrec": RECORD, "settings": SETTINGS, "edf": None, "labels": None}
"""Of windows that could not be built: it fits no recording."""


@dataclass(frozen=True)
class Job:
    """A recording, its annotations and the file that its windows go to.

    Attributes
    ----------
    edf : Path
    labels : Path or None
        None: there are to be no labels.
    target : Path
    unlabelled : bool
        Whether a file of annotations that is missing means that there are no seizures.
    """

    edf: Path
    labels: Path | None
    target: Path
    unlabelled: bool = False

    def absolute(self) -> Job:
        """The same, wherever the program goes."""
        labels = None if self.labels is None else self.labels.absolute()
        return replace(self, edf=self.edf.absolute(), labels=labels, target=self.target.absolute())


@dataclass(frozen=True)
class Prepared:
    """A recording in memory: ``(19, samples)`` at 256 Hz, and the mask of its seizures, if there is one."""

    signals: NDArray[np.float32]
    mask: NDArray[np.float32] | None

    def window(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """A window and its labels, as views."""
        start = window_starts(self.signals.shape[1])[number]
        part = slice(start, start + WINDOW)
        return self.signals[:, part], None if self.mask is None else self.mask[part]


def prepare(job: Job) -> Prepared:
    """Read, filter and label a recording; errors as those of :func:`read_recording` and :func:`read_mask`."""
    signals = preprocess(*read_recording(job.edf))
    length = signals.shape[1]
    if job.labels is None:
        return Prepared(signals, None)
    try:
        return Prepared(signals, read_mask(job.labels, length))
    except MissingAnnotationError:
        if not job.unlabelled:
            raise
    return Prepared(signals, np.zeros(length, np.float32))


def build(job: Job) -> int:
    """Write a recording's NPZ; returns the number of its windows.

    Raises
    ------
    FlightrecError
        The recording or its annotations cannot be used.
    OSError
        The file cannot be written; there is none, or the one that was there.
    """
    # First: whatever changes while it is read makes the file stale.
    record = record_of(job)
    prepared = prepare(job)
    starts = window_starts(prepared.signals.shape[1])
    draft = aside(job.target)
    single = np.dtype("<f4")
    try:
        with NpzWriter(draft, json.dumps(record)) as npz:
            windows = (np.ascontiguousarray(prepared.signals[:, s : s + WINDOW]) for s in starts)
            npz.write("windows", (len(starts), len(CHANNELS), WINDOW), single, windows)
            if prepared.mask is not None:
                mask = prepared.mask
                npz.write("labels", (len(starts), WINDOW), single, (mask[s : s + WINDOW] for s in starts))
        draft.replace(job.target)
    finally:
        draft.unlink(missing_ok=True)
    return len(starts)


def record_of(job: Job) -> Record:
    """What an NPZ says of its origin; ``labels`` is null for none, and empty for a file that is missing."""
    labels: Record | None = None
    if job.labels is not None:
        labels = fingerprint.of_file(job.labels) if job.labels.exists() else {}
    return {
        "flightrec": RECORD,
        "settings": SETTINGS,
        "edf": fingerprint.of_file(job.edf),
        "labels": labels,
    }


def misfit(job: Job, record: Record | None) -> str:
    """Why windows that are there are not those of the job; empty where they are.

    Parameters
    ----------
    record : dict or None
        None: nothing is known, as of files of the older program, and nothing held against them.
    """
    if record is None:
        return ""
    other = differences(record.get("settings"))
    if other:
        return f"made with {other}"
    made = record.get("edf")
    # A cache may have gone to a machine without its recordings.
    if job.edf.exists() and not (isinstance(made, dict) and fingerprint.fits(job.edf, made)):
        return f"{job.edf} has changed"
    said = record.get("labels")
    if job.labels is None:
        # Who does not say where they are takes those that are there.
        return ""
    if said is None:
        return "made without labels"
    if not job.labels.exists():
        return "" if said or job.unlabelled else f"made without annotations: there is no {job.labels}"
    if not said:
        return f"made before there was {job.labels}"
    return "" if fingerprint.fits(job.labels, said) else f"{job.labels} has changed"
