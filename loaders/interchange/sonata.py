"""SONATA: an episode as a file of spikes and files of reports, which libsonata reads."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loaders.interchange.aside import aside
from loaders.interchange.columns import Column, blocks, columns, extent, rising, spans, tables
from loaders.interchange.facts import check_units
from loaders.interchange.progress import Watched
from loaders.interchange.seconds import Seconds, seconds, times
from recorder.errors import ExportError, InvalidNameError, OptionError
from recorder.format.clock import Clock
from recorder.format.layout import NEURAL, SPIKES, TIMESTEPS
from recorder.h5.sonata import report_stop, write_report, write_spikes

if TYPE_CHECKING:
    from loaders.episode import EpisodeData


def to_sonata(
    episode: EpisodeData,
    folder: str | os.PathLike[str],
    dt: Seconds,
    population: str,
    reports: Sequence[str] | None,
    units: Mapping[str, str] | None,
    as_float32: bool,
) -> Path:
    """See :meth:`loaders.EpisodeData.to_sonata`."""
    # In milliseconds, as SONATA's tools expect.
    step, names = seconds(dt, episode._loader) * 1e3, tables(episode)
    if not population or "/" in population or population == "." or "\0" in population:
        raise InvalidNameError("population", "the name of a group", repr(population))
    if isinstance(reports, str):
        raise OptionError(f"reports: expected a list of streams, got {reports!r}")
    wanted = [name for name in names if name.startswith(f"{NEURAL}/")] if reports is None else list(reports)
    found = {name: _report(episode, name, as_float32) for name in wanted}
    if not found and SPIKES not in names:
        raise ExportError(f"{episode!r} has neither spikes nor neural states for SONATA")
    fired = None
    if SPIKES in names:
        _check_ungraded(episode)
        fired = columns(episode, SPIKES)[TIMESTEPS]
    starts = [clock.first for clock, _ in found.values()]
    if fired is not None and (span := extent(fired)):
        starts.append(span[0])
    if min(starts, default=0) < 0:
        raise ExportError(f"{episode!r} has negative timesteps, and libsonata reads no negative times")
    known = check_units(episode, units)
    target = Path(folder)
    with aside(target, folder=True) as part, Watched("SONATA") as watched:
        if fired is not None:
            parts = blocks(episode, SPIKES, len(fired))
            spikes = ((times(b[TIMESTEPS], step), b["neuron_ids"]) for b in parts)
            write_spikes(part / "spikes.h5", population, spikes, by_time=rising(fired))
        for name, (clock, column) in found.items():
            write_report(
                part / f"{name.partition('/')[2]}_report.h5",
                population,
                column.shape[1],
                column.dtype if _is_float32(column) else np.dtype(np.float32),
                _pieces(name, watched(column)),
                time=_time(name, clock, step),
                units=known.get(name, "unknown"),
            )
    return target


def _report(episode: EpisodeData, name: str, as_float32: bool) -> tuple[Clock, Column]:
    """The even clock and the column of a stream that a report can hold."""
    if name not in episode.streams:
        raise KeyError(f"{episode!r} has no stream {name!r}; it has {', '.join(episode.streams) or 'none'}")
    steps, column = columns(episode, name).values()
    clock = Clock.of(steps.read(first, last) for first, last in spans(len(steps), steps.row_bytes))
    reason = ""
    if column.dtype.kind not in "iuf":
        reason = f"it is {column.dtype}"
    elif len(column.shape) != 2:
        reason = f"its rows are {column.shape[1:]}, not a value a neuron"
    elif clock.uneven is not None or not len(clock):
        reason = "its timesteps are not even"
    elif not as_float32 and not _is_float32(column):
        reason = f"it is {column.dtype}, and libsonata reads float32 alone; as_float32=True rounds to that"
    if reason:
        raise ExportError(f"{name} of {episode!r} is no report of SONATA: {reason}; or give reports without")
    return clock, column


def _time(name: str, clock: Clock, step: float) -> tuple[float, float, float]:
    """Start, stop and step in ms."""
    low, _ = times(np.array(clock.span()) - np.array([0, 1]), step, name).tolist()
    found = report_stop(low, clock.step * step, len(clock))
    if found is None:
        raise ExportError(
            f"{name}: libsonata adds up {clock.step * step!r} ms from {low!r} on, and would not find these "
            f"{len(clock)} rows; log timesteps that count from the start of the run"
        )
    return low, found, clock.step * step


def _check_ungraded(episode: EpisodeData) -> None:
    source = episode._spikes()
    if source is not None and source.read(0, 0).values is not None:
        raise ExportError(f"spikes of {episode!r} have values, and SONATA's have none")


def _is_float32(column: Column) -> bool:
    return column.dtype.kind == "f" and column.dtype.itemsize == 4


def _pieces(name: str, column: Column) -> Iterator[NDArray[Any]]:
    for first, last in spans(len(column), column.row_bytes):
        values = np.asarray(column.read(first, last))
        if _is_float32(column):
            yield values
            continue
        with np.errstate(over="ignore"):
            rounded = values.astype(np.float32)
        if np.isinf(rounded).sum() != np.isinf(values).sum():
            raise ExportError(f"{name} has values beyond what float32 holds")
        yield rounded
