"""Methods of :class:`loaders.EpisodeData` that give an episode to other tools."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loaders.interchange.extra import library

if TYPE_CHECKING:
    from loaders.episode import EpisodeData


def to_pandas(self: EpisodeData, name: str) -> Any:
    """A table as ``pandas.DataFrame``, indexed by ``timesteps``; extra ``pandas``.

    Parameters
    ----------
    name : str
        One of :attr:`streams`, or ``"spikes"``, ``"rewards"``, ``"weight_changes"``, ``"events"``.
        Streams have a column for each entry of a row (a MultiIndex of columns where rows have several
        axes), spikes ``neuron_ids`` and the ``values`` of graded ones, events ``type`` and ``data``, a
        document as text.

    Raises
    ------
    KeyError
        There is none of that name.
    """
    from loaders.interchange.arrow import to_pandas

    return to_pandas(self, name)


def to_arrow(self: EpisodeData, name: str) -> Any:
    """A table as ``pyarrow.Table``, names as for :meth:`to_pandas`; extra ``arrow``.

    ``timesteps`` is a column; rows that are arrays are fixed-size lists. Dtypes stay as they are.

    Raises
    ------
    KeyError
        There is none of that name.
    ExportError
        A dtype that Arrow lacks, such as complex numbers.
    """
    from loaders.interchange.arrow import to_arrow

    return to_arrow(self, name)


def to_xarray(
    self: EpisodeData, *, dt: float | str | None = None, units: Mapping[str, str] | None = None
) -> Any:
    """The episode as ``xarray.DataTree``; values are read when they are asked for; extra ``xarray``.

    Nodes ``neural_states``, ``behavior``, ``spikes`` (the raster), ``rewards``, ``weight_changes`` and
    ``events``. The dimension ``timestep`` has the timesteps as its coordinate, which alone are read at
    once; streams with other timesteps have ``<key>_timestep``, after the first of them. ``neuron``
    counts from 0 and has the columns of the network's neurons beside it; further axes are
    ``<key>_axis_1`` and so on. Of weight changes and events, ``timestep`` is a coordinate along
    ``change`` and ``event``. What netCDF has no type for is a document as text. Columns about neurons have
    names that begin with ``neuron_``; those without a row for each neuron are left out with an
    :class:`ExportWarning`, and without one connections, initial weights, static data and final state. The
    recording must stay open.

    Parameters
    ----------
    dt : float or str, optional
        Seconds of a timestep, or the configuration's dotted key that has them: adds ``time``.
    units : mapping of str to str, optional
        Units by stream, ``{"neural_states/v": "mV"}``, as attributes of the variables.

    Raises
    ------
    KeyError
        ``units`` names nothing that is there.
    OptionError
        ``dt`` is no length of time.
    ExportError
        A stream has the name of a coordinate, or timesteps are no longer apart in seconds.
    """
    from loaders.interchange.labelled import to_xarray

    return to_xarray(self, dt, units)


def to_nwb(
    self: EpisodeData,
    path: str | os.PathLike[str],
    *,
    dt: float | str | None = None,
    units: Mapping[str, str] | None = None,
    about: Mapping[str, Any] | None = None,
) -> Path:
    """This episode as an NWB file; see :meth:`ExperimentLoader.to_nwb`."""
    return self._loader.to_nwb(path, dt=dt, units=units, about=about, episodes=[self.episode_id])


def to_neo(
    self: EpisodeData, *, dt: float | str | None = None, units: Mapping[str, str] | None = None
) -> Any:
    """The episode as ``neo.Segment``, read into memory; extra ``neo``.

    A ``SpikeTrain`` for each neuron (silent ones too; values of graded spikes as array annotation), an
    ``AnalogSignal`` for each stream with even timesteps, else an ``IrregularlySampledSignal``, with one
    channel for each entry of a row and the annotation ``row_shape``; an ``Event`` for each type of
    events, with documents as labels, and one of the weight changes, with columns as array annotations.
    Times are ``timestep * dt`` seconds, and those of events and spikes exactly so; Neo makes those of an
    ``AnalogSignal`` of its start and rate, which differ from that in the last bits (the annotations
    ``first_timestep`` and ``timesteps_a_row`` have the timesteps themselves). Columns about neurons are
    annotations of the trains. Connections, initial weights, static data and final state are left out.

    Parameters
    ----------
    dt : float or str
        Seconds of a timestep, or the configuration's dotted key that has them.
    units : mapping of str to str, optional
        Units by stream as ``quantities`` names them, ``{"neural_states/v": "mV"}``; else dimensionless.

    Raises
    ------
    OptionError
        ``dt`` is missing or no length of time, or an unknown unit.
    KeyError
        ``units`` names nothing that is there.
    ExportError
        Timesteps of spikes fall, or are no longer apart in seconds.
    """
    from loaders.interchange.neo_blocks import to_segment

    return to_segment(self, dt, units)


def to_torch(self: EpisodeData, name: str) -> dict[str, Any]:
    """A table of numbers as tensors in the memory that was read to; extra ``torch``.

    ``{"timesteps": int64 (rows,), key: (rows, ...)}``, keys as in :meth:`to_arrow`. Windows for training:
    :meth:`ExperimentLoader.torch_windows`.

    Raises
    ------
    KeyError
        There is none of that name.
    ExportError
        A dtype that torch lacks.
    """
    tensors: dict[str, Any] = library("loaders.interchange.torch_windows", "torch", "torch").to_torch(
        self, name
    )
    return tensors


def to_sonata(
    self: EpisodeData,
    folder: str | os.PathLike[str],
    *,
    dt: float | str | None = None,
    population: str = "default",
    reports: Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    as_float32: bool = False,
) -> Path:
    """Spikes and neural states as SONATA's files in a new folder, in constant memory; needs no extra.

    ``spikes.h5`` and ``<key>_report.h5``; node ids are places in the raster and in the rows. Times are in
    milliseconds. libsonata opens reports of float32 alone, so other dtypes are refused unless
    ``as_float32`` is given. Behaviour, rewards, weight changes, events, network structure and static data
    have no place in these files. libsonata adds the step up to find the times of rows: the time of stop is
    such that it finds all of them, but its times may differ from ``timestep * dt`` in the last bits.

    Parameters
    ----------
    folder : path
        Where; must not be there yet. It appears when it is complete.
    dt : float or str
        Seconds of a timestep, or the configuration's dotted key that has them.
    population : str
        The name of the nodes' population.
    reports : sequence of str, optional
        Streams with one value a neuron and even timesteps; by default all neural states.
    units : mapping of str to str, optional
        Units by stream, ``{"neural_states/v": "mV"}``; else "unknown".
    as_float32 : bool, default False
        Round reports of other numbers to float32.

    Raises
    ------
    FileExistsError
        ``folder`` is there.
    OptionError
        ``dt`` is missing, or no length of time.
    ExportError
        A stream that no report can hold, graded spikes, negative timesteps, times that libsonata would not
        tell apart, or nothing to write.
    """
    from loaders.interchange.sonata import to_sonata

    return to_sonata(self, folder, dt, population, reports, units, as_float32)
