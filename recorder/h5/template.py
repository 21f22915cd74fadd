"""Ended episodes are laid out in memory, in one tree that each changes into the next, and copied as a whole.

What takes HDF5 its time is to create objects: 18 of them and 25 attributes for 200 steps. The next short
episode is nearly the same, so only what differs is written, and ``H5Ocopy`` brings the whole tree into
the file: a fifth of the time, and headers that are cut to size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from h5py import h5o
from numpy.typing import NDArray

from recorder.h5 import make
from recorder.h5.memory import in_memory

LARGEST = 1 << 16
"""Bytes of rows that go by way of a template."""

_MOST = 4 << 20
"""Bytes of a template beyond which another one is begun: space that was freed is not always used again."""
_ROOT = b"episode"


class Template:
    """A tree of groups, attributes and datasets of one chunk, made to be copied.

    Between two copies everything that the next one shall have is said again; the rest is removed.
    """

    def __init__(self) -> None:
        self._file: Any = None
        self._groups: dict[str, Any] = {}
        self._attributes: dict[tuple[str, str], _Attribute] = {}
        self._datasets: dict[str, _Dataset] = {}
        self._said: set[Any] = set()

    def group(self, name: str, attributes: Mapping[str, Any]) -> None:
        """A group below the root, or the root itself where ``name`` is empty, which is said first."""
        if name not in self._groups:
            if self._file is None:
                self._file = in_memory(1 << 16)
            parent = self._groups[""] if name else self._file
            self._groups[name] = make.group(parent, name.encode() or _ROOT)
        self._said.add(name)
        for key, content in attributes.items():
            self._attribute(name, self._groups[name], key, make.content_of(content))

    def dataset(
        self,
        path: str,
        rows: NDArray[Any],
        deflate: int | None,
        stored: tuple[Any, int],
        attributes: Mapping[str, Any],
    ) -> None:
        """A dataset of one chunk; parameters as those of :func:`recorder.h5.make.single_chunk`."""
        layout = (rows.dtype, rows.shape, deflate)
        known = self._datasets.get(path)
        if known is None or known.layout != layout:
            if known is not None:
                self._remove_dataset(path)
            made = make.single_chunk(self._groups[""], path.encode(), rows, deflate, *stored)
            self._datasets[path] = _Dataset(made, layout, stored)
        elif known.stored is not stored:
            make.rewrite_chunk(known.id, rows.ndim, *stored)
            known.stored = stored
        self._said.add((path,))
        for key, content in attributes.items():
            self._attribute(path, self._datasets[path].id, key, make.content_of(content))

    def copy_to(self, parent: Any, name: str) -> None:
        """Copy what was said into ``parent`` (an identifier), and go on to the next."""
        self._forget_unsaid()
        h5o.copy(self._file, _ROOT, parent, name.encode())
        self._said.clear()
        if self._file.get_filesize() > _MOST:
            self.close()

    def close(self) -> None:
        """Let go of the memory; the next episode begins with an empty template."""
        for held in (self._attributes, self._datasets, self._groups):
            held.clear()
        self._said.clear()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _attribute(self, owner: str, target: Any, key: str, content: make.Content) -> None:
        known = self._attributes.get((owner, key))
        self._said.add((owner, key))
        kind, bits = make.kind_of(content), content.tobytes() if isinstance(content, np.generic) else content
        if known is None or known.kind != kind:
            if known is not None:
                make.remove_attribute(target, key)
            self._attributes[owner, key] = _Attribute(make.attribute(target, key, content), kind, bits)
        elif known.bits != bits:
            make.rewrite(known.id, content)
            known.bits = bits

    def _forget_unsaid(self) -> None:
        for path in [path for path in self._datasets if (path,) not in self._said]:
            self._remove_dataset(path)
        for owner, key in self._attributes.keys() - self._said:
            del self._attributes[owner, key]
            held = self._groups[owner] if owner in self._groups else self._datasets[owner].id
            make.remove_attribute(held, key)

    def _remove_dataset(self, path: str) -> None:
        del self._datasets[path]
        for place in [place for place in self._attributes if place[0] == path]:
            del self._attributes[place]
        self._groups[""].unlink(path.encode())


@dataclass(slots=True)
class _Attribute:
    id: Any
    kind: Any
    bits: bytes | str
    """What it holds now; of a number its bits, because 0.0 equals -0.0."""


@dataclass(slots=True)
class _Dataset:
    id: Any
    layout: tuple[Any, ...]
    stored: tuple[Any, int]
    """Bytes and filter mask of its chunk now; the very same ones need not be written again."""
