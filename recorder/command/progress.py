"""A progress bar on the terminal that shows itself only when something takes longer than a second."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from recorder.format.printable import printable

DELAY = 1.0


class Progress:
    """Called as ``progress(done, total)``; draws nothing before ``DELAY`` seconds have passed.

    Parameters
    ----------
    label : str
        What is being done.
    unit : str
        What is counted; ``"B"`` is shown in kB, MB and so on.
    """

    def __init__(self, label: str, unit: str) -> None:
        from tqdm import tqdm

        self._bar: tqdm[Any] = tqdm(
            desc=printable(label),
            unit=unit,
            unit_scale=unit == "B",
            delay=DELAY,
            leave=False,
            dynamic_ncols=True,
            disable=None,  # where stderr is no terminal
        )

    def __call__(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
