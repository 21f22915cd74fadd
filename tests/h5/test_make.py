"""Datasets made by HDF5's own calls are what h5py makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from recorder.h5 import make
from recorder.h5.keywords import filter_keywords

FILTERS = [None, "gzip", "lzf", "szip", *(name for name in ("blosc", "bitshuffle", "lz4", "zstd"))]


def test_what_h5py_makes_is_asked_by_two_threads_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers of two recordings: while one has its file in memory, the other makes its own."""
    make._growing_plist.cache_clear()
    real, inside = h5py.File, []

    def opened(name: str, *arguments: Any, **options: Any) -> Any:
        file = real(name, *arguments, **options)
        if not inside:
            inside.append(name)
            make._growing_plist(np.dtype("<f8"), (40,), ())
        return file

    monkeypatch.setattr(h5py, "File", opened)
    assert make._growing_plist(np.dtype("<f8"), (30,), ()).get_chunk() == (30,)
    assert inside


@pytest.mark.parametrize("dtype", ["<f8", "<i2", "?"])
@pytest.mark.parametrize("name", FILTERS)
def test_a_growing_dataset_has_the_filters_that_h5py_gives_it(
    tmp_path: Path, name: str | None, dtype: str
) -> None:
    assert hdf5plugin.FILTERS
    if name == "szip" and not h5py.h5z.filter_avail(h5py.h5z.FILTER_SZIP):
        pytest.skip("this HDF5 has no szip")
    keywords = filter_keywords(name, None) if not (name == "szip" and dtype == "?") else {}
    kind, chunk = np.dtype(dtype), (50, 8)
    with h5py.File(tmp_path / "both.h5", "w", libver="v110") as file:
        ours = make.growing(file.id, b"ours", kind, (8,), chunk, keywords)
        theirs = file.create_dataset("theirs", (0, 8), kind, maxshape=(None, 8), chunks=chunk, **keywords).id
        rows = np.arange(800).reshape(100, 8).astype(kind)
        for dataset in (ours, theirs):
            h5py.Dataset(dataset).resize(100, axis=0)
            h5py.Dataset(dataset)[:] = rows
            assert np.array_equal(h5py.Dataset(dataset)[:], rows)
        found = [_described(dataset) for dataset in (ours, theirs)]
        assert found[0] == found[1]
        assert ours.get_storage_size() == theirs.get_storage_size()


def _described(dataset: Any) -> Any:
    plist = dataset.get_create_plist()
    filters = [plist.get_filter(n) for n in range(plist.get_nfilters())]
    times = plist.get_fill_time(), plist.get_alloc_time(), plist.get_obj_track_times()
    return filters, times, plist.get_chunk(), h5py.Dataset(dataset).maxshape, h5py.Dataset(dataset).dtype
