"""What a recording says about itself, in the plain terms that other formats take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loaders.interchange.columns import tables
from recorder.format.document import dumps

if TYPE_CHECKING:
    from loaders.episode import EpisodeData


def check_units(episode: EpisodeData, units: Mapping[str, str] | None) -> Mapping[str, str]:
    """``units`` by table name; raises KeyError where one names nothing."""
    check_known(episode, units, tables(episode))
    return units or {}


def check_known(whose: Any, given: Iterable[str] | None, known: Iterable[str], what: str = "units") -> None:
    """Raise KeyError where what was given names something that is not known."""
    names = list(dict.fromkeys(known))
    for name in given or ():
        if name not in names:
            raise KeyError(f"{what}: {whose!r} has no {name!r}; it has {', '.join(names) or 'nothing'}")


def neuron_columns(episode: EpisodeData) -> dict[str, NDArray[Any]]:
    """The columns that the recording has about its neurons; {} where they are not as many as its spikes'."""
    neurons = episode._loader.get_network_structure().get("neurons", {})
    found = {key: np.asarray(column) for key, column in neurons.items() if np.ndim(column) == 1}
    counts = {len(column) for column in found.values()}
    known = episode.n_neurons
    if len(counts) != 1 or (known is not None and counts != {known}):
        return {}
    return {key if key.startswith("neuron") else f"neuron_{key}": found[key] for key in found}


def plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Texts and numbers as they are, everything else as a document of flightrec's format."""
    return {
        key: value
        if isinstance(value, str | int | float) and not isinstance(value, bool)
        else dumps(value).decode("ascii")
        for key, value in facts.items()
    }
