"""Methods of :class:`loaders.ExperimentLoader` that give a recording to other tools."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loaders.experiment import ExperimentLoader


def to_parquet(
    self: ExperimentLoader,
    folder: str | os.PathLike[str],
    *,
    episodes: Iterable[int] | None = None,
    only: Collection[str] | None = None,
) -> Path:
    """Every table of the episodes as Parquet files in a new folder, in constant memory; extra ``arrow``.

    ``<folder>/<table>/episode=<id>/part-0.parquet`` with the columns of :meth:`EpisodeData.to_arrow`:
    ``pandas.read_parquet(folder / "spikes")`` reads those of all episodes and adds the column
    ``episode``; a column that is called so is ``logged_episode``. ``episodes.parquet`` is
    :attr:`episodes`, summaries as documents; its schema's metadata ``flightrec`` is a document of metadata
    and configuration. Network structure (connections, initial weights), static data, final states,
    checkpoints, provenance and code are left out.

    Parameters
    ----------
    folder : path
        Where; must not be there yet. It appears when it is complete.
    episodes : iterable of int, optional
        Only these.
    only : collection of str, optional
        Only these tables, such as ``["spikes", "neural_states/v"]``.

    Raises
    ------
    KeyError
        ``only`` names nothing that is there.
    FileExistsError
        ``folder`` is there.
    ExportError
        A dtype that Arrow lacks, such as complex numbers.
    """
    from loaders.interchange.arrow import to_parquet

    return to_parquet(self, folder, episodes, only)


def to_xarray(
    self: ExperimentLoader,
    *,
    dt: float | str | None = None,
    units: Mapping[str, str] | None = None,
    episodes: Iterable[int] | None = None,
) -> Any:
    """The recording as ``xarray.DataTree``, lazily; extra ``xarray``.

    ``episodes/episode_0000`` and so on, each as :meth:`EpisodeData.to_xarray` has it; attributes
    ``metadata`` and ``config`` are documents as text. As a file: :meth:`to_netcdf`. Left out is what
    episodes leave out, and connections, initial weights, checkpoints, provenance and code.

    Parameters
    ----------
    dt : float or str, optional
        Seconds of a timestep, or the configuration's dotted key that has them: adds ``time``.
    units : mapping of str to str, optional
        Units by stream; episodes without the stream pass over it.
    episodes : iterable of int, optional
        Only these.
    """
    from loaders.interchange.labelled import all_to_xarray

    return all_to_xarray(self, dt, units, episodes)


def to_netcdf(
    self: ExperimentLoader,
    path: str | os.PathLike[str],
    *,
    dt: float | str | None = None,
    units: Mapping[str, str] | None = None,
    episodes: Iterable[int] | None = None,
    as_float32: bool = False,
) -> Path:
    """A netCDF-4 file of :meth:`to_xarray`, deflated, in constant memory; extra ``xarray``.

    ``xarray.open_datatree(path, engine="h5netcdf")`` gives the tree again; every netCDF-4 reader opens it.
    (``to_xarray().to_netcdf()`` writes the same, takes each variable into memory as a whole, and stores
    float16, with which netCDF's own library cannot open a file.) It leaves out what :meth:`to_xarray` does.

    Parameters
    ----------
    path : path
        The file, which must not be there yet. It appears when it is complete.
    dt, units, episodes
        As for :meth:`to_xarray`.
    as_float32 : bool, default False
        Store float16, which netCDF has not, as float32; no value changes.

    Raises
    ------
    KeyError
        ``units`` names nothing that is there.
    FileExistsError
        ``path`` is there.
    OptionError
        ``dt`` is no length of time.
    ExportError
        A dtype that netCDF lacks: complex numbers, and float16 without ``as_float32``.
    """
    from loaders.interchange.netcdf import to_netcdf

    return to_netcdf(self, path, dt, units, episodes, as_float32)


def to_nwb(
    self: ExperimentLoader,
    path: str | os.PathLike[str],
    *,
    dt: float | str | None = None,
    units: Mapping[str, str] | None = None,
    about: Mapping[str, Any] | None = None,
    episodes: Iterable[int] | None = None,
    only: Collection[str] | None = None,
) -> Path:
    """The recording as an NWB file, in constant memory; extra ``nwb``.

    Streams of neural state are ``acquisition`` series; behaviour, rewards and events are in the module
    ``behavior``, weight changes in ``plasticity``, spikes in ``units``, a row a neuron. Each episode is
    a trial: the first one keeps its timesteps, each other one begins where the one before it ends, and
    the column ``shift`` has the timesteps between its own and those of the file. Times are
    ``(timestep + shift) * dt``. ``notes`` is a document with metadata, configuration and provenance;
    ``identifier`` names the recording, when it began, and the part of it that is here.

    ``nwbinspector`` takes series with fewer rows than a row has entries for transposed, which is critical
    to it: such a stream is a ``DynamicTable`` of ``timestamp`` and values, in the same place, or for
    behaviour right in the module (an :class:`ExportWarning` names them). Columns of tables that NWB has
    names of its own for, ``id`` and ``timestamp`` among them, are ``logged_id`` and so on, and so are
    tables of behaviour. Columns about neurons are columns of ``units``. Connections, initial weights,
    static data, final states and checkpoints are left out.

    Parameters
    ----------
    path : path
        The file, which must not be there yet. It appears when it is complete.
    dt : float or str
        Seconds of a timestep, or the configuration's dotted key that has them.
    units : mapping of str to str, optional
        Units by stream, ``{"neural_states/v": "mV"}``; else they are "unknown".
    about : mapping, optional
        Arguments of ``pynwb.NWBFile`` such as ``experimenter``, ``keywords`` or ``session_start_time``
        (by default the recording's start, in this machine's time zone); ``subject`` as a mapping of the
        arguments of ``pynwb.file.Subject``, or None for none (by default one that says that it is a
        simulation; what it is a model of, you know).
    episodes : iterable of int, optional
        Only these.
    only : collection of str, optional
        Only these tables, such as ``["spikes", "neural_states/v"]``.

    Raises
    ------
    KeyError
        ``units`` or ``only`` name nothing that is there.
    FileExistsError
        ``path`` is there.
    OptionError
        ``dt`` is missing, or no length of time; ``about`` is not what pynwb takes.
    ExportError
        Episodes whose streams differ in dtype or shape, timesteps that fall or that are no longer apart in
        seconds, what NWB has no type for, or no episode.
    """
    from loaders.interchange.nwb import to_nwb

    return to_nwb(self, path, dt, units, about, episodes, only)


def to_neo(
    self: ExperimentLoader,
    *,
    dt: float | str | None = None,
    units: Mapping[str, str] | None = None,
    episodes: Iterable[int] | None = None,
) -> Any:
    """The recording as ``neo.Block``, its episodes as segments; see :meth:`EpisodeData.to_neo`.

    Annotations ``metadata`` and ``config`` are documents. Connections, initial weights, checkpoints,
    provenance and code are left out.
    """
    from loaders.interchange.neo_blocks import to_block

    return to_block(self, dt, units, episodes)
