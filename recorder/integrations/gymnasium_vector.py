"""Environments that step together: one recording each, side by side in a folder."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from recorder.errors import NoEpisodeError
from recorder.exporter import DataExporter
from recorder.integrations.course import Course, Success, each, noted, told
from recorder.integrations.extra import missing
from recorder.integrations.gymnasium import described
from recorder.integrations.gymnasium_batch import column, info_of, mode_of, seed_of
from recorder.integrations.spaces import Leaves, row
from recorder.options import RecordingOptions
from recorder.utils import create_output_dir

try:
    from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
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
        What is on a GPU is copied to the host at every step.
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
        Observations or actions that are no arrays of one shape, a name or option that cannot be what it is,
        or environments that do not say how they reset: rows of the wrong steps would be left out.
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
        RecordingOptions(experiment_name=experiment_name, output_base_dir=output_base_dir, **options)
        super().__init__(envs)
        self.exporters: list[DataExporter] = []
        self._opened = contextlib.ExitStack()
        self._observations = Leaves("observation", envs.single_observation_space, host=True)
        self._actions = Leaves("action", envs.single_action_space, host=True)
        self._success = success
        self._mode = mode_of(envs, autoreset_mode)
        self._held: dict[str, Any] | None = None
        self._over = np.zeros(self.num_envs, np.bool_)
        self._courses = [Course() for _ in range(self.num_envs)]
        options.setdefault("ring_bytes", max(_SMALLEST_RING, _RINGS // self.num_envs))
        about = described(envs, envs.single_observation_space, envs.single_action_space)
        self._name = about["environment"]
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
        chosen = np.ones(self.num_envs, np.bool_)
        if mask is not None:
            chosen = column("reset_mask", mask, self.num_envs).astype(np.bool_)
        observations, infos = self.env.reset(seed=seed, options=options)  # type: ignore[arg-type]
        indexes = np.flatnonzero(chosen).tolist()
        first = self._end_all(indexes)
        for index in indexes:
            self._courses[index] = Course(seed=seed_of(self.unwrapped, seed, index))
        self._over &= ~chosen
        self._held = None
        self._held = self._observations.copied(observations)
        if first is not None:
            raise first
        return observations, infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step the environments and record what each did.

        Raises
        ------
        NoEpisodeError
            An environment was not reset since its last episode ended; no step was taken.
        Exception
            What ``log()`` refuses, and what comes of an episode's end, as for ``RecordEpisodes``. The first
            is raised when everything else of the step is recorded, of the same environment and of all others;
            notes say of which environment it is, and what else went wrong. Without a reward and an end for
            each environment nothing of the step is recorded.
        """
        if self._held is None or (self._mode == AutoresetMode.DISABLED and self._over.any()):
            raise NoEpisodeError("No active episode. Call reset() first, after the end of each episode too.")
        before, given = self._held, self._actions.copied(actions)
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        self._held = {}
        first: Exception | None = None
        try:
            self._held = self._observations.copied(observations)
        except Exception as error:
            first = error
        gained = column("reward", rewards, self.num_envs)
        terminated = column("terminated", terminations, self.num_envs).astype(np.bool_)
        truncated = column("truncated", truncations, self.num_envs).astype(np.bool_)
        resetting, self._over = self._over, terminated | truncated
        if self._mode == AutoresetMode.SAME_STEP:
            self._over = np.zeros_like(self._over)
        columns = [one.tolist() for one in (resetting, gained, terminated, truncated)]
        for index, (was_over, reward, *ends) in enumerate(zip(*columns, strict=True)):
            if was_over:
                continue
            try:
                self._log(index, before, given, reward, ends)
            except Exception as error:
                first = noted(first, error, self._place(index))
            if any(ends):
                try:
                    self._finish(index, infos)
                except Exception as error:
                    first = noted(first, error, self._place(index))
        if first is not None:
            raise first
        return observations, rewards, terminations, truncations, infos

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
        first: Exception | None = None
        try:
            if error is None:
                first = self._end_all(range(len(self.exporters)))
        finally:
            try:
                self._opened.__exit__(kind, error, trace)
            finally:
                super().close(**kwargs)
        if first is not None:
            raise first

    def _log(
        self, index: int, before: dict[str, Any], given: dict[str, Any], reward: Any, ends: list[bool]
    ) -> None:
        course, exporter = self._courses[index], self.exporters[index]
        # Before the row, which may be refused: the step was taken all the same.
        timestep = course.count(reward, ends[0], ends[1])
        if not timestep or exporter.current_episode is None:
            exporter.start_episode()
        behavior = {**row(before, index), **row(given, index), "terminated": ends[0], "truncated": ends[1]}
        exporter.log(timestep, behavior=behavior, reward=reward)

    def _finish(self, index: int, infos: Any) -> None:
        # Whatever goes wrong, the next row is the next episode's.
        course, self._courses[index] = self._courses[index], Course()
        info: dict[str, Any] = {}
        # The observation is then the next episode's first, and so is everything else in info.
        same = self._mode == AutoresetMode.SAME_STEP

        def judge() -> None:
            info.update(info_of(infos, index))
            course.judge(self._success, info.get("final_info", {}) if same else info)

        def see() -> None:
            if not same:
                self._see(index, course)
            elif "final_obs" in info:
                course.observation = self._observations.copied(info["final_obs"])

        each(judge, see, lambda: self._end(index, course))

    def _end_all(self, indexes: Iterable[int]) -> Exception | None:
        """End the episodes of those that have one; returns what went wrong."""
        first: Exception | None = None
        for index in indexes:
            course = self._courses[index]
            try:
                each(partial(self._see, index, course), partial(self._end, index, course))
            except Exception as error:
                first = noted(first, error, self._place(index))
        return first

    def _see(self, index: int, course: Course) -> None:
        course.observation = row(self._held or {}, index)

    def _end(self, index: int, course: Course) -> None:
        exporter = self.exporters[index]
        if exporter.current_episode is None:
            return
        if course.steps:
            course.end(exporter, self._name)
        else:
            # One whose end was interrupted; what came of it is gone.
            exporter.end_episode()

    def _place(self, index: int) -> str:
        return f"environment {index}, {self.exporters[index].output_dir}"
