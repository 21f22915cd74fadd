"""Episodes of our own recordings as channels over time: neural state, spike counts, behaviour."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loaders.episode import EpisodeData
from loaders.experiment import ExperimentLoader
from loaders.find import find_recording
from loaders.windows.options import count_of
from loaders.windows.sources.source import file_fingerprint
from recorder.errors import OptionError, ReadError
from recorder.format.layout import OWN_TIMESTEPS, SPIKES, TIMESTEPS

_FIRST_LOOK = 64
"""Bins to look back for the value that still holds; doubled until one is found."""


def episode_sources(
    recording: str | os.PathLike[str],
    *,
    streams: Sequence[str] | None = None,
    every: int = 1,
    episodes: Sequence[int] | None = None,
    prefix: str | None = None,
) -> dict[str, EpisodeSource]:
    """The episodes of a recording as subjects, for ``create_hdf5_cache``.

    A sample stands for ``every`` timesteps: of ``"spikes"`` it has each neuron's number of spikes in them,
    of other streams the last value logged by their end, with arrays flattened to channels. The first
    sample is at the first timestep by which every stream has a value; a stream that ends early keeps its last
    one.

    Parameters
    ----------
    recording : path
        Its folder or file.
    streams : sequence of str, optional
        Such as ``"neural_states/v"``, ``"behavior/x"``, ``"spikes"``, in the order of the channels; all
        that the first of the episodes has by default.
    every : int
    episodes : sequence of int, optional
        All by default.
    prefix : str, optional
        Of the names ``<prefix>/episode_<id>``; the name of the recording's folder by default.

    Returns
    -------
    dict
        Subject's name: source.

    Raises
    ------
    OptionError
        ``every`` is no whole number from 1 on, or there are no episodes or streams.
    FileNotFoundError, ReadError
        There is no recording, or it cannot be read.
    """
    if isinstance(streams, str):
        raise OptionError(f"expected a list of streams, got {streams!r}")
    every = count_of("every", every, "timesteps")
    path = find_recording(recording).absolute()
    with ExperimentLoader(path) as experiment:
        wanted = experiment.list_episodes() if episodes is None else list(episodes)
        if not wanted:
            raise OptionError(f"{path} has no episodes to make windows from")
        names = _all_streams(experiment.get_episode(wanted[0])) if streams is None else tuple(streams)
    if not names:
        raise OptionError(f"{path}: no streams to make windows from")
    start = path.resolve().parent.name if prefix is None else prefix
    return {f"{start}/episode_{number}": EpisodeSource(path, number, names, every) for number in wanted}


@dataclass(frozen=True)
class EpisodeSource:
    """An episode of a recording; see :func:`episode_sources`."""

    path: Path
    episode: int
    streams: tuple[str, ...]
    every: int = 1

    def open(self, scratch: Path) -> EpisodeSamples:  # noqa: ARG002 - as every source
        """See :class:`Source`."""
        return EpisodeSamples(self)

    def fingerprint(self) -> dict[str, Any]:
        """See :class:`Source`."""
        chosen = {"episode": self.episode, "streams": list(self.streams), "every": self.every}
        return {**file_fingerprint(self.path), **chosen}

    def place(self) -> dict[str, str]:
        """See :class:`Source`."""
        return {"folder": os.fspath(self.path.resolve().parent), "format": "flightrec"}


class EpisodeSamples:
    """An episode on an even grid of time; reads one thread at a time."""

    rate: float | None = None

    def __init__(self, source: EpisodeSource) -> None:
        self._every, self._lock = source.every, threading.Lock()
        self._experiment = ExperimentLoader(source.path)
        try:
            self._episode = episode = self._experiment.get_episode(source.episode)
            self._streams = [
                _Spikes(episode) if name == SPIKES else _Held(episode, name) for name in source.streams
            ]
        except KeyError as error:
            self._experiment.close()
            raise ReadError(f"{source.path}: {error.args[0]}") from error
        except BaseException:
            self._experiment.close()
            raise
        self._start = max(stream.start for stream in self._streams)
        stop = max(stream.stop for stream in self._streams)
        self.channels = sum(stream.channels for stream in self._streams)
        self.samples = max(0, stop - self._start) // self._every

    def read(self, start: int, stop: int) -> NDArray[np.float64]:
        """See :class:`Samples`."""
        first = self._start + start * self._every
        with self._lock:
            parts = [stream.read(first, stop - start, self._every) for stream in self._streams]
        return np.concatenate(parts)

    def close(self) -> None:
        """See :class:`Samples`."""
        self._experiment.close()


class _Spikes:
    """Spike counts by neuron."""

    def __init__(self, episode: EpisodeData) -> None:
        clock, neurons = episode._clocks().get(SPIKES), episode.n_neurons
        if clock is None or not len(clock) or not neurons:
            raise ReadError(f"{episode!r} has no spikes")
        self._episode, self.channels = episode, neurons
        self.start, self.stop = clock.span()

    def read(self, first: int, bins: int, every: int) -> NDArray[np.float64]:
        found = self._episode.get_spikes(first, first + bins * every)
        cells = found["neuron_ids"] * bins + (found[TIMESTEPS] - first) // every
        counts = np.bincount(cells, minlength=self.channels * bins)
        return counts.astype(np.float64).reshape(self.channels, bins)


class _Held:
    """A stream's value at the end of each bin, which holds until the next one."""

    def __init__(self, episode: EpisodeData, name: str) -> None:
        stream = episode.stream(name)
        clock = episode._clocks().get(name)
        if clock is None:
            raise ReadError(f"{episode!r}: {name} has no rows")
        if stream.dtype.kind not in "biuf":
            raise ReadError(f"{episode!r}: {name} has values of {stream.dtype}, expected real numbers")
        group, self._key = name.split("/", 1)
        self._get = episode.get_neural_states if group == "neural_states" else episode.get_behavior
        self.channels = int(np.prod(stream.shape[1:], dtype=np.int64))
        self.start, self.stop = clock.span()

    def _rows(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
        found = self._get(timesteps=(start, stop), keys=[self._key])
        times = found.get(self._key + OWN_TIMESTEPS, found[TIMESTEPS])
        values = found[self._key]
        order = np.argsort(times, kind="stable")
        return times[order], values[order]

    def read(self, first: int, bins: int, every: int) -> NDArray[np.float64]:
        back = _FIRST_LOOK * every
        ends = first + every * np.arange(1, bins + 1)
        while True:
            times, values = self._rows(max(self.start, first - back), int(ends[-1]))
            # The last row before each bin's end.
            rows = np.searchsorted(times, ends, "left") - 1
            if rows[0] >= 0 or first - back <= self.start:
                break
            back *= 2
        return np.ascontiguousarray(values[rows].reshape(bins, self.channels).T, np.float64)


def _all_streams(episode: EpisodeData) -> tuple[str, ...]:
    dense = [name for name in episode.streams if episode.stream(name).dtype.kind in "biuf"]
    return (*dense, SPIKES) if episode.n_neurons else tuple(dense)
