"""One recording of a collection: a row of its table, which opens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from loaders.experiment import ExperimentLoader
from recorder.format.printable import printable


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

    def encodable(self) -> dict[str, Any]:
        """A fresh dict of the columns, in whose texts bytes that are not UTF-8 are written as escapes.

        File names may have such bytes; what keeps texts as UTF-8, as pandas does, refuses them.
        """
        return {key: _encodable(value) for key, value in self.items()}

    def load(self) -> ExperimentLoader:
        """Open the recording; one that was killed is repaired."""
        return ExperimentLoader(self.file)

    def __repr__(self) -> str:
        return printable(f"<{self.name}: {self['status']}, {self.get('steps', 0):,} steps>")


def _encodable(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
