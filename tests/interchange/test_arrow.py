"""Tables in pandas, Arrow and Parquet have the recording's values, dtypes and timesteps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from loaders import EpisodeData, ExperimentLoader
from loaders.interchange import arrow as adapter
from loaders.interchange import columns
from loaders.interchange.columns import tables
from recorder import DataExporter
from recorder.errors import ExportError
from recorder.format.document import loads

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def values(table: Any, key: str) -> np.ndarray[Any, Any]:
    column = table.column(key).combine_chunks()
    shape = [len(column)]
    while pa.types.is_fixed_size_list(column.type):
        shape.append(column.type.list_size)
        column = column.flatten()
    return np.asarray(column.to_numpy(zero_copy_only=False)).reshape(shape)


def same_table(episode: EpisodeData, name: str, table: Any) -> None:
    if name == "events":
        found = zip(*(table.column(key).to_pylist() for key in ("timesteps", "type", "data")), strict=True)
        for (step, kind, text), (own_step, own_kind, data) in zip(found, episode.iter_events(), strict=True):
            assert (step, kind) == (own_step, own_kind)
            assert str(loads(text.encode())) == str(data)
        return
    if name == "spikes":
        expected = episode.get_spikes()
    elif name == "rewards":
        expected = episode.get_rewards()
    elif name == "weight_changes":
        expected = episode.get_weight_changes()
    else:
        stream = episode.stream(name)
        expected = {"timesteps": stream.timesteps, name.partition("/")[2]: stream.read()}
    assert set(expected) == set(table.column_names) - {"episode"}
    for key, own in expected.items():
        assert_array_equal(values(table, key), own)
        assert values(table, key).dtype == own.dtype


def test_every_table_in_arrow_has_the_loaders_values(experiment: ExperimentLoader) -> None:
    episode = experiment.get_episode(1)
    assert {"spikes", "rewards", "weight_changes", "events"} < set(tables(episode))
    for name in tables(episode):
        same_table(episode, name, episode.to_arrow(name))
    with pytest.raises(KeyError, match="it has neural_states/slow"):
        episode.to_arrow("neural_states/u")


def test_blocks_of_any_size_give_the_same_table(
    experiment: ExperimentLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    episode = experiment.get_episode(2)
    whole = {name: episode.to_arrow(name) for name in tables(episode)}
    monkeypatch.setattr(columns, "BLOCK_BYTES", 100)
    monkeypatch.setattr(columns, "_SPIKES", 3)
    monkeypatch.setattr(columns, "_FIRST_ROWS", 4)
    monkeypatch.setattr(columns, "_EVENTS", 2)
    for name, table in whole.items():
        parts = episode.to_arrow(name)
        assert parts.column(0).num_chunks > 1
        assert parts.equals(table)


def test_pandas_has_timesteps_as_index(experiment: ExperimentLoader) -> None:
    episode = experiment.get_episode(0)
    v = episode.to_pandas("neural_states/v")
    assert_array_equal(v.to_numpy(), episode.stream("neural_states/v").read())
    assert_array_equal(v.index.to_numpy(), episode.stream("neural_states/v").timesteps)
    assert (v.index.name, v.dtypes[0]) == ("timesteps", np.float32)
    slow = episode.to_pandas("neural_states/slow")
    assert slow[(1, 2)].tolist() == episode.stream("neural_states/slow").read()[:, 1, 2].tolist()
    assert episode.to_pandas("behavior/rare")["rare"].dtype == np.bool_
    spikes = episode.to_pandas("spikes")
    assert_array_equal(spikes["neuron_ids"], episode.get_spikes()["neuron_ids"])
    assert episode.to_pandas("events")["type"].tolist() == ["cue"] * 3


def test_parquet_comes_back_equal(experiment: ExperimentLoader, tmp_path: Path) -> None:
    folder = experiment.to_parquet(tmp_path / "out")
    for number in experiment.list_episodes():
        episode = experiment.get_episode(number)
        for name in tables(episode):
            table = parquet.ParquetFile(folder / name / f"episode={number}" / "part-0.parquet").read()
            same_table(episode, name, table)
    spikes = pd.read_parquet(folder / "spikes")
    assert len(spikes) == sum(len(experiment.get_episode(i).get_spikes()["timesteps"]) for i in range(3))
    assert sorted(spikes["episode"].astype(int).unique()) == [0, 1, 2]
    index = parquet.read_table(folder / "episodes.parquet")
    assert index.column("total_timesteps").to_pylist() == [row.total_timesteps for row in experiment.episodes]
    assert loads(index.column("summary")[1].as_py().encode()) == {"score": 1 / 3}
    assert loads(index.schema.metadata[b"flightrec"])["config"]["layers"] == [1, 2]


def test_parquet_is_written_by_row_groups(
    experiment: ExperimentLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "BLOCK_BYTES", 200)
    monkeypatch.setattr(adapter, "GROUP_ROWS", 20)
    folder = experiment.to_parquet(tmp_path / "out", episodes=[0])
    assert not (folder / "spikes" / "episode=1").exists()
    file = parquet.ParquetFile(folder / "neural_states" / "v" / "episode=0" / "part-0.parquet")
    assert file.num_row_groups >= 3
    same_table(experiment.get_episode(0), "neural_states/v", file.read())


def test_a_column_that_is_called_episode_keeps_its_own_name_apart(tmp_path: Path) -> None:
    with DataExporter("episode", output_base_dir=str(tmp_path)) as out:
        out.start_episode()
        for step in range(3):
            out.log(timestep=step, behavior={"episode": step})
            out.log(timestep=step, synapse_id=1, old_weight=0.0, new_weight=1.0, episode=step + 5)
        out.end_episode()
    with ExperimentLoader(out.output_dir) as loader:
        folder = loader.to_parquet(tmp_path / "out")
    for name, first in (("behavior/episode", 0), ("weight_changes", 5)):
        found = pd.read_parquet(folder / name)
        assert found["logged_episode"].tolist() == [first, first + 1, first + 2]
        assert found["episode"].astype(int).tolist() == [0, 0, 0]


def test_nothing_is_overwritten_and_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    with DataExporter("complex", output_base_dir=str(tmp_path)) as out:
        out.start_episode()
        out.log(timestep=0, behavior={"a": 1, "z": 1j})
        out.end_episode()
    with ExperimentLoader(out.output_dir) as loader:
        with pytest.raises(ExportError, match="behavior/z: z is complex128, for which Arrow has no type"):
            loader.to_parquet(tmp_path / "out")
        with pytest.raises(ExportError):
            loader.to_parquet(tmp_path / "new" / "deep" / "out")
        assert [path.name for path in tmp_path.iterdir()] == [Path(out.output_dir).name]
        loader.to_parquet(tmp_path / "some", only=["behavior/a"])
        assert not (tmp_path / "some" / "behavior" / "z").exists()
        with pytest.raises(KeyError, match=r"only: .* has no 'z'"):
            loader.to_parquet(tmp_path / "out", only=["z"])
        (tmp_path / "out").mkdir()
        with pytest.raises(FileExistsError):
            loader.to_parquet(tmp_path / "out")
        assert loader.get_episode(0).to_pandas("behavior/z")["z"].tolist() == [1j]


def test_a_missing_library_is_named_with_its_extra(
    experiment: ExperimentLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r'pip install "flightrec\[arrow\]"'):
        experiment.get_episode(0).to_arrow("spikes")
