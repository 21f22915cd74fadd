"""What a recording holds beside its episodes: configuration, metadata, code, network, checkpoints."""

from __future__ import annotations

import abc
import json
import logging
import warnings
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from recorder import randomness
from recorder.admission import admit_name
from recorder.environment import git_info, runtime_info
from recorder.errors import DuplicateError, InputError
from recorder.format.document import dumps
from recorder.format.layout import (
    CHECKPOINTS,
    CODE_SNAPSHOT,
    CONFIG,
    GIT_INFO,
    METADATA,
    NEURONS,
    RANDOM_STATES,
    RUNTIME,
)
from recorder.h5.columns import put_array
from recorder.h5.keywords import filter_keywords
from recorder.h5.network import plan_network, write_network
from recorder.h5.skeleton import hdf5_versions, put_text, put_texts
from recorder.h5.tree import plan_tree, put_document, put_encoded, put_values, write_plan
from recorder.options import RecordingOptions
from recorder.schema import validate_network_structure
from recorder.sidefiles import write_json
from recorder.snapshot import SourceFile, read_sources

logger = logging.getLogger("recorder")

Change = Callable[[Any], None]
"""A structural change: takes the open, writable ``h5py.File``."""


class Saving(abc.ABC):
    """The ``save_…`` methods of both exporters. Each validates everything, then stores it at once."""

    options: RecordingOptions
    output_dir: Path
    episode_count: int

    def __init__(self) -> None:
        self._filters = filter_keywords(self.options.compression, self.options.compression_level)
        self._saved: set[str] = set()
        self._metadata: dict[Any, Any] = {}
        self._n_neurons = self.options.n_neurons

    @abc.abstractmethod
    def _apply(self, change: Change) -> None:
        """Run ``change(file)`` as one structural change, durable on return; its own error passes."""

    @abc.abstractmethod
    def _require_open(self) -> None:
        """Raise ClosedError after ``close()``."""

    def save_config(self, config: Mapping[str, Any]) -> None:
        """Store the configuration, values of any nesting; a second call replaces the first.

        Raises
        ------
        InputError
            Something in it has no place in a document; the message names where.
        """
        self._require_open()
        _require_document(config, CONFIG)
        self._apply(lambda file: put_values(file[CONFIG], config))
        write_json(self.output_dir / "config.json", config)

    def save_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Store the user's metadata; later calls add keys and replace those that come again.

        Raises
        ------
        InputError
            Something in it has no place in a document; the message names where.
        """
        self._require_open()
        _require_document(metadata, METADATA)
        merged = {**self._metadata, **metadata}
        self._apply(lambda file: put_values(file[METADATA], merged))
        self._metadata = merged
        write_json(self.output_dir / "metadata.json", merged)

    def save_runtime_info(self) -> dict[str, str | None]:
        """Store facts about this process (the constructor does) and return them.

        Secrets are masked, and only allow-listed environment variables are kept.
        """
        self._require_open()
        info = self._runtime_info()
        self._apply(lambda file: put_texts(file[RUNTIME], info))
        return info

    def _runtime_info(self) -> dict[str, str | None]:
        info = runtime_info(self.output_dir, hdf5_versions())
        write_json(self.output_dir / "runtime_info.json", info)
        return info

    def save_git_info(self) -> dict[str, Any] | None:
        """Store the state of the Git repository of the working directory; once per file.

        Returns
        -------
        dict or None
            ``commit_hash``, ``branch``, ``dirty`` (bool), ``uncommitted_files`` (list, when dirty),
            ``remote_url`` (without credentials); ``{}`` outside a repository and None when Git cannot
            be run, and then nothing is stored.

        Raises
        ------
        DuplicateError
        """
        self._once(GIT_INFO)
        info = git_info()
        if info:
            texts = {key: json.dumps(v) if isinstance(v, list) else str(v) for key, v in info.items()}
            self._apply(lambda file: put_texts(file.create_group(GIT_INFO), texts))
            self._saved.add(GIT_INFO)
            write_json(self.output_dir / "git_info.json", info)
        return info

    def save_code_snapshot(self, code_files: Iterable[str | Path] | None = None) -> list[str]:
        """Store Python sources, in the file and as copies in ``code_snapshot/``; once per file.

        ``code_files=None`` takes the running script; an interactive session has none, and then
        nothing is stored. Of files that share a base name the later ones get ``_2``, ``_3`` ….

        Returns
        -------
        list of str
            Paths of the copies.

        Raises
        ------
        InputError
            A file that does not exist, is no ``.py`` file, or cannot be decoded. Nothing was stored.
        DuplicateError
        """
        self._once(CODE_SNAPSHOT)
        sources = read_sources(code_files)
        if not sources:
            return []
        for source in sources:
            admit_name(CODE_SNAPSHOT, source.name)
        now = datetime.now().isoformat()

        def change(file: Any) -> None:
            group = file.create_group(CODE_SNAPSHOT)
            for source in sources:
                text = np.frombuffer(source.text, np.uint8)
                put_text(put_array(group, source.name, text, self._filters), "path", str(source.path))
            put_document(group, "saved_files", [source.name for source in sources])
            put_text(group, "snapshot_time", now)

        self._apply(change)
        self._saved.add(CODE_SNAPSHOT)
        return _copy_sources(self.output_dir / CODE_SNAPSHOT, sources)

    def save_network_structure(
        self, neurons: Mapping[str, Any], connections: Mapping[str, Any], initial_weights: Any = None
    ) -> None:
        """Store the network; once per file.

        Parameters
        ----------
        neurons, connections : mapping
            One column a key: arrays or lists of numbers or text. ``neuron_ids``, ``source_ids`` and
            ``target_ids`` are expected; with ``validate_data`` their absence is warned about.
        initial_weights : array, SciPy sparse matrix or mapping, optional
            (rows, columns) and sparse ones are stored as CSR, (n,) as it is, a mapping as columns.

        Raises
        ------
        InputError
            A value that cannot be stored; nothing was.
        DuplicateError
        """
        self._once("network_structure")
        plan = plan_network(neurons, connections, initial_weights)
        if self.options.validate_data:
            for problem in validate_network_structure(neurons, connections):
                warnings.warn(f"Network validation: {problem}", stacklevel=2)
        self._apply(lambda file: write_network(file, plan, self._filters))
        self._saved.add("network_structure")
        ids = plan[NEURONS].get("neuron_ids")
        if self._n_neurons is None and isinstance(ids, np.ndarray) and ids.ndim:
            self._n_neurons = len(ids) or None

    def save_checkpoint(
        self, name: str, data: Mapping[str, Any], *, generators: Mapping[str, Any] | None = None
    ) -> None:
        """Store a mapping of values as ``/checkpoints/<name>_<HHMMSS>``, durable on return.

        Arrays, sparse matrices, text, scalars and nested mappings; another checkpoint of that name
        within the second gets ``_2``, ``_3`` ….

        Parameters
        ----------
        generators : mapping, optional
            Random generators by name: NumPy's ``Generator`` and ``RandomState``, ``random.Random``, torch's
            ``Generator``, JAX keys; the global ones of Python, NumPy and torch are stored with them. ``{}``
            for these alone. ``DataExporter.resume`` puts them back.

        Raises
        ------
        InputError
            A name HDF5 cannot hold, or a value that cannot be stored; nothing was.
        """
        self._require_open()
        now = datetime.now()
        stem = f"{admit_name(CHECKPOINTS, name)}_{now:%H%M%S}"
        admit_name(CHECKPOINTS, f"{stem}_000")
        plan = plan_tree(data, f"{CHECKPOINTS}/{name}")
        states = None if generators is None else dumps(randomness.take(generators), RANDOM_STATES)

        def change(file: Any) -> None:
            unique, n = stem, 1
            while unique in file[CHECKPOINTS]:
                n += 1
                unique = f"{stem}_{n}"
            group = file[CHECKPOINTS].create_group(unique)
            write_plan(group, plan, self._filters)
            put_text(group, "timestamp", now.isoformat())
            group.attrs["episode_count"] = np.int64(self.episode_count)
            if states is not None:
                put_encoded(file.require_group(RANDOM_STATES), unique, states)

        self._apply(change)

    def _once(self, what: str) -> None:
        self._require_open()
        if what in self._saved:
            raise DuplicateError(f"{what} is saved once per file, and it was already.")


def _require_document(mapping: Any, where: str) -> None:
    if not isinstance(mapping, Mapping):
        raise InputError(where, "a dict", type(mapping).__name__)
    dumps(mapping, where)


def _copy_sources(folder: Path, sources: list[SourceFile]) -> list[str]:
    try:
        folder.mkdir(exist_ok=True)
        for source in sources:
            (folder / source.name).write_bytes(source.text)
    except OSError as error:
        logger.warning("Could not copy sources to %s: %s", folder, error)
    return [str(folder / source.name) for source in sources]
