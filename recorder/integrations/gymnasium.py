"""A Gymnasium wrapper: every episode of an environment becomes one of a recording."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, SupportsFloat

from recorder.errors import NoEpisodeError
from recorder.integrations.course import Course, Success, each, noted, told
from recorder.integrations.extra import missing
from recorder.integrations.spaces import Leaves
from recorder.integrations.target import Target, joined, require_target

try:
    import gymnasium
except ImportError as error:
    raise missing("gymnasium", error) from error


class RecordEpisodes(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Record an environment: a row a step, an episode from each ``reset()``.

    Row ``t`` has under ``behavior`` the observation that the action was chosen by (``observation``), the
    ``action``, and what came of it: ``terminated``, ``truncated`` and the reward. Observations and actions
    that are dicts or tuples are streams like ``observation.camera`` and ``action.0``. The episode's summary
    has the name of the ``environment``, ``steps``, ``return`` (NaN when a reward was no number),
    ``terminated``, ``truncated``, the ``seed`` of its reset and the ``final`` observation.

    Parameters
    ----------
    env : gymnasium.Env
        Put what resets by itself (``gymnasium.wrappers.Autoreset``) around this wrapper, and what transforms
        observations, actions or rewards inside or outside of it: recorded is what passes here.
    target : DataExporter, Triggered or Staged
        Nobody else starts or ends its episodes. Closing the environment ends the episode, and leaves it open:
        another environment may be recorded next. The metadata ``gymnasium`` are those of the last one.
    also : callable, optional
        Called with each step's ``info``; returns further arguments of ``log()``, for instance
        ``{"neural_state": {"v": agent.v}}``.
    success : callable, optional
        ``success(terminated, truncated, info)`` of the last step says whether the episode succeeded. By
        default ``info["is_success"]`` or ``info["success"]``; where there is neither, it did not. Whatever
        it raises is raised by ``step()``, and the episode has ended without success.

    Raises
    ------
    OptionError
        Observations or actions that are no arrays of one shape, or a target that nothing can be logged into.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        target: Target,
        *,
        also: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
        success: Success = told,
    ) -> None:
        require_target(target, "RecordEpisodes", "start_episode", "end_episode", "save_metadata")
        super().__init__(env)
        self._target, self._also, self._success = target, also, success
        self._observations = Leaves("observation", env.observation_space)
        self._actions = Leaves("action", env.action_space)
        self._episode: Any = None
        self._course = Course()
        about = described(env, env.observation_space, env.action_space)
        self._name = about["environment"]
        target.save_metadata({"gymnasium": about})

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset the environment and begin an episode; one that has no step yet goes on instead.

        Raises
        ------
        InputError
            The observation does not fit its space, or the last one cannot be stored; no episode has begun.
        """
        observation, info = self.env.reset(seed=seed, options=options)
        try:
            held = self._observations.copied(observation, 0)
        except Exception:
            # What ran before is over in any case.
            self._end()
            raise
        if not self._running() or self._course.steps:
            self._end()
            self._episode = self._target.start_episode()
        self._course = Course(held, seed)
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the environment and record the step.

        Raises
        ------
        NoEpisodeError
            The environment was not reset since its last episode ended; no step was taken.
        InputError
            An action whose keys are not those of its space; no step was taken. What ``log()`` refuses; the
            step was taken and counted, and its timestep has no row. An observation whose keys are not those
            of its space; the next row has none. At an episode's end: a last observation that cannot be
            stored, or a success that is neither true nor false; the episode has ended without.
        """
        course = self._course
        if not self._running() or course.over:
            raise NoEpisodeError("No active episode. Call reset() first, after the end of each episode too.")
        # Before the step, which may change what the caller gave.
        behavior = {**course.observation, **self._actions.copied(action, course.steps)}
        observation, reward, terminated, truncated, info = self.env.step(action)
        behavior |= {"terminated": bool(terminated), "truncated": bool(truncated)}
        # Before the row, which may be refused: the step was taken all the same.
        timestep = course.count(reward, behavior["terminated"], behavior["truncated"])
        course.observation = {}
        first: Exception | None = None
        try:
            course.observation = self._observations.copied(observation, course.steps)
        except Exception as error:
            first = error
        try:
            row: dict[str, Any] = {"behavior": behavior, "reward": reward}
            if self._also is not None:
                row = joined(row, self._also(info))
            self._target.log(timestep, **row)
        except Exception as error:
            first = noted(first, error)
        if course.over:
            try:
                each(lambda: course.judge(self._success, info), self._end)
            except Exception as error:
                first = noted(first, error)
        if first is not None:
            raise first
        return observation, reward, terminated, truncated, info

    def close(self) -> None:
        """End the episode and close the environment; the recording stays open."""
        try:
            self._end()
        finally:
            super().close()

    def _running(self) -> bool:
        return self._episode is not None and self._target.current_episode is self._episode

    def _end(self) -> None:
        # What cannot be ended now, because of its target, is tried again by the next reset() or close().
        if self._running():
            self._course.end(self._target, self._name)


def described(env: Any, observations: Any, actions: Any) -> dict[str, str]:
    """The environment, its spaces and the version of Gymnasium, for a recording's metadata."""
    kind = type(env.unwrapped)
    return {
        # One that is not registered is named as register()'s entry_point would be.
        "environment": f"{kind.__module__}:{kind.__qualname__}" if env.spec is None else str(env.spec.id),
        "observation_space": str(observations),
        "action_space": str(actions),
        "version": gymnasium.__version__,
    }
