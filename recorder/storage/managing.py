"""Looking after the files of a store: what they hold, rotation, retention, compaction, integrity, backups."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from recorder.errors import HDF5StorageError, InputError, StorageInputError
from recorder.format.storage import EARLIEST, KINDS, MAIN_GROUPS
from recorder.h5.store import family, objects, skeleton
from recorder.h5.store.check import check_store
from recorder.h5.store.compact import compact
from recorder.h5.store.copying import back_up, members_of, put_back
from recorder.h5.store.handle import Handle
from recorder.h5.store.rotate import rotate
from recorder.h5.store.session import Session
from recorder.h5.verify.finding import Finding, Tally
from recorder.storage.objects import CompactReport
from recorder.storage.retrieving import Retrieving

logger = logging.getLogger("recorder")

DAY = 86_400.0
_ATTEMPTS = 100
"""To copy files of which one may be rotated meanwhile."""
_NEVER = 1e300
Progress = Callable[[int, int], None]
Retention = Mapping[str, float | None]


class Managing(Retrieving):
    """All of these take the store's turn, so that no other process stores meanwhile."""

    last_compaction: CompactReport | None = None
    """What the last :meth:`compact_file` of this store did."""

    def get_file_info(self) -> dict[str, Any]:
        """What there is to say of the file that is written.

        Returns
        -------
        dict
            ``file_path`` str, ``file_size_bytes`` int, ``file_size_mb`` float, ``compression`` str,
            ``chunk_size`` int, ``total_datasets`` int (not those of the index; what is shared counts once),
            ``groups`` list of str, ``created_at`` float, ``version`` str, ``objects`` dict of int by kind,
            and ``rotated_files`` list of str.
        """
        with self._speaking("describe the file"):
            info = self._session.read(self._info)
            size = self._session.size()
        return {
            "file_path": str(self.file_path),
            "file_size_bytes": size,
            "file_size_mb": size / (1024 * 1024),
            **info,
        }

    def _info(self, handle: Handle) -> dict[str, Any]:
        root = skeleton.root_of(handle)
        groups = [name for name in MAIN_GROUPS if handle.group(name) is not None]
        return {
            "compression": str(root.get("compression", "none")),
            "chunk_size": int(root.get("chunk_size", self.chunk_size)),
            "total_datasets": skeleton.count_datasets(handle, [*groups, "checkpoints"]),
            "groups": groups,
            "created_at": float(root.get("created_at", math.nan)),
            "version": str(root.get("version", "")),
            "objects": {kind: objects.count(handle, kind) for kind in KINDS},
            "rotated_files": [member.name for member in family.members_of(handle)],
        }

    def rotate_file(self) -> Path:
        """Put the file away as ``<stem>_<unix seconds><suffix>`` and begin an empty one; returns where it is.

        A name that is taken gets a number. Objects stay to be found and retrieved through this store.

        Raises
        ------
        HDF5StorageError
        """
        with self._speaking("rotate the file"):
            self._refuse_in_batch("rotate_file")
            stem = f"{self.file_path.stem}_{int(time.time())}"
            target = rotate(self._session, self._filters, stem)
        logger.info("HDF5 file rotated: %s", target)
        return target

    def check_file_size(self) -> bool:
        """Rotate the file if it has passed ``max_file_size``; whether it had. Store calls do so, too."""
        with self._speaking("check the file's size"):
            size = self._session.size()
        if size <= self.max_file_size:
            return False
        try:
            self.rotate_file()
        except HDF5StorageError as error:
            # What was stored is stored: only the name could not be changed.
            logger.error("Failed to rotate HDF5 file: %s", error)
            return False
        return True

    def cleanup_old_data(
        self, retention_days: float = 30, *, kinds: Retention | None = None, now: float | None = None
    ) -> int:
        """Remove objects whose timestamp is longer ago, in rotated files too; returns how many.

        A rotated file without any object left is deleted. The others' bytes return with :meth:`compact_file`.

        How long ago that is, the clock tells where timestamps are Unix seconds. Where they are a run's own
        time, as simulated seconds, say by ``now`` what time it is: without, kinds of which no object has a
        timestamp of a day after 1973 are refused before anything is removed, unless for 0 days.

        Parameters
        ----------
        retention_days : float
            Of 86,400 s; 0 removes whatever is before ``now``.
        kinds : mapping of str to float or None, optional
            Other days for some kinds (see :meth:`find`); None keeps all of a kind.
        now : float, optional
            Seconds, as timestamps are; the clock's Unix seconds by default.

        Raises
        ------
        StorageInputError
            An argument cannot be what it is, or timestamps are a run's own time; nothing was removed.
        HDF5StorageError
        """
        with self._speaking("remove old objects", brief=False):
            self._refuse_in_batch("cleanup_old_data")
            cutoffs = self._cutoffs(retention_days, kinds or {}, now)
            removed = 0
            for member in self._family():
                if member.start < max(cutoffs.values(), default=-math.inf):
                    removed += self._clean_member(member, cutoffs)
            removed += _clean(self._session, cutoffs)
        logger.info("Cleaned up %d old data items", removed)
        return removed

    def _cutoffs(self, days: float, kinds: Retention, now: float | None) -> dict[str, float]:
        unknown = kinds.keys() - KINDS.keys()
        if unknown:
            raise InputError("kinds", f"kinds out of {', '.join(KINDS)}", ", ".join(sorted(unknown)))
        chosen: dict[str, float | None] = {kind: kinds.get(kind, days) for kind in KINDS}
        for value in chosen.values():
            number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
            if value is not None and not (number and value >= 0):
                raise InputError("retention_days", "days, 0 or more", repr(value)[:80])
        ages = {kind: float(value) * DAY for kind, value in chosen.items() if value is not None}
        if now is None:
            self._refuse_own_time([kind for kind, age in ages.items() if age])
            now = time.time()
        elif isinstance(now, bool) or not isinstance(now, Real) or not abs(now) < _NEVER:
            raise InputError("now", "seconds as a finite number", repr(now)[:80])
        return {kind: now - age for kind, age in ages.items()}

    def _refuse_own_time(self, kinds: Iterable[str]) -> None:
        """By the clock, everything would be decades old."""
        for kind in kinds:
            found = self.find(kind, end_time=EARLIEST)
            if found and not self.find(kind, start_time=EARLIEST):
                raise InputError(
                    "timestamps",
                    "Unix seconds, whose age the clock tells",
                    f"those of a run's own time: {kind} up to {found[-1].timestamp:g} s",
                    hint="Say what time it is there: now=... (--now of the command)",
                )

    def _clean_member(self, member: family.Member, cutoffs: Mapping[str, float]) -> int:
        removed = 0
        for path, session in self._open([member]):
            removed = _clean(session, cutoffs)
            if session.read(family.counts_of) == member.counts:
                return removed
            # Now, or by a call that was killed before it came this far.
            left = session.read(lambda handle: family.member_of(handle, member.name))
            if not left.counts:
                self._members.pop(member.name, session).close()
            with self._session.change(removes=True) as handle:
                others = [left if m.name == member.name else m for m in family.members_of(handle)]
                handle.refresh()
                family.put_members(handle.file, [m for m in others if m.counts])
            if not left.counts:
                path.unlink(missing_ok=True)
                logger.info("Rotated file removed, nothing was left in it: %s", path)
        return removed

    def compact_file(self, progress: Progress | None = None) -> bool:
        """Write the file anew, without the room that removed objects left; whether that was done.

        The copy is verified and then put in place as a whole; one that was killed goes on at the next call,
        unless the file has changed. ``progress`` is called with objects copied and in all. What was
        reclaimed is in the log and in :attr:`last_compaction`; :meth:`compact` returns it.
        """
        try:
            self.compact(progress)
        except HDF5StorageError as error:
            logger.error("Failed to compact HDF5 file: %s", error)
            return False
        return True

    def compact(self, progress: Progress | None = None) -> CompactReport:
        """As :meth:`compact_file`.

        Raises
        ------
        HDF5StorageError
            It could not be done; the file is as it was.
        """
        with self._speaking("compact the file", brief=False):
            self._refuse_in_batch("compact_file")
            with _bar(progress, f"compact {self.file_path.name}") as shown:
                count, before, after, resumed = compact(self._session, self._filters, shown)
        report = CompactReport(self.file_path, count, before, after, resumed)
        self.last_compaction = report
        logger.info(
            "HDF5 file compacted: %s, %d of %d bytes reclaimed", self.file_path, report.reclaimed, before
        )
        return report

    def verify(self, progress: Progress | None = None, tally: Tally | None = None) -> list[Finding]:
        """Read every byte of all files of the store, and name what is damaged; empty if nothing is.

        Parameters
        ----------
        progress : callable, optional
            Called with bytes checked and in all, file by file.
        tally : recorder.h5.verify.Tally, optional
            Counts what was read.
        """
        found: list[Finding] = []
        with self._speaking("verify the files", brief=False):
            self._refuse_in_batch("verify")
            for path in self.files():
                prefix = "" if path == self.file_path else f"{path.name}:"
                found += [replace(f, path=f"{prefix}{f.path}") for f in check_store(path, progress, tally)]
            found += [
                Finding(member.name, "is not there; it was rotated away from this store and has objects")
                for member in self._family()
                if not self.file_path.with_name(member.name).exists()
            ]
        return found

    def backup(self, folder: str | Path) -> list[Path]:
        """Copy all files of the store into a folder, each verified before it has its name there.

        What lies there under the same name is replaced; a rotated file that has not changed since is left.

        Raises
        ------
        HDF5StorageError
            A file is damaged, or cannot be copied.
        """
        with self._speaking("back up the files", brief=False):
            self._refuse_in_batch("backup")
            for _ in range(_ATTEMPTS):
                # It names the others, which do not change but for what is removed.
                newest = back_up(self._session, Path(folder))
                paths = [self.file_path.with_name(name) for name in members_of(newest)]
                if all(path.exists() for path in paths):
                    sessions = [self._member_session(path.name, path) for path in paths]
                    return [*(back_up(session, Path(folder)) for session in sessions), newest]
                lost = [path for path in paths if not path.exists()]
                if {path.name for path in lost} & {member.name for member in self._family()}:
                    raise HDF5StorageError(f"{lost[0]} is missing, which belongs to the store")
            raise HDF5StorageError(f"{self.file_path}: its files change faster than they can be backed up")

    @staticmethod
    def restore(folder: str | Path, file_path: str | Path) -> list[Path]:
        """Put the files of a backup back in place of a store's; returns where the former ones are now.

        Nothing is deleted: files that are replaced stay as ``<name>.replaced``, with a number if need be.

        Raises
        ------
        HDF5StorageError
            The backup is damaged; nothing was changed.
        """
        try:
            return put_back(Path(folder), Path(file_path))
        except OSError as error:
            raise HDF5StorageError(f"{file_path}: cannot restore {folder}: {error}") from error

    def _refuse_in_batch(self, what: str) -> None:
        if self._session.changing:
            raise StorageInputError(what, "a call outside a batch", "one within")


def _clean(session: Session, cutoffs: Mapping[str, float]) -> int:
    def old(handle: Handle) -> dict[str, set[str]]:
        below = {
            kind: {name for _, name in objects.listed(handle, kind, end=math.nextafter(cutoff, -math.inf))}
            for kind, cutoff in cutoffs.items()
        }
        return {kind: names for kind, names in below.items() if names}

    if not session.read(old):
        return 0
    with session.change(removes=True) as handle:
        return sum(objects.remove(handle, kind, names) for kind, names in old(handle).items())


@contextmanager
def _bar(progress: Progress | None, label: str) -> Iterator[Progress]:
    """The caller's progress, or a bar on a terminal once it has taken more than a second."""
    if progress is not None:
        yield progress
        return
    from tqdm import tqdm

    with tqdm(desc=label, unit="object", delay=1.0, leave=False, disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
