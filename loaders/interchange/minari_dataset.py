"""Minari: episodes of observations, actions and rewards as a dataset for offline reinforcement learning."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loaders.interchange.columns import columns, tables
from loaders.interchange.extra import library
from loaders.interchange.facts import chosen
from loaders.interchange.joined import kind_of
from loaders.interchange.minari_spaces import Named, check_inside, each, space, spaces_of_environment
from recorder.errors import ExportError, OptionError
from recorder.format.document import dumps
from recorder.format.layout import EVENTS, FINAL_STATE, REWARDS, TIMESTEPS, WEIGHT_CHANGES

if TYPE_CHECKING:
    from loaders.episode import EpisodeData
    from loaders.experiment import ExperimentLoader

EXTRA = "minari"
LAST_ROW = "last row"
_NAMESPACE = "namespace_metadata.json"
_OURS = {"dataset_id", "buffer", "env", "observation_space", "action_space", "jpeg_encoding"}
"""Arguments of Minari's function that have others here."""


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
        for what, given in (("observations", observations), ("actions", actions), ("rewards", rewards)):
            several = given.values() if isinstance(given, Mapping) and what != "rewards" else [given]
            if not several or not all(isinstance(name, str) for name in several):
                raise OptionError(f"{what}: expected a stream, or several by name, got {given!r}")
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
        _, earned = columns(episode, self.rewards).values()
        if len(earned.shape) != 1 or earned.dtype.kind not in "biuf":
            raise ExportError(
                f"rewards: expected a number a row, and {self.rewards} of {episode!r} has rows of "
                f"{earned.dtype} {earned.shape[1:]}"
            )
        if first is None or len(first) <= (self.final == LAST_ROW):
            raise ExportError(f"{episode!r} has no step, and Minari no episodes without any: leave it out")

    def buffer(self, minari: Any, episode: EpisodeData) -> Any:
        """The episode as Minari's buffer."""
        read = {name: _rows(episode, name) for name in self.names()}
        steps = read[self.names()[0]][0]
        rows = len(steps) - (self.final == LAST_ROW)
        seen, last_step = each(self.observations, lambda name: read[name][1]), int(steps[-1])
        if self.final != LAST_ROW:
            last, last_step = self._final(episode, last_step)
            seen = _with_last(seen, last, repr(episode))
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
            actions=each(self.actions, lambda name: read[name][1][:rows]),
            rewards=read[self.rewards][1][:rows],
            # One for each observation, as Minari's collector has it.
            infos={
                "timestep": np.append(steps[:rows], np.int64(last_step)),
                "episode_id": np.full(rows + 1, episode.episode_id, np.int64),
            },
            **ends,
        )

    def _final(self, episode: EpisodeData, last_step: int) -> tuple[Any, int]:
        """The observation after the last step, and its timestep: that of its event, else of the last row."""
        place, _, rest = self.final.partition("/")
        if place != EVENTS:
            where = episode.get_final_state() if place == FINAL_STATE else episode.get_static_data(place)
            found = where.get(rest)
        else:
            kind, _, key = rest.partition("/")
            found = None
            for step, name, data in episode.iter_events():
                if name == kind and key in data:
                    found, last_step = data[key], step
        if found is None:
            raise ExportError(f"{episode!r} has no {self.final}")
        return found, last_step


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
    target = _place(dataset_id, about)
    numbers = chosen(recording, episodes)
    if not numbers:
        raise ExportError(f"{recording!r} has no episodes for a dataset")
    for number in numbers:
        steps.check(recording.get_episode(number))
    first = recording.get_episode(numbers[0])
    own = (None, None) if environment is None else spaces_of_environment(gymnasium, environment)
    seen, done = (given if given is not None else found for given, found in zip(spaces, own, strict=True))
    seen = space(gymnasium, first, steps.observations) if seen is None else seen
    done = space(gymnasium, first, steps.actions) if done is None else done
    if target.exists():
        raise FileExistsError(17, "File exists", str(target))
    absent = [folder for folder in target.parents if not folder.exists()]
    begun = False

    def buffers() -> Iterator[Any]:
        nonlocal begun
        begun = True
        kinds = ""
        for number in tqdm(numbers, desc="Minari", unit="episode", delay=1.0, leave=False, disable=None):
            found = steps.buffer(minari, episode := recording.get_episode(number))
            for what, inside in (("observations", seen), ("actions", done)):
                check_inside(gymnasium, inside, getattr(found, what), f"{what} of {episode!r}")
            own = str({name: kind_of(columns(episode, name)) for name in steps.names()})
            if kinds and own != kinds:
                raise ExportError(f"{episode!r} has {own}, the one before it {kinds}: a dataset has one kind")
            kinds = own
            yield found

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
        _remove_empty(absent)
        raise


def _place(dataset_id: str, about: Mapping[str, Any] | None) -> Path:
    """The dataset's folder, when its id and ``about`` are such as Minari takes."""
    minari = library("minari", EXTRA)
    try:
        library("minari.dataset.minari_dataset", EXTRA).parse_dataset_id(dataset_id)
    except (TypeError, ValueError) as error:
        raise OptionError(f"dataset_id: {error}") from error
    known = set(signature(minari.create_dataset_from_buffers).parameters) - _OURS
    if unknown := set(about or ()) - known:
        names = (", ".join(sorted(some)) for some in (unknown, known))
        raise OptionError("about: Minari knows no {}; it knows {}".format(*names))
    return Path(library("minari.storage.local", EXTRA).get_dataset_path(dataset_id))


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove these, the innermost first, where nothing is in them but what Minari says of a namespace."""
    for folder in folders:
        if folder.is_dir() and all(path.name == _NAMESPACE for path in folder.iterdir()):
            (folder / _NAMESPACE).unlink(missing_ok=True)
            folder.rmdir()


def _rows(episode: EpisodeData, name: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
    found = {key: column.read(0, len(column)) for key, column in columns(episode, name).items()}
    steps = found.pop(TIMESTEPS)
    (values,) = found.values()
    return steps, values


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
