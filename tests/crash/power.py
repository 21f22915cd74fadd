"""What a disk may hold after a power cut: a trace of file operations, and every state their order allows.

The trace is that of ``syscalls.c``. A file's writes are durable once it was synced after them, its names
once their folder was; of all others any may have reached the disk, in any order, and of a write any of
its sectors. Names of one folder change in order, as journaling file systems keep them. What a mapped ring
holds then is anybody's guess: it is left out, emptied, filled with noise or torn.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recorder.format.layout import RING_SUFFIX

SECTOR = 512
RINGS = ("missing", "empty", "noise", "torn")


@dataclass(frozen=True)
class Operation:
    """One line of the trace."""

    kind: str
    path: str
    offset: int
    data: bytes


@dataclass
class _File:
    """An inode: what is certain of it, and the operations since."""

    certain: bytearray = field(default_factory=bytearray)
    pending: list[Operation] = field(default_factory=list)

    def sync(self) -> None:
        """All of it is durable."""
        for operation in self.pending:
            _apply(self.certain, operation)
        self.pending.clear()

    def content(self, chance: random.Random, how: str) -> bytes:
        """What it may be after a power cut."""
        out = bytearray(self.certain)
        for operation in self.pending:
            if how == "all":
                _apply(out, operation)
            elif how == "some" and chance.random() < 0.5:
                _apply(out, operation, chance)
        return bytes(out)


@dataclass
class _Folder:
    """A folder: changes of its names, how many of them are durable."""

    changes: list[tuple[str, _File | None]] = field(default_factory=list)
    durable: int = 0

    def names(self, chance: random.Random, how: str) -> dict[str, _File]:
        last = {"none": self.durable, "all": len(self.changes)}.get(how)
        if last is None:
            last = chance.randint(self.durable, len(self.changes))
        out: dict[str, _File] = {}
        for name, file in self.changes[:last]:
            if file is None:
                out.pop(name, None)
            else:
                out[name] = file
        return out


class Disk:
    """What was asked of the disk so far, and what of it is certain."""

    def __init__(self) -> None:
        self.folders: dict[str, _Folder] = {}
        self.promised: dict[str, Any] = {}
        self._named: dict[str, _File] = {}

    def add(self, operation: Operation) -> None:
        """Take the next operation of the trace."""
        kind, path = operation.kind, operation.path
        if kind == "mark":
            self.promised = json.loads(operation.data)
        elif kind == "sync":
            if path in self.folders:
                self.folders[path].durable = len(self.folders[path].changes)
            elif path in self._named:
                self._named[path].sync()
        elif kind == "mkdir":
            self.folders[path] = _Folder()
        elif kind == "create":
            self._name(path, _File())
        elif kind in {"rename", "link"}:
            self._name(operation.data.decode(), self._named[path])
            if kind == "rename":
                self._name(path, None)
        elif kind == "unlink":
            self._name(path, None)
        else:
            self._named[path].pending.append(operation)

    def after_power_cut(self, root: Path, seed: int, how: str) -> Path | None:
        """Lay out below ``root`` what may be there; the recording's file, if it has a name.

        ``how`` is ``none``, ``all`` or ``some`` of what is not durable.
        """
        chance = random.Random(seed)
        found = None
        for path, folder in self.folders.items():
            target = root / Path(path).name
            target.mkdir(parents=True)
            for name, file in folder.names(chance, how).items():
                if not name.endswith(RING_SUFFIX):
                    (target / name).write_bytes(file.content(chance, how))
                    if name == "experiment_data.h5":
                        found = target / name
        return found

    def _name(self, path: str, file: _File | None) -> None:
        folder = self.folders.setdefault(str(Path(path).parent), _Folder())
        folder.changes.append((Path(path).name, file))
        if file is None:
            self._named.pop(path)
        else:
            self._named[path] = file


def lay_ring(path: Path, image: bytes, how: str, seed: int) -> None:
    """Put beside a recording's file what a power cut may have left of its ring."""
    chance = random.Random(seed)
    ring = path.with_name(path.name + RING_SUFFIX)
    content = bytearray(image)
    if how == "missing":
        return
    if how == "empty":
        content = bytearray(len(image))
    elif how == "noise":
        content = bytearray(chance.randbytes(len(image)))
    else:
        for start in range(0, len(content), 4096):
            if chance.random() < 0.3:
                content[start : start + 4096] = bytes(len(content[start : start + 4096]))
        content[208:244] = b"another start of the machine".ljust(36, b"-")
    ring.write_bytes(content)


def read_trace(path: Path) -> Iterator[Operation]:
    """The operations of a trace."""
    with path.open("rb") as file:
        while line := file.readline():
            kind, rest = line.decode().rstrip("\n").split(" ", 1)
            where, offset, length = rest.rsplit(" ", 2)
            data = file.read(int(length))
            assert file.read(1) == b"\n"
            yield Operation(kind, where, int(offset), data)


def _apply(out: bytearray, operation: Operation, chance: random.Random | None = None) -> None:
    """Do it, or with ``chance`` some sectors of it."""
    start, data = operation.offset, operation.data
    if operation.kind == "truncate":
        del out[start:]
        out.extend(bytes(start - len(out)))
        return
    out.extend(bytes(max(0, start + len(data) - len(out))))
    if chance is None:
        out[start : start + len(data)] = data
        return
    at = 0
    while at < len(data):
        end = min(len(data), (start + at) // SECTOR * SECTOR + SECTOR - start)
        if chance.random() < 0.7:
            out[start + at : start + end] = data[at:end]
        at = end
