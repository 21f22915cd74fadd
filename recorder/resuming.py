"""A recording that has ended, taken up again: what its file says, and the change that opens it once more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from recorder import randomness
from recorder.environment import command_line, runtime_info
from recorder.errors import OptionError, ReadError
from recorder.format.layout import (
    CHECKPOINTS,
    CODE_SNAPSHOT,
    ENDED_BY,
    GIT_INFO,
    RESUMED,
    RUNNING,
)
from recorder.h5.former import FormerFile
from recorder.h5.skeleton import hdf5_versions, put_text
from recorder.h5.tree import get_document, put_document
from recorder.options import RecordingOptions

FIXED = ("experiment_name", "output_base_dir", "compression", "compression_level", "chunk_size")
"""Options that a recording keeps."""


@dataclass(frozen=True)
class Checkpoint:
    """The newest checkpoint of a recording that was taken up again.

    Attributes
    ----------
    name : str
        As it stands in the file, ``<name>_<HHMMSS>``.
    time : str
        When it was saved, ISO 8601.
    episode_count : int
        Episodes that had been started by then.
    state : dict
        What was saved.
    generators : dict
        Random generators by name, those that were given or new ones, in the states that were saved.
    """

    name: str
    time: str
    episode_count: int
    state: dict[str, Any]
    generators: dict[str, Any]


@dataclass(frozen=True)
class Former:
    """What the file of a recording says of it."""

    path: Path
    options: RecordingOptions
    file: FormerFile

    @classmethod
    def of(cls, path: Path, given: Mapping[str, Any]) -> Former:
        """Of the file at ``path``, which is whole and in nobody's use.

        Raises
        ------
        ReadError
            It is no recording of the exporter that resumes.
        OptionError
            An option that the recording keeps, or that cannot be what it is.
        """
        found = FormerFile.read(path)
        if found.exporter != "optimized":
            raise ReadError(
                f"{path} was written by {found.exporter or 'another system'}: only recordings of "
                "DataExporter can be resumed"
            )
        if found.status == RUNNING:
            raise ReadError(
                f"{path} says that it is running, and nothing lies beside it to repair it from: "
                "its ring is lost"
            )
        kept = sorted(given.keys() & set(FIXED))
        if kept:
            raise OptionError(f"{kept[0]} is the recording's own, and cannot be given when it is resumed")
        unknown = sorted(given.keys() - RecordingOptions.__dataclass_fields__.keys())
        if unknown:
            raise OptionError(f"there is no option {unknown[0]!r}")
        own = {**found.options, "output_base_dir": path.parent.parent, **given}
        return cls(path, RecordingOptions(**own), found)

    @property
    def saved(self) -> set[str]:
        """What can be saved once, and was."""
        names = {GIT_INFO: GIT_INFO, CODE_SNAPSHOT: CODE_SNAPSHOT}
        found = {what for group, what in names.items() if group in self.file.groups}
        return found | ({"network_structure"} if self.file.has_network else set())

    def checkpoint(self, generators: Mapping[str, Any]) -> Checkpoint | None:
        """The newest checkpoint, whose generators :meth:`restore` puts into their states; None without any.

        Raises
        ------
        InputError
            A generator of another name or sort than was saved; none was changed.
        ReadError
            There are no states for the generators that were given.
        DamagedError
        """
        newest = self.file.newest_checkpoint
        if newest is None:
            if generators:
                raise ReadError(f"{self.path} has no checkpoint to put random generators back to")
            return None
        name, facts, state, states = newest
        made: dict[str, Any] = {}
        if states is not None:
            randomness.check(states, generators)
            made = randomness.new(states, without=generators)
        elif generators:
            raise ReadError(
                f"{self.path}: {CHECKPOINTS}/{name} was saved without states of random generators"
            )
        return Checkpoint(
            name,
            str(facts.get("timestamp", "")),
            int(facts.get("episode_count", 0)),
            state,
            made | dict(generators),
        )

    def restore(self, generators: Mapping[str, Any]) -> None:
        """Put the global random generators, and those given, into the newest checkpoint's states."""
        newest = self.file.newest_checkpoint
        if newest is not None and newest[3] is not None:
            randomness.put(newest[3], generators)

    def reopened(self, output_dir: Path, checkpoint: Checkpoint | None) -> Callable[[Any], None]:
        """The change after which the recording runs again, and says that it was resumed."""
        entry = {
            "time": datetime.now().isoformat(),
            "status": self.file.status,
            "end_time": self.file.end_time,
            "ended_by": self.file.ended_by,
            "episode_count": self.file.episode_count,
            "checkpoint": None if checkpoint is None else checkpoint.name,
            "command_line": command_line(),
            "runtime": runtime_info(output_dir, hdf5_versions()),
        }

        def change(file: Any) -> None:
            put_document(file, RESUMED, [*get_document(file, RESUMED, []), entry])
            put_text(file, "status", RUNNING)
            for name in ("end_time", ENDED_BY, "episode_count", "total_episodes"):
                if name in file.attrs:
                    del file.attrs[name]

        return change
