"""Windows from tensors, MEG and EEG files, and our own recordings are what those hold."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentLoader
from loaders.windows import create_hdf5_from_pt_cache, episode_sources
from recorder import DataExporter
from recorder.errors import (
    CacheMismatchError,
    CacheNotFoundError,
    DamagedError,
    DiscontinuousError,
    OptionError,
)
from recorder.h5.windows.reading import WindowFile
from tests.windows.made import STRIDE, WINDOW, expected, made, samples


def windows(path: Path, subject: int = 0) -> Any:
    file = WindowFile(path)
    start, count = int(file.starts[subject]), int(file.counts[subject])
    found = file.read(range(start, start + count))
    file.close()
    return found


@pytest.mark.parametrize("form", ["tensor", "dict", "old format", "half"])
def test_tensors(tmp_path: Path, form: str) -> None:
    torch = pytest.importorskip("torch")
    data = torch.from_numpy(samples(1))
    data = data.half() if form == "half" else data
    given = {"data": data, "sfreq": 100} if form == "dict" else data
    (tmp_path / "in").mkdir()
    torch.save(given, tmp_path / "in" / "a.pt", _use_new_zipfile_serialization=form != "old format")
    made(tmp_path, ["a"])
    np.testing.assert_array_equal(windows(tmp_path / "cache.h5"), expected(data.numpy().astype(np.float64)))


def test_a_pickle_that_is_no_tensor_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    (tmp_path / "in").mkdir()
    for name, given in (("text", "words"), ("path", Path("x")), ("other", {"values": torch.zeros(2, 50)})):
        torch.save(given, tmp_path / "in" / f"{name}.pt")
    torch.save(torch.zeros(2, 50), tmp_path / "in" / "ok.pt")
    report = made(tmp_path, ["text", "path", "other", "ok"])
    assert sorted(report.failed) == ["other", "path", "text"]
    assert report.added == ["ok"]


def test_fif_files_are_found_and_read_in_femtotesla(tmp_path: Path) -> None:
    mne = pytest.importorskip("mne")
    kinds = ["mag", "grad", "stim", "mag"]
    info = mne.create_info([f"C{n}" for n in range(4)], 200.0, kinds)
    data = samples(1, 300, 4) * 1e-13
    folder = tmp_path / "rest" / "sub-A" / "meg"
    folder.mkdir(parents=True)
    raw = mne.io.RawArray(data, info, verbose="ERROR")
    raw.save(folder / "sub-A_task-rest_meg.fif", fmt="double", verbose="ERROR")
    made(tmp_path, ["sub-A"], base_path=tmp_path / "rest", normalisation="none")
    picked = data[[0, 1, 3]] * np.array([[1e15], [1e13], [1e15]])
    cut = np.array([picked[:, a : a + WINDOW] for a in range(0, 300 - WINDOW + 1, STRIDE)])
    np.testing.assert_allclose(windows(tmp_path / "cache.h5"), cut, rtol=1e-6)
    assert WindowFile(tmp_path / "cache.h5").attributes["sampling_rate"] == 200.0
    report = made(
        tmp_path, {"sub-A": folder / "sub-A_task-rest_meg.fif"}, picks=["C1"], hdf5_path=tmp_path / "b.h5"
    )
    assert report.windows == len(cut)
    np.testing.assert_allclose(windows(tmp_path / "b.h5"), expected(data[1:2] * 1e13), rtol=1e-4, atol=1e-5)
    # What says another rate than it should is a failure of that subject.
    with pytest.raises(ValueError, match="sampled at 200 Hz"):
        made(
            tmp_path,
            ["sub-A"],
            base_path=tmp_path / "rest",
            sampling_rate=100,
            hdf5_path=tmp_path / "c.h5",
        )


@pytest.mark.parametrize("suffix", ["edf", "bdf"])
def test_edf_and_bdf_files(tmp_path: Path, suffix: str) -> None:
    edfio = pytest.importorskip("edfio")
    pytest.importorskip("mne")
    rng = np.random.default_rng(0)
    data = rng.standard_normal((3, 400)) * 50
    signal, file = (edfio.EdfSignal, edfio.Edf) if suffix == "edf" else (edfio.BdfSignal, edfio.Bdf)
    signals = [
        signal(row, 100, label=f"EEG {n}", physical_dimension="uV", physical_range=(-400, 400))
        for n, row in enumerate(data)
    ]
    (tmp_path / "in").mkdir()
    file(signals).write(tmp_path / "in" / f"a.{suffix}")
    made(tmp_path, ["a"], normalisation="none")
    cut = np.array([data[:, a : a + WINDOW] for a in range(0, 400 - WINDOW + 1, STRIDE)])
    np.testing.assert_allclose(windows(tmp_path / "cache.h5"), cut, atol=800 / 2**16)


@pytest.mark.parametrize("suffix", ["edf", "bdf"])
def test_edf_and_bdf_files_that_are_cut_or_have_gaps_are_refused(tmp_path: Path, suffix: str) -> None:
    edfio = pytest.importorskip("edfio")
    pytest.importorskip("mne")
    signal, file = (edfio.EdfSignal, edfio.Edf) if suffix == "edf" else (edfio.BdfSignal, edfio.Bdf)
    row = signal(samples(1, 400, 1)[0], 100, label="EEG", physical_range=(-100, 100))
    annotation = edfio.EdfAnnotation(0, None, "begin")
    folder = tmp_path / "in"
    folder.mkdir()
    file([row], data_record_duration=1, annotations=[annotation]).write(folder / f"whole.{suffix}")
    whole = (folder / f"whole.{suffix}").read_bytes()
    (folder / f"cut.{suffix}").write_bytes(whole[:-150])
    gaps = whole.replace(suffix.upper().encode() + b"+C", suffix.upper().encode() + b"+D")
    (folder / f"follows.{suffix}").write_bytes(gaps)
    (folder / f"gaps.{suffix}").write_bytes(gaps.replace(b"+3\x14\x14", b"+9\x14\x14"))
    report = made(tmp_path, ["whole", "cut", "follows", "gaps"])
    assert report.added == ["whole", "follows"]
    assert isinstance(report.failed["cut"], DamagedError)
    assert isinstance(report.failed["gaps"], DiscontinuousError)
    assert f"({suffix.upper()}+D) with 1 gaps: after 3 s" in str(report.failed["gaps"])


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    with DataExporter("net", output_base_dir=str(tmp_path), neural_sampling_rate=7) as exporter:
        for _ in range(2):
            exporter.start_episode()
            for step in range(100, 500):
                behavior = {"x": float(step)}
                if step > 110 and step % 3 == 0:
                    behavior["late"] = np.array([step, -step])
                exporter.log(
                    timestep=step,
                    neural_state={"v": rng.normal(size=4).astype(np.float32)},
                    spikes=rng.random(6) < 0.2,
                    behavior=behavior,
                )
            exporter.end_episode(success=True)
    return Path(exporter.output_dir)


def grid(episode: Any, start: int, every: int, bins: int) -> Any:
    """Channels as the documentation says, bin by bin."""
    v, x = episode.stream("neural_states/v"), episode.stream("behavior/x")
    late = episode.stream("behavior/late")
    spikes = episode.get_spikes()
    columns = []
    for bin_ in range(bins):
        low, high = start + bin_ * every, start + (bin_ + 1) * every
        inside = (spikes["timesteps"] >= low) & (spikes["timesteps"] < high)
        counts = np.bincount(spikes["neuron_ids"][inside], minlength=6)
        held = [stream.read(None, high)[-1].reshape(-1) for stream in (late, v, x)]
        columns.append(np.concatenate([held[0], counts, held[1], held[2]]))
    return np.array(columns, np.float64).T


@pytest.mark.parametrize("every", [1, 5])
def test_recorded_episodes(tmp_path: Path, recording: Path, every: int) -> None:
    streams = ["behavior/late", "spikes", "neural_states/v", "behavior/x"]
    given = episode_sources(recording, streams=streams, every=every)
    assert list(given) == [f"{recording.name}/episode_{number}" for number in (0, 1)]
    report = made(tmp_path, given, normalisation="none", window_size=20, stride=20)
    assert not report.failed
    start = 111  # the first timestep by which each stream has a value
    bins = (500 - start) // every
    with ExperimentLoader(recording) as experiment:
        for number in (0, 1):
            data = grid(experiment.get_episode(number), start, every, bins)
            cut = [data[:, a : a + 20] for a in range(0, bins - 19, 20)]
            np.testing.assert_array_equal(windows(tmp_path / "cache.h5", number), np.array(cut, np.float32))


def test_all_streams_of_chosen_episodes_by_default(tmp_path: Path, recording: Path) -> None:
    given = episode_sources(recording, episodes=[1], prefix="net")
    assert given["net/episode_1"].streams == (
        "neural_states/v",
        "behavior/late",
        "behavior/x",
        "spikes",
    )
    made(tmp_path, given)
    assert windows(tmp_path / "cache.h5").shape[1:] == (4 + 2 + 1 + 6, WINDOW)
    with pytest.raises(OptionError):
        episode_sources(recording, every=0)
    with pytest.raises(OptionError):
        episode_sources(recording, streams="spikes")
    report = made(tmp_path, episode_sources(recording, streams=["behavior/y"]) | given)
    assert "no stream 'behavior/y'" in str(next(iter(report.failed.values())))


def test_a_cache_of_pt_files_becomes_one_file(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    (tmp_path / "npz").mkdir()
    for number, name in enumerate(["b", "a"]):
        data = samples(number)
        np.savez(tmp_path / "npz" / f"{name}.npz", data=data)
        (tmp_path / "pt" / name).mkdir(parents=True)
        for row, window in enumerate(expected(data)):
            torch.save(torch.from_numpy(window).half(), tmp_path / "pt" / name / f"{row}.pt")
    options: dict[str, Any] = {"window_size": WINDOW, "stride": STRIDE, "dtype": "float32", "verbose": False}
    create_hdf5_from_pt_cache(tmp_path / "pt", tmp_path / "npz", hdf5_path=tmp_path / "cut.h5", **options)
    assert WindowFile(tmp_path / "cut.h5").names == ["a", "b"]
    np.testing.assert_array_equal(windows(tmp_path / "cut.h5"), expected(samples(1)))
    create_hdf5_from_pt_cache(tmp_path / "pt", None, hdf5_path=tmp_path / "same.h5", **options)
    half = expected(samples(1)).astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(windows(tmp_path / "same.h5"), half)
    assert WindowFile(tmp_path / "same.h5").attributes["normalisation"] == "none"
    # Another stride than that of the .pt files would give other windows.
    (tmp_path / "pt" / "a" / "26.pt").unlink()
    report = create_hdf5_from_pt_cache(
        tmp_path / "pt", tmp_path / "npz", hdf5_path=tmp_path / "less.h5", **options
    )
    assert "has 26 windows" in str(report.failed["a"])
    with pytest.raises(CacheNotFoundError):
        create_hdf5_from_pt_cache(tmp_path / "nothing")


def test_a_window_file_that_was_replaced_is_noticed(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    folder = tmp_path / "pt" / "a"
    folder.mkdir(parents=True)
    for number in range(3):
        torch.save(torch.full((4, WINDOW), float(number)), folder / f"{number}.pt")
    os.utime(folder / "2.pt", (2e9, 2e9))  # newer than what replaces another one
    options: dict[str, Any] = {"window_size": WINDOW, "hdf5_path": tmp_path / "cache.h5", "verbose": False}
    create_hdf5_from_pt_cache(tmp_path / "pt", None, **options)
    assert create_hdf5_from_pt_cache(tmp_path / "pt", None, **options).kept == ["a"]
    torch.save(torch.full((4, WINDOW), 77.0), folder / "0.pt")
    with pytest.raises(CacheMismatchError, match="'a' has changed"):
        create_hdf5_from_pt_cache(tmp_path / "pt", None, **options)
