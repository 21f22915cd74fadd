"""From an EDF file to 19 signals in µV, read by MNE; see note 0027."""

from __future__ import annotations

import re
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loaders.windows.eeg.edfheader import DATE, EdfHeader, look
from loaders.windows.eeg.settings import ALIASES, CHANNELS, INTERPOLATED, MONTAGE
from recorder.errors import DamagedError, MissingChannelsError, MissingExtraError

_CANONICAL = {name.upper(): name for name in CHANNELS} | {a.upper(): name for a, name in ALIASES.items()}
_MICROVOLTS = 1e6


def electrode(label: str) -> str | None:
    """The electrode of a signal's name, as ``"T3"`` of ``"EEG T7-REF"``; None where it is none of ours."""
    name = re.sub(r"-(LE|REF|AR)$", "", label.replace(" ", "").upper().removeprefix("EEG"))
    return _CANONICAL.get(name)


def map_channels(labels: Sequence[str]) -> dict[str, int]:
    """Which signals are the electrodes, by their numbers; those that can be interpolated may be missing.

    Raises
    ------
    MissingChannelsError
        Others are missing, or one is there twice.
    """
    found: dict[str, list[int]] = {}
    for number, label in enumerate(labels):
        name = electrode(label)
        if name is not None:
            found.setdefault(name, []).append(number)
    missing = {name for name in CHANNELS if name not in found} - set(INTERPOLATED)
    if missing:
        named = ", ".join(repr(name) for name in CHANNELS if name in missing)
        raise MissingChannelsError(f"Missing required channels: {{{named}}}; there are {list(labels)}")
    twice = {name: [labels[k] for k in numbers] for name, numbers in found.items() if len(numbers) > 1}
    if twice:
        raise MissingChannelsError(
            f"several signals are one channel, and which is meant is not said: {twice}"
        )
    return {name: numbers[0] for name, numbers in found.items()}


def read_recording(path: Path) -> tuple[NDArray[np.float32], float]:
    """The signals of a recording.

    Returns
    -------
    tuple of array and float
        ``(19, samples)`` float32 in µV, in the order of :data:`CHANNELS`, and samples a second.

    Raises
    ------
    FileNotFoundError
    DamagedError
        It is no EDF file, is cut off, or its signals have different rates.
    MissingChannelsError, DiscontinuousError
    MissingExtraError
        MNE is not installed.
    """
    header, channels = _looked(path)
    labels = [header.labels[k] for k in channels.values()]
    mne = _mne()
    with warnings.catch_warnings():
        # Of dates and units that it does not know. What matters was looked at before.
        warnings.simplefilter("ignore")
        try:
            found, rate = _signals(mne, path, labels, header)
        except (ValueError, RuntimeError, OSError, IndexError, AssertionError, NotImplementedError) as error:
            raise DamagedError(f"{path} cannot be read: {error}") from error
        signals = {name: found[label] for name, label in zip(channels, labels, strict=True)}
        if len(signals) < len(CHANNELS):
            signals = _interpolated(mne, signals, rate)
    out = np.empty((len(CHANNELS), len(signals["Cz"])), np.float32)
    for row, name in enumerate(CHANNELS):
        np.multiply(signals[name], _MICROVOLTS, out=out[row], casting="same_kind")
    return out, rate


def length_of(path: Path) -> tuple[int, float]:
    """Samples and rate of a recording, from its header alone; errors as :func:`read_recording`'s."""
    header, channels = _looked(path)
    samples = header.samples[next(iter(channels.values()))]
    return samples * header.records, samples / header.seconds


def _looked(path: Path) -> tuple[EdfHeader, dict[str, int]]:
    header = look(path)
    try:
        channels = map_channels(header.labels)
    except MissingChannelsError as error:
        # The message that callers know begins the line.
        raise MissingChannelsError(f"{error} in {path}") from None
    rates = {header.samples[k] for k in channels.values()}
    if len(rates) > 1 or not rates.isdisjoint({0}) or not header.seconds > 0:
        raise DamagedError(f"{path}: its channels have {sorted(rates)} samples in {header.seconds} seconds")
    return header, channels


def _signals(mne: Any, path: Path, labels: list[str], header: EdfHeader) -> tuple[dict[str, Any], float]:
    """The signals of these names in volts, float64."""
    options = {"preload": False, "include": labels, "stim_channel": None, "verbose": "ERROR"}

    def read(place: Path) -> tuple[dict[str, Any], float]:
        raw = mne.io.read_raw_edf(place, **options)
        return dict(zip(raw.ch_names, raw.get_data(), strict=True)), float(raw.info["sfreq"])

    try:
        return read(path)
    except ValueError:
        if b":" not in header.date:
            raise
    with tempfile.TemporaryDirectory(prefix="flightrec-edf-") as folder:
        copy = Path(folder) / path.name
        shutil.copyfile(path, copy)
        with copy.open("r+b") as file:
            file.seek(DATE.start)
            file.write(header.date.replace(b":", b"."))
        return read(copy)


def _interpolated(mne: Any, signals: dict[str, Any], rate: float) -> dict[str, Any]:
    missing = [name for name in CHANNELS if name not in signals]
    nothing = np.zeros_like(next(iter(signals.values())))
    rows = np.array([signals.get(name, nothing) for name in CHANNELS])
    raw = mne.io.RawArray(rows, mne.create_info(list(CHANNELS), rate, "eeg"), verbose="ERROR")
    raw.set_montage(MONTAGE, verbose="ERROR")
    raw.info["bads"] = missing
    raw.interpolate_bads(verbose="ERROR")
    return dict(zip(CHANNELS, raw.get_data(), strict=True))


def _mne() -> Any:
    try:
        import mne
    except ImportError as error:
        raise MissingExtraError("reading EDF needs MNE: python -m pip install 'flightrec[eeg]'") from error
    return mne
