"""One episode of a recording, read lazily: every method reads what it returns and no more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loaders import events, original_streams, spikes, weights
from loaders.accounts import StreamAccount, episode_accounts
from loaders.between import events_between, weights_between
from loaders.documents import episode_attributes, stored_tree
from loaders.interchange import of_episode
from loaders.select import Neurons
from loaders.steady import steady
from loaders.stream import StreamData, StreamGroup, read_group, stream_clock, stream_keys
from recorder.errors import ReadError
from recorder.format.bounds import first_after
from recorder.format.clock import Clock, row_span
from recorder.format.layout import (
    BEHAVIOR,
    EPISODE_GROUPS,
    EVENTS,
    FINAL_STATE,
    NEURAL,
    REWARDS,
    SPIKES,
    WEIGHT_CHANGES,
)
from recorder.h5.source import (
    RecordingFile,
    RewardRows,
    SpikeRows,
    StoredEpisode,
    event_clock,
    iter_events,
    stored_rewards,
    stored_spikes,
    weight_clock,
)

if TYPE_CHECKING:
    from loaders.experiment import ExperimentLoader

Span = tuple[float | None, float | None]


class EpisodeData:
    """An episode, from :meth:`ExperimentLoader.get_episode`.

    Time ranges are half-open, ``start <= timestep < stop``; None leaves a side open. Bounds are any real
    numbers, so that ``seconds / dt`` is one, and others raise :class:`~recorder.errors.TimestepError`.
    Every array is a fresh copy. While the episode runs, methods return what is committed to the file when
    they are called; streams may then end at different timesteps. Every method raises
    :class:`~recorder.errors.DamagedError` where stored bytes do not say what they must, and
    :class:`~recorder.errors.ClosedError` once the loader is closed.

    Attributes
    ----------
    episode_id : int
    """

    def __init__(self, loader: ExperimentLoader, episode_id: int) -> None:
        self.episode_id = episode_id
        self._loader = loader
        self._kept: StoredEpisode | None = None
        self._kept_of: Any = None
        self._stored()

    @property
    def _recording(self) -> RecordingFile:
        return self._loader._file

    @property
    def status(self) -> str | None:
        """``running``, ``completed``, ``interrupted`` or ``recovered``."""
        return self.get_metadata().get("status")

    @property
    def neural_states(self) -> StreamGroup:
        """Lazy streams of the neural state by key."""
        return StreamGroup(self, NEURAL)

    @property
    def behavior(self) -> StreamGroup:
        """Lazy streams of behaviour by key."""
        return StreamGroup(self, BEHAVIOR)

    @property
    @steady
    def streams(self) -> list[str]:
        """Names of all dense streams, as :meth:`stream` takes them."""
        stored = self._stored()
        return [f"{group}/{key}" for group in (NEURAL, BEHAVIOR) for key in stream_keys(stored, group)]

    @steady
    def stream(self, name: str) -> StreamData:
        """A dense stream as a lazy handle, for instance ``"neural_states/v"``.

        Raises
        ------
        KeyError
            There is none of that name; the message lists those there are.
        """
        if name not in self.streams:
            raise KeyError(f"{self!r} has no stream {name!r}; it has {', '.join(self.streams) or 'none'}")
        return StreamData(self, name)

    @steady
    def get_metadata(self) -> dict[str, Any]:
        """The episode's attributes as Python values: ids, times, status, success, totals."""
        return episode_attributes(self._stored().group)

    @steady
    def span(self) -> tuple[int, int] | None:
        """``(start, stop)`` of the timesteps at which anything was logged; None where nothing was.

        The original system's files do not say it of events and weight changes.
        """
        spans = [clock.span() for clock in self._clocks().values() if len(clock)]
        return (min(low for low, _ in spans), max(high for _, high in spans)) if spans else None

    @steady
    def row_counts(self, start: float | None = None, stop: float | None = None) -> dict[str, int]:
        """Rows between timesteps, by stream: ``{'neural_states/v': 10, 'spikes': 1000, …}``.

        Of ``rewards``, ``weight_changes`` and ``events`` as well; only timesteps are read. The original
        system's files do not say it of the last two.
        """
        picked = {name: clock.rows(start, stop) for name, clock in self._clocks().items()}
        return {
            name: rows.stop - rows.start if isinstance(rows, slice) else len(rows)
            for name, rows in picked.items()
        }

    @steady
    def accounts(self) -> dict[str, StreamAccount]:
        """What became of the rows that were logged: ``{stream: StreamAccount}``.

        Streams are named ``neural_states/v``, ``behavior/x``, ``spikes``, ``rewards``, ``weight_changes``
        and ``events``; one of which everything was dropped is named too. Of a running episode: what is
        committed. Files from before there were accounts say only how many steps were dropped, as
        ``dropped_timesteps`` in :meth:`get_metadata`.
        """
        return episode_accounts(self)

    @steady
    def get_neural_states(
        self,
        start: int | None = None,
        stop: int | None = None,
        *,
        timesteps: Span | None = None,
        neurons: Neurons = None,
        keys: list[str] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Neural states: ``{'timesteps': int64 (rows,), key: (rows, ...), …}``; {} when there are none.

        A key with timesteps of its own (it began late, missed a row, or has another sampling rate)
        comes with ``<key>_timesteps``.

        Parameters
        ----------
        start, stop : int or None
            **Row numbers** of ``timesteps``, as NumPy slices (not timesteps, unlike elsewhere). Of a key
            with timesteps of its own, the rows within the time that these rows span.
        timesteps : (start, stop) or None
            A range of timesteps instead of rows; bounds as elsewhere.
        neurons : int, slice, sequence of int, bool array or None
            Picks along the first axis of a row; keys with one value a row are left as they are.
        keys : list of str or None
            Only these variables.

        Raises
        ------
        KeyError
            One of ``keys`` is not there.
        IndexError
            ``neurons`` does not fit.
        TimestepError
            ``timesteps`` is no pair of bounds.
        """
        return self._group(NEURAL, slice(start, stop), timesteps, neurons, keys)

    @steady
    def get_behavior(
        self,
        start: int | None = None,
        stop: int | None = None,
        *,
        timesteps: Span | None = None,
        keys: list[str] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Behaviour, in the form and with the arguments of :meth:`get_neural_states`."""
        return self._group(BEHAVIOR, slice(start, stop), timesteps, None, keys)

    @property
    @steady
    def n_neurons(self) -> int | None:
        """Width of the spike raster; None without spikes."""
        source = self._spikes()
        return None if source is None else source.n_neurons

    @steady
    def get_spikes(
        self, start: float | None = None, stop: float | None = None, neurons: Neurons = None
    ) -> dict[str, NDArray[Any]]:
        """Spikes between timesteps: ``{'timesteps', 'neuron_ids'}`` int64 ``(spikes,)``, in call order.

        Graded spikes add ``'values'`` in the logged dtype. Only the asked part is decoded. {} when the
        episode logged no spikes at all. ``neurons`` keeps the spikes of these neurons.
        """
        source = self._spikes()
        return {} if source is None else spikes.spike_list(source, start, stop, neurons)

    @steady
    def get_spikes_as_events(self) -> list[dict[str, Any]]:
        """``[{'timestep': int, 'neuron_ids': [int, …]}, …]`` ascending; only timesteps with spikes."""
        source = self._spikes()
        return [] if source is None else spikes.spike_events(source)

    @steady
    def get_spike_raster(
        self, start: float | None = None, stop: float | None = None, neurons: Neurons = None
    ) -> NDArray[Any]:
        """The raster ``(logged rows, neurons)`` between timesteps, in the logged dtype.

        Bool for index lists. Its rows are those of :meth:`spike_timesteps`; ``(0, 0)`` without spikes.
        The original system's files know only the rows that have spikes.

        Raises
        ------
        ReadError
            It would not fit the memory.
        """
        source = self._spikes()
        if source is None:
            return np.zeros((0, 0), np.bool_)
        return spikes.spike_raster(source, start, stop, neurons)

    @steady
    def get_spike_matrix(
        self, start: float | None = None, stop: float | None = None, neurons: Neurons = None
    ) -> Any:
        """The raster as a ``scipy.sparse.csr_array`` ``(logged rows, neurons)``, without being dense."""
        source = self._spikes()
        if source is None:
            import scipy.sparse

            return scipy.sparse.csr_array((0, 0), dtype=np.bool_)
        return spikes.spike_matrix(source, start, stop, neurons)

    @steady
    def spike_timesteps(self, start: float | None = None, stop: float | None = None) -> NDArray[np.int64]:
        """Timesteps of the rows of the raster, silent ones included, int64 ``(rows,)``."""
        source = self._spikes()
        if source is None:
            return np.empty(0, np.int64)
        clock = source.clock()
        return clock.values(clock.rows(start, stop))

    @steady
    def get_rewards(self, start: float | None = None, stop: float | None = None) -> dict[str, NDArray[Any]]:
        """``{'timesteps': int64, 'rewards': float64}`` ``(rows,)`` each, one entry per logged reward.

        {} when there are none. The original system's files lack rewards of 0 and may be float32.
        """
        source = self._rewards()
        if source is None:
            return {}
        clock = source.clock()
        rows = clock.rows(start, stop)
        first, last = row_span(rows)
        values = source.read(first, last)
        if not isinstance(rows, slice):
            values = values[rows - first]
        return {"timesteps": clock.values(rows), "rewards": values}

    @steady
    def get_reward_runs(self) -> dict[str, NDArray[Any]]:
        """Rewards as runs of equal bits: ``{'timesteps', 'values', 'lengths'}``, ``(runs,)`` each.

        ``timesteps`` is that of each run's first row, ``lengths`` counts rows. {} when there are none.
        """
        source = self._rewards()
        if source is None:
            return {}
        values, lengths = source.runs()
        starts = np.cumsum(lengths) - lengths
        return {"timesteps": source.clock().values(starts), "values": values, "lengths": lengths}

    @steady
    def get_weight_changes(
        self, start: float | None = None, stop: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """Weight changes by timestep, those of one timestep in call order; ``(changes,)`` each.

        ``start`` and ``stop`` are timesteps; only what lies between them is read.

        ``timesteps``, ``old_weights``, ``new_weights``, ``deltas`` (new − old), and ``synapse_ids`` or
        ``source_ids`` and ``target_ids``, then a column for every further keyword. {} without any.
        """
        return weights.by_time(weights_between(self._stored(), start, stop))

    @steady
    def get_weight_matrix(self, timestep: float | None = None) -> Any:
        """The weights after all changes up to ``timestep`` (included; None: to the episode's end).

        The initial weights, then every change of the episodes before this one in the order of their
        ids, then this episode's. A pair (source, target) is the entry in that row and column. An integer
        id is an entry of a 1-D weight vector; of a matrix it names the connection of that number. Of
        weights that were given as a dict, its 1-D entry ``weights`` is the vector.

        Returns
        -------
        ndarray (synapses,) or scipy.sparse.csr_array (rows, columns)
            A vector where 1-D weights were saved, else a sparse matrix; float64 once weights changed.

        Raises
        ------
        ReadError
            No initial weights, or a change that names no entry of them, or more than one.
        TimestepError
            ``timestep`` is no real number.
        """
        after = None if timestep is None else first_after(timestep)
        changes = [self._loader.get_episode(i).get_weight_changes() for i in self._episodes_before()]
        own = self.get_weight_changes()
        if own and after is not None:
            last = row_span(Clock.of([own["timesteps"]]).rows(None, after))[1]
            own = {name: column[:last] for name, column in own.items()}
        network = self._loader.get_network_structure()
        return weights.weights_after(
            self._loader.get_initial_weights(), [*changes, own], network.get("connections", {})
        )

    @steady
    def get_events(self, event_type: str | None = None) -> dict[str, Any]:
        """Events as columns: ``{type: {'timesteps': int64 (events,), key: values, …}}``, in call order.

        With ``event_type``, the columns of that type alone, {} if it did not happen. Values are stacked,
        ``(events, ...)``, where all are numbers of one dtype and shape, else they are in an object
        array. A key that some events lack has ``<key>_timesteps``; a key named like these columns
        stands as ``data/<key>``. Of the original system's files: the columns as they are stored.
        """
        stored = self._stored()
        if stored.original:
            found = original_streams.original_events(stored)
        else:
            found = events.event_columns(iter_events(stored))
        return found if event_type is None else found.get(event_type, {})

    def iter_events(
        self, start: float | None = None, stop: float | None = None, *, last: int | None = None
    ) -> Iterator[tuple[int, str, dict[Any, Any]]]:
        """(timestep, type, data) of each event in call order, exactly as logged.

        In constant memory, but for a running recording, whose file may change between two events. The
        original system's files keep no order between types: there by timestep.

        Parameters
        ----------
        start, stop : number or None
            Timesteps; None leaves that side open.
        last : int, optional
            Only so many of these events, the last ones.

        Raises
        ------
        TimestepError
            A bound is no real number, or ``last`` no whole one from 0 on.
        """
        if self._recording.living:
            return iter(
                self._recording.steady(lambda: list(events_between(self._stored(), start, stop, last)))
            )
        return events_between(self._stored(), start, stop, last)

    @steady
    def get_static_data(self, name: str) -> dict[str, Any]:
        """What ``log_static_episode_data(name, ...)`` stored, by key; {} when there is nothing."""
        if name in EPISODE_GROUPS:
            return {}
        group = self._stored().subgroup(name) if "/" not in name else None
        return {} if group is None else stored_tree(group)

    @steady
    def list_static_data(self) -> list[str]:
        """Names that :meth:`get_static_data` knows."""
        return [name for name in self._stored().groups() if name not in (*EPISODE_GROUPS, FINAL_STATE)]

    @steady
    def get_final_state(self) -> dict[str, Any]:
        """What was given as ``final_state`` when the episode ended, by key; {} when nothing was."""
        group = self._stored().subgroup(FINAL_STATE)
        return {} if group is None else stored_tree(group)

    to_pandas = of_episode.to_pandas
    to_arrow = of_episode.to_arrow
    to_xarray = of_episode.to_xarray
    to_nwb = of_episode.to_nwb
    to_neo = of_episode.to_neo
    to_torch = of_episode.to_torch
    to_sonata = of_episode.to_sonata

    def __repr__(self) -> str:
        return f"<EpisodeData {self.episode_id} of {self._loader.h5_path.name}>"

    def __getstate__(self) -> dict[str, Any]:
        return {"episode_id": self.episode_id, "_loader": self._loader, "_kept": None, "_kept_of": None}

    def _stored(self) -> StoredEpisode:
        file = self._loader.h5_file
        if self._kept is None or self._kept_of is not file:
            self._kept = self._loader._open_episode(self.episode_id)
            self._kept_of = file
        return self._kept

    def _clocks(self) -> dict[str, Clock]:
        stored = self._stored()
        clocks = {name: stream_clock(stored, name) for name in self.streams}
        if (fired := self._spikes()) is not None:
            clocks[SPIKES] = fired.clock()
        if (rewards := self._rewards()) is not None:
            clocks[REWARDS] = rewards.clock()
        if not stored.original:
            clocks |= {WEIGHT_CHANGES: weight_clock(stored), EVENTS: event_clock(stored)}
        return {name: clock for name, clock in clocks.items() if len(clock)}

    def _group(
        self, group: str, rows: slice, timesteps: Span | None, neurons: Neurons, keys: list[str] | None
    ) -> dict[str, NDArray[Any]]:
        if timesteps is not None and (rows.start is not None or rows.stop is not None):
            raise ValueError("give a range of rows or of timesteps, not both")
        return read_group(self._stored(), group, rows, timesteps=timesteps, neurons=neurons, keys=keys)

    def _spikes(self) -> SpikeRows | None:
        stored = self._stored()
        if not stored.original:
            return stored_spikes(stored)
        return original_streams.original_spikes(stored, self._loader.attributes.get("n_neurons"))

    def _rewards(self) -> RewardRows | None:
        stored = self._stored()
        return original_streams.original_rewards(stored) if stored.original else stored_rewards(stored)

    def _episodes_before(self) -> list[int]:
        ids = self._loader.list_episodes()
        if self.episode_id not in ids:
            raise ReadError(f"{self!r} is no longer in the file")
        return ids[: ids.index(self.episode_id)]
