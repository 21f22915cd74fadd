"""Dimension scales of recordings that were packed, merged and split lead to what stands in the new file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from loaders import ExperimentLoader
from loaders.assembling import merge, pack, split
from recorder import DataExporter
from recorder.h5.verify import verify

STEPS = 20


def record(folder: Path, name: str, *, scales: bool, vectors: bool) -> Path:
    with DataExporter(name, folder, dimension_scales=scales, neural_sampling_rate=1) as exporter:
        for number in range(2):
            exporter.start_episode()
            values = np.arange(STEPS) + number
            neural = {"v": np.ones((STEPS, 4))} if vectors else {}
            exporter.log_batch(np.arange(STEPS), behavior={"x": values}, neural_state=neural)
            exporter.end_episode(success=True)
        exporter.save_checkpoint("words", {"NAME": None, "CLASS": [None]})
        return Path(exporter.h5_path)


def named(path: Path) -> list[list[list[str]]]:
    """Of each stream its axes, and of these the scales, which are those of its own episode or of the root."""
    found = []
    with h5py.File(path) as file:
        for episode in file["episodes"].values():
            for part in ("neural_states", "behavior"):
                for name, dataset in episode[part].items():
                    if name != "timesteps":
                        found.append([list(axis.keys()) for axis in dataset.dims])
                        first = dataset.dims[0]
                        assert not first or first[0] == episode[part]["timesteps"]
    return found


WAYS: dict[str, Callable[[Path, Path], Path]] = {
    "pack": pack,
    "cloud": lambda path, out: pack(path, out, cloud=True),
    "lzf": lambda path, out: pack(path, out, compression="lzf"),
    "none": lambda path, out: pack(path, out, compression=None),
    "scales": lambda path, out: pack(path, out, scales=True),
    "split": lambda path, out: split(path, [0, 1], out),
    "merge": lambda path, out: merge([path], out),
}


@pytest.mark.parametrize("way", WAYS)
def test_scales_of_scalars_are_kept(tmp_path: Path, way: str) -> None:
    path = record(tmp_path, "scalars", scales=True, vectors=False)
    made = WAYS[way](path, tmp_path / "made.h5")
    assert named(made) == [[["timesteps"]]] * 2
    assert list(verify(made)) == []
    with ExperimentLoader(path) as before, ExperimentLoader(made) as after:
        assert str(after.get_all_checkpoints()) == str(before.get_all_checkpoints())


def test_a_merged_recording_has_scales_where_one_of_its_sources_has(tmp_path: Path) -> None:
    plain = record(tmp_path, "plain", scales=False, vectors=True)
    scaled = record(tmp_path, "scaled", scales=True, vectors=True)
    wanted = [[["timesteps"], ["axis_4"]], [["timesteps"]]] * 4
    for number, sources in enumerate(([plain, scaled], [scaled, plain], [scaled, scaled])):
        made = merge(sources, tmp_path / f"{number}.h5")
        assert named(made) == wanted
        assert list(verify(made)) == []
    assert named(merge([plain, plain], tmp_path / "plain.h5")) == [[[], []], [[]]] * 4


@pytest.mark.parametrize("options", [{}, {"compression": "lzf"}])
def test_scales_of_somebodys_own_are_kept(tmp_path: Path, options: dict[str, Any]) -> None:
    path = record(tmp_path, "own", scales=False, vectors=True)
    with h5py.File(path, "r+") as file:
        file["places"] = np.arange(4.0)
        file["places"].make_scale("where")
        file["episodes/episode_0001/neural_states/v"].dims[1].attach_scale(file["places"])
        mine = file.create_dataset("mine/a", data=np.arange(3), chunks=(3,))
        mine.attrs["NAME"] = "no scale"
        file["mine/b"] = np.arange(3)
        file["mine/b"].make_scale("b")
        mine.dims[0].attach_scale(file["mine/b"])
    made = pack(path, tmp_path / "made.h5", **options)
    with h5py.File(made) as file:
        axis = file["episodes/episode_0001/neural_states/v"].dims[1]
        assert list(axis.keys()) == ["where"]
        assert axis[0] == file["places"]
        assert file["mine/a"].dims[0][0] == file["mine/b"]
        assert file["mine/a"].attrs["NAME"] == "no scale"
        assert not h5py.h5ds.get_num_scales(file["episodes/episode_0000/neural_states/v"].id, 0)
    assert list(verify(made)) == []


def test_a_scale_that_is_not_there_is_damage_and_packing_makes_it_anew(tmp_path: Path) -> None:
    path, plain = (record(tmp_path, name, scales=name == "a", vectors=True) for name in ("a", "b"))
    assert list(verify(path)) == []
    with h5py.File(path) as file, h5py.File(plain, "r+") as other:
        del other["episodes/episode_0001"]
        file.copy("episodes/episode_0001", other["episodes"])  # as anybody would: HDF5 copies no references
    stream = "/episodes/episode_0001/neural_states/v"
    assert [str(finding) for finding in verify(plain)][:2] == [
        f"{stream.replace('neural_states/v', 'behavior/x')}: the scale of its axis 0 is not there",
        f"{stream}: the scale of its axis 0 is not there",
    ]
    made = pack(plain, tmp_path / "made.h5")
    assert list(verify(made)) == []
    assert named(made) == [[["timesteps"], ["axis_4"]], [["timesteps"]]] * 2
    with h5py.File(path, "r+") as file:
        attributes = file[stream].attrs
        del attributes["DIMENSION_LIST"]
        attributes["DIMENSION_LIST"] = np.zeros(1000)  # HDF5 would read them all
    assert str(next(verify(path))) == f"{stream}: the scale of its axis 0 is not there"
