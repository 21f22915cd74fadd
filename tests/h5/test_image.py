"""Episodes whose bytes are laid out here, against what HDF5 makes of the same ones, object by object."""

from __future__ import annotations

import itertools
import math
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5a
from hypothesis import given, settings
from hypothesis import strategies as st

from loaders import ExperimentLoader
from recorder import DataExporter, SpikeIndices
from recorder.h5.frame import Frame, GroupForm
from recorder.h5.heap import Heap
from recorder.h5.image import Image
from recorder.h5.seal import seal, seal_together
from recorder.h5.superblock import lookup3
from recorder.h5.verify import verify
from tests.killed import as_killed

_TIMES = ("start_time", "end_time", "timestamp")
_GROUPS = ("neural", "spikes", "behavior", "reward", "weights", "events", "static", "final", "summary")

shapes = st.fixed_dictionaries(
    {
        "steps": st.integers(0, 40),
        "groups": st.sets(st.sampled_from(_GROUPS)),
        "spikes": st.sampled_from(["raster", "graded", "indices", "silent"]),
        "width": st.integers(1, 5),
        "keys": st.sampled_from([1, 2, 9]),
        "late": st.booleans(),
        "note": st.integers(1, 3000) | st.just(40_000),
        "kind": st.sampled_from([np.float64, np.float32, np.complex64, np.int16, np.bool_, np.uint8]),
    }
)


def log_episode(exporter: DataExporter, shape: dict[str, Any], seed: int) -> None:
    chance, groups = np.random.default_rng(seed), shape["groups"]
    exporter.start_episode()
    if "static" in groups:
        exporter.log_static_episode_data("terrain", {"height": 1.5, "name": "hill", "rows": np.arange(3)})
    for step in range(shape["steps"]):
        call: dict[str, Any] = {}
        if "neural" in groups:
            call["neural_state"] = {"v": chance.normal(size=shape["width"]), "w": np.float32(step)}
        if "spikes" in groups:
            row = chance.random(7) < (0 if shape["spikes"] == "silent" else 0.3)
            call["spikes"] = {
                "graded": row * chance.normal(size=7),
                "indices": SpikeIndices(np.flatnonzero(row), 7),
            }.get(shape["spikes"], row)
        if "behavior" in groups:
            first = 5 if shape["late"] and step < 5 else 0
            value = (chance.normal(size=3) * 9).astype(shape["kind"])
            call["behavior"] = {f"x{n}": value for n in range(first, first + shape["keys"])}
        if "reward" in groups:
            call["reward"] = float(step // 4)
        exporter.log(step, **call)
        if "weights" in groups and step % 3 == 0:
            exporter.log(step, synapse_id=(step, 1), old_weight=0.5, new_weight=-0.0, trace=step)
        if "events" in groups and step % 5 == 0:
            exporter.log(step, event_type="cue", data={"step": step, "note": "π" * 3})
    if "final" in groups:
        episode = exporter.current_episode
        assert episode is not None
        episode.end(success=True, final_state={"weights": np.eye(2), "more": {"a": [1, "b"]}})
    else:
        summary = {"note": "n" * shape["note"], "nan": math.nan} if "summary" in groups else None
        exporter.end_episode(success=bool(seed % 2), summary=summary)


def record(folder: Path, episodes: list[dict[str, Any]], **options: Any) -> Path:
    with DataExporter("run", folder, validate_data=False, ring_bytes=1 << 21, **options) as exporter:
        for number, shape in enumerate(episodes):
            log_episode(exporter, shape, number)
    return exporter.h5_path


@pytest.fixture(params=["compiled", "by NumPy"], autouse=True)
def each_seal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test with either way of sealing headers."""
    monkeypatch.setattr("recorder.h5.sink.worth_it", lambda episodes: episodes > 0)
    if request.param == "by NumPy":
        monkeypatch.setattr("recorder.h5.image.seal", None)
    elif seal is None:
        pytest.skip("not compiled: python setup.py build_ext --inplace")


def both(
    folder: Path, monkeypatch: pytest.MonkeyPatch, episodes: list[dict[str, Any]], **options: Any
) -> tuple[Path, Path]:
    """The same recording laid out here, and by HDF5."""
    ours = record(folder, episodes, **options)
    with monkeypatch.context() as patch:
        patch.setattr("recorder.h5.sink.worth_it", lambda _: False)
        return ours, record(folder, episodes, **options)


def description(item: Any) -> dict[str, Any]:
    """An object without its place in the file."""
    out: dict[str, Any] = {"class": type(item), "attributes": {}}
    for name, value in item.attrs.items():
        opened = h5a.open(item.id, name.encode())
        shape, kind = opened.get_space().get_simple_extent_dims(), opened.get_type()
        content = None if name in _TIMES else repr(value)
        out["attributes"][name] = (type(value), shape, kind.encode(), content)
    links = item.id.links if isinstance(item, h5py.Group) else None
    out["links"] = links and {n: links.get_info(n.encode()).cset for n in item}
    out["count"] = h5py.h5o.get_info(item.id).rc
    if isinstance(item, h5py.Dataset):
        plist = item.id.get_create_plist()
        filters = [plist.get_filter(i) for i in range(plist.get_nfilters())]
        chunks = [item.id.get_chunk_info(i) for i in range(item.id.get_num_chunks() if item.chunks else 0)]
        stored = [(c.filter_mask, item.id.read_direct_chunk(c.chunk_offset)[1]) for c in chunks]
        shape = item.shape, item.maxshape, item.chunks
        out |= {"type": item.id.get_type().encode(), "shape": shape, "filters": filters, "chunks": stored}
        out["fill"] = plist.get_fill_time(), plist.get_alloc_time(), plist.get_layout()
    return out


def descriptions(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with h5py.File(path, "r") as file:
        file["episodes"].visititems(lambda name, item: found.__setitem__(name, description(item)))
    return found


@settings(max_examples=15)
@given(
    episodes=st.lists(shapes, min_size=1, max_size=6),
    repeats=st.integers(1, 4),
    options=st.sampled_from(
        [
            {},
            {"compression": None},
            {"compression": "lzf", "compression_level": None},
            {"neural_sampling_rate": {"v": 3, "w": 1}},
            {"neural_sampling_rate": 4, "precision": {"v": 1e-2}},
            {"chunk_size": 7},
            {"durability": "fsync"},
        ]
    ),
)
def test_every_object_is_what_hdf5_makes_of_it(
    tmp_path_factory: pytest.TempPathFactory,
    episodes: list[dict[str, Any]],
    repeats: int,
    options: dict[str, Any],
) -> None:
    folder = tmp_path_factory.mktemp("image")
    with pytest.MonkeyPatch.context() as monkeypatch:
        ours, theirs = both(folder, monkeypatch, episodes * repeats, **options)
    a, b = descriptions(ours), descriptions(theirs)
    assert a.keys() == b.keys()
    for name, item in a.items():
        assert item == b[name], name
    assert list(verify(ours)) == []
    shutil.rmtree(folder)


SHORT = {
    "steps": 30,
    "groups": {"neural", "spikes", "behavior", "reward", "weights", "events", "summary"},
    "spikes": "graded",
    "width": 3,
    "keys": 2,
    "late": True,
    "note": 1,
    "kind": np.float64,
}


def test_more_datasets_than_headers_take_links_are_left_to_hdf5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = both(tmp_path, monkeypatch, [{**SHORT, "keys": 70}, SHORT, SHORT])
    assert descriptions(ours) == descriptions(theirs)
    with h5py.File(ours, "r") as file:
        assert len(file["episodes/episode_0000/behavior"]) > 70


@pytest.mark.skipif(not shutil.which("h5dump"), reason="hdf5-tools are not installed")
def test_other_builds_of_hdf5_read_every_value_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dumped = []
    for path in both(tmp_path, monkeypatch, [SHORT] * 30):
        for tool in (["h5ls", "-r"], ["h5stat"]):
            subprocess.run([*tool, str(path)], check=True, capture_output=True)
        dump = ["h5dump", "-p", "-g", "/episodes", str(path)]
        lines = subprocess.run(dump, check=True, capture_output=True, text=True).stdout.splitlines()
        passing = ("HDF5 ", " OFFSET", '(0): "20', " SIZE ")
        dumped.append([line for line in lines if not any(word in line for word in passing)])
    assert dumped[0] == dumped[1]


def test_hdf5_changes_what_was_laid_out(tmp_path: Path) -> None:
    path = record(tmp_path, [SHORT] * 30)
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        episodes = file["episodes"]
        for number in range(10, 20):
            del episodes[f"episode_{number:04d}"]
        episode = episodes["episode_0003"]
        episode.attrs["status"] = "x" * 5000
        del episode.attrs["end_time"]
        for n in range(80):
            episode.attrs[f"more_{n}"] = n
        episode["behavior/x0"].attrs["unit"] = "m"
        before = len(episode["behavior"])
        for n in range(100):
            episode["behavior"].create_dataset(f"more_{n}", data=np.arange(n))
        file.move("episodes/episode_0004", "moved")
    with h5py.File(path, "r") as file:
        assert len(file["episodes"]) == 19
        episode = file["episodes/episode_0003"]
        assert episode.attrs["status"] == "x" * 5000
        assert episode.attrs["more_79"] == 79
        assert episode["behavior/x0"].attrs["unit"] == "m"
        assert len(episode["behavior"]) == before + 100
        assert file["moved"].attrs["status"] == file["episodes/episode_0005"].attrs["status"] == "completed"


def test_each_block_is_sealed_with_hdf5s_checksum() -> None:
    blocks = [os.urandom(size) for size in (1, 3, 4, 8, 11, 12, 13, 24, 25, 900)] * 3
    unsealed = bytearray(b"".join(block + b"\0\0\0\0" for block in blocks))
    expected = b"".join(block + lookup3(block).to_bytes(4, "little") for block in blocks)
    lengths = [len(block) + 4 for block in blocks]
    starts = itertools.accumulate(lengths, initial=0)
    together = unsealed.copy()
    seal_together(together, list(zip(starts, lengths, strict=False)))
    assert together == expected
    if seal is not None:
        packed = np.array(lengths, np.uint32)
        seal(unsealed, packed)
        assert unsealed == expected
        for wrong in (packed[:-1], packed + 1, packed[:1] * 0, [2**32 - 1]):
            with pytest.raises(ValueError, match="lengths"):
                seal(unsealed, np.array(wrong, np.uint32))


@pytest.mark.parametrize("seen", [False, True], ids=["", "seen"])
@pytest.mark.parametrize("laid_out", [False, True], ids=["by HDF5", "laid out"])
@pytest.mark.parametrize("killed", [False, True], ids=["", "killed"])
def test_an_episode_whose_start_was_interrupted_is_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: bool, laid_out: bool, killed: bool
) -> None:
    """Ctrl-C after the ring has the start of an episode, and before the caller knows of it."""
    monkeypatch.setattr("recorder.h5.sink.worth_it", lambda episodes: laid_out and episodes > 0)
    begin, interrupts = DataExporter._begin_episode, iter([KeyboardInterrupt])

    def interrupted(exporter: DataExporter, *arguments: Any) -> Any:
        found = begin(exporter, *arguments)
        for interrupt in interrupts:
            raise interrupt
        return found

    monkeypatch.setattr(DataExporter, "_begin_episode", interrupted)
    with DataExporter("run", tmp_path, neural_sampling_rate=1) as exporter:
        with pytest.raises(KeyboardInterrupt):
            exporter.start_episode()
        if seen:
            assert exporter.h5_file is not None
        for number in range(2):
            exporter.start_episode()
            for step in range(20):
                exporter.log(step, reward=float(number), behavior={"x": np.full(3, step)})
            exporter.end_episode(success=True)
        path = as_killed(exporter, tmp_path / "killed") if killed else exporter.h5_path
    with ExperimentLoader(path) as loader:
        assert loader.status == ("recovered" if killed else "completed")
        assert loader.list_episodes() == [0, 1]
        for number in range(2):
            episode = loader.get_episode(number)
            assert episode.status == "completed"
            assert episode.get_rewards()["rewards"].tolist() == [number] * 20
            assert episode.get_behavior()["x"].tolist() == [[step] * 3 for step in range(20)]
    assert not list(verify(path))


def test_texts_of_every_length_come_back(tmp_path: Path) -> None:
    """By way of groups whose attributes are the texts."""
    lengths = (0, 1, 7, 8, 9, 15, 16, 17, *range(20, 3000, 13), 4056, 4064, 4080, 9999)
    texts = ["t" * n if n % 2 else "ü" * n for n in lengths]
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        file.create_group("episodes")
    base = path.stat().st_size
    for start in range(0, len(texts), 60):
        some = dict(zip((f"a{n}" for n in range(60)), texts[start : start + 60], strict=False))
        image = Image(base)
        image.group("", some)
        image.end(f"group_{start}")
        append(path, image)
        base = path.stat().st_size
        with h5py.File(path, "r") as file:
            assert dict(file[f"episodes/group_{start}"].attrs) == some


def append(path: Path, image: Image) -> None:
    from recorder.h5.transaction import transaction

    data = image.finish()
    with transaction(path, path.with_suffix(".journal"), ahead=lambda _: data) as file:
        image.link(file)
    with h5py.File(path, "r+", libver=("v110", "v110")):
        pass
    os.truncate(path, end_of(path))


def end_of(path: Path) -> int:
    from recorder.h5 import superblock

    with path.open("rb") as file:
        return superblock.end_of(file.fileno())


def test_a_collection_of_texts_is_as_hdf5_writes_it() -> None:
    image = bytearray(b"before")
    heap = Heap(image, 1000)
    assert heap.put(b"one") == (3, 1006, 1)
    assert heap.put(b"") == (0, 0, 0)
    assert heap.put(b"two" * 4) == (12, 1006, 2)
    heap.finish()
    assert len(image) == 6 + 4096
    assert image[6:22] == b"GCOL\1\0\0\0" + (4096).to_bytes(8, "little")
    free = 4096 - 16 - 24 - 32
    assert image[6 + 4096 - free :][:16] == bytes(8) + free.to_bytes(8, "little")


def test_an_episode_without_anything_is_its_groups() -> None:
    frame = Frame((GroupForm("", ()), GroupForm("spikes", ())), ())
    headers = frame.filled([], 5000)
    assert headers[:6] == b"OHDR\2\x10"
    assert (5000 + int.from_bytes(frame.lengths[:4], "little")).to_bytes(8, "little") in headers
