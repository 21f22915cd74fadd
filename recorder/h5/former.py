"""What a recording's file says of itself to whoever takes it up again; read at once, and closed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recorder.errors import DamagedError, ReadError
from recorder.format.document import loads
from recorder.format.layout import (
    CHECKPOINTS,
    DOCUMENT,
    DROPPED,
    ENDED_BY,
    EPISODES,
    FORMAT,
    METADATA,
    NETWORK,
    NEURONS,
    RANDOM_STATES,
)
from recorder.h5.reading.episode import EpisodeIndex
from recorder.h5.reading.guard import attributes, check_tree, child_dataset, child_group, damage, names
from recorder.h5.skeleton import has_network
from recorder.h5.tree import get_document, read_tree
from recorder.h5.untrusted import open_untrusted

RATE = "neural_sampling_rate"
Stored = tuple[str, dict[str, Any], dict[str, Any], Any]
"""A checkpoint's name, attributes, values, and states of random generators or None."""


@dataclass(frozen=True)
class FormerFile:
    """As the root, the groups and the newest checkpoint say."""

    exporter: str
    status: str
    end_time: str
    ended_by: str
    timestamp: str
    options: dict[str, Any]
    groups: set[str]
    has_network: bool
    n_neurons: int | None
    metadata: dict[str, Any]
    episode_ids: set[int]
    episode_count: int
    dropped: int
    newest_checkpoint: Stored | None

    @classmethod
    def read(cls, path: Path) -> FormerFile:
        """Read it.

        Raises
        ------
        ReadError
            It is no recording of flightrec.
        DamagedError
        """
        with damage(str(path)), open_untrusted(path) as file:
            root = attributes(file)
            if root.get("format") != FORMAT:
                raise ReadError(f"{path} is no recording of flightrec")
            ids = set(EpisodeIndex(file).ids) if EPISODES in file else set()
            return cls(
                exporter=str(root.get("exporter", "")),
                status=str(root.get("status", "")),
                end_time=str(root.get("end_time", "")),
                ended_by=str(root.get(ENDED_BY, "")),
                timestamp=str(root.get("timestamp", "")),
                options=_options(root, _rate(file, root)),
                groups=set(names(file)),
                has_network=has_network(file),
                n_neurons=_n_neurons(file),
                metadata=get_document(check_tree(file[METADATA]), DOCUMENT, {}),
                episode_ids=ids,
                # Episodes that were dropped as a whole do not happen: each has its group from its start on.
                episode_count=len(ids),
                dropped=int(root.get(DROPPED, 0)),
                newest_checkpoint=_newest(file),
            )


def _rate(file: Any, root: dict[str, Any]) -> Any:
    """Timesteps, or by variable: an attribute, or where there are very many of them a dataset."""
    stored = root.get(RATE)
    if stored is None and child_dataset(file, RATE) is not None:
        return get_document(file, RATE)
    return loads(stored.encode()) if isinstance(stored, str) else int(stored or 1)


def _options(root: dict[str, Any], rate: Any) -> dict[str, Any]:
    level = root.get("compression_level")
    compression = str(root.get("compression", "none"))
    return {
        "experiment_name": str(root.get("experiment_name", "")),
        RATE: rate,
        "compression": None if compression == "none" else compression,
        "compression_level": None if level is None else int(level),
        "chunk_size": int(root.get("chunk_size", 10_000)),
    }


def _n_neurons(file: Any) -> int | None:
    network = child_group(file, NETWORK)
    neurons = None if network is None else child_group(network, NEURONS)
    if neurons is None or "neuron_ids" not in neurons:
        return None
    shape = neurons["neuron_ids"].shape
    return int(shape[0]) or None if shape else None


def _newest(file: Any) -> Stored | None:
    points = child_group(file, CHECKPOINTS)
    found = []
    for name in [] if points is None else names(points):
        point = child_group(points, name)
        if point is not None:
            facts = attributes(point)
            # Clocks are set back; the number of episodes never is.
            order = int(facts.get("episode_count", 0)), str(facts.get("timestamp", "")), name
            found.append((order, name, facts, point))
    if not found:
        return None
    _, name, facts, point = max(found, key=lambda one: one[0])
    group = child_group(file, RANDOM_STATES)
    states = None if group is None else get_document(check_tree(group), name)
    if states is not None and not isinstance(states, dict):
        raise DamagedError(f"/{RANDOM_STATES}/{name}: no states of random generators")
    return name, facts, read_tree(check_tree(point)), states
