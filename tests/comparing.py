"""Everything a recording's episodes hold, in a form in which two recordings can be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from loaders import ExperimentLoader

TIMES = ("start_time", "end_time")


def contents(path: Path) -> dict[int, dict[str, Any]]:
    """Every stream of every episode, read through the loader."""
    out: dict[int, dict[str, Any]] = {}
    with ExperimentLoader(path) as loader:
        for number in loader.list_episodes():
            episode = loader.get_episode(number)
            found: dict[str, Any] = {
                "metadata": {k: v for k, v in episode.get_metadata().items() if k not in TIMES},
                "summary": {k: v for k, v in loader.get_episode_summary(number).items() if k not in TIMES},
                "neural": episode.get_neural_states(),
                "behavior": episode.get_behavior(),
                "spikes": episode.get_spikes(),
                "rewards": episode.get_rewards(),
                "weights": episode.get_weight_changes(),
                "events": list(episode.iter_events()),
                "final": episode.get_final_state(),
                "static": {name: episode.get_static_data(name) for name in episode.list_static_data()},
            }
            if len(episode.spike_timesteps()):
                found["raster"] = episode.get_spike_raster()
                found["spike_timesteps"] = episode.spike_timesteps()
            out[number] = found
    return out


def assert_same(a: Any, b: Any, where: str = "") -> None:
    """Equal in type, dtype, shape and every bit; NaN equals NaN."""
    assert type(a) is type(b), f"{where}: {type(a)} and {type(b)}"
    if isinstance(a, dict):
        assert a.keys() == b.keys(), f"{where}: {a.keys()} and {b.keys()}"
        for key in a:
            assert_same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), f"{where}: {len(a)} and {len(b)} entries"
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{index}]")
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype, f"{where}: {a.dtype} and {b.dtype}"
        assert a.shape == b.shape, f"{where}: {a.shape} and {b.shape}"
        if a.dtype == object:
            assert_same(a.tolist(), b.tolist(), where)
        elif a.dtype.char in "gG":
            # Its last bytes are padding.
            assert np.array_equal(a, b, equal_nan=True), f"{where}:\n{a}\n{b}"
        else:
            assert a.tobytes() == b.tobytes(), f"{where}:\n{a}\n{b}"
    elif isinstance(a, np.generic | complex) and not isinstance(a, np.void):
        assert_same(np.asarray(a), np.asarray(b), where)
    elif isinstance(a, float):
        assert np.float64(a).tobytes() == np.float64(b).tobytes(), f"{where}: {a} and {b}"
    else:
        assert a == b, f"{where}: {a!r} and {b!r}"
