"""NWB files through pynwb, written as they are read."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loaders.interchange.aside import aside
from loaders.interchange.columns import Column
from loaders.interchange.extra import library
from loaders.interchange.facts import check_known, neuron_columns
from loaders.interchange.joined import Placed, alike, in_line, joined
from loaders.interchange.progress import Watched
from loaders.interchange.seconds import Seconds, seconds, times
from loaders.interchange.trains import Trains
from recorder.errors import ExportError, OptionError
from recorder.format.document import dumps
from recorder.format.layout import BEHAVIOR, EVENTS, NEURAL, REWARDS, SPIKES, TIMESTEPS, WEIGHT_CHANGES

if TYPE_CHECKING:
    from loaders.experiment import ExperimentLoader

EXTRA = "nwb"
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
    chosen = recording.list_episodes() if episodes is None else list(episodes)
    placed = in_line([recording.get_episode(number) for number in chosen], only)
    names = list(dict.fromkeys(name for part in placed for name in part.tables))
    check_known(recording, units, names)
    target = Path(path)
    with aside(target) as part, Watched("NWB") as watched:
        file = _file(pynwb, recording, dict(about or {}))
        _Content(pynwb, file, placed, step, units or {}, watched).add(names)
        _trials(file, recording, placed, step)
        with pynwb.NWBHDF5IO(part, "w") as io:
            io.write(file)
    return target


class _Content:
    """Puts what episodes have into an NWB file."""

    def __init__(
        self,
        pynwb: Any,
        file: Any,
        placed: Sequence[Placed],
        dt: float,
        units: Mapping[str, str],
        watched: Watched,
    ) -> None:
        self.pynwb, self.file, self.placed, self.dt, self.units = pynwb, file, placed, dt, units
        self.watched = watched

    def add(self, names: Sequence[str]) -> None:
        behaviour = []
        for name in names:
            if name.startswith(f"{NEURAL}/"):
                self.file.add_acquisition(self.series(name))
            elif name.startswith(f"{BEHAVIOR}/"):
                behaviour.append(self.series(name))
        if behaviour:
            self.module("behavior").add(
                self.pynwb.behavior.BehavioralTimeSeries(time_series=behaviour, name="behavior")
            )
        if REWARDS in names:
            self.module("behavior").add(
                self.pynwb.behavior.BehavioralTimeSeries(time_series=self.series(REWARDS), name=REWARDS)
            )
        if SPIKES in names:
            self.spikes()
        for name in (EVENTS, WEIGHT_CHANGES):
            if name in names:
                # Changes may name synapses in one episode and pairs of neurons in another.
                for number, having in enumerate(alike(self.placed, name), 1):
                    title = name if number == 1 else f"{name}_{number}"
                    table = self.table(name, title, having)
                    self.module("behavior" if name == EVENTS else "plasticity").add(table)

    def module(self, name: str) -> Any:
        found = self.file.processing.get(name)
        return found or self.file.create_processing_module(
            name, f"{name} of the simulation, as it was logged"
        )

    def times(self, steps: Column) -> Any:
        from loaders.interchange.streamed import rows

        return rows(steps, np.float64, lambda values: times(values, self.dt))

    def series(self, name: str) -> Any:
        from loaders.interchange.streamed import rows

        found = joined([part for part in self.placed if name in part.tables], name)
        steps = found.pop(TIMESTEPS)
        ((key, column),) = found.items()
        if "/" in key or ":" in key:
            raise ExportError(f"{name}: NWB has no name with '/' or ':' in it")
        if column.dtype.kind not in "biuf" or len(column.shape) > 4:
            raise ExportError(f"{name}: NWB has no series of {column.dtype} with rows {column.shape[1:]}")
        return self.pynwb.TimeSeries(
            name=key,
            data=rows(self.watched(column)),
            unit=self.units.get(name, "unknown"),
            timestamps=self.times(steps),
            description=f"{name} as it was logged",
        )

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
        for key, facts in neuron_columns(self.placed[0].episode).items():
            texts: Any = facts.astype(object) if facts.dtype.kind == "U" else facts
            if facts.dtype.kind not in "biufU":
                texts = [x if isinstance(x, str) else dumps(x).decode("ascii") for x in facts.tolist()]
            made.append(common.VectorData(name=key, description=f"{key} of the network", data=texts))
        self.file.units = self.pynwb.misc.Units(
            name="units",
            description="neurons of the simulation, by their place in the raster",
            id=list(range(trains.n_neurons)),
            columns=made,
            resolution=self.dt,
        )

    def table(self, name: str, title: str, having: Sequence[Placed]) -> Any:
        from loaders.interchange.streamed import rows

        found = joined(having, name)
        steps = found.pop(TIMESTEPS)
        common = self.pynwb.core
        made = [
            common.VectorData(name="timestamp", description="seconds", data=self.times(steps)),
            *(
                common.VectorData(
                    name=key,
                    description=f"{key} of the recording's {name}",
                    data=rows(column),
                )
                for key, column in found.items()
            ),
        ]
        return common.DynamicTable(
            name=title,
            description=_TABLES[name],
            id=common.ElementIdentifiers(name="id", data=np.arange(len(steps))),
            columns=made,
        )


def _column(values: NDArray[Any]) -> Column:
    return Column(values.shape, values.dtype, lambda first, last: np.array(values[first:last]))


def _file(pynwb: Any, recording: ExperimentLoader, about: dict[str, Any]) -> Any:
    facts = recording.attributes
    name = str(facts.get("experiment_name", recording.h5_path.stem))
    began = facts.get("start_time")
    if "session_start_time" not in about:
        if began is None:
            raise OptionError(
                "the recording does not say when it began: give about={'session_start_time': …}"
            )
        # Recordings have the clock of the wall without a zone, NWB wants one.
        about["session_start_time"] = datetime.fromisoformat(began).astimezone()
    simulation = {
        "subject_id": name,
        "description": "a simulation, no animal",
        "sex": "U",
        "date_of_birth": about["session_start_time"],  # it began to be when it began to run
    }
    subject = about.pop("subject", simulation)
    provenance = {
        "metadata": recording.get_metadata(),
        "config": recording.get_config(),
        "runtime": recording.get_runtime_info(),
        "git": recording.get_git_info(),
        "file": str(recording.h5_path),
    }
    code = recording.get_code_snapshot()
    script = {
        "source_script": dumps(code).decode("ascii"),
        "source_script_file_name": ", ".join(code),
    }
    facts = {
        "session_description": f"the recording {name} of a simulation",
        "identifier": f"{name} {began or about['session_start_time']}",
        "session_id": recording.experiment_dir.name,
        "notes": dumps(provenance).decode("ascii"),
        **(script if code else {}),
        **about,
    }
    if subject is not None:
        facts["subject"] = pynwb.file.Subject(**subject)
    return pynwb.NWBFile(**facts)


def _trials(file: Any, recording: ExperimentLoader, placed: Sequence[Placed], dt: float) -> None:
    file.add_trial_column("episode_id", "id of the episode in the recording")
    file.add_trial_column("shift", "timesteps between the episode's own and those of this file")
    file.add_trial_column("status", "how the episode ended")
    file.add_trial_column("success", "what the program said of it, or unknown")
    file.add_trial_column("summary", "what the program gave at its end: a document of flightrec's format")
    for part in placed:
        start, stop = times(np.array([part.start, part.stop]), dt).tolist()
        row = recording.get_episode_summary(part.episode.episode_id)
        facts = part.episode.get_metadata()
        success = facts.get("success")
        file.add_trial(
            start_time=start,
            stop_time=stop,
            episode_id=part.episode.episode_id,
            shift=part.shift,
            status=str(facts.get("status")),
            success="unknown" if success is None else str(bool(success)).lower(),
            summary=dumps(row).decode("ascii"),
        )
