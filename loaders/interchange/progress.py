"""A progress bar for what is written while it is read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from loaders.interchange.columns import Column


class Watched:
    """Columns whose reads move a bar, which shows itself when it takes longer than a second.

    ``Watched("NWB")(column)`` is the column as it was, counted.
    """

    def __init__(self, label: str) -> None:
        from tqdm import tqdm

        self._bar: tqdm[Any] = tqdm(
            total=0, desc=label, unit="B", unit_scale=True, delay=1.0, leave=False, disable=None
        )

        self._then: Callable[[], None] | None = None

    @contextlib.contextmanager
    def after_each(self, then: Callable[[], None]) -> Iterator[None]:
        """Call ``then`` after each read within the block."""
        self._then = then
        try:
            yield
        finally:
            self._then = None

    def __call__(self, column: Column) -> Column:
        self._bar.total = (self._bar.total or 0) + len(column) * column.row_bytes

        def read(first: int, last: int) -> NDArray[Any]:
            found = column.read(first, last)
            self._bar.update((last - first) * column.row_bytes)
            if self._then is not None:
                self._then()
            return found

        return Column(column.shape, column.dtype, read)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
