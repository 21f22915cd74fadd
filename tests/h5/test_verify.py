"""Verification finds what was broken on purpose, names it, and finds nothing in sound recordings."""

from __future__ import annotations

import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from recorder import DataExporter, StandardDataExporter
from recorder.h5.summary import summarize
from recorder.h5.verify import verify

EPISODE = "episodes/episode_0000"


def make(folder: Path, exporter_class: type, **options: object) -> Path:
    rng = np.random.default_rng(3)
    with exporter_class("verify", output_base_dir=str(folder), neural_sampling_rate=7, **options) as exporter:
        exporter.save_config({"a": 1, "b": [1, 2, {"c": None}]})
        weights = rng.random((30, 30)) * (rng.random((30, 30)) < 0.2)
        sources, targets = np.nonzero(weights)
        exporter.save_network_structure(
            {"neuron_ids": np.arange(30)}, {"source_ids": sources, "target_ids": targets}, weights
        )
        for _ in range(2):
            exporter.start_episode()
            for t in range(300):
                exporter.log(
                    timestep=t,
                    neural_state={"v": rng.normal(size=30)},
                    spikes=rng.random(30) < 0.1,
                    behavior={"x": float(t), **({"late": t} if t > 100 else {})},
                    reward=float(t // 40),
                )
                if t % 30 == 0:
                    exporter.log(timestep=t, synapse_id=(1, 2), old_weight=0.5, new_weight=float(t))
                    exporter.log(timestep=t, event_type="tick", data={"t": t})
            exporter.end_episode(success=True, summary={"n": 1})
        exporter.save_checkpoint("end", {"w": weights})
    path: Path = exporter.h5_path
    return path


@pytest.fixture(params=[DataExporter, StandardDataExporter], ids=["optimized", "standard"])
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return make(tmp_path, request.param)


@pytest.fixture
def optimized(tmp_path: Path) -> Path:
    return make(tmp_path, DataExporter)


def findings(path: Path) -> list[str]:
    return [str(finding) for finding in verify(path)]


def datasets(path: Path) -> list[str]:
    names: list[str] = []
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, thing: names.append(name) if isinstance(thing, h5py.Dataset) else None)
    return names


@pytest.mark.parametrize("compression", ["gzip", "lzf", None])
@pytest.mark.parametrize("exporter_class", [DataExporter, StandardDataExporter])
def test_a_sound_recording_has_no_findings(
    exporter_class: type, compression: str | None, tmp_path: Path
) -> None:
    assert findings(make(tmp_path, exporter_class, compression=compression)) == []


def test_progress_covers_all_stored_bytes(recording: Path) -> None:
    seen: list[tuple[int, int]] = []
    list(verify(recording, lambda done, total: seen.append((done, total))))
    assert seen[-1][0] == seen[-1][1] > 0
    assert seen == sorted(seen)


def test_a_damaged_byte_in_any_deflated_chunk_is_found(recording: Path) -> None:
    whole = recording.read_bytes()
    checked = 0
    for name in datasets(recording):
        with h5py.File(recording, "r") as file:
            dataset = file[name]
            if dataset.compression != "gzip" or not dataset.id.get_num_chunks():
                continue
            info = dataset.id.get_chunk_info(dataset.id.get_num_chunks() - 1)
            values = dataset[()]
        if info.filter_mask:
            continue
        place = info.byte_offset + info.size // 2
        recording.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        found = findings(recording)
        if not any(line.startswith(f"/{name}: chunk at") for line in found):
            # a repeat of zeros says the same from another distance: then nothing is lost either
            with h5py.File(recording, "r") as file:
                assert np.array_equal(file[name][()], values), (name, found)
            continue
        checked += 1
    assert checked > 10


def _rewrite_chunk(dataset: h5py.Dataset, change: Callable[[bytes], bytes]) -> None:
    raw = zlib.decompress(dataset.id.read_direct_chunk((0,) * dataset.ndim)[1])
    dataset.id.write_direct_chunk((0,) * dataset.ndim, zlib.compress(change(raw)))


def test_a_chunk_that_is_too_short_or_too_long_is_found(optimized: Path) -> None:
    with h5py.File(optimized, "r+") as file:
        _rewrite_chunk(file[f"{EPISODE}/behavior/x"], lambda raw: raw[:-8])
        _rewrite_chunk(file[f"{EPISODE}/behavior/timesteps"], lambda raw: raw + bytes(8))
    found = "\n".join(findings(optimized))
    assert "behavior/x: chunk at [0] holds 2,392 of 2,400" in found
    assert "behavior/timesteps: chunk at [0] inflates to more" in found


def _shrink(name: str, by: int = 1) -> Callable[[h5py.File], None]:
    return lambda file: file[name].resize(len(file[name]) - by, axis=0)


def _set(name: str, place: object, value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file[name][place] = value

    return change


def _attribute(name: str, key: str, value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file[name].attrs[key] = value

    return change


BOTH = {
    "rows of a stream": (_shrink(f"{EPISODE}/behavior/x"), "behavior/x: has 299 rows"),
    "rows of a late stream": (_shrink(f"{EPISODE}/behavior/late"), "behavior/late: has 198 rows"),
    "timesteps": (_shrink(f"{EPISODE}/neural_states/timesteps"), "neural_states/v: has 43 rows"),
    "missing clock": (_attribute(f"{EPISODE}/behavior/x", "timesteps", "nix"), "'nix' are not there"),
    "reward timesteps": (_shrink(f"{EPISODE}/rewards/timesteps"), "rewards: has the rewards of 300 rows"),
    "weight column": (_shrink(f"{EPISODE}/weight_changes/new_weights"), "columns differ in length"),
    "event ends": (_set(f"{EPISODE}/events/ends", 3, 10**9), "events/ends: does not lead up"),
    "event bytes": (_set(f"{EPISODE}/events/data", 5, 0), "events: event 0"),
    "event rows": (_shrink(f"{EPISODE}/events/timesteps"), "events: has 10 events and 9 timesteps"),
    "total of spikes": (_attribute(EPISODE, "total_spikes", 7), "spikes, the episode says 7"),
    "total of timesteps": (_attribute(EPISODE, "total_timesteps", 100), "in an episode of 100 timesteps"),
    "row pointers": (_set("network_structure/initial_weights/indptr", 4, 10**6), "indptr: does not lead"),
    "column indices": (_set("network_structure/initial_weights/indices", 0, 30), "outside the 30 columns"),
    "neuron count": (_attribute("/", "n_neurons", 31), "the file says n_neurons = 31"),
    "config": (_attribute("config", "json", "{broken"), "/config: "),
    "missing group": (lambda file: file[EPISODE].__delitem__("rewards"), "has no group 'rewards'"),
    "link out": (
        lambda file: file.__setitem__("away", h5py.ExternalLink("/etc/passwd", "/")),
        "/away: is a link",
    ),
}
OPTIMIZED = {
    "interval": (_set(f"{EPISODE}/spikes/intervals", 5, 10**6), "spikes/intervals: covers"),
    "number of intervals": (_shrink(f"{EPISODE}/spikes/intervals"), "spikes/intervals: holds"),
    "anchor": (_set(f"{EPISODE}/spikes/anchors", (0, 2), 5), "spikes/anchors: anchor 0 does not agree"),
    "run length": (_set(f"{EPISODE}/rewards/lengths", 0, 41), "rewards: has the rewards of 301 rows"),
    "chunk that is not there": (
        lambda file: file[f"{EPISODE}/behavior/x"].resize(10**7, axis=0),
        "chunks are missing",
    ),
}
STANDARD = {
    "neuron": (_set(f"{EPISODE}/spikes/values", 0, 30), "spikes/values: names a neuron outside the 30"),
    "spike timesteps": (_shrink(f"{EPISODE}/spikes/timesteps"), "spikes/timesteps: has"),
    "row ends": (_set(f"{EPISODE}/spikes/row_ends", 3, 10**6), "spikes/row_ends: does not lead up"),
}


@pytest.mark.parametrize("case", BOTH)
def test_what_disagrees_is_named(recording: Path, case: str) -> None:
    change, expected = BOTH[case]
    with h5py.File(recording, "r+") as file:
        change(file)
    assert expected in "\n".join(findings(recording))


@pytest.mark.parametrize(
    ("exporter_class", "case"),
    [(DataExporter, case) for case in OPTIMIZED] + [(StandardDataExporter, case) for case in STANDARD],
)
def test_what_disagrees_in_one_encoding_is_named(exporter_class: type, case: str, tmp_path: Path) -> None:
    path = make(tmp_path, exporter_class)
    change, expected = {**OPTIMIZED, **STANDARD}[case]
    with h5py.File(path, "r+") as file:
        change(file)
    assert expected in "\n".join(findings(path))


def test_a_huge_claim_costs_nothing(optimized: Path) -> None:
    with h5py.File(optimized, "r+") as file:
        file.create_dataset("bomb", (2**40,), "f8", chunks=(2**28,), compression="gzip")
    assert any("/bomb: its chunks claim" in line for line in findings(optimized))


def test_data_in_other_files_are_not_read(optimized: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.bin"
    outside.write_bytes(bytes(80))
    with h5py.File(optimized, "r+") as file:
        file.create_dataset("outside", (10,), "f8", external=[(str(outside), 0, 80)])
        layout = h5py.VirtualLayout((10,), "f8")
        layout[:] = h5py.VirtualSource(str(outside), "x", (10,))
        file.create_virtual_dataset("virtual", layout)
    found = findings(optimized)
    assert [line.partition(":")[0] for line in found] == ["/outside", "/virtual"]


WRITER = """
import sys, numpy as np
from recorder import DataExporter
rng = np.random.default_rng(0)
spikes, v = rng.random((997, 50)) < 0.03, rng.normal(size=(997, 50))
with DataExporter("busy", output_base_dir=sys.argv[1], neural_sampling_rate=10) as exporter:
    while True:
        exporter.start_episode()
        for t in range(int(rng.integers(10, 40_000))):
            exporter.log(timestep=t, neural_state={"v": v[t % 997]}, spikes=spikes[t % 997], reward=t / 7)
        exporter.end_episode()
"""


def test_a_recording_at_work_is_sound_and_a_killed_one_is_named(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)])
    try:
        start, rounds = time.monotonic(), 0
        while rounds < 8 or time.monotonic() < start + 2:
            assert time.monotonic() < start + 60
            assert writer.poll() is None
            for path in tmp_path.glob("*/experiment_data.h5"):
                assert findings(path) == []
                assert summarize(path).status == "running"
                rounds += 1
    finally:
        writer.kill()
        writer.wait()
    assert "its program was killed" in findings(path)[0]
    assert summarize(path).status == "killed"


def test_what_is_no_hdf5_is_one_finding(tmp_path: Path) -> None:
    path = tmp_path / "experiment_data.h5"
    path.write_bytes(b"nothing of the kind")
    (found,) = findings(path)
    assert "cannot open" in found
