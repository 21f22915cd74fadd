"""What a recording says about itself, in the plain terms that other formats take."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Container, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loaders.interchange.columns import tables
from recorder.errors import ExportError, ExportWarning, OptionError
from recorder.format.document import dumps
from recorder.format.layout import DATA_FILE

if TYPE_CHECKING:
    from loaders.episode import EpisodeData
    from loaders.experiment import ExperimentLoader


def name_of(recording: ExperimentLoader) -> str:
    """What a recording is called where it lies: its folder's name, or that of a file of its own."""
    if recording.h5_path.name != DATA_FILE:
        return str(recording.h5_path.stem)
    folder = recording.experiment_dir
    return str(folder.resolve().name if folder.name in ("", "..") else folder.name)


def chosen(recording: ExperimentLoader, episodes: Iterable[int] | None) -> list[int]:
    """The ids of the episodes that were asked for; all of them for None.

    Raises
    ------
    OptionError
        One of them twice.
    """
    found = recording.list_episodes() if episodes is None else list(episodes)
    if len(set(found)) < len(found):
        raise OptionError(f"episodes: expected each one once, got {found}")
    return found


def ranges(numbers: Iterable[int]) -> str:
    """Numbers in words, neighbours together: ``0-3, 7``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)


def check_units(episode: EpisodeData, units: Mapping[str, str] | None) -> Mapping[str, str]:
    """``units`` by table name; raises KeyError where one names nothing, OptionError where one is no text."""
    check_known(episode, units, tables(episode))
    return units or {}


def check_known(whose: Any, given: Collection[str] | None, known: Iterable[str], what: str = "units") -> None:
    """Raise KeyError where what was given names something unknown, OptionError where it is no names."""
    if isinstance(given, str):
        raise OptionError(f"{what}: expected a collection of names, got {given!r}")
    names = list(dict.fromkeys(known))
    for name in given or ():
        if name not in names:
            raise KeyError(f"{what}: {whose!r} has no {name!r}; it has {', '.join(names) or 'nothing'}")
    if isinstance(given, Mapping):
        for name, value in given.items():
            if not isinstance(value, str):
                raise OptionError(f"{what}: expected a text for {name}, got {value!r}")


def free_name(key: str, reserved: Container[str], others: Container[str] = ()) -> str:
    """``key``, or ``logged_<key>`` where a format needs that name for itself.

    Raises
    ------
    ExportError
        Among ``others`` this one is there, too.
    """
    if key not in reserved:
        return key
    if (found := f"logged_{key}") in reserved or found in others:
        raise ExportError(f"{key!r} would become {found!r}, of which there is one already")
    return found


def network_size(recording: ExperimentLoader) -> int | None:
    """The number of neurons that the columns about them are of; None where these do not agree."""
    columns = recording.get_network_structure().get("neurons", {})
    ids = columns.get("neuron_ids", columns.get("ids"))
    counts = {len(column) for column in (columns.values() if ids is None else [ids]) if np.ndim(column)}
    return counts.pop() if len(counts) == 1 else None


def neuron_columns(recording: ExperimentLoader, width: int | None) -> dict[str, NDArray[Any]]:
    """The columns that the recording has about its neurons, ``(width, ...)`` each.

    Their names begin with ``neuron_``, which those get that lack it; ``_2`` follows where two become one.
    Of others that are there, a warning tells.
    """
    own = recording.get_network_structure().get("neurons", {})
    found = {key: np.asarray(column) for key, column in own.items()}
    fit = {key: column for key, column in found.items() if column.ndim and len(column) == width}
    if rest := {key: column.shape for key, column in found.items() if key not in fit}:
        shapes = ", ".join(f"{key} {shape}" for key, shape in rest.items())
        text = f"not a row for each of {width} neurons, left out: {shapes}"
        warnings.warn(text, ExportWarning, stacklevel=2)
    named: dict[str, NDArray[Any]] = {}
    # Those first whose names stay as they are.
    for key in sorted(fit, key=lambda key: not key.startswith("neuron_")):
        name = base = key if key.startswith("neuron_") else f"neuron_{key}"
        number = 1
        while name in named:
            name = f"{base}_{(number := number + 1)}"
        named[name] = fit[key]
    return named


def episode_facts(episode: EpisodeData) -> dict[str, Any]:
    """An episode's metadata in plain terms, and its ``summary``, a document."""
    summary = episode._loader.get_episode_summary(episode.episode_id)
    return plain(episode.get_metadata()) | {"summary": dumps(summary).decode("ascii")}


def plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Texts and numbers as they are, everything else as a document of flightrec's format."""
    return {
        key: value
        if isinstance(value, str | int | float) and not isinstance(value, bool)
        else dumps(value).decode("ascii")
        for key, value in facts.items()
    }
