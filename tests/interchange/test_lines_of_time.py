"""Episodes on a line of time: as they were when they were placed, whole, and at times of their own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from loaders import ExperimentLoader, ExportError
from loaders.find import recordings
from loaders.interchange.joined import in_line
from loaders.interchange.seconds import times
from loaders.interchange.trains import Trains
from recorder import DataExporter

REFERENCE = Path(__file__).parent.parent / "data" / "reference"


def test_what_is_written_meanwhile_stays_out(tmp_path: Path) -> None:
    with DataExporter("live", output_base_dir=str(tmp_path)) as out:
        out.start_episode()
        for step in range(300):
            out.log(step, spikes=np.arange(3) == step % 3, behavior={"x": step})
        with ExperimentLoader(out.output_dir, newest=True) as loader:
            episode = loader.get_episode(0)
            placed = in_line([episode])
            for step in range(300, 400):
                out.log(step, spikes=np.arange(3) == 0, behavior={"x": step})
            out.flush()
            loader.refresh()
            assert len(episode.get_spikes()["timesteps"]) == 400
            trains = Trains(placed)
            for neuron in range(3):
                assert_array_equal(trains.timesteps[trains.of(neuron)], np.arange(neuron, 300, 3))
            assert (placed[0].start, placed[0].stop) == (0, 300)
            assert len(placed[0].tables["behavior/x"]["x"]) == 300
        out.end_episode()


def test_events_after_an_episodes_last_row_are_in_its_trial(tmp_path: Path) -> None:
    source = next(recordings(REFERENCE / "snn_standard_a")).parent
    shutil.copytree(source, tmp_path / "copy")
    with h5py.File(tmp_path / "copy" / "experiment_data.h5", "r+") as file:
        file["episodes/episode_0000/events/reward_found/timesteps"][-1] = 130
    with ExperimentLoader(tmp_path / "copy") as loader:
        first, second = loader.get_episode(0), loader.get_episode(1)
        assert first.span() == (0, 120)
        assert max(step for step, _, _ in first.iter_events()) == 130
        placed = in_line([first, second])
    assert (placed[0].stop, placed[1].start) == (131, 131)


EXPORTS: dict[str, tuple[str, Callable[[ExperimentLoader, Path], Any]]] = {
    "nwb": ("pynwb", lambda loader, path: loader.to_nwb(path, dt=1e-9)),
    "neo": ("neo", lambda loader, _: loader.to_neo(dt=1e-9)),
    "sonata": ("h5py", lambda loader, path: loader.get_episode(0).to_sonata(path, dt=1e-9)),
    "xarray": ("xarray", lambda loader, _: loader.to_xarray(dt=1e-9)),
}


@pytest.mark.parametrize("form", EXPORTS)
def test_timesteps_that_would_become_one_time_are_refused(tmp_path: Path, form: str) -> None:
    library, export = EXPORTS[form]
    pytest.importorskip(library)
    with DataExporter("nanoseconds", output_base_dir=str(tmp_path)) as out:
        out.start_episode()
        for number in range(20):
            out.log(1_700_000_000_000_000_000 + 100 * number, spikes=np.array([True]))
        out.end_episode()
    with ExperimentLoader(out.output_dir) as loader, pytest.raises(ExportError, match="not distinct"):
        export(loader, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_times_give_their_timesteps_again() -> None:
    for dt in (0.001, 1 / 3, 1e-9, 60.0, 7e-300):
        steps = np.array([-(2**50), -1, 0, 1, 999_999_937, 2**50 + 1])
        assert_array_equal(np.rint(times(steps, dt) / dt).astype(np.int64), steps)
    for step, dt in ((2**62 + 1, 1.0), (10**10, 1e300), (2**63 - 1, 1.0)):
        with pytest.raises(ExportError):
            times(np.array([step]), dt)
