"""A recording that is watched while it is written."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from types import TracebackType
from typing import Any, Self, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from loaders.episode import EpisodeData
from loaders.experiment import ExperimentLoader
from loaders.live.alarms import Alarm, sound
from loaders.live.find import find_live
from loaders.live.following import Following
from loaders.live.status import LiveStatus, StatusTaker
from loaders.live.update import Samples, Update
from recorder.errors import NotRunningError
from recorder.filesystem import warn_of_network_reading
from recorder.h5.living import is_written

_SHORTEST, _LONGEST = 0.001, 0.016
"""Seconds between two looks: after something was new, and at most, when nothing is for a while."""
_REMOTE = 0.5
"""Seconds between two looks at a recording that another machine writes."""
_MODESTY, _LATEST = 4, 0.008
"""A look that takes long is followed by a pause so many times as long: the processor is the simulation's. But
by none of more seconds than that: the rows of a fast simulation would get old, and each look longer."""

T = TypeVar("T")


class LiveExperiment:
    """A running recording: what is new, the newest rows, and how it is doing.

    Reads the recording's file and, for what is not in it yet, its ring, from any process of the same machine
    and as many as like to; nothing of it reaches the writer. A recording that has ended or was killed
    is read just as well; one that was killed is repaired when its data are first read.

    Parameters
    ----------
    path : str or os.PathLike
        A recording's folder or HDF5 file; or a folder of recordings, of which the newest is taken that runs.
    wait : float or None, default None
        Seconds to wait for one; None waits as long as it takes.

    Attributes
    ----------
    h5_path, experiment_dir : Path
        The HDF5 file and its folder.

    Raises
    ------
    NotRunningError
        No recording began in time.

    Warns
    -----
    NetworkFileSystemWarning
        The folder is on one: of a recording that another machine writes, only committed rows are seen.

    Examples
    --------
    >>> with LiveExperiment("experiments") as live:  # doctest: +SKIP
    ...     for update in live.follow():
    ...         print(update.episode_id, update.last_timestep, live.status().rate)
    """

    def __init__(self, path: str | os.PathLike[str], *, wait: float | None = None) -> None:
        self.h5_path = find_live(path, wait)
        self.experiment_dir = self.h5_path.parent
        self._status = StatusTaker(self.h5_path)
        warn_of_network_reading(self.experiment_dir, stacklevel=2)

    @overload
    def follow(self, timeout: float | None = None, *, history: bool = False) -> Iterator[Update]: ...
    @overload
    def follow(
        self, timeout: float | None = None, *, history: bool = False, idle: float
    ) -> Iterator[Update | None]: ...
    def follow(
        self, timeout: float | None = None, *, history: bool = False, idle: float | None = None
    ) -> Iterator[Update | None]:
        """What is logged from now on, as it comes, until the recording ends.

        Now is when this is called. Every row comes once, in the order of its stream. What was logged while
        nobody asked for the next update is made up for; the rows of different streams may then come in
        different updates.

        Parameters
        ----------
        timeout : float or None
            Ends after so many seconds in which nothing was logged, too.
        history : bool, default False
            Begin with everything that was logged before.
        idle : float, optional
            Yield None, too, whenever nothing was logged for so many seconds.

        Returns
        -------
        iterator of Update

        Raises
        ------
        ReadError
            The file changes faster than it can be read, or is damaged.
        """
        if not history and not self.running:
            return iter(())
        return _updates(Following(self.h5_path, history=history), timeout, idle)

    def tail(self, name: str, steps: int = 1000, *, episode: int | None = None) -> Samples:
        """The newest rows of a dense stream, of the running or else the last episode.

        Parameters
        ----------
        name : str
            ``neural_states/v``, ``behavior/x``, …
        steps : int
            Rows of the last so many timesteps.
        episode : int, optional
            Another episode.

        Returns
        -------
        Samples
            ``timesteps`` int64 ``(rows,)`` and ``values`` ``(rows, ...)``, copies.

        Raises
        ------
        KeyError
            No stream of that name; the message lists those there are.
        NotRunningError
            No episode has begun.
        """

        def read() -> Samples:
            stream = self._episode(episode).stream(name)
            timesteps = stream.timesteps
            kept = timesteps[_newest(timesteps, steps)]
            return Samples(kept, stream.read(int(kept.min()) if len(kept) else None))

        return self._steady(read)

    def spikes(self, last: int = 1000, *, episode: int | None = None) -> dict[str, NDArray[Any]]:
        """Spikes of the last so many timesteps, as :meth:`EpisodeData.get_spikes` returns them."""

        def read() -> dict[str, NDArray[Any]]:
            data = self._episode(episode)
            timesteps = data.spike_timesteps()
            return data.get_spikes(int(timesteps.max()) - last + 1 if len(timesteps) else None)

        return self._steady(read)

    def rewards(self, last: int = 1000, *, episode: int | None = None) -> Samples:
        """Rewards of the last so many timesteps; empty without any."""

        def read() -> Samples:
            found = self._episode(episode).get_rewards()
            if not found:
                return Samples(np.empty(0, np.int64), np.empty(0))
            kept = _newest(found["timesteps"], last)
            return Samples(found["timesteps"][kept], found["rewards"][kept])

        return self._steady(read)

    def events(
        self, last: int = 1000, *, episode: int | None = None
    ) -> list[tuple[int, str, dict[Any, Any]]]:
        """(timestep, type, data) of the last so many events, in call order."""
        return self._steady(lambda: list(deque(self._episode(episode).iter_events(), maxlen=last)))

    def watch(
        self,
        alarms: Iterable[Alarm],
        *,
        command: str | None = None,
        timeout: float | None = None,
        tell: Callable[[str], None] = print,
    ) -> int:
        """Evaluate alarms on what is logged until the recording ends; see :mod:`loaders.live.alarms`.

        Parameters
        ----------
        alarms : iterable of callables
            ``no_spikes(1000)``, ``not_finite()``, ``reward_below(0.1)``, ``writer_dead()``, or one's own.
        command : str, optional
            A shell command to run when one goes off; ``$FLIGHTREC_ALARM`` says what is wrong.
        timeout : float or None
            As that of :meth:`follow`.
        tell : callable, default print
            Gets the text of each that goes off.

        Returns
        -------
        int
            How often an alarm went off.
        """
        return sound(self.follow(timeout), self, alarms, command=command, tell=tell)

    def status(self) -> LiveStatus:
        """How far the recording is, how fast, and whether anybody still writes it.

        Raises
        ------
        ReadError
            The file cannot be read.
        """
        return self._status.take()

    @cached_property
    def experiment(self) -> ExperimentLoader:
        """All of it up to now, with every method there is for recordings that have ended."""
        return ExperimentLoader(self.h5_path, newest=True)

    @property
    def running(self) -> bool:
        """Whether a process writes it."""
        return is_written(self.h5_path)

    def close(self) -> None:
        """Close the file; idempotent."""
        if "experiment" in self.__dict__:
            self.experiment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LiveExperiment {self.h5_path}>"

    def _episode(self, episode: int | None) -> EpisodeData:
        if episode is None:
            known = self.experiment.list_episodes()
            if not known:
                raise NotRunningError(f"no episode has begun in {self.h5_path}")
            episode = known[-1]
        return self.experiment.get_episode(episode)

    def _steady(self, read: Callable[[], T]) -> T:
        return self.experiment.at_once(lambda _: read())


def _newest(timesteps: NDArray[np.int64], steps: int) -> NDArray[np.bool_]:
    """Which rows are of the last so many timesteps."""
    return timesteps > (int(timesteps.max()) - steps if len(timesteps) else 0)


def _updates(following: Following, timeout: float | None, idle: float | None) -> Iterator[Update | None]:
    try:
        pause, last = _SHORTEST, time.monotonic()
        told = last
        while not following.over:
            before, begun = last, time.thread_time()
            for update in following.take():
                yield update
                last = told = time.monotonic()
            least = min(max(_SHORTEST, _MODESTY * (time.thread_time() - begun)), _LATEST)
            pause = min(least if last != before else 2 * pause, _LONGEST)
            pause = _REMOTE if following.remote else pause
            now = time.monotonic()
            if timeout is not None and now - last > timeout:
                return
            if idle is not None and now - told >= idle:
                yield None
                told = time.monotonic()
            if not following.over:
                time.sleep(pause)
    finally:
        following.close()
