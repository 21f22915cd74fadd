"""The base of both exporters: folder, state, episodes' ids, beginnings and ends.

A subclass stores things. It provides :meth:`Recording._apply` and :meth:`Recording.log`, and the three
hooks :meth:`Recording._begin_episode`, :meth:`Recording._finish_episode` and :meth:`Recording._close_file`.
"""

from __future__ import annotations

import abc
import logging
import os
import warnings
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from recorder.admission import INT64_MAX, admit_name, as_index
from recorder.environment import command_line
from recorder.errors import ClosedError, DuplicateError, InputError, NoEpisodeError, TransferError
from recorder.filesystem import warn_of_network
from recorder.format.document import dumps
from recorder.format.layout import (
    ACCOUNTS,
    COMMITTED,
    COMPLETED,
    DATA_FILE,
    ENDED_BY,
    EPISODE_GROUPS,
    FINAL_STATE,
    INTERRUPTED,
    PRECISION,
    RUNTIME,
    episode_path,
)
from recorder.h5.skeleton import initialise, put_text, put_texts
from recorder.h5.tree import plan_tree, write_plan
from recorder.handle import EpisodeHandle
from recorder.options import RecordingOptions
from recorder.resuming import Former
from recorder.saving import Change, Saving
from recorder.schema import validate_timestep_data, validate_weight_change
from recorder.utils import TIMESTAMP, create_output_dir

logger = logging.getLogger("recorder")

_RESERVED = (*EPISODE_GROUPS, FINAL_STATE, COMMITTED, "summary", ACCOUNTS)


class Recording(Saving):
    """A recording that is being written, and everything its two writers have in common.

    Attributes
    ----------
    experiment_name, timestamp : str
    output_dir, h5_path : Path
        The folder, made exclusively for this recording, and the file in it; absolute.
    current_episode : EpisodeHandle or None
    episode_count : int
        Episodes started so far.
    neural_sampling_rate, validate_data, compression, compression_level, chunk_size
        As given.
    """

    exporter_name: str
    """The root attribute ``exporter``."""

    def __init__(self, options: RecordingOptions, former: Former | None = None) -> None:
        self.options = options
        super().__init__()
        self.experiment_name = options.experiment_name
        self.neural_sampling_rate = options.neural_sampling_rate
        self.validate_data = options.validate_data
        self.compression, self.compression_level = options.compression, options.compression_level
        self.chunk_size = options.chunk_size
        self.current_episode: EpisodeHandle | None = None
        self.episode_count = 0
        self._used_ids: set[int] = set()
        self._static_names: set[str] = set()
        self._closed = False
        self._ended_by = ""
        self._under_way: set[Callable[[], None]] = set()
        """Of who has rows of the active episode that are not logged yet: called before it ends."""
        self._owner = os.getpid()
        warn_of_network(Path(options.output_base_dir))
        self.timestamp = datetime.now().strftime(TIMESTAMP)
        if former is None:
            # A program that changes its working folder goes on with this recording.
            base = Path(options.output_base_dir).absolute()
            self.output_dir: Path = create_output_dir(base, options.experiment_name, self.timestamp)
            self.h5_path: Path = self.output_dir / DATA_FILE
        else:
            self._take_up(former)

    def _take_up(self, former: Former) -> None:
        """Have everything be as it was when the former recording ended."""
        self.output_dir, self.h5_path = former.path.parent, former.path
        self.timestamp = former.file.timestamp
        self.episode_count, self._used_ids = former.file.episode_count, set(former.file.episode_ids)
        self._saved, self._metadata = former.saved, dict(former.file.metadata)
        self._n_neurons = self.options.n_neurons or former.file.n_neurons

    @abc.abstractmethod
    def log(
        self,
        timestep: Any = None,
        neural_state: Mapping[str, Any] | None = None,
        spikes: Any = None,
        behavior: Mapping[str, Any] | None = None,
        reward: Any = None,
        **more: Any,
    ) -> None:
        """Log one timestep's data, a weight change, an event, or any of them together."""

    @abc.abstractmethod
    def _begin_episode(self, episode_id: int, start: dict[str, Any]) -> EpisodeHandle:
        """Begin an episode; ``start`` is what :func:`recorder.h5.skeleton.first_attributes` takes."""

    def _entered(self, episode: Any) -> dict[str, Any]:  # noqa: ARG002
        """Attributes that change once an episode that has begun is the current one."""
        return {}

    @abc.abstractmethod
    def _finish_episode(self, end: dict[str, Any], final_state: Change | None) -> None:
        """End the current episode.

        ``end`` is what :func:`recorder.h5.skeleton.last_attributes` takes; it is JSON. ``final_state``
        is a structural change to be made before.
        """

    @abc.abstractmethod
    def _close_file(self, status: str) -> None:
        """Write the root's last attributes (:func:`recorder.h5.skeleton.finish`) and close the file."""

    def start_episode(self, episode_id: int | None = None) -> EpisodeHandle:
        """Start an episode; one that still runs is ended with a warning and ``success=False``.

        ``episode_id`` is by default the number of episodes started so far, or the next free number.

        Raises
        ------
        DuplicateError
            The id was used before in this recording; an episode that runs goes on.
        InputError
            No integer of 0 or more.
        """
        self._require_open()
        number = self._admit_id(episode_id)
        if self.current_episode is not None:
            warnings.warn(f"Previous episode {self.current_episode.episode_id} not ended", stacklevel=2)
            self._finish()
        start = {
            "episode_id": number,
            "start_time": datetime.now().isoformat(),
            "neural_sampling_rate": _plain_rate(self.options),
            **({PRECISION: dict(self.options.precisions)} if self.options.precisions else {}),
        }
        episode = self._begin_episode(number, start)
        # One call: whatever interrupts this leaves either no episode or all of it.
        vars(self).update(
            self._entered(episode),
            current_episode=episode,
            episode_count=self.episode_count + 1,
            _static_names=set(),
        )
        self._used_ids.add(number)
        return episode

    def end_episode(self, success: bool = False, summary: Mapping[str, Any] | None = None) -> None:
        """End the active episode; without one only a warning is given.

        Parameters
        ----------
        success : bool, optional
            NumPy's and tensors' single values will do, also 0 and 1.
        summary : mapping, optional
            Values of any nesting, stored with the episode.

        Raises
        ------
        InputError
            ``success`` is neither true nor false, or the summary holds what a document cannot; the episode
            goes on.
        """
        self._require_open()
        if self.current_episode is None:
            warnings.warn("No active episode to end", stacklevel=2)
            return
        self._finish(success=success, summary=summary)

    def log_static_episode_data(self, name: str, data: Mapping[str, Any]) -> None:
        """Store a mapping of values once, as the group ``name`` of the active episode.

        Raises
        ------
        NoEpisodeError
        InputError
            A name HDF5 cannot hold or the layout keeps, or a value that cannot be stored.
        DuplicateError
            The name was used before in this episode.
        """
        self._require_open()
        episode_id = self._require_episode().episode_id
        admit_name("static data", name)
        if name in _RESERVED:
            raise InputError("static data", f"a name other than {', '.join(_RESERVED)}", repr(name))
        if name in self._static_names:
            raise DuplicateError(f"Static data {name!r} was logged before in episode {episode_id}.")
        plan = plan_tree(data, name)
        self._apply(
            lambda file: write_plan(file[episode_path(episode_id)].create_group(name), plan, self._filters)
        )
        self._static_names.add(name)

    def close(self) -> None:
        """End an open episode (``success=False``), write what belongs at the end, close the file.

        A second call does nothing; neither does one in a forked child, whose parent's the file is.
        """
        self._shut(COMPLETED)

    def __enter__(self) -> Self:
        self._require_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close. When an exception passes, its episode and the recording end as ``interrupted``."""
        if error is None:
            self._shut(COMPLETED)
            return
        try:
            self._shut(INTERRUPTED, type(error).__name__)
        except Exception as second:
            logger.warning("Closing %s failed: %s", self.h5_path, second)
            error.add_note(f"Closing {self.h5_path} failed too: {second}")

    def end_early(self, ended_by: str) -> None:
        """Close as ``interrupted``, where nobody waits for an error: what goes wrong is logged.

        Parameters
        ----------
        ended_by : str
            Name of the signal or exception, stored as the attribute ``ended_by``.
        """
        try:
            self._shut(INTERRUPTED, ended_by)
        except Exception:
            logger.exception("Closing %s failed", self.h5_path)

    def __reduce__(self) -> Any:
        raise TransferError(
            f"the recording in {self.output_dir} belongs to the process that opened it and cannot be pickled "
            "or copied; give other processes the path of its folder, or a recording of their own"
        )

    def _shut(self, status: str, ended_by: str = "") -> None:
        if self._closed or os.getpid() != self._owner:
            return
        self._ended_by = ended_by
        try:
            try:
                self._await_rows()
            finally:
                # Whatever became of them, here is where the episode ends.
                self._under_way.clear()
                if self.current_episode is not None:
                    self._finish(status=status)
        finally:
            self._closed = True
            self._close_file(status)
        logger.info("Experiment complete. Data saved to: %s", self.output_dir)

    def _finish(
        self,
        *,
        success: bool = False,
        summary: Mapping[str, Any] | None = None,
        final_state: Mapping[str, Any] | None = None,
        status: str = COMPLETED,
    ) -> None:
        episode = self._require_episode()
        self._used_ids.add(episode.episode_id)  # as in _admit_id
        end: dict[str, Any] = {
            "end_time": datetime.now().isoformat(),
            "status": status,
            "success": _truth(success),
        }
        if self._ended_by:
            end[ENDED_BY] = self._ended_by
        if summary is not None:
            if not isinstance(summary, Mapping):
                raise InputError("summary", "a dict", type(summary).__name__)
            end["summary"] = dumps(summary, "summary").decode("ascii")
        self._await_rows()
        change: Change | None = None
        if final_state is not None:
            plan, path = plan_tree(final_state, FINAL_STATE), episode_path(episode.episode_id)

            def change(file: Any) -> None:
                write_plan(file[path].create_group(FINAL_STATE), plan, self._filters)

        # Only now is there no active episode: whatever interrupts its end, close() ends it again.
        self._finish_episode(end, change)
        self.current_episode = None

    def _await_rows(self) -> None:
        for log_them in list(self._under_way):
            log_them()

    def _initialise(self, file: Any) -> None:
        """Write everything that a new recording's file begins with, and ``runtime_info.json``."""
        initialise(
            file,
            self.options,
            self.exporter_name,
            timestamp=self.timestamp,
            start_time=datetime.now().isoformat(),
            command_line=command_line(),
        )
        put_texts(file[RUNTIME], self._runtime_info())
        logger.info("Initialized %s: %s", type(self).__name__, self.output_dir)

    def _sign(self, file: Any) -> None:
        """With the root's last attributes: what ended the recording, if it was not ``close()``."""
        if self._ended_by:
            put_text(file, ENDED_BY, self._ended_by)

    def _warn_about(self, timestep: Any, **first: Any) -> None:
        """Warn about what looks wrong in values that are the first of their streams.

        Only these are looked at: types and shapes cannot change afterwards, and a check on every
        row would cost more than the row.
        """
        if not self.validate_data:
            return
        if "synapse_id" in first:
            problems = validate_weight_change(timestep, **first)
        else:
            problems = validate_timestep_data(timestep, **first)
        for problem in problems:
            warnings.warn(f"Validation: {problem}", stacklevel=4)

    def _require_open(self) -> None:
        # The process first: a forked child has its copy closed, and the parent's recording is open.
        if os.getpid() != self._owner:
            raise ClosedError(
                f"The recording in {self.output_dir} belongs to the process that opened it: "
                "other processes take recordings of their own."
            )
        if self._closed:
            raise ClosedError(f"The recording in {self.output_dir} is closed.")

    def _require_episode(self) -> EpisodeHandle:
        if self.current_episode is None:
            raise NoEpisodeError("No active episode. Call start_episode() first.")
        return self.current_episode

    def _admit_id(self, episode_id: Any) -> int:
        if self.current_episode is not None:
            self._used_ids.add(self.current_episode.episode_id)  # an interrupt may have come before it was
        if episode_id is None:
            number = self.episode_count
            while number in self._used_ids:
                number += 1
            return number
        wanted = as_index(episode_id)
        if wanted is None or not 0 <= wanted <= INT64_MAX:
            raise InputError("episode_id", "an int of 0 or more", repr(episode_id)[:200])
        number = wanted
        if number in self._used_ids:
            raise DuplicateError(f"Episode {number} exists already.")
        return number


def _truth(success: Any) -> bool:
    """True or False, in whatever type they come; None says as little as leaving it away."""
    try:
        value = success.item() if hasattr(success, "item") else success
        if value is None or (isinstance(value, bool | int | float) and value in (0, 1)):
            return bool(value)
        got = f"{type(success).__name__} {success!r}"[:200]
    except Exception as error:
        raise InputError("success", "True or False", f"{type(success).__name__} ({error})") from error
    hint = "Give the summary by its name, summary=" if isinstance(success, Mapping) else ""
    raise InputError("success", "True or False", got, hint=hint)


def _plain_rate(options: RecordingOptions) -> int | dict[str, int]:
    rate = options.neural_sampling_rate
    return {key: int(n) for key, n in rate.items()} if isinstance(rate, Mapping) else int(rate)
