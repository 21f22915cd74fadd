"""libsonata reads the spikes and reports that were recorded, at their times."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from loaders import ExperimentLoader, ExportError
from loaders.interchange import columns
from recorder import DataExporter, InvalidNameError, OptionError
from recorder.h5 import sonata as h5_sonata

libsonata = pytest.importorskip("libsonata")
DT, MS = 0.0001, 0.0001 * 1e3


def test_spikes_come_back_equal(
    experiment: ExperimentLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "_FIRST_ROWS", 8)
    episode = experiment.get_episode(1)
    folder = episode.to_sonata(tmp_path / "out", dt=DT, population="cells", reports=["neural_states/v"])
    reader = libsonata.SpikeReader(folder / "spikes.h5")
    assert reader.get_population_names() == ["cells"]
    cells = reader["cells"]
    assert (cells.sorting, cells.time_units) == ("by_time", "ms")
    own = episode.get_spikes()
    found = cells.get_dict()
    assert_array_equal(np.rint(found["timestamps"] / MS), own["timesteps"])
    assert_array_equal(found["timestamps"], own["timesteps"] * MS)
    assert_array_equal(found["node_ids"], own["neuron_ids"])
    for neuron in range(5):
        times = [time for _, time in cells.get(node_ids=[neuron])]
        assert_array_equal(times, episode.get_spikes(neurons=neuron)["timesteps"] * MS)


def test_reports_come_back_equal(
    experiment: ExperimentLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "BLOCK_BYTES", 200)
    episode = experiment.get_episode(2)
    stream = episode.stream("neural_states/v")
    units = {"neural_states/v": "mV"}
    folder = episode.to_sonata(tmp_path / "out", dt=DT, reports=["neural_states/v"], units=units)
    report = libsonata.SomaReportReader(folder / "v_report.h5")["default"]
    assert (report.data_units, report.time_units, report.get_node_ids()) == ("mV", "ms", [0, 1, 2, 3, 4])
    frame = report.get()
    assert_array_equal(frame.data, stream.read())
    assert frame.data.dtype == stream.dtype == np.float32
    assert_array_equal(np.rint(np.asarray(frame.times) / MS), stream.timesteps)
    some = report.get(node_ids=[1, 3], tstart=110 * MS, tstop=119 * MS)
    assert_array_equal(some.data, stream.read(110, 120)[:, [1, 3]])
    with h5py.File(folder / "v_report.h5") as file:
        assert_array_equal(file["report/default/data"], stream.read())
        assert file.attrs["magic"] == 0x0A7A


def test_reports_of_other_numbers_are_rounded_on_request_alone(tmp_path: Path) -> None:
    with DataExporter("doubles", output_base_dir=str(tmp_path), neural_sampling_rate=1) as out:
        out.start_episode()
        for step in range(4):
            state = {"d": np.arange(3) / 3 + step, "n": np.arange(3) + step, "far": np.full(3, 1e300)}
            out.log(timestep=step, neural_state=state)
        out.end_episode()
    with ExperimentLoader(out.output_dir) as loader:
        episode = loader.get_episode(0)
        for name in ("neural_states/d", "neural_states/n"):
            with pytest.raises(ExportError, match=f"{name} .* as_float32=True"):
                episode.to_sonata(tmp_path / "out", dt=DT, reports=[name])
        with pytest.raises(ExportError, match="beyond what float32 holds"):
            episode.to_sonata(tmp_path / "out", dt=DT, as_float32=True)
        assert not (tmp_path / "out").exists()
        folder = episode.to_sonata(
            tmp_path / "out", dt=DT, reports=["neural_states/d", "neural_states/n"], as_float32=True
        )
        for key in ("d", "n"):
            found = libsonata.ElementReportReader(folder / f"{key}_report.h5")["default"].get()
            assert_array_equal(found.data, episode.stream(f"neural_states/{key}").read().astype(np.float32))


def logged_from(folder: Path, start: int, rows: int) -> Path:
    with DataExporter("late", output_base_dir=str(folder), neural_sampling_rate=1) as out:
        out.start_episode()
        for step in range(start, start + rows):
            out.log(step, {"v": np.array([step - start], np.float32)}, np.array([True]))
        out.end_episode()
    return Path(out.output_dir)


@pytest.mark.parametrize(
    ("start", "rows", "dt"),
    [(4_000_000, 1510, 1 / 60), (20_000_000, 30, 0.7), (0, 1, 0.1), (123_456_789, 700, 1e-4)],
)
def test_every_row_is_found_although_libsonata_adds_steps_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: int, rows: int, dt: float
) -> None:
    monkeypatch.setattr(h5_sonata, "_SUMS", 100)
    with ExperimentLoader(logged_from(tmp_path, start, rows)) as loader:
        folder = loader.get_episode(0).to_sonata(tmp_path / "out", dt=dt)
    found = libsonata.ElementReportReader(folder / "v_report.h5")["default"].get()
    assert_array_equal(found.data[:, 0], np.arange(rows))
    assert_array_equal(np.rint(np.asarray(found.times) / (dt * 1e3)), start + np.arange(rows))
    assert len(libsonata.SpikeReader(folder / "spikes.h5")["default"].get()) == rows


@pytest.mark.filterwarnings("ignore:Validation")
def test_rows_that_libsonata_would_not_find_are_refused(tmp_path: Path) -> None:
    for start, dt, message in (
        (-5, 1.0, "negative timesteps"),
        (0, 1e-9, "would not find these"),
        (80_000_000, 0.7, "would not find these"),
    ):
        with ExperimentLoader(logged_from(tmp_path, start, 10)) as loader:
            with pytest.raises(ExportError, match=message):
                loader.get_episode(0).to_sonata(tmp_path / "out", dt=dt)
            assert not (tmp_path / "out").exists()


def test_what_sonata_cannot_hold_is_refused(experiment: ExperimentLoader, tmp_path: Path) -> None:
    episode = experiment.get_episode(0)
    with pytest.raises(OptionError, match="give dt"):
        episode.to_sonata(tmp_path / "out")
    with pytest.raises(
        ExportError, match=r"neural_states/slow .* its rows are \(2, 3\), not a value a neuron"
    ):
        episode.to_sonata(tmp_path / "out", dt=DT)
    with pytest.raises(KeyError, match="has no stream 'v'"):
        episode.to_sonata(tmp_path / "out", dt=DT, reports=["v"])
    with pytest.raises(InvalidNameError, match="population"):
        episode.to_sonata(tmp_path / "out", dt=DT, reports=[], population="a/b")
    with DataExporter("odd", output_base_dir=str(tmp_path), neural_sampling_rate=1) as out:
        out.start_episode()
        for step in (0, 1, 3):
            out.log(timestep=step, neural_state={"u": np.zeros(2)}, spikes=np.array([0.5, 0.0]))
        out.end_episode()
    with ExperimentLoader(out.output_dir) as loader:
        with pytest.raises(ExportError, match=r"neural_states/u .* timesteps are not even"):
            loader.get_episode(0).to_sonata(tmp_path / "out", dt=DT)
        with pytest.raises(ExportError, match="have values, and SONATA's have none"):
            loader.get_episode(0).to_sonata(tmp_path / "out", dt=DT, reports=[])
    assert not (tmp_path / "out").exists()
    episode.to_sonata(tmp_path / "out", dt=DT, reports=[])
    with pytest.raises(FileExistsError):
        episode.to_sonata(tmp_path / "out", dt=DT, reports=[])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["spikes.h5"]
