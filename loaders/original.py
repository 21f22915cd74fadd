"""What surrounds the episodes in files of the original system, from either of its exporters.

The traps of its own loader are answered here: matrices stored as coordinates under the name
``csr`` are read, ``dirty`` is a bool, a key that ends in ``_compressed`` is found, and plain values
are Python's own types. What its files do not tell apart stays as it is: None became the text
``'None'``, and a text that is JSON of a list or mapping comes back as that.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np

from loaders.documents import parse_git, stored_tree
from recorder.errors import DamagedError
from recorder.format.layout import (
    CHECKPOINTS,
    CODE_SNAPSHOT,
    CONFIG,
    CONNECTIONS,
    ENCODING,
    GIT_INFO,
    NETWORK,
    NEURONS,
    RUNTIME,
    WEIGHTS,
)
from recorder.h5.source import attributes, check_tree, child_group, damage, names

_PREFIX, _MARK, _SUMMARIES = "meta_", "_compressed", "episode_summaries"
_DEFAULTS = {
    "simulation_dt": 1.0,
    "neural_sampling_rate": 100,
    "behavior_sampling_rate": 1,
    "data_format_version": "1.0",
}
_MAX_TEXT = 1 << 28


class OriginalDocuments:
    """Reader of the groups around the episodes, with the interface of ``FlightrecDocuments``."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def root(self) -> dict[str, Any]:
        """The root attributes as stored."""
        return attributes(self.file)

    def origin(self) -> Any:
        """None: the original splits and merges none."""
        return None

    def resumptions(self) -> list[dict[str, Any]]:
        """None: the original takes up no recording."""
        return []

    def metadata(self) -> dict[str, Any]:
        """Root attributes without the prefix ``meta_``, JSON read, with the original's defaults."""
        found: dict[str, Any] = dict(_DEFAULTS)
        for name, value in self.root().items():
            user = name.startswith(_PREFIX)
            found[name.removeprefix(_PREFIX) if user else name] = _parse(value) if user else value
        return found

    def config(self) -> dict[str, Any]:
        """The configuration, deflated and plain JSON read."""
        group = child_group(self.file, CONFIG)
        if group is None:
            return {}
        facts = attributes(group)
        found = {}
        for name, value in facts.items():
            base = name.removesuffix(_MARK)
            if base != name and value is True and isinstance(facts.get(base), np.void):
                continue  # the mark of a deflated value, and no key of the user's
            found[name] = _inflate(value, f"config/{name}") if isinstance(value, np.void) else _parse(value)
        return found

    def runtime(self) -> dict[str, Any]:
        """Texts about the machine and the packages."""
        group = child_group(self.file, RUNTIME)
        return {} if group is None else attributes(group)

    def git(self) -> dict[str, Any] | None:
        """Texts about the repository, ``dirty`` as bool, ``uncommitted_files`` as list."""
        group = child_group(self.file, GIT_INFO)
        return None if group is None else parse_git(attributes(group))

    def code(self) -> dict[str, str]:
        """Source text by file name."""
        group = child_group(self.file, CODE_SNAPSHOT)
        facts = {} if group is None else attributes(group)
        found = {}
        for name, value in facts.items():
            if isinstance(value, np.void):
                found[name] = _inflated(value, f"{CODE_SNAPSHOT}/{name}").decode("utf-8")
            elif isinstance(value, str) and name not in ("saved_files", "snapshot_time"):
                found[name] = value
        return found

    def network(self) -> dict[str, Any]:
        """Columns of neurons and connections, and the weights' arrays under their own names."""
        group = child_group(self.file, NETWORK)
        if group is None:
            return {}
        found: dict[str, Any] = {}
        for part in (NEURONS, CONNECTIONS):
            columns = child_group(group, part)
            found[part] = {} if columns is None else stored_tree(columns)
        weights = child_group(group, WEIGHTS)
        if weights is not None:
            facts = attributes(weights)
            if facts.get("shape") is not None:
                with damage(f"{NETWORK}/{WEIGHTS}"):
                    facts["shape"] = tuple(int(n) for n in facts["shape"])
            found[WEIGHTS] = {**facts, **stored_tree(weights)}
        return found

    def initial_weights(self) -> Any:
        """The weights as they were given: a dense matrix, 1-D or a dict; None when none were."""
        stored = self.network().get(WEIGHTS)
        if stored is None:
            return None
        with damage(f"{NETWORK}/{WEIGHTS}"):
            form, shape = stored.get(ENCODING), stored.get("shape")
            if form == "dense_1d":
                return stored["weights"]
            if shape is None:
                return {key: value for key, value in stored.items() if key != ENCODING}
            if form == "csr":
                rows, columns = stored["row_indices"], stored["col_indices"]
            else:
                rows, columns = np.asarray(stored["indices"]).reshape(-1, 2).T
            values = np.asarray(stored["values"])
            if len(shape) != 2 or shape[0] * shape[1] * values.itemsize > _MAX_TEXT * 64:
                raise DamagedError(f"{NETWORK}/{WEIGHTS}: a dense matrix of shape {shape}")
            dense = np.zeros(shape, values.dtype)
            dense[rows, columns] = values
            return dense

    def checkpoints(self) -> dict[str, dict[str, Any]]:
        """Every checkpoint's arrays by its name."""
        group = child_group(self.file, CHECKPOINTS)
        points = {} if group is None else {name: child_group(group, name) for name in names(group)}
        return {name: stored_tree(point) for name, point in points.items() if point is not None}

    def random_states(self) -> dict[str, Any]:
        """None: the original keeps no states of random generators."""
        return {}

    def summary(self, name: str, group: Any) -> dict[str, Any]:
        """What ``end_episode`` wrote apart; the episode's own attributes where it did not."""
        summaries = child_group(self.file, _SUMMARIES)
        apart = None if summaries is None else child_group(summaries, name)
        facts = attributes(group if apart is None else check_tree(apart))
        return {key: _parse(value) for key, value in facts.items()}

    def given_summary(self, name: str, group: Any) -> dict[str, Any]:
        """What of :meth:`summary` the episode's own attributes do not say."""
        known = attributes(group)
        return {key: value for key, value in self.summary(name, group).items() if key not in known}


def _parse(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value  # a text that only begins like JSON
    return value


def _inflated(value: np.void, where: str) -> bytes:
    with damage(where):
        stream = zlib.decompressobj()
        data = stream.decompress(value.tobytes(), _MAX_TEXT)
        if not stream.eof:
            raise DamagedError(f"{where}: a deflated value that does not end")
        return data


def _inflate(value: np.void, where: str) -> Any:
    data = _inflated(value, where)
    with damage(where):
        return json.loads(data)
