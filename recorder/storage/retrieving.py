"""The calls that find and retrieve."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import numpy as np

from recorder.errors import InputError
from recorder.format.storage import KINDS
from recorder.h5.store import family, objects, snapshots, spikes, tables, traces
from recorder.h5.store.handle import Handle
from recorder.storage.core import Core
from recorder.storage.objects import Entry, NetworkSnapshot, SpikeTrainData


class Retrieving(Core):
    """Every call looks into the rotated files as well, and reads one state of the file it finds something in.

    What is retrieved is fresh and may be changed. A ``retrieve_`` call returns None, with a warning in the
    log, where there is no object of that id. All raise :class:`~recorder.errors.HDF5StorageError` where
    the file is damaged: all that they return had a checksum that was compared, or agrees with the id.
    """

    def retrieve_network_snapshot(self, snapshot_id: str) -> NetworkSnapshot | None:
        """A snapshot, its matrices in the form and dtype that were given."""
        found = self._find("Network snapshot", snapshot_id, snapshots.find_snapshot)
        return None if found is None else NetworkSnapshot(*found)

    def retrieve_spike_train(self, train_id: str) -> SpikeTrainData | None:
        """A spike train; its metadata are ``{}`` where none were given."""
        found = self._find("Spike train", train_id, spikes.find_train)
        return None if found is None else SpikeTrainData(*found)

    def retrieve_compressed_spike_train(self, compressed_id: str) -> tuple[Any, float, dict[str, Any]] | None:
        """The array, the timestamp, and the parameters."""
        found: Any = self._find("Compressed spike train", compressed_id, spikes.find_compressed)
        return None if found is None else found

    def retrieve_reservoir_states(self, state_id: str) -> tuple[Any, float, str] | None:
        """The states, the timestamp, and the reservoir's id."""
        return self._labelled("reservoir", state_id)

    def retrieve_layer_outputs(self, output_id: str) -> tuple[dict[str, Any], float] | None:
        """Arrays by layer, in the order given, and the timestamp."""
        found: Any = self._find("Layer outputs", output_id, tables.find_layers)
        return None if found is None else found

    def retrieve_attention_map(self, map_id: str) -> tuple[Any, float, str] | None:
        """The map, the timestamp, and the attention's id."""
        return self._labelled("attention", map_id)

    def retrieve_plasticity_trace(self, trace_id: str) -> tuple[Any, float, str] | None:
        """The changes, the timestamp, and the type."""
        return self._labelled("plasticity", trace_id)

    def retrieve_homeostatic_trace(self, trace_id: str) -> tuple[Any, float, str] | None:
        """The changes, the timestamp, and the mechanism."""
        return self._labelled("homeostatic", trace_id)

    def retrieve_performance_metrics(self, metrics_id: str) -> tuple[dict[str, float], float, str] | None:
        """Numbers by name, the timestamp, and the task."""
        found: Any = self._find("Performance metrics", metrics_id, tables.find_metrics)
        return None if found is None else found

    def _labelled(self, kind: str, name: str) -> tuple[Any, float, str] | None:
        found: Any = self._find(
            KINDS[kind].noun, name, lambda handle, name: traces.find_labelled(handle, kind, name)
        )
        return None if found is None else found

    def get_network_snapshots_in_range(self, start_time: float, end_time: float) -> list[str]:
        """Ids of snapshots between two timestamps, both included, by timestamp."""
        return [entry.id for entry in self.find("snapshot", start_time, end_time)]

    def find(
        self,
        kind: str | None = None,
        start_time: float = -math.inf,
        end_time: float = math.inf,
        label: str | None = None,
    ) -> list[Entry]:
        """Objects between two timestamps, both included, by timestamp and id.

        Costs what it returns, however many there are.

        Parameters
        ----------
        kind : str, optional
            ``snapshot``, ``spike_train``, ``compressed``, ``reservoir``, ``layer_outputs``, ``attention``,
            ``plasticity``, ``homeostatic``, ``performance`` or ``checkpoint``; all by default.
        label : str, optional
            Only those of this reservoir, mechanism, task and so on.
        """
        with self._speaking("find objects"):
            start, end = (self._bound(value) for value in (start_time, end_time))
            if kind is not None and kind not in KINDS:
                raise InputError("kind", f"one of {', '.join(KINDS)}", repr(kind)[:80])
            kinds = [kind] if kind is not None else list(KINDS)
            found: list[Entry] = []

            def look(handle: Handle) -> list[tuple[str, str, float]]:
                return [
                    (each, name, time)
                    for each in kinds
                    for time, name in objects.listed(handle, each, start, end)
                ]

            # Objects and names of other files in one look: what is rotated in between would be in neither.
            newest, members = self._session.read(lambda handle: (look(handle), family.members_of(handle)))
            for path, session in self._open([member for member in members if member.covers(start, end)]):
                with suppress(FileNotFoundError):  # all of its objects have just been removed
                    found += [Entry(*entry, path) for entry in session.read(look)]
            found += [Entry(*entry, self.file_path) for entry in newest]
        if label is not None:
            found = [entry for entry in found if _label_of(entry) == label]
        return sorted(found, key=lambda entry: (entry.timestamp, entry.id, entry.kind))

    def _bound(self, value: Any) -> float:
        if isinstance(value, float | int | np.number) and not isinstance(value, bool):
            bound = _as_float(value)
            if not math.isnan(bound):
                return bound
        raise InputError("time range", "real numbers", repr(value)[:80])


def _as_float(value: Any) -> float:
    """Whole numbers that no float holds lie beyond all timestamps."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _label_of(entry: Entry) -> str:
    """What an id begins with: before the milliseconds, and the number of a further one."""
    head, _, tail = entry.id.rpartition("_")
    ms = str(int(entry.timestamp * 1000))
    return head if tail == ms else head.removesuffix(f"_{ms}")
