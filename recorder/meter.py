"""The progress line: steps, steps a second, on standard error, when it was asked for."""

from __future__ import annotations

from typing import Any


class Meter:
    """Counts steps block by block, so that showing them costs the loop nothing."""

    def __init__(self, shown: bool, name: str) -> None:
        self._bar: Any = None
        if shown:
            from tqdm.auto import tqdm

            self._bar = tqdm(desc=name, unit=" steps", unit_scale=True, mininterval=0.5)

    def add(self, steps: int) -> None:
        """So many steps were handed over."""
        if self._bar is not None:
            self._bar.update(steps)

    def close(self) -> None:
        """Leave the line as it stands."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
