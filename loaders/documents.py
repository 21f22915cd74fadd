"""What surrounds the episodes of a flightrec file: metadata, config, network, snapshots, checkpoints."""

from __future__ import annotations

import json
from typing import Any

from recorder.errors import DamagedError
from recorder.format.document import loads
from recorder.format.layout import (
    ACCOUNTS,
    CHECKPOINTS,
    CODE_SNAPSHOT,
    CONFIG,
    CONNECTIONS,
    DOCUMENT,
    ENCODING,
    GIT_INFO,
    MERGED,
    METADATA,
    NETWORK,
    NEURONS,
    RANDOM_STATES,
    RESUMED,
    RUNTIME,
    SPLIT,
    WEIGHTS,
    WEIGHTS_COLUMNS,
    WEIGHTS_CSR,
    WEIGHTS_DENSE_1D,
)
from recorder.h5.source import (
    attributes,
    check_attribute,
    check_tree,
    child_dataset,
    child_group,
    damage,
    names,
    read_rows,
)
from recorder.h5.tree import get_csr, get_document, read_tree

SAMPLING = "neural_sampling_rate"


class FlightrecDocuments:
    """Reader of the groups around the episodes, for files of format ``flightrec``."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def root(self) -> dict[str, Any]:
        """The root attributes."""
        found = with_rates(attributes(self.file))
        for document in (RESUMED, MERGED, SPLIT):
            found.pop(document, None)
        return found

    def metadata(self) -> dict[str, Any]:
        """Root attributes, and the user's metadata over them."""
        return {**self.root(), **self._document(METADATA)}

    def resumptions(self) -> list[dict[str, Any]]:
        """When, after what and from where the recording was taken up again."""
        found = self._of_root(RESUMED, [])
        if not isinstance(found, list):
            raise DamagedError(f"{RESUMED}: no list but {type(found).__name__}")
        return found

    def origin(self) -> Any:
        """What the recording was split or merged from; None where it was not."""
        return self._of_root(MERGED) or self._of_root(SPLIT)

    def _of_root(self, name: str, default: Any = None) -> Any:
        with damage(name):
            child_dataset(self.file, name)  # refuses links and storage elsewhere
            return get_document(self.file, name, default)

    def config(self) -> dict[str, Any]:
        """The configuration as it was given."""
        return self._document(CONFIG)

    def runtime(self) -> dict[str, Any]:
        """Texts about the machine and the packages."""
        group = child_group(self.file, RUNTIME)
        return {} if group is None else attributes(group)

    def git(self) -> dict[str, Any] | None:
        """Texts about the repository, ``dirty`` as bool, ``uncommitted_files`` as list."""
        group = child_group(self.file, GIT_INFO)
        facts = {} if group is None else attributes(group)
        return parse_git(facts) if facts else None

    def code(self) -> dict[str, str]:
        """Source text by file name."""
        group = child_group(self.file, CODE_SNAPSHOT)
        texts: dict[str, str] = {}
        for name in [] if group is None else names(group):
            dataset = child_dataset(group, name)
            if dataset is not None and name != "saved_files":
                with damage(dataset.name):
                    texts[name] = read_rows(dataset, 0, len(dataset)).tobytes().decode("utf-8")
        return texts

    def network(self) -> dict[str, Any]:
        """Columns of neurons and connections, and the weights as they are stored; {} when absent."""
        group = child_group(self.file, NETWORK)
        if group is None or not names(group):
            return {}
        found: dict[str, Any] = {}
        for part in (NEURONS, CONNECTIONS):
            columns = child_group(group, part)
            with damage(f"{NETWORK}/{part}"):
                found[part] = {} if columns is None else read_tree(check_tree(columns))
        weights = self._weights()
        if weights is not None:
            with damage(weights.name):
                facts = attributes(weights)
                stored = read_tree(weights) if facts.get(ENCODING) != WEIGHTS_CSR else _csr_columns(weights)
                found[WEIGHTS] = {**_shown(facts), **stored}
        return found

    def initial_weights(self) -> Any:
        """The weights as they were given: dense, sparse, 1-D or a dict; None when none were."""
        weights = self._weights()
        if weights is None:
            return None
        with damage(weights.name):
            form = attributes(weights).get(ENCODING)
            if form == WEIGHTS_CSR:
                return get_csr(weights)
            tree = read_tree(weights)
            if form == WEIGHTS_DENSE_1D:
                return tree["weights"]
            if form == WEIGHTS_COLUMNS:
                return tree
        raise DamagedError(f"{NETWORK}/{WEIGHTS}: unknown format {form!r}")

    def checkpoints(self) -> dict[str, dict[str, Any]]:
        """Every checkpoint's values by its name."""
        group = child_group(self.file, CHECKPOINTS)
        found = {}
        for name in [] if group is None else names(group):
            point = child_group(group, name)
            if point is not None:
                found[name] = stored_tree(point)
        return found

    def random_states(self) -> dict[str, Any]:
        """By checkpoint: states of random generators that were saved with it, None where none were."""
        points, states = child_group(self.file, CHECKPOINTS), child_group(self.file, RANDOM_STATES)
        found = dict.fromkeys(names(points) if points is not None else ())
        if states is not None:
            with damage(RANDOM_STATES):
                check_tree(states)
                found = {name: get_document(states, name) for name in found}
        return found

    def summary(self, _name: str, group: Any) -> dict[str, Any]:
        """An episode's attributes, and the user's summary over them."""
        given = episode_summary(group)
        facts = episode_attributes(group)
        return {**facts, **given} if isinstance(given, dict) else {**facts, "summary": given}

    def given_summary(self, _name: str, group: Any) -> Any:
        """The summary that was given when the episode ended."""
        return episode_summary(group)

    def _document(self, name: str) -> dict[str, Any]:
        group = child_group(self.file, name)
        if group is None:
            return {}
        with damage(name):
            value = get_document(check_tree(group), DOCUMENT, {})
            if not isinstance(value, dict):
                raise DamagedError(f"{name}: no mapping but {type(value).__name__}")
            return value

    def _weights(self) -> Any | None:
        group = child_group(self.file, NETWORK)
        weights = None if group is None else child_group(group, WEIGHTS)
        return None if weights is None else check_tree(weights)


def checkpoint_facts(file: Any) -> dict[str, dict[str, Any]]:
    """Of every checkpoint by its name what is said beside its values: ``timestamp``, ``episode_count``."""
    group = child_group(file, CHECKPOINTS)
    points = {} if group is None else {name: child_group(group, name) for name in names(group)}
    return {name: attributes(point) for name, point in points.items() if point is not None}


def stored_tree(group: Any) -> dict[str, Any]:
    """The values of a checkpoint, static data or a final state, as they were given."""
    with damage(group.name):
        return read_tree(check_tree(group))


def episode_attributes(group: Any) -> dict[str, Any]:
    """An episode's attributes without its summary and accounts."""
    facts = with_rates(attributes(group))
    for document in ("summary", ACCOUNTS):
        facts.pop(document, None)
    return facts


def episode_summary(group: Any) -> Any:
    """The summary that was given when the episode ended; {} when none was."""
    with damage(f"summary of {group.name}"):
        child_dataset(group, "summary")  # refuses links and storage elsewhere
        if "summary" in group.attrs:
            check_attribute(group, "summary")
        return get_document(group, "summary", {})


def with_rates(facts: dict[str, Any]) -> dict[str, Any]:
    """Attributes with ``neural_sampling_rate`` read where it is a document."""
    rate = facts.get(SAMPLING)
    return {**facts, SAMPLING: loads(rate.encode())} if isinstance(rate, str) else facts


def parse_git(facts: dict[str, Any]) -> dict[str, Any]:
    """Git texts with ``dirty`` as bool and ``uncommitted_files`` as a list."""
    found = dict(facts)
    if isinstance(found.get("dirty"), str):
        found["dirty"] = found["dirty"].strip().lower() in ("true", "1", "yes")
    if isinstance(found.get("uncommitted_files"), str):
        with damage("git_info/uncommitted_files"):
            found["uncommitted_files"] = json.loads(found["uncommitted_files"])
    return found


def _shown(facts: dict[str, Any]) -> dict[str, Any]:
    shape = facts.get("shape")
    return facts if shape is None else {**facts, "shape": tuple(int(n) for n in shape)}


def _csr_columns(group: Any) -> dict[str, Any]:
    return {name: read_rows(group[name], 0, len(group[name])) for name in ("indptr", "indices", "data")}
