"""Minari: episodes of observations, actions and rewards as a dataset for offline reinforcement learning."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loaders.interchange.columns import columns, tables
from loaders.interchange.extra import library
from loaders.interchange.facts import chosen
from recorder.errors import ExportError, OptionError
from recorder.format.document import dumps
from recorder.format.layout import EVENTS, FINAL_STATE, REWARDS, TIMESTEPS, WEIGHT_CHANGES

if TYPE_CHECKING:
    from loaders.episode import EpisodeData
    from loaders.experiment import ExperimentLoader

EXTRA = "minari"
LAST_ROW = "last row"
Named = str | Mapping[str, str]


class Steps:
    """What of a recording's streams is what in reinforcement learning; see ``ExperimentLoader.to_minari``."""

    def __init__(
        self,
        observations: Named,
        actions: Named,
        final_observation: str,
        rewards: str = REWARDS,
        terminations: str | bool = False,
        truncations: str | bool = False,
    ) -> None:
        self.observations, self.actions, self.rewards = observations, actions, rewards
        self.terminations, self.truncations, self.final = terminations, truncations, final_observation
        place, _, rest = final_observation.partition("/")
        if final_observation != LAST_ROW and not (rest.partition("/")[2] if place == EVENTS else rest):
            raise OptionError(
                "final_observation: expected 'events/<type>/<key>', 'final_state/<key>', the "
                f"'<name>/<key>' of static data, or {LAST_ROW!r}, got {final_observation!r}"
            )

    def names(self) -> list[str]:
        """The streams that are read."""
        several = [self.observations, self.actions, self.rewards, self.terminations, self.truncations]
        found = [
            list(n.values()) if isinstance(n, Mapping) else [n] for n in several if not isinstance(n, bool)
        ]
        return list(dict.fromkeys(name for names in found for name in names))

    def check(self, episode: EpisodeData) -> None:
        """Raise where an episode lacks a stream, or these are not logged together."""
        known = [name for name in tables(episode) if name not in (EVENTS, WEIGHT_CHANGES)]
        first: NDArray[np.int64] | None = None
        for name in self.names():
            if name not in known:
                raise KeyError(f"{episode!r} has no rows {name!r}; it has {', '.join(known) or 'none'}")
            column = columns(episode, name)[TIMESTEPS]
            steps = column.read(0, len(column))
            if first is not None and not np.array_equal(steps, first):
                raise ExportError(f"{name} of {episode!r} has other timesteps than {self.names()[0]}")
            first = steps
        if first is None or len(first) <= (self.final == LAST_ROW):
            raise ExportError(f"{episode!r} has no step, and Minari no episodes without any: leave it out")

    def buffer(self, minari: Any, episode: EpisodeData) -> Any:
        """The episode as Minari's buffer."""
        read = {name: _rows(episode, name) for name in self.names()}
        steps = read[self.names()[0]][0]
        rows = len(steps) - (self.final == LAST_ROW)
        seen = _each(self.observations, lambda name: read[name][1])
        if self.final != LAST_ROW:
            seen = _with_last(seen, self._final(episode), repr(episode))
        ends = {}
        for what, given in (("terminations", self.terminations), ("truncations", self.truncations)):
            if isinstance(given, str):
                values = read[given][1]
                if values.dtype != np.bool_ or values.ndim != 1:
                    raise ExportError(f"{given} of {episode!r}: expected one bool a row, got {values.dtype}")
                # Of the last row there is no step, which would lose what it says of the end.
                if self.final == LAST_ROW and rows and values[-1]:
                    values = np.append(values[: rows - 1], True)
                ends[what] = values[:rows]
            else:
                ends[what] = np.arange(rows) == (rows - 1 if given else -1)
        return minari.data_collector.EpisodeBuffer(
            observations=seen,
            actions=_each(self.actions, lambda name: read[name][1][:rows]),
            rewards=read[self.rewards][1][:rows],
            infos={
                "timestep": steps[:rows],
                "episode_id": np.full(rows, episode.episode_id, np.int64),
            },
            **ends,
        )

    def _final(self, episode: EpisodeData) -> Any:
        place, _, rest = self.final.partition("/")
        if place != EVENTS:
            where = episode.get_final_state() if place == FINAL_STATE else episode.get_static_data(place)
            found = where.get(rest)
        else:
            kind, _, key = rest.partition("/")
            events = [data[key] for _, name, data in episode.iter_events() if name == kind and key in data]
            found = events[-1] if events else None
        if found is None:
            raise ExportError(f"{episode!r} has no {self.final}")
        return found


def to_minari(
    recording: ExperimentLoader,
    dataset_id: str,
    steps: Steps,
    environment: Any,
    spaces: tuple[Any, Any],
    about: Mapping[str, Any] | None,
    episodes: Iterable[int] | None,
) -> Any:
    """See :meth:`loaders.ExperimentLoader.to_minari`."""
    from tqdm import tqdm

    minari, gymnasium = library("minari", EXTRA), library("gymnasium", EXTRA)
    library("minari.data_collector", EXTRA)
    numbers = chosen(recording, episodes)
    if not numbers:
        raise ExportError(f"{recording!r} has no episodes for a dataset")
    for number in numbers:
        steps.check(recording.get_episode(number))
    first = recording.get_episode(numbers[0])
    seen, done = spaces
    if environment is None:
        seen = (
            _each(steps.observations, lambda n: _space(gymnasium, first, n), gymnasium)
            if seen is None
            else seen
        )
        done = (
            _each(steps.actions, lambda n: _space(gymnasium, first, n), gymnasium) if done is None else done
        )
    target = library("minari.storage.local", EXTRA).get_dataset_path(dataset_id)
    if target.exists():
        raise FileExistsError(17, "File exists", str(target))

    begun = False

    def buffers() -> Iterator[Any]:
        nonlocal begun
        begun = True
        for number in tqdm(numbers, desc="Minari", unit="episode", delay=1.0, leave=False, disable=None):
            yield steps.buffer(minari, recording.get_episode(number))

    facts = {"description": f"from {recording.h5_path}: {dumps(recording.get_config()).decode('ascii')}"}
    try:
        return minari.create_dataset_from_buffers(
            dataset_id,
            buffers(),
            env=environment,
            observation_space=seen,
            action_space=done,
            # Pictures as JPEG would not come back as they were.
            jpeg_encoding=False,
            **facts | dict(about or {}),
        )
    except BaseException:
        # Before that, the folder is not ours: somebody else may have made it meanwhile.
        if begun:
            shutil.rmtree(target, ignore_errors=True)
        raise


def _rows(episode: EpisodeData, name: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
    found = {key: column.read(0, len(column)) for key, column in columns(episode, name).items()}
    steps = found.pop(TIMESTEPS)
    (values,) = found.values()
    return steps, values


def _each(named: Named, of: Any, gymnasium: Any = None) -> Any:
    if isinstance(named, str):
        return of(named)
    found = {key: of(name) for key, name in named.items()}
    return found if gymnasium is None else gymnasium.spaces.Dict(found)


def _with_last(seen: Any, last: Any, where: str) -> Any:
    if isinstance(seen, dict):
        if not isinstance(last, Mapping) or set(last) != set(seen):
            raise ExportError(f"{where}: the last observation is not a mapping of {', '.join(seen)}")
        return {key: _with_last(values, last[key], where) for key, values in seen.items()}
    row = np.asarray(last)
    if row.shape != seen.shape[1:] or row.dtype != seen.dtype:
        raise ExportError(
            f"{where}: the last observation is {row.dtype} {row.shape}, "
            f"the others {seen.dtype} {seen.shape[1:]}"
        )
    return np.concatenate([seen, row[None]])


def _space(gymnasium: Any, episode: EpisodeData, name: str) -> Any:
    _, column = columns(episode, name).values()
    shape, dtype = column.shape[1:], column.dtype
    if dtype.kind not in "iuf":
        raise OptionError(
            f"{name} is {dtype}: say in which space it is, by observation_space or action_space"
        )
    limits = (-np.inf, np.inf) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return gymnasium.spaces.Box(*limits, shape, dtype.type)
