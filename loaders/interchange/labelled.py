"""An episode as ``xarray.DataTree``: coordinates, units, and values that are read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loaders.interchange.columns import Column, columns, tables
from loaders.interchange.extra import library
from loaders.interchange.facts import (
    check_known,
    check_units,
    chosen,
    episode_facts,
    network_size,
    neuron_columns,
)
from loaders.interchange.seconds import Seconds, seconds, times
from recorder.errors import ExportError
from recorder.format.document import dumps
from recorder.format.layout import (
    BEHAVIOR,
    EVENTS,
    NEURAL,
    REWARDS,
    SPIKES,
    TIMESTEPS,
    WEIGHT_CHANGES,
    episode_path,
)

if TYPE_CHECKING:
    from loaders.episode import EpisodeData
    from loaders.experiment import ExperimentLoader

EXTRA = "xarray"
_TABLES = {WEIGHT_CHANGES: "change", EVENTS: "event"}


def to_xarray(episode: EpisodeData, dt: Seconds, units: Mapping[str, str] | None) -> Any:
    """See :meth:`loaders.EpisodeData.to_xarray`."""
    xarray = library("xarray", EXTRA)
    nodes = _Nodes(xarray, episode, dt, check_units(episode, units)).made()
    root = xarray.Dataset(attrs=episode_facts(episode))
    return xarray.DataTree.from_dict({"/": root, **nodes}, name=f"episode_{episode.episode_id:04d}")


def all_to_xarray(
    recording: ExperimentLoader, dt: Seconds, units: Mapping[str, str] | None, episodes: Iterable[int] | None
) -> Any:
    """See :meth:`loaders.ExperimentLoader.to_xarray`."""
    xarray = library("xarray", EXTRA)
    found = {"/": xarray.Dataset(attrs=facts_of(recording))}
    names: list[str] = []
    for number in chosen(recording, episodes):
        episode = recording.get_episode(number)
        known = tables(episode)
        names += known
        own = {name: unit for name, unit in (units or {}).items() if name in known}
        tree = to_xarray(episode, dt, own)
        path = episode_path(number)
        found |= {f"/{path}{node.path.rstrip('/')}": node.to_dataset() for node in tree.subtree}
    check_known(recording, units, names)
    return xarray.DataTree.from_dict(
        found, name=str(recording.attributes.get("experiment_name", "recording"))
    )


def facts_of(recording: ExperimentLoader) -> dict[str, str]:
    """Attributes of a recording as a whole: documents as text."""
    about = {"metadata": recording.get_metadata(), "config": recording.get_config()}
    return {key: dumps(value).decode("ascii") for key, value in about.items()}


class _Nodes:
    def __init__(self, xarray: Any, episode: EpisodeData, dt: Seconds, units: Mapping[str, str]) -> None:
        self.xarray, self.episode, self.units = xarray, episode, units
        self.dt = None if dt is None else seconds(dt, episode._loader)
        self.width = episode.n_neurons or network_size(episode._loader)
        if self.width is None:
            widths = {stream.shape[1] for stream in episode.neural_states.values() if len(stream.shape) > 1}
            self.width = widths.pop() if len(widths) == 1 else None

    @cached_property
    def neurons(self) -> dict[str, NDArray[Any]]:
        return neuron_columns(self.episode._loader, self.width)

    def made(self) -> dict[str, Any]:
        names = tables(self.episode)
        found = {}
        for group in (NEURAL, BEHAVIOR):
            if streams := [name for name in names if name.startswith(f"{group}/")]:
                found[f"/{group}"] = self.streams(group, streams)
        for name in (SPIKES, REWARDS):
            if name in names:
                found[f"/{name}"] = self.one(name)
        return found | {f"/{name}": self.table(name, dim) for name, dim in _TABLES.items() if name in names}

    def streams(self, group: str, names: list[str]) -> Any:
        all_columns = {name: columns(self.episode, name) for name in names}
        shared = self.episode._recording.steady(
            lambda: [
                name for name in names if self.episode._stored().clock_path(name) == f"{group}/{TIMESTEPS}"
            ]
        )
        rows = min((len(all_columns[name][TIMESTEPS]) for name in shared), default=0)
        alike: dict[bytes, list[str]] = {}
        clocks: dict[bytes, NDArray[np.int64]] = {}
        for name, found in all_columns.items():
            steps = found[TIMESTEPS].read(0, rows if name in shared else len(found[TIMESTEPS]))
            alike.setdefault(steps.tobytes(), []).append(name)
            clocks[steps.tobytes()] = steps
        # The group's own timesteps, or else those that most streams have.
        main = max(alike, key=lambda clock: (any(name in shared for name in alike[clock]), len(alike[clock])))
        coordinates: dict[str, Any] = {}
        variables = {}
        for clock, members in alike.items():
            prefix = "" if clock == main else f"{members[0].partition('/')[2]}_"
            coordinates |= self.clock(clocks[clock], prefix)
            for name in members:
                key = name.partition("/")[2]
                column, count = all_columns[name][key], len(clocks[clock])
                variables[key] = self.variable(name, key, column, count, f"{prefix}timestep")
        return self.dataset(group, variables, coordinates)

    def one(self, name: str) -> Any:
        found = columns(self.episode, name)
        variable = self.variable(name, name, found[name], len(found[name]), "timestep")
        steps = found[TIMESTEPS].read(0, len(found[TIMESTEPS]))
        return self.dataset(name, {name: variable}, self.clock(steps, ""))

    def table(self, name: str, dim: str) -> Any:
        found = columns(self.episode, name)
        steps = found.pop(TIMESTEPS)
        variables = {key: self.lazy(name, key, column, len(column), (dim,)) for key, column in found.items()}
        where = {"timestep": self.lazy(name, TIMESTEPS, steps, len(steps), (dim,))}
        if self.dt is not None:
            values = times(steps.read(0, len(steps)), self.dt, name)
            where["time"] = self.xarray.Variable((dim,), values, {"units": "s", "long_name": "time"})
        return self.dataset(name, variables, where)

    def clock(self, values: NDArray[np.int64], prefix: str) -> dict[str, Any]:
        dim = f"{prefix}timestep"
        found = {dim: self.xarray.Variable((dim,), values, {"long_name": "timestep"})}
        if self.dt is not None:
            attributes = {"units": "s", "long_name": "time"}
            found[f"{prefix}time"] = self.xarray.Variable((dim,), times(values, self.dt), attributes)
        return found

    def variable(self, name: str, key: str, column: Column, rows: int, clock: str) -> Any:
        axes = [f"{key}_axis_{number}" for number in range(1, len(column.shape))]
        if axes and column.shape[1] == self.width and not name.startswith(BEHAVIOR):
            axes[0] = "neuron"
        return self.lazy(name, key, column, rows, (clock, *axes))

    def lazy(self, name: str, key: str, column: Column, rows: int, dims: tuple[str, ...]) -> Any:
        from xarray.core.indexing import LazilyIndexedArray

        from loaders.interchange.ondemand import OnDemand

        unit = {"units": self.units[name]} if name in self.units and key != TIMESTEPS else {}
        return self.xarray.Variable(
            dims, LazilyIndexedArray(OnDemand(self.episode, name, key, column, rows)), unit
        )

    def dataset(self, where: str, variables: dict[str, Any], coordinates: dict[str, Any]) -> Any:
        if any("neuron" in variable.dims for variable in variables.values()):
            assert self.width is not None
            coordinates["neuron"] = np.arange(self.width)
            for key, column in self.neurons.items():
                axes = [f"{key}_axis_{number}" for number in range(1, column.ndim)]
                coordinates[key] = (("neuron", *axes), column)
        if taken := sorted(variables.keys() & coordinates.keys()):
            raise ExportError(f"{where} of {self.episode!r}: {taken[0]!r} is the name of a coordinate, too")
        return self.xarray.Dataset(variables, coordinates)
