"""Neo: a recording as ``Block``, its episodes as ``Segment``, with units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from loaders.interchange.columns import tables
from loaders.interchange.extra import library
from loaders.interchange.facts import check_known, check_units, chosen, episode_facts, neuron_columns, plain
from loaders.interchange.joined import in_line
from loaders.interchange.seconds import Seconds, seconds, times
from loaders.interchange.trains import Trains
from recorder.errors import OptionError
from recorder.format.clock import Clock
from recorder.format.document import dumps
from recorder.format.layout import EVENTS, SPIKES, TIMESTEPS, WEIGHT_CHANGES

if TYPE_CHECKING:
    from loaders.episode import EpisodeData
    from loaders.experiment import ExperimentLoader

EXTRA = "neo"


def to_block(
    recording: ExperimentLoader, dt: Seconds, units: Mapping[str, str] | None, episodes: Iterable[int] | None
) -> Any:
    """See :meth:`loaders.ExperimentLoader.to_neo`."""
    neo = library("neo", EXTRA)
    about = {"metadata": recording.get_metadata(), "config": recording.get_config()}
    block = neo.Block(
        name=str(recording.attributes.get("experiment_name", recording.h5_path.stem)),
        file_origin=str(recording.h5_path),
        **{key: dumps(value).decode("ascii") for key, value in about.items()},
    )
    names: list[str] = []
    for number in chosen(recording, episodes):
        episode = recording.get_episode(number)
        known = tables(episode)
        names += known
        block.segments.append(
            to_segment(episode, dt, {name: unit for name, unit in (units or {}).items() if name in known})
        )
    check_known(recording, units, names)
    block.check_relationships()
    return block


def to_segment(episode: EpisodeData, dt: Seconds, units: Mapping[str, str] | None) -> Any:
    """See :meth:`loaders.EpisodeData.to_neo`."""
    neo, quantities = library("neo", EXTRA), library("quantities", EXTRA)
    return _Segment(neo, quantities, episode, dt, check_units(episode, units)).made()


class _Segment:
    def __init__(
        self, neo: Any, quantities: Any, episode: EpisodeData, dt: Seconds, units: Mapping[str, str]
    ) -> None:
        self.neo, self.pq, self.episode, self.units = neo, quantities, episode, units
        self.dt = seconds(dt, episode._loader)

    def made(self) -> Any:
        self.segment = self.neo.Segment(
            name=f"episode_{self.episode.episode_id:04d}",
            index=self.episode.episode_id,
            **episode_facts(self.episode),
        )
        (self.placed,) = in_line([self.episode])
        for name in self.placed.tables:
            if name == SPIKES:
                self.segment.spiketrains.extend(self.trains())
            elif name == EVENTS:
                self.segment.events.extend(self.events())
            elif name == WEIGHT_CHANGES:
                self.segment.events.append(self.changes())
            else:
                self.signal(name)
        return self.segment

    def times(self, steps: Any) -> Any:
        return self.pq.Quantity(times(np.asarray(steps), self.dt), "s")

    def signal(self, name: str) -> None:
        found = {key: column.read(0, len(column)) for key, column in self.placed.tables[name].items()}
        steps = found.pop(TIMESTEPS)
        ((key, values),) = found.items()
        clock = Clock.even(steps)
        unit = self.unit(name)
        facts = {"name": key, "description": name, "row_shape": list(values.shape[1:])}
        flat = values.reshape(len(values), -1)
        if clock is None or len(steps) < 2:
            signal = self.neo.IrregularlySampledSignal(self.times(steps), flat, units=unit, **facts)
            self.segment.irregularlysampledsignals.append(signal)
            return
        signal = self.neo.AnalogSignal(
            flat,
            units=unit,
            t_start=self.times(clock.first),
            sampling_period=self.times(clock.step),
            first_timestep=clock.first,
            timesteps_a_row=clock.step,
            **facts,
        )
        self.segment.analogsignals.append(signal)

    def unit(self, name: str) -> Any:
        unit = self.units.get(name, "dimensionless")
        try:
            found = self.pq.unit_registry[unit]
        except Exception as error:  # it computes what stands there: anything may come of that
            raise OptionError(f"units: quantities knows no {unit!r} for {name}") from error
        if not isinstance(found, self.pq.Quantity):
            raise OptionError(f"units: {unit!r} for {name} is no unit of quantities")
        return found

    def trains(self) -> list[Any]:
        trains = Trains([self.placed])
        found = neuron_columns(self.episode._loader, trains.n_neurons)
        known = {key: column.tolist() for key, column in found.items()}
        made = []
        for neuron in range(trains.n_neurons):
            own = trains.of(neuron)
            graded = {} if trains.values is None else {"values": np.array(trains.values[own])}
            rows = {key: column[neuron] for key, column in known.items()}
            # Rows of numbers are lists, as Neo has them.
            about = {k: v for k, v in rows.items() if isinstance(v, list) and found[k].dtype.kind in "biuf"}
            about = plain({key: value for key, value in rows.items() if key not in about}) | about
            made.append(
                self.neo.SpikeTrain(
                    self.times(trains.timesteps[own]),
                    t_start=self.times(self.placed.start),
                    t_stop=self.times(self.placed.stop),
                    sampling_rate=self.pq.Quantity(1 / self.dt, "Hz"),
                    name=f"neuron {neuron}",
                    array_annotations=graded,
                    **{"neuron": neuron, **about},
                )
            )
        return made

    def events(self) -> list[Any]:
        found: dict[str, tuple[list[int], list[str]]] = {}
        for step, kind, data in self.episode.iter_events():
            steps, texts = found.setdefault(kind, ([], []))
            steps.append(step)
            texts.append(dumps(data).decode("ascii"))
        return [
            self.neo.Event(self.times(steps), labels=np.array(texts), name=kind)
            for kind, (steps, texts) in found.items()
        ]

    def changes(self) -> Any:
        found = self.episode.get_weight_changes()
        steps = found.pop(TIMESTEPS)
        labels = np.array([str(number) for number in range(len(steps))])
        return self.neo.Event(self.times(steps), labels=labels, name=WEIGHT_CHANGES, array_annotations=found)
