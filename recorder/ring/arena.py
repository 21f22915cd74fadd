"""The ring's file: records in a circular arena, in the order in which they were logged.

::

    page 0      <8sIIQ  magic, version, process id, arena bytes
                24 <Q   published records      32 <Q  finished records      40 <Q  dropped steps
                48 <Q   1 + records whose place was used again; 0: as many as are finished, at most
                64, 96  two slots <QQQI: sequence, offset, length and CRC-32 of the writer's state
                128 <d  started (Unix time)    136     host name
                200 <Q  bytes at the arena's end that count what was dropped, see ``drops.py``
                208     36 characters that the kernel draws at each start of the machine, or zeros
    pages 1–8   offset of record n at entry n % 4096
    page 9 …    the arena
    after it    the writer's state, twice in turn: what was taken from records but fills no chunk yet

The logging thread publishes a record by storing the count of published ones; the writer finishes
records by storing its state in the slot that is not in use and then the count of finished ones.
Both are single stores, so a kill at any instant leaves the one state or the other.

Finished records stay as they are until their memory is used again, which goes round in a part of the arena:
who reads along may copy them for a while.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
import struct
import time
import zlib
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.errors import DamagedError
from recorder.ring.drops import SIZE as DROPS
from recorder.ring.drops import DropCounts
from recorder.ring.pages import Pages, clear
from recorder.ring.record import Description, Record
from recorder.ring.tables import Table

_MAGIC = b"FLTRING\0"
_VERSION = 1
_PAGE = 4096
_ENTRIES = 4096
_ARENA = _PAGE + 8 * _ENTRIES
_HEAD, _DONE, _DROPPED, _GONE, _STARTED, _HOST, _COUNTING, _BOOT = 24, 32, 40, 48, 128, 136, 200, 208
_SLOTS = (64, 96)
_LAP = 4
"""One of so many parts of the arena is gone round in as long as that is enough."""
_HEADER = struct.Struct("<8sIIQ")
_SLOT = struct.Struct("<QQQI")


class Ring:
    """A ring of one recording; :meth:`create` writes it, :meth:`open` reads one that was left."""

    def __init__(self, path: Path, descriptor: int, span: int, drops: int, *, writable: bool) -> None:
        self.path, self.arena_bytes, self._span = path, span - drops, span
        self._descriptor = descriptor
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        self._map = mmap.mmap(descriptor, _ARENA + span, access=access)
        self._bytes: NDArray[np.uint8] = np.frombuffer(self._map, np.uint8)
        self.drops = DropCounts(self._bytes[_ARENA + span - drops : _ARENA + span])
        self._words: NDArray[np.uint64] = self._bytes[:_PAGE].view(np.uint64)
        self._directory: NDArray[np.uint64] = self._bytes[_PAGE:_ARENA].view(np.uint64)
        self._position = 0
        self._lap = 1
        self._laid: deque[tuple[int, int]] = deque()
        """Number and beginning of each record that is intact, as if every lap had an arena of its own."""
        self._pages = Pages(descriptor, self._map, _ARENA, _ARENA + self.arena_bytes)
        self._flying: deque[tuple[int, int]] = deque()
        self._records: dict[int, Record] = {}
        """Those of them that were put here, so that they need not be taken apart again."""

    @classmethod
    def create(cls, path: Path, arena_bytes: int) -> Ring:
        """A new ring; its space is allocated at once, because a full disk would kill a sparse map's user.

        Raises
        ------
        OSError
            No room, or no permission.
        """
        span = -(-arena_bytes // _PAGE) * _PAGE + DROPS
        draft = path.with_name(path.name + ".new")
        # Whoever makes a ring has the recording's lock: a draft was left by one that was killed.
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            _allocate(descriptor, _ARENA + span)
            ring = cls(path, descriptor, span, DROPS, writable=True)
        except BaseException:
            os.close(descriptor)
            draft.unlink()
            raise
        # Before anything else looks at them: a first fault would read ahead.
        clear(descriptor, ring._map, 0, _ARENA)
        clear(descriptor, ring._map, _ARENA + ring.arena_bytes, _ARENA + span)
        host = socket.gethostname().encode()[:64]
        ring._bytes[_HOST : _HOST + len(host)] = np.frombuffer(host, np.uint8)
        struct.pack_into("<d", ring._map, _STARTED, time.time())
        struct.pack_into("<Q", ring._map, _COUNTING, DROPS)
        struct.pack_into("36s", ring._map, _BOOT, _boot())
        _HEADER.pack_into(ring._map, 0, _MAGIC, _VERSION, os.getpid(), span)
        draft.rename(path)
        return ring

    @classmethod
    def open(cls, path: Path) -> Ring:
        """The ring that a recording left, read-only.

        Raises
        ------
        DamagedError
            The file is no ring, or of another version.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            head = os.pread(descriptor, _HEADER.size, 0)
            if len(head) < _HEADER.size or head[:8] != _MAGIC:
                raise DamagedError(f"{path} is no ring")
            _, version, _, span = _HEADER.unpack(head)
            if version != _VERSION or os.fstat(descriptor).st_size < _ARENA + span:
                raise DamagedError(f"{path} is cut short or of a version this flightrec does not know")
            (drops,) = struct.unpack("<Q", os.pread(descriptor, 8, _COUNTING))
            if drops not in (0, DROPS) or drops > span:
                raise DamagedError(f"{path}: its header is not one")
            return cls(path, descriptor, span, drops, writable=False)
        except BaseException:
            os.close(descriptor)
            raise

    @property
    def owner(self) -> dict[str, Any]:
        """Process id, host and start (Unix time) of the writer."""
        pid = _HEADER.unpack_from(self._map, 0)[2]
        host = bytes(self._bytes[_HOST : _HOST + 64]).rstrip(b"\0").decode(errors="replace")
        return {"pid": pid, "host": host, "started": struct.unpack_from("<d", self._map, _STARTED)[0]}

    @property
    def restarted(self) -> bool:
        """Whether the machine was started anew since, or is another one: a power cut tears a map."""
        (boot,) = struct.unpack_from("36s", self._map, _BOOT)
        return boot.rstrip(b"\0") not in (b"", _boot())

    @property
    def published(self) -> int:
        """Records published so far."""
        return int(self._words[_HEAD // 8])

    @property
    def finished(self) -> int:
        """Records the writer is done with."""
        return int(self._words[_DONE // 8])

    @property
    def gone(self) -> int:
        """Records whose memory may be in use again: a copy is whole if its record is none *after* it."""
        count = int(self._words[_GONE // 8])
        return count - 1 if count else self.finished

    @property
    def dropped(self) -> int:
        """Steps that were dropped because the ring was full."""
        return int(self._words[_DROPPED // 8])

    @dropped.setter
    def dropped(self, steps: int) -> None:
        self._words[_DROPPED // 8] = steps

    @property
    def largest_record(self) -> int:
        """Bytes that one record may have: a third, so that writing and logging overlap."""
        return self.arena_bytes // 3

    def append(self, kind: int, meta: dict[str, Any], tables: tuple[Table, ...] = ()) -> Record | None:
        """Publish a new record, or return None while there is no room for it."""
        return self.put(kind, Description.of(meta, tables))

    def put(self, kind: int, described: Description, *, wanted: int = 0, wide: bool = False) -> Record | None:
        """As :meth:`append`; ``wide`` where records before it may stay for long: then it goes behind them."""
        length = described.nbytes
        offset = self._place(length, wide)
        if offset is None:
            return None
        seq = self.published
        self._lay(seq, offset, length)
        self._pages.prepare(_ARENA + offset + length)
        memory = self._bytes[_ARENA + offset : _ARENA + offset + length]
        record = Record.create(memory, kind, seq, described, wanted)
        self._directory[seq % _ENTRIES] = offset
        self._flying.append((seq, offset))
        self._records[seq] = record
        self._position = offset + length
        self._words[_HEAD // 8] = seq + 1
        return record

    def record(self, seq: int) -> Record:
        """A published, unfinished record."""
        known = self._records.get(seq)
        if known is not None:
            return known
        offset = int(self._directory[seq % _ENTRIES])
        if offset >= self.arena_bytes:
            raise DamagedError(f"{self.path}: record {seq} lies outside")
        return Record.open(self._bytes[_ARENA + offset : _ARENA + self.arena_bytes], seq)

    def finish(self, upto: int, state: bytes) -> None:
        """Free all records before ``upto``, and keep ``state`` as what the writer goes on from."""
        if upto == self.finished:
            raise ValueError("a state replaces another only together with a finished record")
        live, spare = _SLOTS if self._slot_seq(_SLOTS[0]) == self.finished else _SLOTS[::-1]
        _, offset, length, _ = _SLOT.unpack_from(self._map, live)
        place = 0 if len(state) <= offset else offset + length
        self._write_state(state, place)
        _SLOT.pack_into(self._map, spare, upto, place, len(state), zlib.crc32(state))
        self._words[_DONE // 8] = upto

    def skip(self, upto: int) -> None:
        """Free all records before ``upto``, of which nothing is stored: the state is what it was.

        Not before the first record is finished.
        """
        live, spare = _SLOTS if self._slot_seq(_SLOTS[0]) == self.finished else _SLOTS[::-1]
        _, *state = _SLOT.unpack_from(self._map, live)
        _SLOT.pack_into(self._map, spare, upto, *state)
        self._words[_DONE // 8] = upto

    def state(self) -> bytes | None:
        """The writer's state at the last finished record; None before the first."""
        if self.finished == 0:
            return None
        for slot in _SLOTS:
            seq, offset, length, crc = _SLOT.unpack_from(self._map, slot)
            if seq == self.finished:
                state = os.pread(self._descriptor, length, _ARENA + self._span + offset)
                if len(state) != length or zlib.crc32(state) != crc:
                    raise DamagedError(f"{self.path}: the writer's state fails its checksum")
                return state
        raise DamagedError(f"{self.path}: the writer's state is missing")

    def close(self, *, unlink: bool) -> None:
        """Let go of the file; the map lives on as long as somebody holds a view of it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._records.clear()
            self._bytes = np.empty(0, np.uint8)
            self._words = self._directory = np.empty(0, np.uint64)
            self.drops = DropCounts(self._bytes)
            with contextlib.suppress(BufferError):
                self._map.close()
        if unlink:
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()

    def _slot_seq(self, slot: int) -> int:
        return int(_SLOT.unpack_from(self._map, slot)[0])

    def _place(self, length: int, wide: bool) -> int | None:
        finished = self.finished
        flying = self._flying
        while flying and flying[0][0] < finished:
            self._records.pop(flying.popleft()[0], None)
        position = self._position
        # Not to the front at once, although its memory is warmer: who reads along has a lap's time.
        within = position + length <= self.arena_bytes // _LAP
        if not flying:
            return position if within else 0 if length <= self.arena_bytes else None
        if len(flying) >= _ENTRIES - 1:
            return None
        tail = flying[0][1]
        if position > tail:
            if within or (wide and position + length <= self.arena_bytes):
                return position
            # Back to the front where there is room: what a fast writer never needs is never touched.
            if tail > length:
                return 0
            return position if self.arena_bytes - position >= length else None
        return position if tail - position > length else None

    def _lay(self, seq: int, offset: int, length: int) -> None:
        """Say which records this one takes the place of, before anything of it is stored there."""
        laid = self._laid
        if offset < self._position:
            self._lap += 1
        start = self._lap * self.arena_bytes + offset
        while laid and (laid[0][1] < start + length - self.arena_bytes or laid[0][0] <= seq - _ENTRIES):
            laid.popleft()
        laid.append((seq, start))
        self._words[_GONE // 8] = laid[0][0] + 1

    def _write_state(self, state: bytes, place: int) -> None:
        start = _ARENA + self._span + place
        view = memoryview(state)
        while view:
            written = os.pwrite(self._descriptor, view, start)
            view, start = view[written:], start + written


def _boot() -> bytes:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()[:36]
    except OSError:
        return b""


def _allocate(descriptor: int, size: int) -> None:
    try:
        os.posix_fallocate(descriptor, 0, size)
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (95, 22):
            raise
        zeros = bytes(1 << 20)
        for start in range(0, size, len(zeros)):
            os.pwrite(descriptor, zeros[: size - start], start)
