"""What a build prints, in the words that users of the system before know, and its progress bars."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from recorder.h5.windows.layout import Settings

RULE = "=" * 50
_DELAY = 1.0


class Telling:
    """Prints, or does not."""

    def __init__(self, verbose: bool) -> None:
        self._verbose = verbose

    def _say(self, *lines: str) -> None:
        if self._verbose:
            for line in lines:
                self._write(line)

    def _write(self, line: str) -> None:
        from tqdm import tqdm

        # Above a bar that is shown.
        tqdm.write(line)

    def _head(self, title: str) -> None:
        self._say("", RULE, title, RULE)

    def bar(self, items: Iterable[Any] | None, label: str, unit: str, total: int | None = None) -> Any:
        """A progress bar with the time that is left."""
        from tqdm import tqdm

        return tqdm(
            items,
            desc=label,
            unit=unit,
            total=total,
            delay=_DELAY,
            leave=False,
            dynamic_ncols=True,
            disable=None,
        )

    def counting(self, settings: Settings, subjects: int) -> None:
        """Before sources are looked at."""
        self._head("CREATING HDF5 WINDOW CACHE - STEP 1: COUNT WINDOWS")
        self._say(
            f"Window size: {settings.window_size} samples, stride: {settings.stride}",
            f"Normalisation: {settings.normalisation}",
            f"Total subjects: {subjects}",
        )

    def failed_counting(self, subject: str, error: Exception) -> None:
        """A source cannot be used."""
        self._say(f"  ✗ Error with {subject}: {error}")

    def too_short(self, subject: str) -> None:
        """A source without a whole window."""
        self._say(f"  ✗ {subject} is shorter than a window and is left out")

    def counted(self, windows: int) -> None:
        """All sources were looked at."""
        self._say(f"✓ Total windows to create: {windows}")

    def resuming(self, subjects: int) -> None:
        """A killed build left a draft."""
        self._say(f"Going on with a build that was interrupted: {subjects} subjects are done")

    def creating(self, shape: tuple[int, ...], settings: Settings) -> None:
        """The file is about to be made."""
        size = math.prod(shape) * np.dtype(settings.dtype).itemsize
        self._head("STEP 2: CREATE EMPTY HDF5 ARRAY")
        self._say(
            f"Shape: {shape}",
            f"Dtype: {settings.dtype}",
            f"Compression: {settings.compression}",
            f"Estimated size (uncompressed): {size / 1e9:.3g} GB",
        )

    def created(self) -> None:
        """The file is there."""
        self._say("✓ HDF5 structure created")

    def filling(self, windows: int) -> Any:
        """A bar for the windows to come."""
        self._head("STEP 3: FILL HDF5 WITH DATA (VECTORIZED)")
        return self.bar(None, "Filling", "window", windows)

    def failed_filling(self, subject: str, error: Exception) -> None:
        """A source failed while it was read."""
        self._say(f"  ✗ Error processing {subject}: {error}")

    def complete(self, path: Path, windows: int, failed: int) -> None:
        """The cache is in place."""
        self._head("HDF5 CACHE CREATION COMPLETE")
        self._say(
            f"File: {path.absolute()}",
            f"Total windows: {windows}",
            f"Size: {path.stat().st_size / 1e9:.3g} GB",
        )
        if failed:
            self._say(f"✗ Subjects that failed, and are not in it: {failed}")
