"""netCDF-4 files of what xarray would write, piece by piece: xarray itself takes each variable whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loaders.interchange.aside import aside
from loaders.interchange.columns import BLOCK_BYTES, tables
from loaders.interchange.extra import library
from loaders.interchange.facts import check_known, chosen
from loaders.interchange.labelled import EXTRA, facts_of, to_xarray
from loaders.interchange.seconds import Seconds
from recorder.errors import ExportError
from recorder.format.layout import episode_path
from recorder.h5.draft import draft_bytes

if TYPE_CHECKING:
    from loaders.experiment import ExperimentLoader

_CHUNK = 1 << 20
_SMALL = 1 << 14
"""Bytes below which the index of chunks is larger than what deflating saves."""
_TEXT_BYTES = 1024
"""What a text is taken for where it is decided how many are read at once."""
_TEXT = np.dtype("O", metadata={"vlen": str})


def to_netcdf(
    recording: ExperimentLoader,
    path: str | os.PathLike[str],
    dt: Seconds,
    units: Mapping[str, str] | None,
    episodes: Iterable[int] | None,
    as_float32: bool,
) -> Path:
    """See :meth:`loaders.ExperimentLoader.to_netcdf`."""
    from tqdm import tqdm

    h5netcdf, xarray = library("h5netcdf", EXTRA), library("xarray", EXTRA)
    found = [recording.get_episode(number) for number in chosen(recording, episodes)]
    known = {episode.episode_id: set(tables(episode)) for episode in found}
    check_known(recording, units, (name for names in known.values() for name in names))
    target = Path(path)
    bar = tqdm(total=0, desc="netCDF", unit="B", unit_scale=True, delay=1.0, leave=False, disable=None)
    with aside(target) as part, bar, draft_bytes(part) as raw, h5netcdf.File(raw, "w") as file:
        file.attrs.update(facts_of(recording))
        for episode in found:
            own = {name: unit for name, unit in (units or {}).items() if name in known[episode.episode_id]}
            for node in to_xarray(episode, dt, own).subtree:
                place = f"{episode_path(episode.episode_id)}{node.path.rstrip('/')}"
                _Group(file.create_group(place), place, bar, raw.step, as_float32).put(
                    *xarray.conventions.encode_dataset_coordinates(node.to_dataset())
                )
    return target


class _Group:
    def __init__(self, group: Any, place: str, bar: Any, step: Callable[[], None], as_float32: bool) -> None:
        self.group, self.place, self.bar, self.as_float32 = group, place, bar, as_float32
        self.step = step

    def put(self, variables: Mapping[Any, Any], attributes: Mapping[Any, Any]) -> None:
        self.group.attrs.update(attributes)
        for variable in variables.values():
            self.bar.total += variable.nbytes
            for name, length in variable.sizes.items():
                if name not in self.group.dimensions:
                    self.group.dimensions[name] = length
        for name, variable in variables.items():
            self.variable(str(name), variable)

    def variable(self, name: str, variable: Any) -> None:
        kind, more = self.kind(name, variable.dtype)
        rows, *rest = variable.shape
        entry = _TEXT_BYTES if kind.kind == "O" else kind.itemsize
        row_bytes = max(1, int(np.prod(rest, dtype=np.int64)) * entry)
        chunk = min(rows, max(1, _CHUNK // row_bytes))
        options: dict[str, Any] = {}
        if kind.kind != "O" and 0 not in variable.shape and rows * row_bytes >= _SMALL:
            options = {"chunks": (chunk, *rest), "compression": "gzip", "shuffle": True}
        made = self.group.create_variable(name, variable.dims, kind, **options)
        made.attrs.update({**variable.attrs, **more})
        # Whole chunks, each of which is deflated once.
        size = max(1, chunk) * max(1, BLOCK_BYTES // (max(1, chunk) * row_bytes))
        for first in range(0, rows if 0 not in variable.shape else 0, size):
            values: NDArray[Any] = variable[first : first + size].values
            made[first : first + size] = values.astype(kind, copy=False)
            self.bar.update(values.nbytes)
            self.step()

    def kind(self, name: str, dtype: np.dtype[Any]) -> tuple[np.dtype[Any], dict[str, str]]:
        """The dtype that is stored, and the attributes by which xarray makes the own one of it."""
        if dtype.kind == "b":
            return np.dtype(np.int8), {"dtype": "bool"}
        if dtype.kind in "OU":
            return _TEXT, {}
        if dtype.kind == "f" and dtype.itemsize == 2:
            if self.as_float32:
                return np.dtype(np.float32), {}
            raise ExportError(
                f"{self.place}/{name} is float16, which netCDF has not: its own library cannot open such a "
                "file; as_float32=True stores it as float32, which is exact"
            )
        if dtype.kind not in "iuf" or dtype.itemsize > 8:
            raise ExportError(f"{self.place}/{name} is {dtype}, for which netCDF has no type")
        return dtype, {}
