"""From ``.pt`` files to ``dataset.h5``: written aside, compared with its source, and put in place whole."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loaders.steering import ptfiles
from loaders.steering.checking import Parts
from loaders.steering.config import Settings
from loaders.steering.conversion import bar, checked_parts, folder_of, removed
from loaders.steering.sources import PT, Rows, has_h5py
from recorder.errors import DamagedError, ReadError
from recorder.format.embeddings import DATASET_FILE, DRAFT_SUFFIX, FIELDS, SPLITS, tensor_file

if TYPE_CHECKING:
    from recorder.h5.embeddings.reading import EmbeddingFile

logger = logging.getLogger("loaders.steering")

Arrays = dict[str, NDArray[Any]]

_MB = 1 << 20
_BLOCK = 8 << 20
_GROUPS = {
    "embeddings": "Converting embeddings...",
    "pair_data": "Converting pair data...",
    "negatives": "Converting negatives...",
    "steering": "Converting steering tensors...",
}
"""Lines of the log by groups of the file."""


def convert_pt_to_hdf5(dataset_dir: str | os.PathLike[str], compression: str | None = "gzip") -> None:
    """Make ``dataset.h5`` from the ``.pt`` files of a folder, which stay.

    An older ``dataset.h5`` stays until the new one is whole. What is done is logged, at INFO.

    Parameters
    ----------
    dataset_dir : path
        With ``config.json`` and the ``.pt`` files.
    compression : "gzip", "lzf" or None
        Behind a byte shuffle. What is not compressed can be mapped.

    Raises
    ------
    ReadError
        A ``ValueError``: folder, ``config.json`` or ``.pt`` files are not there, are damaged, contradict
        themselves, or changed meanwhile. A missing tensor is a ``FileNotFoundError`` as well.
    OptionError
        A ``ValueError``: another compression.
    RecordingLockedError
        Another process converts this folder.
    ImportError
        There is no h5py.
    OSError
        The file cannot be written.
    """
    folder = folder_of(dataset_dir)
    if not ptfiles.is_there(folder):
        raise ReadError(f"PT files not found in {folder}")
    if not has_h5py():
        raise ImportError("h5py is required for HDF5 conversion. Install with: pip install h5py")
    from recorder.h5.embeddings.writing import check_compression
    from recorder.h5.lock import RecordingLock

    check_compression(compression)
    settings, path = Settings.read(folder), folder / DATASET_FILE
    draft = path.with_name(path.name + DRAFT_SUFFIX)
    logger.info("Converting PT format to HDF5 in %s", folder)
    with RecordingLock(path), removed(draft):
        before = _stamps(folder)
        parts = checked_parts(folder, PT, settings)
        _write(draft, parts, settings.text, compression)
        if _stamps(folder) != before:
            raise ReadError(f"{folder}: .pt files changed while they were converted; convert them again")
        draft.replace(path)
    logger.info("Conversion complete. HDF5 file saved to %s", path)
    given, made = sum(size for size, _ in before.values()), path.stat().st_size
    logger.info(
        "File sizes: PT format=%.1f MB, HDF5=%.1f MB (compression: %.1f%%)",
        given / _MB,
        made / _MB,
        100 * (1 - made / given),
    )


def _write(draft: Path, parts: Parts, config: str, compression: str | None) -> None:
    from recorder.h5.embeddings.reading import EmbeddingFile
    from recorder.h5.embeddings.writing import EmbeddingWriter

    arrays = {stem: _array(parts.label(stem), tensor) for stem, tensor in parts.tensors.items()}
    splits = {name: _array(f"split {name}", pairs) for name, pairs in parts.splits.items()}
    with bar("converting", 2 * sum(array.nbytes for array in arrays.values())) as progress:

        def advance(nbytes: int) -> None:
            progress.update(nbytes)
            if parts.residency is not None:
                parts.residency.looked_at(0, nbytes)

        draft.unlink(missing_ok=True)  # of one that was killed; nobody else is at work, for the lock is held
        with EmbeddingWriter(draft, compression, advance) as writer:
            for group, line in _GROUPS.items():
                logger.info(line)
                stems = [stem for stem, field in FIELDS.items() if field.path.startswith(f"{group}/")]
                writer.fields(stems, arrays)
                if group == "pair_data":
                    writer.keyword_lists((parts.keywords.values, parts.keywords.offsets))
            logger.info("Converting split indices...")
            writer.splits(splits)
            writer.config(config)
        with EmbeddingFile(draft) as file:
            _compare(file, arrays, advance)
            same = file.keyword_lists()
            if not all(map(np.array_equal, same, (parts.keywords.values, parts.keywords.offsets))):
                raise DamagedError(f"{draft} did not take the keyword lists as they are")
            for name, pairs in splits.items():
                if not np.array_equal(file.split(name), pairs):
                    raise DamagedError(f"{draft} did not take the split {name} as it is")


def _compare(file: EmbeddingFile, arrays: Arrays, advance: Callable[[int], None]) -> None:
    """Read back what was written.

    Raises
    ------
    DamagedError
        It is not what was given.
    """
    for stem, array in arrays.items():
        stored = file.rows(stem)
        assert stored is not None
        step = max(1, _BLOCK // max(1, array[:1].nbytes))
        for start in range(0, len(array), step):
            part = array[start : start + step]
            if part.size and not np.array_equal(stored.read(np.arange(start, start + len(part))), part):
                raise DamagedError(f"{file.path} did not take {stem} as it is")
            advance(part.nbytes)
        stored.close()


def _array(label: str, tensor: Rows) -> NDArray[Any]:
    try:
        array: NDArray[Any] = tensor.numpy()  # type: ignore[union-attr]
    except TypeError as error:
        raise DamagedError(f"{label} has values of {tensor.dtype}, which HDF5 has no type for") from error
    return array


def _stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Sizes and ages of the files by name."""
    found = {}
    for stem in ptfiles.stems(SPLITS):
        path = folder / tensor_file(stem)
        if path.is_file():
            stat = path.stat()
            found[path.name] = stat.st_size, stat.st_mtime_ns
    return found
