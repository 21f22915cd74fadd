"""Environments that step together: one recording each, side by side in a folder."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recorder.errors import FlightrecError, NoEpisodeError, OptionError
from recorder.exporter import DataExporter
from recorder.integrations.course import Course, Success, told
from recorder.integrations.extra import missing
from recorder.integrations.gymnasium import described
from recorder.integrations.spaces import Leaves, row
from recorder.utils import create_output_dir

try:
    from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv, VectorWrapper
except ImportError as error:
    raise missing("gymnasium", error) from error

_RINGS, _SMALLEST_RING = 64 << 20, 4 << 20


class RecordVectorEpisodes(VectorWrapper[Any, Any, Any, Any, Any]):
    """Record every environment of a vector of them; rows are those of ``RecordEpisodes``.

    Episodes of different environments run at the same time, and a recording has one at a time: each
    environment has a recording of its own, in one folder that ``loaders.ExperimentCollection`` and
    ``flightrec ls`` show as a table. An episode begins with its first row; the three ways of
    ``autoreset_mode`` are followed: a step that only resets is no row. Closing the environments closes the
    recordings; as a context manager it ends them as interrupted when an error passes.

    Parameters
    ----------
    envs : gymnasium.vector.VectorEnv
    experiment_name, output_base_dir
        The folder is ``<output_base_dir>/<experiment_name>_<YYYYmmdd_HHMMSS>/``, and has recordings
        ``env_0000_…`` and so on.
    success : callable, optional
        As for ``RecordEpisodes``.
    autoreset_mode : AutoresetMode or str, optional
        How the environments reset, where ``envs.metadata["autoreset_mode"]`` does not say it; Gymnasium's own
        vectors do.
    **options
        Of each ``DataExporter``. ``ring_bytes`` is 64 MiB shared among all, at least 4 MiB each.

    Attributes
    ----------
    folder : Path
    exporters : list of DataExporter
        In the order of the environments.

    Raises
    ------
    OptionError
        Observations or actions that are no arrays of one shape, an option that cannot be what it is, or
        environments that do not say how they reset: rows of the wrong steps would be left out.
    OSError
        The folder cannot be written, or more files than this process may open: about three a recording.
    """

    def __init__(
        self,
        envs: VectorEnv[Any, Any, Any],
        experiment_name: str,
        output_base_dir: str | Path = "experiments",
        *,
        success: Success = told,
        autoreset_mode: AutoresetMode | str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(envs)
        self.exporters: list[DataExporter] = []
        self._opened = contextlib.ExitStack()
        self._observations = Leaves("observation", envs.single_observation_space)
        self._actions = Leaves("action", envs.single_action_space)
        self._success = success
        self._mode = mode_of(envs, autoreset_mode)
        self._held: dict[str, Any] = {}
        self._over = np.zeros(self.num_envs, np.bool_)
        self._courses = [Course() for _ in range(self.num_envs)]
        options.setdefault("ring_bytes", max(_SMALLEST_RING, _RINGS // self.num_envs))
        about = described(envs.spec, envs.single_observation_space, envs.single_action_space)
        self.folder = create_output_dir(output_base_dir, experiment_name)
        try:
            for index in range(self.num_envs):
                exporter = DataExporter(f"env_{index:04d}", self.folder, **options)
                self.exporters.append(self._opened.enter_context(exporter))
                place = {"index": index, "num_envs": self.num_envs, "autoreset_mode": self._mode.value}
                exporter.save_metadata({"gymnasium": {**about, **place}})
        except BaseException:
            self._opened.close()
            # The folder was made for these recordings, and nothing was logged into them.
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset all environments, or those of ``options["reset_mask"]``, and begin their episodes.

        The summary of an episode has the ``seed`` that its environment was reset with: its own of a list, or
        ``seed + index``, which is what ``SyncVectorEnv`` and ``AsyncVectorEnv`` make of an int. Other vectors
        make of it what they like: their summaries have the int as it was given.
        """
        mask = (options or {}).get("reset_mask")  # before the environments take it out
        chosen = np.ones(self.num_envs, np.bool_) if mask is None else np.array(mask)
        observations, infos = self.env.reset(seed=seed, options=options)  # type: ignore[arg-type]
        for index in np.flatnonzero(chosen).tolist():
            if self.exporters[index].current_episode is not None:
                self._end(index, success=False)
            self._courses[index] = Course(seed=self._seed(seed, index))
        self._over &= ~chosen
        self._held = self._observations.copied(observations)
        return observations, infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step the environments and record what each did.

        Raises
        ------
        NoEpisodeError
            An environment was not reset since its last episode ended; no step was taken.
        FlightrecError
            What ``log()`` of a recording raises; all others have their row.
        """
        if not self._held or (self._mode == AutoresetMode.DISABLED and self._over.any()):
            raise NoEpisodeError("No active episode. Call reset() first, after the end of each episode too.")
        before, given = self._held, self._actions.copied(actions)
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        self._held = self._observations.copied(observations)
        over = np.asarray(terminations) | np.asarray(truncations)
        resetting, self._over = self._over, over & (self._mode != AutoresetMode.SAME_STEP)
        columns = (resetting, np.asarray(rewards), np.asarray(terminations), np.asarray(truncations))
        first: FlightrecError | None = None
        for index, (was_over, reward, *ends) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
            if was_over:
                continue
            behavior = {**row(before, index), **row(given, index)}
            try:
                self._log(index, behavior, reward, ends)
            except FlightrecError as error:
                first = first or error
            if any(ends):
                self._finish(index, ends, infos)
        if first is not None:
            raise first
        return observations, rewards, terminations, truncations, infos

    def _seed(self, seed: Any, index: int) -> Any:
        if isinstance(seed, int) and isinstance(self.unwrapped, SyncVectorEnv | AsyncVectorEnv):
            return seed + index
        return seed[index] if isinstance(seed, list | tuple | np.ndarray) else seed

    def close(self, **kwargs: Any) -> None:
        """End all episodes, close the recordings and the environments."""
        self.__exit__(None, None, None, **kwargs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        **kwargs: Any,
    ) -> None:
        try:
            if error is None:
                for index, exporter in enumerate(self.exporters):
                    if exporter.current_episode is not None:
                        self._end(index, success=False)
        finally:
            try:
                self._opened.__exit__(kind, error, trace)
            finally:
                super().close(**kwargs)

    def _log(self, index: int, behavior: dict[str, Any], reward: float, ends: list[bool]) -> None:
        course, exporter = self._courses[index], self.exporters[index]
        if exporter.current_episode is None:
            exporter.start_episode()
        behavior |= {"terminated": ends[0], "truncated": ends[1]}
        exporter.log(course.steps, behavior=behavior, reward=reward)
        course.count(reward, ends[0], ends[1])

    def _finish(self, index: int, ends: list[bool], infos: dict[str, Any]) -> None:
        info = info_of(infos, index)
        final = None
        if self._mode == AutoresetMode.SAME_STEP:
            # The observation is the next episode's first, and so is everything else in info.
            final = self._observations.copied(info["final_obs"]) if "final_obs" in info else {}
            info = info.get("final_info", {})
        if self.exporters[index].current_episode is not None:
            self._end(index, success=bool(self._success(ends[0], ends[1], info)), final=final)
        self._courses[index] = Course()

    def _end(self, index: int, *, success: bool, final: dict[str, Any] | None = None) -> None:
        course = self._courses[index]
        course.observation = row(self._held, index) if final is None else final
        course.won = success
        course.end(self.exporters[index])


def mode_of(envs: VectorEnv[Any, Any, Any], given: AutoresetMode | str | None) -> AutoresetMode:
    """How the environments reset: as they say themselves, or else as given."""
    said = (envs.metadata or {}).get("autoreset_mode")
    modes = ", ".join(repr(mode.value) for mode in AutoresetMode)
    if said is None and given is None:
        raise OptionError(
            f"{envs} does not say in metadata['autoreset_mode'] how its environments reset: "
            f"give autoreset_mode=, one of {modes}"
        )
    try:
        found = {AutoresetMode(mode) for mode in (said, given) if mode is not None}
    except ValueError as error:
        raise OptionError(f"autoreset_mode must be one of {modes}: {error}") from error
    if len(found) > 1:
        raise OptionError(f"autoreset_mode={given!r}, and the environments' metadata say {said!r}")
    return found.pop()


def info_of(infos: Mapping[str, Any], index: int) -> dict[str, Any]:
    """One environment's ``info`` of those that a vector of them returns."""
    out: dict[str, Any] = {}
    for key, value in infos.items():
        has: NDArray[np.bool_] | None = infos.get(f"_{key}")
        if has is not None and has[index]:
            out[key] = info_of(value, index) if isinstance(value, dict) else value[index]
        elif has is None and isinstance(value, np.ndarray) and value.ndim and not key.startswith("_"):
            out[key] = value[index]
    return out
