"""What every source of windows offers, whatever its format."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from recorder.errors import ReadError


class Samples(Protocol):
    """A recording of some channels, open to be read; :meth:`read` may be called by several threads.

    Attributes
    ----------
    channels, samples : int
    rate : float or None
        Hz; None where the source does not say.
    """

    channels: int
    samples: int
    rate: float | None

    def read(self, start: int, stop: int) -> NDArray[np.float64]:
        """Samples of all channels, ``(channels, stop - start)``, fresh.

        Raises
        ------
        ReadError
            They are not there.
        """

    def close(self) -> None:
        """Let go of the file. Idempotent."""


class Source(Protocol):
    """Where a subject's samples are, unopened. It can be pickled."""

    def open(self, scratch: Path) -> Samples:
        """Open it; what has to be unpacked goes to a nameless file in the folder ``scratch``.

        Raises
        ------
        ReadError, OSError
        """

    def fingerprint(self) -> dict[str, Any]:
        """What tells that it has changed, for JSON.

        Raises
        ------
        OSError
            It is not there.
        """

    def place(self) -> dict[str, str]:
        """Its folder and format."""


def file_fingerprint(path: Path) -> dict[str, Any]:
    """Path, size and time of a file.

    Raises
    ------
    OSError
    """
    found = path.stat()
    return {"path": os.fspath(path.resolve()), "bytes": found.st_size, "mtime_ns": found.st_mtime_ns}


def checked_numbers(dtype: np.dtype[Any], shape: tuple[int, ...], where: str) -> None:
    """Only real numbers of channels and samples become windows.

    Raises
    ------
    ReadError
    """
    if dtype.kind not in "biuf":
        raise ReadError(f"{where}: expected an array of real numbers, got {dtype}")
    if len(shape) != 2 or not shape[0]:
        raise ReadError(f"{where}: expected an array (channels, samples), got shape {shape}")


def as_rate(value: Any, where: str) -> float | None:
    """A sampling rate that a file states; None stays None.

    Raises
    ------
    ReadError
        It is no positive number.
    """
    if value is None:
        return None
    try:
        rate = float(np.asarray(value).reshape(()))
    except (TypeError, ValueError) as error:
        raise ReadError(f"{where}: its sampling rate {value!r} is no number") from error
    if not (np.isfinite(rate) and rate > 0):
        raise ReadError(f"{where}: its sampling rate is {rate:g} Hz")
    return rate
