"""What a killed recording must hold, by what its process had been told was stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from loaders import EpisodeData, ExperimentLoader
from recorder.format.layout import COMPLETED, RECOVERED
from tests.crash.work import (
    BATCH,
    SAMPLING,
    Plan,
    checkpoint_of,
    event_of,
    graded,
    keeps_checkpoint,
    level,
    plan_of,
    raster,
)

Streams = dict[str, Any]


def check_recovered(
    path: Path, seed: int, told: dict[str, int], longest: int, *, at_least: bool = False
) -> int:
    """Every acknowledged call is there, bit for bit; returns how many steps there are in all.

    With ``at_least`` there may be more than one call that was not.
    """
    total = 0
    with ExperimentLoader(path) as loader:
        assert loader.status in {RECOVERED, COMPLETED}, loader.status
        numbers = loader.list_episodes()
        assert numbers == list(range(len(numbers)))
        assert told["started"] <= len(numbers) <= told["started"] + 1, (len(numbers), told)
        for number in numbers:
            plan, episode = plan_of(seed, number, longest), loader.get_episode(number)
            calls = check_episode(episode, plan)
            if number < told["ended"] or episode.status == COMPLETED:
                assert episode.status == COMPLETED, (number, episode.status, told)
                assert calls == plan.calls, f"episode {number} has {calls} of {plan.calls} calls"
                assert loader.get_episode_summary(number)["episode"] == number
            else:
                assert episode.status == RECOVERED
                acknowledged = told["calls"] if number == told["started"] - 1 else 0
                assert acknowledged <= calls, f"{calls} calls of {acknowledged} told"
                assert at_least or calls <= acknowledged + 1, f"{calls} calls, {acknowledged} told"
            total += episode.get_metadata()["total_timesteps"]
        _check_documents(loader, told, len(numbers))
    return total


def check_committed(path: Path) -> None:
    """A plain HDF5 open, nothing of ours: rows that counters cover are exact, and everything can be read."""
    with h5py.File(path, "r") as file:
        assert file.attrs["format"] == "flightrec"
        for name, group in file["episodes"].items():
            number = int(name.removeprefix("episode_"))
            counters = group["committed"][()] if "committed" in group else None
            for place in ("behavior", "neural_states", "spikes", "rewards", "weight_changes"):
                for key, dataset in group[place].items():
                    rows = dataset[()]
                    if counters is not None:
                        rows = rows[: counters[dataset.attrs["counter"]]]
                    if key in {"x", "u", "v"}:
                        time = np.arange(len(rows)) * (SAMPLING if key == "v" else 1)
                        levels = level(number, time).reshape(-1, *[1] * (rows.ndim - 1))
                        assert (rows == levels).all(), f"{dataset.name} is not exact"


def check_episode(episode: EpisodeData, plan: Plan) -> int:
    """Everything in it is a prefix of the plan, the same one in every stream; returns the prefix's calls."""
    rows = episode.get_metadata()["total_timesteps"]
    calls = {"batch": -(-rows // BATCH), "sides": rows}.get(plan.kind, rows)
    if plan.kind == "sides":
        changes = episode.get_weight_changes()
        calls = rows + sum(1 for _ in episode.iter_events()) + len(changes.get("timesteps", ()))
    found, wanted = _found(episode), _wanted(plan, rows, calls)
    for key in sorted(found.keys() | wanted.keys()):
        have, want = found.get(key, ()), wanted.get(key, ())
        same = len(have) == len(want) and (not len(want) or _equal(have, want))
        assert same, f"episode {plan.number} ({plan.kind}): {key} differs"
    return calls


def _found(episode: EpisodeData) -> Streams:
    out: Streams = {}
    groups = {
        "neural": episode.get_neural_states(),
        "behavior": episode.get_behavior(),
        "rewards": episode.get_rewards(),
        "weights": episode.get_weight_changes(),
    }
    for group, streams in groups.items():
        out |= {f"{group}/{key}": value for key, value in streams.items()}
    out["spikes"] = episode.get_spike_raster()
    out["events"] = list(episode.iter_events())
    return out


def _equal(have: Any, want: Any) -> bool:
    return have == want if isinstance(want, list) else np.array_equal(have, want)


def _wanted(plan: Plan, rows: int, calls: int) -> Streams:
    time = np.arange(rows)
    levels = level(plan.number, time)
    wide = np.repeat(levels[::SAMPLING, None], 20, axis=1).astype(float)
    out: Streams = {"behavior/x": levels.astype(float), "behavior/timesteps": time}
    if plan.kind == "full":
        late, rewarded = time[plan.steps // 2 + 1 :], time[::3]
        out |= {
            "neural/u": np.repeat(levels[:, None], 3, axis=1),
            "neural/timesteps": time,
            "neural/v": wide,
            "behavior/late": late,
            "behavior/late_timesteps": late,
            "spikes": raster(levels),
            "rewards/timesteps": rewarded,
            "rewards/rewards": (rewarded // 30).astype(float),
            "events": [(t, "mark", event_of(t)) for t in time[::50].tolist()],
            "weights/timesteps": time[::20],
            "weights/synapse_ids": time[::20],
            "weights/old_weights": time[::20].astype(float),
            "weights/new_weights": levels[::20].astype(float),
            "weights/deltas": (levels - time)[::20].astype(float),
        }
    elif plan.kind == "indices":
        out |= {
            "behavior/gap": time[::5].astype(float),
            "spikes": raster(levels),
            "rewards/timesteps": time,
            "rewards/rewards": time.astype(float),
        }
    elif plan.kind == "batch":
        out |= {
            "neural/v": wide,
            "neural/timesteps": time[::SAMPLING],
            "spikes": graded(levels),
            "rewards/timesteps": time,
            "rewards/rewards": time.astype(float),
        }
    if rows > 1 and plan.kind == "full":
        out["neural/v_timesteps"] = time[::SAMPLING]
    if rows > 1 and plan.kind == "indices":
        out["behavior/gap_timesteps"] = time[::5]
    if plan.kind == "sides":
        events, changes = time[: (calls + 1) // 3], time[: calls // 3]
        out |= {
            "events": [(t, "mark", event_of(t)) for t in events.tolist()],
            "weights/timesteps": changes,
            "weights/source_ids": changes,
            "weights/target_ids": changes + 1,
            "weights/old_weights": changes.astype(float),
            "weights/new_weights": level(plan.number, changes).astype(float),
            "weights/deltas": (level(plan.number, changes) - changes).astype(float),
        }
    return out


def _check_documents(loader: ExperimentLoader, told: dict[str, int], episodes: int) -> None:
    if told["started"]:
        assert loader.get_config()["nested"] == {"list": [1, 2.5, None, "ü"]}
    saved = sorted(data["n"] for data in loader.get_all_checkpoints().values())
    wanted = [n for n in range(episodes) if keeps_checkpoint(n)]
    assert told["checkpoints"] <= len(saved) <= told["checkpoints"] + 1
    assert saved == wanted[: len(saved)]
    for data in loader.get_all_checkpoints().values():
        assert np.array_equal(data["w"], checkpoint_of(data["n"])["w"])
    if told["metadata"]:
        assert loader.get_metadata()["last"] >= told["metadata"] - 1
