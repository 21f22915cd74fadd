"""Scales of objects that are copied to another file.

A scale and what it is attached to refer to each other by their places in a file: in a copy these references
lead anywhere. They are taken off, and put back once both ends are there. Scales of dense streams are made
anew instead (:func:`recorder.h5.scales.put_scales`), as one of the root serves many episodes.
"""

from __future__ import annotations

import h5py
from h5py import h5a, h5ds, h5o

from recorder.errors import DamagedError
from recorder.format.layout import BEHAVIOR, EPISODES, NEURAL
from recorder.h5.scales import DIMENSION_LIST, scales_at, scaling

Place = tuple[int, int]
"""An object by its file, of those that are open, and its address there."""
Use = tuple[str, int, Place]
"""A copy that was attached to a scale, by which axis, and where that scale stood."""


class Attached:
    """What the scales of copies were attached to.

    Attributes
    ----------
    dense : bool
        Whether a dense stream had scales.

    Parameters
    ----------
    file : h5py.File
        Where the copies are.
    """

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._scales: dict[str, bytes] = {}
        self._copies: dict[Place, str] = {}
        self._uses: list[tuple[Use, str | None]] = []
        self.dense = False

    def take(self, source: h5o.ObjectID, path: str) -> None:
        """Take the references of scales off the copy at ``path`` of an object, and all below it."""
        found = [b"."] if isinstance(source, h5py.h5d.DatasetID) else []

        def look(name: bytes, info: h5o.ObjInfo) -> None:
            if info.type == h5o.TYPE_DATASET and (
                h5a.exists(source, DIMENSION_LIST, obj_name=name)
                or h5a.exists(source, b"CLASS", obj_name=name)
            ):
                found.append(name)

        h5o.visit(source, look, info=True)
        local: dict[Place, str] = {}
        uses: list[Use] = []
        for name in found:
            dataset = h5o.open(source, name)
            place = path if name == b"." else f"{path}/{name.decode()}"
            copy = h5o.open(self._file.id, place.encode())
            for attribute in scaling(dataset):
                if h5a.exists(copy, attribute):
                    h5a.delete(copy, attribute)
            if h5ds.is_scale(dataset):
                self._scales[place] = h5ds.get_scale_name(dataset)
                local[_place(dataset)] = place
            uses += [(place, axis, scale) for axis, scale in self._used(dataset, place)]
        # One recording may be there twice: a copy's own scales are those beside it.
        self._uses += [(use, local.get(use[2])) for use in uses]
        self._copies = local | self._copies

    def put(self) -> None:
        """Attach what is not attached yet to scales that were copied as well."""
        for (path, axis, place), beside in self._uses:
            scale = beside or self._copies.get(place)
            if scale is not None:
                self._make(scale)
                ends = (h5o.open(self._file.id, end.encode()) for end in (path, scale))
                dataset, found = ends
                if not h5ds.is_attached(dataset, found, axis):
                    h5ds.attach_scale(dataset, found, axis)
        for path in self._scales:
            self._make(path)

    def _used(self, dataset: h5py.h5d.DatasetID, path: str) -> list[tuple[int, Place]]:
        parts = path.strip("/").split("/")
        dense = len(parts) == 4 and parts[0] == EPISODES and parts[2] in (NEURAL, BEHAVIOR)
        found = []
        for axis in range(dataset.rank):
            try:
                scales = scales_at(dataset, axis, path)
            except DamagedError:
                self.dense |= dense
                continue
            self.dense |= dense and axis == 0 and bool(scales)
            found += [(axis, _place(scale)) for scale in scales]
        return found

    def _make(self, path: str) -> None:
        dataset = h5o.open(self._file.id, path.encode())
        if not h5ds.is_scale(dataset):
            h5ds.set_scale(dataset, self._scales[path])


def _place(dataset: h5py.h5d.DatasetID) -> Place:
    info = h5o.get_info(dataset)
    return info.fileno, info.addr
