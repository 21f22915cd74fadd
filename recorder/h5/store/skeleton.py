"""A new store's file, and an older one's groups and index when it is first opened for writing."""

from __future__ import annotations

import time
import uuid
from typing import Any

import h5py
import numpy as np

from recorder.format.storage import (
    KINDS,
    LAYOUT_VERSION,
    SKELETON,
    STORE_FORMAT,
    STORE_ID,
    STORE_VERSION,
)
from recorder.h5.reading.guard import attributes
from recorder.h5.skeleton import put_text
from recorder.h5.store.arrays import Filters
from recorder.h5.store.handle import Handle
from recorder.h5.store.index import write_index


def initialise(file: Any, filters: Filters, store_id: str | None = None) -> None:
    """Root attributes, groups and empty indices."""
    file.attrs["created_at"] = np.float64(time.time())
    _root(file, filters, store_id)
    for group in SKELETON:
        file.create_group(group)
    for kind in KINDS:
        write_index(file, kind, [])


def _root(file: Any, filters: Filters, store_id: str | None) -> None:
    texts = {
        "format": STORE_FORMAT,
        "format_version": STORE_VERSION,
        STORE_ID: store_id or uuid.uuid4().hex,
        "version": LAYOUT_VERSION,
        "compression": filters.name or "none",
    }
    for name, text in texts.items():
        if name not in file.attrs:
            put_text(file, name, text)
    if "chunk_size" not in file.attrs:
        file.attrs["chunk_size"] = np.int64(filters.chunk_size)


def is_store(file: Any) -> bool:
    """Whether a file has what a store has, in this layout or the older one."""
    return file.attrs.get("format") == STORE_FORMAT or all(place in file for place in SKELETON[:3])


def is_current(file: Any) -> bool:
    """Whether it is in this layout."""
    return bool(file.attrs.get("format") == STORE_FORMAT)


def prepare(handle: Handle, filters: Filters) -> None:
    """Bring an older file up to what changes rely on; its objects stay as they are."""
    file = handle.file
    if not is_current(file) or any(handle.group(place) is None for place in SKELETON):
        complete(file, filters)


def complete(file: Any, filters: Filters) -> None:
    """Groups and root attributes that an older file lacks."""
    _root(file, filters, None)
    if "created_at" not in file.attrs:
        file.attrs["created_at"] = np.float64(time.time())
    for place in SKELETON:
        if place not in file:
            file.create_group(place)


def count_datasets(handle: Handle, groups: list[str]) -> int:
    """Datasets below some groups; what has several links counts once."""
    total = 0

    def count(_: str, item: Any) -> None:
        nonlocal total
        total += isinstance(item, h5py.Dataset)

    for name in groups:
        if handle.group(name) is not None:
            handle.file[name].visititems(count)
    return total


def root_of(handle: Handle) -> dict[str, Any]:
    """The root's attributes."""
    return attributes(handle.file)
