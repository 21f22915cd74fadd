"""``_dataset_index.json``: which recordings a dataset has, how many windows each, and of which contents."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loaders.windows.eeg import fingerprint
from loaders.windows.eeg.flags import say
from loaders.windows.eeg.folder import WindowFolder
from loaders.windows.eeg.one import Job
from loaders.windows.eeg.paths import INDEX, write_text
from loaders.windows.eeg.settings import SETTINGS, differences
from recorder.errors import ReadError

_VERSION = 1

SourceStamps = list[fingerprint.Stamp | None]


@dataclass(frozen=True)
class Index:
    """An index that is of the recordings asked for.

    Attributes
    ----------
    counts : dict of str to int
        Windows by the name of the NPZ.
    files : dict or None
        What was known of the files; None in an index of the older program.
    """

    counts: dict[str, int]
    files: dict[str, Any] | None

    def knows(self, job: Job, stamps: dict[str, fingerprint.Stamp]) -> bool:
        """Whether nothing has happened to a recording, its annotations and its windows since."""
        name = job.target.name
        if name not in stamps:
            return False
        if self.files is None:
            return True
        said = self.files.get(name)
        if not isinstance(said, dict) or said.get("stamp") != stamps[name]:
            return False
        edf, labels = source_stamps(job)
        if said.get("edf") != edf:
            return False
        if job.labels is None:
            return True
        return said.get("labels") == labels and (labels is not None or job.unlabelled)

    def miscounts(self, job: Job, folder: WindowFolder) -> bool:
        """Whether a file has not as many windows as an index of the older program, without stamps, says."""
        if self.files is not None:
            return False
        # A damaged file is an error once it is read.
        with contextlib.suppress(ReadError):
            return folder.count(job.target.name) != self.counts[job.target.name]
        return False

    def labelled(self, name: str) -> bool:
        """Whether the windows of a file had labels, as far as the index says."""
        said = (self.files or {}).get(name)
        return isinstance(said, dict) and bool(said.get("labelled") or said.get("labels"))

    def say_changes(self, jobs: Sequence[Job], folder: WindowFolder) -> None:
        """Name the files that are gone or have other contents than when the index was made."""
        there = folder.stamps()
        for job in jobs:
            name, said = job.target.name, (self.files or {}).get(job.target.name)
            if name not in there:
                if said is not None or self.counts[name]:
                    say(f"[WARNING] stale index: {name} is missing")
            elif self.files is None:
                say(f"[WARNING] stale index: {name} has not {self.counts[name]} windows any more")
            elif isinstance(said, dict):
                with contextlib.suppress(ReadError):
                    if folder.look(name).fingerprint != said.get("fingerprint"):
                        say(f"[WARNING] stale index: {name} has changed")


def read_index(cache_dir: Path, jobs: Sequence[Job], *, quiet: bool = False) -> Index | None:
    """The folder's index, or None where there is none for these recordings; why is said, unless ``quiet``."""
    path = cache_dir / INDEX
    try:
        found = json.loads(path.read_text("utf-8"))
        names = [Path(name).name for name in found["files"]]
        counts = [int(count) for count in found["window_counts"]]
        record = found.get("flightrec")
        if len(names) != len(counts) or min(counts, default=0) < 0:
            raise ValueError(f"{len(names)} files and {len(counts)} counts")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        if not quiet:
            say(f"[WARNING] {path} cannot be read and is made anew: {error!r}")
        return None
    if names != [job.edf.name for job in jobs]:
        return None
    if record is None:
        return Index(_by_name(jobs, counts), None)
    other = differences(record.get("settings")) if isinstance(record, dict) else "a record that is none"
    if other:
        if not quiet:
            say(f"[WARNING] {path} is stale: {other}")
        return None
    files = record.get("files")
    return Index(_by_name(jobs, counts), files if isinstance(files, dict) else {})


def write_index(
    jobs: Sequence[Job],
    counts: Sequence[int],
    sources: Sequence[SourceStamps],
    folder: WindowFolder,
    *,
    without: Collection[str] = (),
) -> None:
    """Write the index of recordings and the numbers of their windows.

    Parameters
    ----------
    sources : sequence of lists
        :func:`source_stamps` of the jobs, taken before their windows were looked at.
    without : collection of str
        NPZ names of which nothing is known: they are looked at again.

    Raises
    ------
    OSError
    """
    stamps = folder.stamps()
    files = {}
    for job, (edf, labels) in zip(jobs, sources, strict=True):
        name = job.target.name
        if name not in stamps or name in without:
            continue
        known = folder.look(name)
        files[name] = {
            "stamp": stamps[name],
            "fingerprint": known.fingerprint,
            "edf": edf,
            "labels": labels,
            "labelled": known.labelled,
        }
    record = {"version": _VERSION, "settings": SETTINGS, "files": files}
    content = {"files": [str(job.edf) for job in jobs], "window_counts": list(counts), "flightrec": record}
    write_text(folder.path / INDEX, json.dumps(content))


def _by_name(jobs: Sequence[Job], counts: Sequence[int]) -> dict[str, int]:
    return {job.target.name: count for job, count in zip(jobs, counts, strict=True)}


def source_stamps(job: Job) -> SourceStamps:
    """Stamps of a recording and of its annotations, as they are now."""
    return [_stamp(job.edf), _stamp(job.labels)]


def _stamp(path: Path | None) -> fingerprint.Stamp | None:
    """Of a source; None where it is not there."""
    try:
        return None if path is None else fingerprint.stamp(path.stat())
    except OSError:
        return None
