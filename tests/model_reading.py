"""A recording's files compared with the model: through the loader, and as plain HDF5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from loaders import EpisodeData, ExperimentLoader
from tests.comparing import assert_same
from tests.model import NEURONS, Episode, Model


def check_recording(path: Path, model: Model, *, killed: bool) -> None:
    """Everything the model has, and nothing else, bit for bit."""
    with ExperimentLoader(path) as loader:
        assert loader.status == ("recovered" if killed else "completed")
        assert_same(loader.get_config(), model.config)
        given = {k: v for k, v in loader.get_metadata().items() if k in model.metadata}
        assert_same(given, {k: model.metadata[k] for k in given})
        assert given.keys() == model.metadata.keys()
        stored = sorted(
            (name.split("_")[0], c["w"].tobytes()) for name, c in loader.get_all_checkpoints().items()
        )
        assert stored == sorted((name, w.tobytes()) for name, w in model.checkpoints)
        assert_same(loader.get_initial_weights(), model.weights)
        assert loader.list_episodes() == sorted(model.episodes)
        for number, episode in model.episodes.items():
            check_episode(loader.get_episode(number), episode, killed=killed)
            if episode.end:
                summary = loader.get_episode_summary(number)
                assert_same({k: summary[k] for k in episode.end["summary"]}, episode.end["summary"])


def check_episode(found: EpisodeData, episode: Episode, *, killed: bool) -> None:
    """One episode of an ended or repaired recording."""
    facts = found.get_metadata()
    assert facts["status"] == ("completed" if episode.end else "recovered")
    assert facts["success"] == bool(episode.end and episode.end["success"])
    assert facts["total_timesteps"] == episode.calls
    assert facts["dropped_timesteps"] == 0
    assert sorted(found.streams) == sorted(episode.streams)
    rows = {name: len(kept) for name, kept in episode.streams.items()}
    for name, kept in episode.streams.items():
        stream = found.stream(name)
        assert_same(stream.timesteps, steps(kept))
        assert_same(stream.read(), np.array([value for _, value in kept]))
    if episode.spikes:
        rows["spikes"] = len(episode.spikes)
        assert_same(found.spike_timesteps(), steps(episode.spikes))
        assert_same(found.get_spike_raster(), np.array([row for _, row in episode.spikes]))
    assert len(found.spike_timesteps()) == len(episode.spikes)
    if episode.rewards:
        rows["rewards"] = len(episode.rewards)
        rewards = {"timesteps": steps(episode.rewards), "rewards": np.array([r for _, r in episode.rewards])}
        assert_same(found.get_rewards(), rewards)
    assert bool(found.get_rewards()) == bool(episode.rewards)
    changes = sorted(episode.weights, key=lambda change: change[0])
    columns = found.get_weight_changes()
    assert bool(columns) == bool(changes)
    if changes:
        rows["weight_changes"] = len(changes)
        for index, name in enumerate(("timesteps", "synapse_ids", "old_weights", "new_weights")):
            assert_same(columns[name], np.array([change[index] for change in changes]))
    if episode.events:
        rows["events"] = len(episode.events)
    assert_same(list(found.iter_events()), episode.events)
    assert found.list_static_data() == sorted(episode.static)
    for name, values in episode.static.items():
        assert_same({k: plain(v) for k, v in found.get_static_data(name).items()}, values)
    accounts = found.accounts()
    assert {name: account.logged for name, account in accounts.items()} == rows
    assert all(a.committed + a.recovered == a.logged and not a.dropped for a in accounts.values())
    assert killed or not any(a.recovered for a in accounts.values())


def check_committed(file: h5py.File, model: Model) -> None:
    """As plain HDF5, by the counters: a prefix of every stream, whole where an episode has ended."""
    for name, group in file["episodes"].items():
        episode = model.episodes[int(name.removeprefix("episode_"))]
        counters = group["committed"][:] if "committed" in group else None

        def rows(path: str, group: h5py.Group = group, counters: Any = counters) -> Any:
            if path not in group:
                return np.empty(0)
            dataset = group[path]
            return dataset[: None if counters is None else counters[dataset.attrs["counter"]]]

        for path, kept in episode.streams.items():
            values = rows(path)
            assert len(values) <= len(kept)
            assert values.tobytes() == np.array([v for _, v in kept[: len(values)]], values.dtype).tobytes()
            if path in group:
                clock = rows(f"{path.partition('/')[0]}/{group[path].attrs['timesteps']}")
                both = min(len(clock), len(values))
                assert clock[:both].tolist() == steps(kept)[:both].tolist()
            assert counters is not None or len(values) == len(kept)
        for path, kept in (
            ("spikes", episode.spikes),
            ("rewards", episode.rewards),
            ("weight_changes", episode.weights),
            ("events", episode.events),
        ):
            clock = rows(f"{path}/timesteps")
            assert clock.tolist() == [row[0] for row in kept[: len(clock)]]
            assert counters is not None or len(clock) == len(kept)
        gaps = rows("spikes/intervals").astype("u8")
        cells = np.cumsum(gaps + 1) - 1
        raster = np.array([row for _, row in episode.spikes])
        bits = raster.reshape(-1).view(f"u{raster.itemsize}") if raster.size else raster
        assert cells.tolist() == np.flatnonzero(bits)[: len(cells)].tolist()
        runs = np.repeat(
            rows("rewards/values")[: len(rows("rewards/lengths"))], rows("rewards/lengths").astype(int)
        )
        assert runs.tobytes() == np.array([r for _, r in episode.rewards[: len(runs)]]).tobytes()
        for index, column in enumerate(("synapse_ids", "old_weights", "new_weights"), 1):
            values = rows(f"weight_changes/{column}")
            wanted = np.array([change[index] for change in episode.weights[: len(values)]], values.dtype)
            assert values.tobytes() == wanted.tobytes()
        assert group["spikes"].attrs.get("n_neurons", NEURONS) == NEURONS


def steps(kept: list[Any]) -> Any:
    """Timesteps of rows."""
    return np.array([row[0] for row in kept], np.int64)


def plain(value: Any) -> Any:
    """A NumPy scalar as Python's."""
    return value.item() if isinstance(value, np.generic) else value
