"""Every error that flightrec raises on purpose, in one tree.

::

    FlightrecError
    ├── OptionError (ValueError)            a constructor argument cannot be what it is
    │   └── CacheMismatchError              a cache was made with other settings, or from other files
    ├── InputError (ValueError)             a logged or saved value; nothing of it was stored
    │   ├── UnknownFieldError (TypeError)   a keyword that log() does not know
    │   ├── StreamTypeError (TypeError)     another dtype than the stream's, or one HDF5 has no place for
    │   ├── StreamShapeError                another row shape than the stream's
    │   ├── InvalidNameError                a name HDF5 cannot hold, or one the layout keeps for itself
    │   ├── AmbiguousSpikesError            a spike list that could be dense or indices
    │   └── RowTooLargeError                one row does not fit the ring
    ├── StateError (RuntimeError)           the call does not fit the state of the recording
    │   ├── NoEpisodeError                  log() before start_episode()
    │   ├── ClosedError                     anything after close()
    │   ├── TransferError (TypeError)       a recording was to be pickled, or copied
    │   ├── ConcurrentLogError              log() while another call of it runs
    │   └── DuplicateError (ValueError)     saved once per file, or an episode id used twice
    ├── RingFullError (RuntimeError)        on_full="raise" and no block is free
    ├── RecordingLockedError (OSError)      another process writes this recording
    ├── WriteError (OSError)                what was to be stored could not be written
    ├── ReadError (ValueError)              a recording cannot be read
    │   ├── NotRunningError (TimeoutError)  one that runs was waited for
    │   ├── CacheNotFoundError (FileNotFoundError)  there is no cache of windows
    │   ├── DamagedError                    bytes do not say what they must
    │   ├── MissingChannelsError            an EEG recording lacks electrodes that cannot be interpolated
    │   ├── DiscontinuousError              an EEG recording has gaps, over which no window may reach
    │   ├── MissingAnnotationError (FileNotFoundError)  a recording has no file of seizures
    │   ├── CacheMissingError (RuntimeError)  a window's file is gone, and is not to be computed again
    │   ├── NoSeizuresError                 windows of a kind that a balanced selection needs are not there
    │   ├── MissingFileError (FileNotFoundError)  a file, or a folder, that a dataset consists of
    │   ├── EmptySplitError (RuntimeError)  a part of a dataset without any sample
    │   ├── ReplacedError                   what is read by URL is another file by now
    │   └── RepairError                     a killed recording could not be brought back
    ├── MissingExtraError (ImportError)     a package is missing that an extra installs
    ├── CacheBuildError (RuntimeError, ValueError)  files of a cache of windows could not be made
    ├── PatientLeakageError (ValueError)    two splits have patients in common
    ├── NoTrainingDataError (SystemExit)    a training has no windows, or none with a seizure
    ├── NoItemError (IndexError)            a dataset has no sample of this number
    ├── BatchError (AssertionError)         a batch is not what a training loop may be given
    ├── ExportError (ValueError)            a recording does not fit the form it was asked for in
    └── HDF5StorageError                    a store of network states could not do what it was asked to
        ├── StorageInputError (InputError)  a value for a store; nothing of it was stored
        └── StorageLockedError (OSError)    others use the store's file for too long

    DroppedStepsWarning (UserWarning)       on_full="drop" let steps go; once an episode
    ShortCaptureWarning (UserWarning)       the ring cannot hold all steps before a trigger; once an episode
    NetworkFileSystemWarning (UserWarning)  a recording's folder is not on a disk of this machine
    ExportWarning (UserWarning)             an export leaves something out, or puts it elsewhere
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class FlightrecError(Exception):
    """Base of every error flightrec raises on purpose."""


class OptionError(FlightrecError, ValueError):
    """A constructor argument cannot be what it is."""


class CacheMismatchError(OptionError):
    """A cache of windows was made with other settings, or from files that have changed since."""


class InputError(FlightrecError, ValueError):
    """A value given to a recording was refused before anything of it was stored.

    Attributes
    ----------
    stream : str
        Path of the stream within its episode, for instance ``"behavior/x"``.
    step : int or None
        The timestep of the call, where there was one.
    expected, got : str
        What the stream takes, and what came.
    """

    def __init__(self, stream: str, expected: str, got: str, *, step: Any = None, hint: str = "") -> None:
        self.stream, self.step, self.expected, self.got, self.hint = (
            stream,
            step,
            expected,
            got,
            hint,
        )
        where = stream if step is None else f"{stream} at timestep {step}"
        text = f"{where}: expected {expected}, got {got}"
        super().__init__(f"{text}. {hint}" if hint else text)


class UnknownFieldError(InputError, TypeError):
    """A keyword that ``log()`` does not know; storing the rest would drop it silently."""


class StreamTypeError(InputError, TypeError):
    """A value of another dtype than its stream's, or of one that HDF5 has no place for."""


class StreamShapeError(InputError):
    """A row of another shape than its stream's."""


class InvalidNameError(InputError):
    """A name that HDF5 cannot hold or that the layout keeps for itself."""


class AmbiguousSpikesError(InputError):
    """A spike list that could be a dense vector or a list of neuron indices."""


class RowTooLargeError(InputError):
    """One row, event or weight change is larger than a block of the ring."""


class StateError(FlightrecError, RuntimeError):
    """The call does not fit the state of the recording."""


class NoEpisodeError(StateError):
    """``log()`` without an active episode."""


class ClosedError(StateError):
    """A call on a recording that has been closed."""


class TransferError(StateError, TypeError):
    """A recording was to be pickled or copied: it belongs to the process that opened it."""


class ConcurrentLogError(StateError):
    """``log()`` from another thread or a signal handler while a call was running; nothing was stored."""


class DuplicateError(StateError, ValueError):
    """Something that is saved once per file, or an episode id that is taken."""


class RingFullError(FlightrecError, RuntimeError):
    """No block of the ring is free and ``on_full="raise"`` was asked for.

    Attributes
    ----------
    stored : int
        Steps of the call that were stored before: 0 for ``log()``, the first so many of ``log_batch()``.
    """

    def __init__(self, text: str, *, stored: int = 0) -> None:
        super().__init__(text)
        self.stored = stored


class RecordingLockedError(FlightrecError, OSError):
    """Another living process writes this recording."""


class WriteError(FlightrecError, OSError):
    """What was to be stored could not be written; its cause is chained."""


class ReadError(FlightrecError, ValueError):
    """A recording cannot be read."""


class NotRunningError(ReadError, TimeoutError):
    """A recording that runs was waited for, and none began."""


class CacheNotFoundError(ReadError, FileNotFoundError):
    """There is no cache of windows at this path."""


class DamagedError(ReadError):
    """Stored bytes do not say what they must."""


class MissingFileError(ReadError, FileNotFoundError):
    """A file, or a folder, that a dataset consists of is not there."""


class EmptySplitError(ReadError, RuntimeError):
    """A part of a dataset has no sample."""


class ReplacedError(ReadError):
    """A recording that is read by URL is another file by now; what was read before belongs to the old one."""


class RepairError(ReadError):
    """A killed recording could not be brought back; nothing was changed."""


class MissingChannelsError(ReadError):
    """An EEG recording lacks electrodes that are not interpolated, or has one of them twice."""


class DiscontinuousError(ReadError):
    """An EEG recording has gaps: no window may reach over one, and no filter."""


class MissingAnnotationError(ReadError, FileNotFoundError):
    """A recording has no file that says where its seizures are, which is not the same as having none."""


class CacheMissingError(ReadError, RuntimeError):
    """The file of a window is gone, and windows are not to be computed when they are read."""


class NoSeizuresError(ReadError):
    """There are no windows of the kind that a balanced selection is made around."""


class MissingExtraError(FlightrecError, ImportError):
    """A package is missing; the message names the extra that installs it."""


class CacheBuildError(FlightrecError, RuntimeError, ValueError):
    """Files of a cache of windows could not be made; the others were. The first one's error is its cause.

    Attributes
    ----------
    failures : list of (str, str)
        Recordings and what was wrong with them.
    """

    def __init__(self, text: str, failures: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(text)
        self.failures = list(failures)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.failures)


class PatientLeakageError(FlightrecError, ValueError):
    """Two splits have patients in common."""


class NoTrainingDataError(FlightrecError, SystemExit):
    """A training has no windows, or none with a seizure; uncaught, it ends the program with exit code 1."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = 1


class NoItemError(FlightrecError, IndexError):
    """A dataset has no sample of this number."""


class BatchError(FlightrecError, AssertionError):
    """A batch is not what a training loop may be given."""


class ExportError(FlightrecError, ValueError):
    """A recording does not fit the form it was asked for in; nothing of it was written."""


class HDF5StorageError(FlightrecError):
    """A store of network states could not do what it was asked to; its cause is chained."""


class StorageInputError(HDF5StorageError, InputError):
    """A value given to a store was refused before anything of it was stored; attributes as InputError's."""


class StorageLockedError(HDF5StorageError, OSError):
    """Another process, or another program, uses the store's file for longer than one waits."""


class ShortCaptureWarning(UserWarning):
    """Steps that are held until something happens take more room than the ring has: fewer are held.

    Given once an episode.
    """


class DroppedStepsWarning(UserWarning):
    """The ring is full and ``on_full="drop"`` lets steps go: given once an episode, counted always.

    Attributes
    ----------
    episode_id : int
    stored, dropped : int
        Steps of this call that were stored and that were let go; the episode may lose more of them.
    """

    def __init__(self, episode_id: int, *, stored: int, dropped: int) -> None:
        self.episode_id, self.stored, self.dropped = episode_id, stored, dropped
        super().__init__(
            f"the ring is full, and on_full='drop' lets steps of episode {episode_id} go: {dropped} of this "
            f"call, which stored {stored}. What the episode loses is counted in the file, stream by stream; "
            "give ring_bytes more, or on_full='wait', to lose nothing"
        )


class NetworkFileSystemWarning(UserWarning):
    """A recording's folder is on a file system where locks and memory maps hold on this machine alone."""


class ExportWarning(UserWarning):
    """Something of a recording has no place in the form that it goes to, or not the usual one."""
