"""NWB files through pynwb, written as they are read."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loaders.interchange.aside import aside
from loaders.interchange.columns import Column
from loaders.interchange.extra import library
from loaders.interchange.facts import check_known, chosen, free_name, neuron_columns
from loaders.interchange.joined import Placed, alike, in_line, joined
from loaders.interchange.nwb_file import add_trials, nwb_file, part_of
from loaders.interchange.progress import Watched
from loaders.interchange.seconds import Seconds, seconds, times
from loaders.interchange.trains import Trains
from recorder.errors import ExportError, ExportWarning
from recorder.format.document import dumps
from recorder.format.layout import BEHAVIOR, EVENTS, NEURAL, REWARDS, SPIKES, TIMESTEPS, WEIGHT_CHANGES
from recorder.h5.draft import draft_file

if TYPE_CHECKING:
    from loaders.experiment import ExperimentLoader

EXTRA = "nwb"
_MODULE = {BEHAVIOR, REWARDS, EVENTS, "events_2"}
"""What else is in the module ``behavior``."""
_TABLES = {
    EVENTS: "What the recording's program logged as events; data are documents of flightrec's format.",
    WEIGHT_CHANGES: "Changes of synaptic weights.",
}


def to_nwb(
    recording: ExperimentLoader,
    path: str | os.PathLike[str],
    dt: Seconds,
    units: Mapping[str, str] | None,
    about: Mapping[str, Any] | None,
    episodes: Iterable[int] | None,
    only: Collection[str] | None,
) -> Path:
    """See :meth:`loaders.ExperimentLoader.to_nwb`."""
    pynwb = library("pynwb", EXTRA)
    step = seconds(dt, recording)
    placed = in_line([recording.get_episode(number) for number in chosen(recording, episodes)], only)
    if not placed:
        raise ExportError(f"{recording!r}: NWB has no file without an episode, and none was chosen")
    names = list(dict.fromkeys(name for part in placed for name in part.tables))
    check_known(recording, units, names)
    target = Path(path)
    with aside(target) as part, Watched("NWB") as watched:
        file = nwb_file(pynwb, recording, dict(about or {}), part_of(recording, placed, only))
        content = _Content(pynwb, file, recording, placed, step, units or {}, watched)
        content.add(names)
        add_trials(file, recording, placed, step)
        with (
            draft_file(part, libver=None) as (made, then),
            watched.after_each(then),
            pynwb.NWBHDF5IO(file=made, mode="w") as io,
        ):
            io.write(file)
    if content.wide:
        warnings.warn(
            f"{', '.join(content.wide)}: fewer rows than a row has entries, so a table and no TimeSeries, "
            "which NWB's inspector would take for transposed",
            ExportWarning,
            stacklevel=3,
        )
    return target


class _Content:
    """Puts what episodes have into an NWB file."""

    def __init__(
        self,
        pynwb: Any,
        file: Any,
        recording: ExperimentLoader,
        placed: Sequence[Placed],
        dt: float,
        units: Mapping[str, str],
        watched: Watched,
    ) -> None:
        self.pynwb, self.file, self.placed, self.dt, self.units = pynwb, file, placed, dt, units
        self.recording, self.watched = recording, watched
        self.wide: list[str] = []

    def add(self, names: Sequence[str]) -> None:
        behaviour = []
        for name in names:
            if not name.startswith((f"{NEURAL}/", f"{BEHAVIOR}/")):
                continue
            found = self.rows_of(name)
            neural, wide = name.startswith(NEURAL), _is_wide(found)
            if wide:
                self.wide.append(name)
            made = self.table_of(name, found) if wide else self.series(name, found)
            if neural:
                self.file.add_acquisition(made)
            elif wide:
                self.module("behavior").add(made)
            else:
                behaviour.append(made)
        if behaviour:
            self.module("behavior").add(
                self.pynwb.behavior.BehavioralTimeSeries(time_series=behaviour, name="behavior")
            )
        if REWARDS in names:
            self.module("behavior").add(
                self.pynwb.behavior.BehavioralTimeSeries(
                    time_series=self.series(REWARDS, self.rows_of(REWARDS)), name=REWARDS
                )
            )
        if SPIKES in names:
            self.spikes()
        for name in (EVENTS, WEIGHT_CHANGES):
            if name in names:
                # Changes may name synapses in one episode and pairs of neurons in another.
                for number, having in enumerate(alike(self.placed, name), 1):
                    title = name if number == 1 else f"{name}_{number}"
                    table = self.table(name, title, joined(having, name), _TABLES[name])
                    self.module("behavior" if name == EVENTS else "plasticity").add(table)

    def module(self, name: str) -> Any:
        found = self.file.processing.get(name)
        return found or self.file.create_processing_module(
            name, f"{name} of the simulation, as it was logged"
        )

    def times(self, steps: Column) -> Any:
        from loaders.interchange.streamed import rows

        return rows(steps, np.float64, lambda values: times(values, self.dt))

    def rows_of(self, name: str) -> dict[str, Column]:
        found = joined([part for part in self.placed if name in part.tables], name)
        ((key, column),) = ((key, column) for key, column in found.items() if key != TIMESTEPS)
        _check_name(name, key)
        if column.dtype.kind not in "biuf" or len(column.shape) > 4:
            raise ExportError(f"{name}: NWB has no series of {column.dtype} with rows {column.shape[1:]}")
        return found

    def series(self, name: str, found: dict[str, Column]) -> Any:
        from loaders.interchange.streamed import rows

        steps = found.pop(TIMESTEPS)
        ((key, column),) = found.items()
        return self.pynwb.TimeSeries(
            name=key,
            data=rows(self.watched(column)),
            unit=self.units.get(name, "unknown"),
            timestamps=self.times(steps),
            description=f"{name} as it was logged",
        )

    def table_of(self, name: str, found: dict[str, Column]) -> Any:
        key = name.partition("/")[2]
        others = {name.partition("/")[2] for part in self.placed for name in part.tables}
        title = key if name.startswith(NEURAL) else free_name(key, _MODULE, others)
        unit = self.units.get(name, "unknown")
        watched = {key: column if key == TIMESTEPS else self.watched(column) for key, column in found.items()}
        return self.table(name, title, watched, f"{name} as it was logged; unit: {unit}")

    def spikes(self) -> None:
        from loaders.interchange.streamed import rows

        trains = Trains(self.placed)
        common = self.pynwb.core
        data = {"spike_times": ("times of the spikes in seconds", self.times(_column(trains.timesteps)))}
        if trains.values is not None:
            data["spike_values"] = ("values of graded spikes", rows(_column(trains.values)))
        made = []
        for key, (description, values) in data.items():
            column = common.VectorData(name=key, description=description, data=values)
            index = common.VectorIndex(name=f"{key}_index", data=trains.ends.astype(np.uint64), target=column)
            made += [index, column]  # in this order, where the column is written piece by piece
        for key, facts in neuron_columns(self.recording, trains.n_neurons).items():
            texts: Any = facts.astype(object) if facts.dtype.kind == "U" else facts
            if facts.dtype.kind not in "biufU":
                texts = [x if isinstance(x, str) else dumps(x).decode("ascii") for x in facts.tolist()]
            _check_name(f"column {key!r} of the neurons", key)
            made.append(common.VectorData(name=key, description=f"{key} of the network", data=texts))
        self.file.units = self.pynwb.misc.Units(
            name="units",
            description="neurons of the simulation, by their place in the raster",
            id=list(range(trains.n_neurons)),
            columns=made,
            resolution=self.dt,
        )

    def table(self, name: str, title: str, found: dict[str, Column], about: str) -> Any:
        from loaders.interchange.streamed import rows

        common = self.pynwb.core
        columns = {"timestamp": ("seconds", self.times(found.pop(TIMESTEPS)))}
        # What tables of NWB have of their own would be lost, or make the file unreadable.
        taken = {"timestamp", *dir(common.DynamicTable)}
        for key, column in found.items():
            _check_name(name, key)
            own = f"{key} of the recording's {name}"
            columns[free_name(key, taken, found)] = (own, rows(column))
        made = [
            common.VectorData(name=key, description=description, data=data)
            for key, (description, data) in columns.items()
        ]
        return common.DynamicTable(
            name=title,
            description=about,
            id=common.ElementIdentifiers(name="id", data=np.arange(len(next(iter(found.values()))))),
            columns=made,
        )


def _check_name(what: str, name: str) -> None:
    if "/" in name or ":" in name:
        raise ExportError(f"{what}: NWB has no name with '/' or ':' in it")


def _is_wide(found: Mapping[str, Column]) -> bool:
    # The inspector takes a series with fewer rows than neurons for transposed, which is critical to it.
    return any(max(column.shape[1:], default=0) > len(column) for column in found.values())


def _column(values: NDArray[Any]) -> Column:
    return Column(values.shape, values.dtype, lambda first, last: np.array(values[first:last]))
