"""What is made of all recordings of a collection, some of which cannot be read."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from loaders import EpisodeData, ExperimentCollection
from recorder import DataExporter
from recorder.errors import OptionError, ReadError


def record(root: Path, name: str, reward: float = 1.0) -> Path:
    with DataExporter(name, root, neural_sampling_rate=1) as exporter:
        exporter.save_config({"lr": reward})
        exporter.start_episode()
        exporter.log(timestep=0, reward=reward, behavior={"x": reward})
        exporter.end_episode()
    return exporter.output_dir.rename(root / name)


def rewards(episode: EpisodeData) -> float:
    return float(episode.get_rewards()["rewards"].sum())


def test_what_is_made_of_all_recordings_says_which_cannot_be_read_or_leaves_them_out(tmp_path: Path) -> None:
    for name, reward in (("a", 1.0), ("b", 2.0), ("c", 3.0)):
        record(tmp_path, name, reward)
    (tmp_path / "b" / "experiment_data.h5").write_bytes(b"no recording")
    runs = ExperimentCollection(tmp_path, index=False)
    called: list[int] = []
    with pytest.raises(ReadError, match=r"1 recording cannot be read: 'b' .*skip"):
        runs.map_episodes(lambda episode: called.append(episode.episode_id))
    assert not called, "the error comes before the work"
    with pytest.warns(UserWarning, match="left out: 1 recording cannot be read: 'b'") as told:
        assert runs.map_episodes(rewards, unreadable="skip") == {("a", 0): 1.0, ("c", 0): 3.0}
    assert told[0].filename == __file__
    with pytest.raises(OptionError, match="unreadable"):
        runs.map_episodes(rewards, unreadable="ignore")  # type: ignore[arg-type]
    sound = runs.filter(lambda run: run.name != "b")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(sound.map_episodes(rewards, unreadable="skip")) == 2
    # One that was sound when the table was read.
    (tmp_path / "c" / "experiment_data.h5").unlink()
    with pytest.warns(UserWarning, match="'c'"):
        assert sound.map_episodes(rewards, unreadable="skip") == {("a", 0): 1.0}


def test_streams_of_all_recordings_leave_out_those_that_cannot_be_read(tmp_path: Path) -> None:
    pytest.importorskip("dask.array")
    record(tmp_path, "a")
    (record(tmp_path, "b") / "experiment_data.h5").write_bytes(b"no recording")
    runs = ExperimentCollection(tmp_path, index=False)
    with pytest.raises(ReadError, match="'b'"):
        runs.to_dask("behavior/x")
    with pytest.warns(UserWarning, match="'b'"):
        assert list(runs.to_dask("behavior/x", unreadable="skip")) == [("a", 0)]
