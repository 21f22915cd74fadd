"""Ended episodes as bytes of the file, laid out here; HDF5 makes nothing but the link to each.

For all other episodes there is :mod:`recorder.h5.template`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5g, h5o, h5p, h5r, h5s, h5t
from numpy.typing import NDArray

from recorder.format.layout import EPISODES
from recorder.h5 import make
from recorder.h5.frame import Attributes, DatasetForm, GroupForm, frame_of, width_of
from recorder.h5.heap import Heap
from recorder.h5.memory import in_memory
from recorder.h5.seal import seal, seal_together

MOST_DATASETS = 64
"""Datasets of an episode that is laid out here; each is a link in a group's header."""


class Image:
    """Whole episodes, one after the other, as they will stand in the file from the address ``base`` on.

    It takes what a :class:`recorder.h5.template.Template` takes.
    """

    def __init__(self, base: int) -> None:
        self.data = bytearray()
        self._base = base
        self._heap = Heap(self.data, base)
        self._groups: list[GroupForm] = []
        self._datasets: list[DatasetForm] = []
        self._values: list[Any] = []
        self._roots: list[tuple[bytes, int]] = []
        self._unsealed: list[tuple[int, int]] = []

    def group(self, name: str, attributes: Mapping[str, Any]) -> None:
        """A group below the root, or the root itself where ``name`` is empty, which is said first."""
        self._groups.append(GroupForm(name, self._attributes(attributes)))

    def dataset(
        self,
        path: str,
        rows: NDArray[Any],
        deflate: int | None,
        stored: tuple[Any, int],
        attributes: Mapping[str, Any],
    ) -> None:
        """A dataset of one chunk, after all groups."""
        data, mask = stored
        count, address = len(rows), self._base + len(self.data)
        self.data += memoryview(data)
        length = () if deflate is None else (len(data), mask)
        self._values += (count, count, count, *length, address)
        width = width_of(rows.shape, rows.dtype.itemsize)
        form = self._attributes(attributes)
        self._datasets.append(DatasetForm(path, rows.dtype, rows.shape[1:], width, deflate, form))

    def end(self, name: str) -> None:
        """The episode of this name is whole."""
        frame = frame_of(tuple(self._groups), tuple(self._datasets))
        start = self._base + len(self.data)
        headers = frame.filled(self._values, start)
        if seal is not None:
            seal(headers, frame.lengths)
        else:
            lengths = np.frombuffer(frame.lengths, "<u4").tolist()
            self._unsealed += zip(accumulate(lengths, initial=len(self.data)), lengths, strict=False)
        self.data += headers
        self._roots.append((name.encode(), start))
        for said in (self._groups, self._datasets, self._values):
            said.clear()

    def finish(self) -> bytearray:
        """All of it."""
        self._heap.finish()
        if self._unsealed:
            seal_together(self.data, self._unsealed)
        return self.data

    def link(self, file: h5py.File) -> None:
        """Have the episodes in ``file``, where the image is already."""
        if not self._roots:
            return
        group = h5g.open(file.id, EPISODES.encode())
        references = _references([address for _, address in self._roots])
        for (name, _), reference in zip(self._roots, references, strict=True):
            if group.links.exists(name):
                # What an interrupted change has left of it.
                group.unlink(name)
            h5o.link(h5r.dereference(reference, file.id), group, name, make.unicode())

    def _attributes(self, attributes: Mapping[str, Any]) -> Attributes:
        form: list[Any] = []
        for key, value in attributes.items():
            if type(value) is str:
                self._values += self._heap.put(value.encode())
                form += (key, str)
                continue
            content: Any = value if isinstance(value, np.generic) else make.content_of(value)
            if isinstance(content, bytes):
                self._values.append(content)
                form += (key, make.kind_of(content))
            else:
                self._values.append(content.tobytes())
                form += (key, content.dtype)
        return tuple(form)


def _references(addresses: list[int]) -> NDArray[Any]:
    """Object references, of which HDF5 stores nothing but addresses; h5py makes them only by reading some."""
    count = len(addresses)
    chunked = h5p.create(h5p.DATASET_CREATE)
    chunked.set_chunk((count,))
    file = in_memory()
    try:
        dataset = h5d.create(file, b"references", h5t.STD_REF_OBJ, h5s.create_simple((count,)), chunked)
        dataset.write_direct_chunk((0,), struct.pack(f"<{count}Q", *addresses))
        out = np.empty(count, object)
        dataset.read(h5s.ALL, h5s.ALL, out)
    finally:
        file.close()
    return out
