"""A recording, opened lazily and read in any process."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from loaders.accounts import StreamAccount, add_up
from loaders.documents import FlightrecDocuments, episode_attributes
from loaders.episode import EpisodeData
from loaders.find import find_recording
from loaders.interchange import for_training, of_recording
from loaders.original import OriginalDocuments
from loaders.remote import is_remote, open_remote
from loaders.steady import steady
from loaders.summary import EpisodeSummary, EpisodeTable
from recorder.format.printable import printable
from recorder.h5.source import RecordingFile, StoredEpisode

T = TypeVar("T")


class ExperimentLoader:
    """A recording of flightrec, of either exporter, or of the system it follows.

    Opening repairs a recording whose process was killed, and reads one that is still being written. The
    loader can be pickled and survives ``fork``: every process opens the file for itself, when it first
    reads. Values come back with the Python types they were given with.

    Parameters
    ----------
    path : str or os.PathLike
        The recording's folder, or its HDF5 file; of one that has ended also a URL, as
        ``s3://bucket/run/experiment_data.h5``, which is read by ranges.
    newest : bool, default False
        Of a recording that is being written, read everything that was logged up to the call, from its
        file and its ring, instead of what is committed to the file. A read then takes some ten
        milliseconds longer.
    storage_options : mapping, optional
        For a URL, what the file system of fsspec takes that reads there.

    Attributes
    ----------
    h5_path, experiment_dir : Path
        The HDF5 file and its folder, absolute.
    h5_file : h5py.File
        The open file of this process, for whatever this class does not offer. Of a recording that is
        being written it is replaced again and again: do not keep it.

    Raises
    ------
    FileNotFoundError
        There is no recording.
    ReadError
        It is no recording, or of a format version this reader does not know.
    DamagedError
        It is damaged.
    ClosedError
        From every method after :meth:`close`.

    Examples
    --------
    >>> with ExperimentLoader("experiments/demo_20260101_120000") as experiment:  # doctest: +SKIP
    ...     print(experiment)
    ...     v = experiment.get_episode(0).stream("neural_states/v").read(1000, 2000)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        newest: bool = False,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._file: RecordingFile
        if is_remote(path):
            self.h5_path, self._file = open_remote(path, storage_options)
            self._shown = str(self.h5_path)
        else:
            found = find_recording(path)
            # A program that changes its working folder goes on with this recording.
            self.h5_path, self._shown = found.absolute(), str(found)
            self._file = RecordingFile(self.h5_path, newest=newest)
        self.experiment_dir = self.h5_path.parent

    @property
    def _recording(self) -> RecordingFile:
        return self._file

    @property
    def h5_file(self) -> Any:
        return self._file.file()

    @property
    @steady
    def attributes(self) -> dict[str, Any]:
        """The root attributes alone, without the user's metadata."""
        return self._documents().root()

    @property
    @steady
    def status(self) -> str | None:
        """``running``, ``completed``, ``interrupted`` or ``recovered``; None in the original's files."""
        return self.attributes.get("status")

    @property
    @steady
    def episodes(self) -> EpisodeTable:
        """A row per episode: id, status, success, totals, times. Prints as a table, ``to_pandas()``.

        Rows of an ended recording are read when they are looked at, also after :meth:`close`.
        """
        ids = self.list_episodes()
        if self._file.living:
            return EpisodeTable([self._summary_of(episode_id) for episode_id in ids])
        return EpisodeTable(StoredRows(self, ids))

    @steady
    def get_metadata(self) -> dict[str, Any]:
        """Root attributes, and the user's metadata over them; see :attr:`attributes` for the former alone."""
        return self._documents().metadata()

    @steady
    def get_config(self) -> dict[str, Any]:
        """The configuration as it was given; {} when none was."""
        return self._documents().config()

    @steady
    def get_runtime_info(self) -> dict[str, Any]:
        """Texts about the machine and the packages; {} when there are none."""
        return self._documents().runtime()

    @steady
    def get_git_info(self) -> dict[str, Any] | None:
        """Texts about the repository, ``dirty`` as bool, ``uncommitted_files`` as list; None when absent."""
        return self._documents().git()

    @steady
    def get_resumptions(self) -> list[dict[str, Any]]:
        """For each time that ``DataExporter.resume`` went on with the recording, what that began with.

        ``time``, ``status``, ``end_time`` and ``ended_by`` of what came before, ``episode_count`` until then,
        the name of the ``checkpoint`` that was there, ``command_line`` and ``runtime``.
        """
        return self._documents().resumptions()

    @steady
    def get_origin(self) -> Any:
        """What the recording was put together from; None where it was recorded as it is.

        Of one that ``split`` made a dict: ``recording``, the path of the file; ``episodes``; and how many
        there were, ``of``. Of one that ``merge`` made a list with a dict for each: ``recording``,
        ``attributes``, ``config``, ``metadata``, ``git``, ``runtime``, ``resumed`` (see
        :meth:`get_resumptions`), ``episodes`` and ``checkpoints`` as pairs of the former and the present id
        or name, and ``code``, where it is not that of the first, which :meth:`get_code_snapshot` has. In
        either, ``of_which`` is what this method returned of that recording, if it was itself split or merged;
        None for what is more than twenty such steps back.
        """
        return self._documents().origin()

    @steady
    def get_code_snapshot(self) -> dict[str, str]:
        """Source text by file name."""
        return self._documents().code()

    @steady
    def get_network_structure(self) -> dict[str, Any]:
        """``{'neurons': columns, 'connections': columns, 'initial_weights': …}``; {} when absent.

        The weights are as they are stored, with their ``format``: ``csr`` has ``indptr``, ``indices``,
        ``data`` and ``shape`` (``row_indices``, ``col_indices`` and ``values`` in the original's files),
        ``sparse`` has ``indices`` ``(nnz, 2)`` and ``values``, ``dense_1d`` has ``weights``. As they were
        given: :meth:`get_initial_weights`.
        """
        return self._documents().network()

    @steady
    def get_initial_weights(self) -> Any:
        """The weights as they were given: a dense or SciPy sparse matrix, a 1-D array or a dict.

        None when none were saved. The original system's files keep only dense matrices apart from these.
        """
        return self._documents().initial_weights()

    @steady
    def list_episodes(self) -> list[int]:
        """Ids of all episodes, ascending."""
        return list(self._file.episodes().ids)

    @steady
    def get_episode(self, episode_id: int) -> EpisodeData:
        """An episode as a lazy handle.

        Raises
        ------
        ValueError
            There is none with this id.
        """
        return EpisodeData(self, operator.index(episode_id))

    @steady
    def get_episode_summary(self, episode_id: int) -> dict[str, Any]:
        """The episode's attributes, and the entries of the summary given at its end over them.

        Raises
        ------
        ValueError
            There is none with this id.
        """
        group = self._open_episode(operator.index(episode_id)).group
        return self._documents().summary(_last(group), group)

    @steady
    def get_all_summaries(self) -> list[dict[str, Any]]:
        """:meth:`get_episode_summary` of all episodes, each with its ``episode_id``."""
        return [{**self.get_episode_summary(i), "episode_id": i} for i in self.list_episodes()]

    @steady
    def accounts(self) -> dict[str, StreamAccount]:
        """:meth:`EpisodeData.accounts` of all episodes, added up by stream."""
        return add_up(self.get_episode(i).accounts() for i in self.list_episodes())

    @steady
    def get_all_checkpoints(self) -> dict[str, dict[str, Any]]:
        """``{name_HHMMSS: {key: array}}``."""
        return self._documents().checkpoints()

    @steady
    def get_random_states(self) -> dict[str, Any]:
        """``{name_HHMMSS: document}``: states of random generators by checkpoint; None where it has none.

        A document has ``named``, a mapping by name with ``form`` and ``state``, and ``global``, states of the
        generators of the libraries themselves. ``DataExporter.resume`` makes generators of them.
        """
        return self._documents().random_states()

    to_parquet = of_recording.to_parquet
    to_xarray = of_recording.to_xarray
    to_netcdf = of_recording.to_netcdf
    to_nwb = of_recording.to_nwb
    to_neo = of_recording.to_neo
    torch_windows = for_training.torch_windows
    to_minari = for_training.to_minari

    def at_once(self, read: Callable[[Self], T]) -> T:
        """What ``read(loader)`` returns, with everything it reads taken from one state of the recording.

        Of a recording that is being written, reads of their own may have an episode's end between them.
        ``read`` is called again where that happened meanwhile.
        """
        return self._file.steady(lambda: read(self))

    def refresh(self) -> None:
        """Let go of the file, so that the next read opens it anew.

        Only needed where another program changed an ended recording: one that is being written is
        followed anyway, every read sees what was committed at most some 20 ms before.
        """
        self._file.refresh()

    def close(self) -> None:
        """Close the file; idempotent."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._file.closed:
            return printable(f"<ExperimentLoader {self._shown} (closed)>")
        name, count = self.attributes.get("experiment_name", self.h5_path.stem), len(self.list_episodes())
        status = f", {self.status}" if self.status else ""
        return printable(
            f"<ExperimentLoader {name}: {count} episode{'' if count == 1 else 's'}{status}, {self._shown}>"
        )

    def __str__(self) -> str:
        from loaders.overview import describe

        return repr(self) if self._file.closed else describe(self)

    def _documents(self) -> FlightrecDocuments | OriginalDocuments:
        file = self._file.file()
        return OriginalDocuments(file) if self._file.original else FlightrecDocuments(file)

    def _summary_of(self, episode_id: int) -> EpisodeSummary:
        group = self._open_episode(episode_id).group
        summary = self._documents().given_summary(_last(group), group)
        return EpisodeSummary.of(episode_id, episode_attributes(group), summary)

    def _open_episode(self, episode_id: int) -> StoredEpisode:
        stored = self._file.episodes().open(episode_id, original=self._file.original)
        if stored is None:
            raise ValueError(f"Episode {episode_id} not found in {self._shown}")
        return stored


class StoredRows(Sequence[EpisodeSummary]):
    """The rows of an ended recording's table, each read when it is first looked at.

    Once its loader is closed, all that are missing are read in one pass over the file.
    """

    def __init__(self, loader: ExperimentLoader, ids: list[int]) -> None:
        self._loader, self._ids = loader, ids
        self._rows: dict[int, EpisodeSummary] = {}

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> EpisodeSummary: ...
    @overload
    def __getitem__(self, index: slice) -> list[EpisodeSummary]: ...
    def __getitem__(self, index: int | slice) -> EpisodeSummary | list[EpisodeSummary]:
        chosen = self._ids[index]
        return [self._row(i) for i in chosen] if isinstance(chosen, list) else self._row(chosen)

    def _row(self, episode_id: int) -> EpisodeSummary:
        if episode_id not in self._rows:
            if not self._loader._file.closed:
                self._rows[episode_id] = self._loader._summary_of(episode_id)
            else:
                with ExperimentLoader(self._loader.h5_path) as again:
                    missing = [i for i in self._ids if i not in self._rows]
                    self._rows |= {i: again._summary_of(i) for i in missing}
        return self._rows[episode_id]


def _last(group: Any) -> str:
    return str(group.name).rpartition("/")[2]
