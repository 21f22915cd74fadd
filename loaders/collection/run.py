"""One recording of a collection: a row of its table, which opens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from loaders.experiment import ExperimentLoader


class Run(Mapping[str, Any]):
    """What a collection knows of a recording: columns by name, as ``run["config.lr"]``.

    A column that the recording has not is a ``KeyError``; :meth:`get` gives None.

    Attributes
    ----------
    file : Path
        The HDF5 file, absolute.
    name : str
        The path of the recording's folder below that of the collection.
    """

    def __init__(self, file: Path, row: Mapping[str, Any]) -> None:
        self.file, self._row = file, row

    @property
    def name(self) -> str:
        return str(self._row["name"])

    def __getitem__(self, column: str) -> Any:
        return self._row[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self._row)

    def __len__(self) -> int:
        return len(self._row)

    @property
    def config(self) -> dict[str, Any]:
        """The configuration by dotted keys, without ``config.``."""
        return {key.removeprefix("config."): self[key] for key in self if key.startswith("config.")}

    def load(self) -> ExperimentLoader:
        """Open the recording; one that was killed is repaired."""
        return ExperimentLoader(self.file)

    def __repr__(self) -> str:
        return f"<{self.name}: {self['status']}, {self.get('steps', 0):,} steps>"
