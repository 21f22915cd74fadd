"""The questions of ``reading.py``, answered by ExperimentLoader and by plain h5py, in a process of its own.

Reads a specification as JSON, prints the result as JSON. ``{"do": "record"}`` writes the file, ``"read"``
reads it. An answer is a list of arrays in one order, the same for both, so that they can be compared.
"""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

Arrays = list[NDArray[Any]]
SILENCE = 2**32 - 1
WINDOW = 1_000
WINDOWS = 50


def record(spec: dict[str, Any]) -> dict[str, Any]:
    """The recording that is read, and a short one to warm up with, by flightrec's defaults."""
    from peer import flightrec
    from peer.work import WORKLOADS, episodes, prepare

    paths: dict[str, Path] = {}
    work = WORKLOADS[spec["workload"]].shortened(spec["steps"])
    for name, one in (("warm", work.shortened(WINDOW)), ("path", work)):
        recorder = flightrec.Recorder(Path(spec["folder"], name), one)
        for rows in episodes(prepare(one, spec["seed"])):
            recorder.start_episode()
            flightrec.drive(recorder, rows)
            recorder.end_episode()
        recorder.close()
        paths[name] = recorder.exporter.h5_path
    size = paths["path"].stat().st_size
    shape = {"episodes": work.episodes, "steps_an_episode": work.steps, "neurons": work.neurons}
    return {
        **{name: str(path) for name, path in paths.items()},
        "file_bytes": size,
        **shape,
        "sampling": work.sampling,
    }


class Loader:
    """flightrec's own."""

    def __init__(self, path: str) -> None:
        from loaders import ExperimentLoader

        self.experiment = ExperimentLoader(path)

    def part(self, start: int | None, stop: int | None, episode: int | None = None) -> Arrays:
        """Everything between two timesteps of one episode or of all."""
        out: Arrays = []
        for number in self.experiment.list_episodes() if episode is None else [episode]:
            found = self.experiment.get_episode(number)
            states = found.get_neural_states(timesteps=(start, stop))
            behavior = found.get_behavior(timesteps=(start, stop))
            rewards, spikes = found.get_rewards(start, stop), found.get_spikes(start, stop)
            out += [states["timesteps"], states["v"], behavior["timesteps"], behavior["x"], behavior["y"]]
            out += [rewards["timesteps"], rewards["rewards"], spikes["timesteps"], spikes["neuron_ids"]]
        return out

    def trace(self, neuron: int) -> Arrays:
        """Potentials and spikes of one neuron."""
        out: Arrays = []
        for number in self.experiment.list_episodes():
            episode = self.experiment.get_episode(number)
            stream = episode.stream("neural_states/v")
            out += [stream.timesteps, stream.read(neurons=neuron)]
            out.append(episode.get_spikes(neurons=neuron)["timesteps"])
        return out


class Plain:
    """h5py and NumPy, with what the specification says."""

    def __init__(self, path: str) -> None:
        self.file = h5py.File(path)

    def part(self, start: int | None, stop: int | None, episode: int | None = None) -> Arrays:
        """As :meth:`Loader.part`."""
        out: Arrays = []
        for group in self._episodes(episode):
            states, behavior, rewards = group["neural_states"], group["behavior"], group["rewards"]
            every = int(group.attrs["neural_sampling_rate"])
            rows = slice(*(None if t is None else -(-t // every) for t in (start, stop)))
            span = slice(start, stop)
            out += [states["timesteps"][rows], states["v"][rows]]
            out += [behavior[name][span] for name in ("timesteps", "x", "y")]
            out += [rewards["timesteps"][span], _rewards(rewards, start, stop)]
            out += _spikes(group["spikes"], start, stop)
        return out

    def trace(self, neuron: int) -> Arrays:
        """As :meth:`Loader.trace`."""
        out: Arrays = []
        for group in self._episodes(None):
            out += [group["neural_states/timesteps"][:], group["neural_states/v"][:, neuron]]
            timesteps, neurons = _spikes(group["spikes"], None, None)
            out.append(timesteps[neurons == neuron])
        return out

    def raw(self) -> Arrays:
        """Every dataset as it is stored."""
        names = ("neural_states", "behavior", "rewards", "spikes")
        return [
            dataset[:] for group in self._episodes(None) for name in names for dataset in group[name].values()
        ]

    def _episodes(self, episode: int | None) -> Iterator[Any]:
        names = sorted(self.file["episodes"], key=lambda name: int(name.removeprefix("episode_")))
        return (self.file["episodes"][name] for name in (names if episode is None else [names[episode]]))


def _rewards(group: Any, start: int | None, stop: int | None) -> NDArray[Any]:
    values, lengths = group["values"][:], group["lengths"][:].astype(np.int64)
    if start is None or stop is None:
        return np.repeat(values, lengths)
    ends = np.cumsum(lengths)
    low, high = np.searchsorted(ends, start, side="right"), np.searchsorted(ends, stop) + 1
    inside = np.minimum(ends[low:high], stop) - np.maximum((ends - lengths)[low:high], start)
    return np.repeat(values[low:high], inside)


def _spikes(group: Any, start: int | None, stop: int | None) -> Arrays:
    n = int(group.attrs["n_neurons"])
    if start is None or stop is None:
        gaps = group["intervals"][:].astype(np.int64)
        spike = gaps != SILENCE
        cells = (np.cumsum(gaps + spike) - 1)[spike]
        return [group["timesteps"][:][cells // n], cells % n]
    every, anchors = int(group.attrs["anchor_rows"]), group["anchors"]
    _, item, cell = anchors[start // every]
    line = -(-stop // every)
    end = anchors[line][1] if line < len(anchors) else None
    gaps = group["intervals"][item:end].astype(np.int64)
    spike = gaps != SILENCE
    cells = (cell + np.cumsum(gaps + spike) - 1)[spike]
    cells = cells[(cells >= start * n) & (cells < stop * n)]
    return [group["timesteps"][start:stop][cells // n - start], cells % n]


def read(spec: dict[str, Any]) -> dict[str, Any]:
    """Answer a question; seconds and CPU seconds, a window's are the median of many."""
    way: type[Loader] | type[Plain] = Loader if spec["way"] == "loader" else Plain
    with h5py.File(spec["path"]) as file:
        steps = int(file["episodes/episode_0000"].attrs["total_timesteps"])
        episodes = len(file["episodes"])
    question, _, share = spec["question"].partition(" ")
    # What is imported at the first use, and threads' first stacks, are nobody's reading.
    way(spec["warm"]).part(None, None)
    if question == "window":
        return _windows(way(spec["path"]), min(WINDOW, steps), steps, episodes, spec["seed"])
    part = max(1, int(steps * float(share.rstrip("%")) / 100)) if share else 0
    middle = (steps - part) // 2
    answers: dict[str, Callable[[Any], Arrays]] = {
        "full": lambda one: one.raw() if spec["way"] == "h5py raw" else one.part(None, None),
        "trace": lambda one: one.trace(7),
        "slice": lambda one: one.part(middle, middle + part),
    }
    load = os.getloadavg()
    cpu, begun = time.process_time(), time.perf_counter()
    found = answers[question](way(spec["path"]))
    ended, cpu = time.perf_counter(), time.process_time() - cpu
    return {"seconds": ended - begun, "cpu_seconds": cpu, "load_average": load, "answer": _sum(found)}


def _windows(one: Any, window: int, steps: int, episodes: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, steps - window + 1, WINDOWS).tolist()
    numbers = rng.integers(0, episodes, WINDOWS).tolist()
    took: list[tuple[float, float]] = []
    found: Arrays = []
    load = os.getloadavg()
    for start, number in zip(starts, numbers, strict=True):
        cpu, begun = time.process_time(), time.perf_counter()
        part = one.part(start, start + window, number)
        took.append((time.perf_counter() - begun, time.process_time() - cpu))
        found += part
    seconds, cpu_seconds = np.median(took, axis=0).tolist()
    figures = {"seconds": seconds, "cpu_seconds": cpu_seconds, "first_seconds": took[0][0]}
    return {**figures, "load_average": load, "answer": _sum(found)}


def _sum(arrays: Arrays) -> int:
    total = 0
    for array in arrays:
        total = zlib.adler32(np.ascontiguousarray(array).data, total)
        total = zlib.adler32(repr((array.dtype.str, array.shape)).encode(), total)
    return total


if __name__ == "__main__":
    specification = json.loads(sys.argv[1])
    result = {"record": record, "read": read}[specification["do"]](specification)
    json.dump(result, sys.stdout)
