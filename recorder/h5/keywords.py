"""Compression by name, as the keywords that ``h5py.Group.create_dataset`` takes."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from recorder.errors import OptionError

GZIP = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
"""What datasets have when nothing else was asked for."""

_PLUGINS = {
    "bitshuffle": ("Bitshuffle", None),
    "blosc": ("Blosc", "clevel"),
    "blosc2": ("Blosc2", "clevel"),
    "bzip2": ("BZip2", "blocksize"),
    "fcidecomp": ("FciDecomp", None),
    "lz4": ("LZ4", None),
    "zfp": ("Zfp", None),
    "zstd": ("Zstd", "clevel"),
}
_LOSSY = ("zfp",)
_WITHOUT_LEVELS = ("lzf", "szip", *(name for name, (_, keyword) in _PLUGINS.items() if keyword is None))


def filter_keywords(compression: str | None, level: int | None) -> dict[str, Any]:
    """Keywords for ``create_dataset``: the filter and byte shuffling in front of it.

    ``gzip`` takes levels 0 to 9; ``lzf`` and ``szip`` have none and ignore it; other names are
    hdf5plugin's (``zstd``, ``blosc``, ``lz4`` …). None stores without filters.

    Raises
    ------
    OptionError
        A filter this HDF5 cannot write with, a level that it does not take, or hdf5plugin is not installed.
    """
    if compression is None:
        return {}
    if compression == "gzip":
        if level is not None and level not in range(10):
            raise OptionError(f"compression_level={level!r} does not fit 'gzip': it takes 0 to 9")
        return {"compression": "gzip", "compression_opts": 4 if level is None else level, "shuffle": True}
    if compression in ("lzf", "szip"):
        if compression not in h5py.filters.encode:
            raise OptionError(f"compression={compression!r}: this build of HDF5 cannot write it")
        return {"compression": compression, "shuffle": True}
    return {**_plugin(compression, level), "shuffle": True}


def require_level(compression: str | None, level: int | None) -> None:
    """Refuse a level that would change nothing; ``"keep"`` stands for chunks as they are stored.

    Raises
    ------
    OptionError
    """
    if level is None:
        return
    if isinstance(level, bool) or not isinstance(level, int | np.integer):
        raise OptionError(f"level must be a whole number, got {level!r}")
    if compression == "keep":
        raise OptionError(f"level={level}: chunks stay as they are stored; name a compression, such as gzip")
    if compression is None or compression in _WITHOUT_LEVELS:
        raise OptionError(f"level={level}: compression={compression!r} has no levels")


def _plugin(name: str, level: int | None) -> dict[str, Any]:
    if name not in _PLUGINS or name in _LOSSY:
        known = ["gzip", "lzf", "szip", *(n for n in _PLUGINS if n not in _LOSSY)]
        raise OptionError(f"compression must be None or one of {known}, got {name!r}")
    try:
        import hdf5plugin
    except ImportError:
        raise OptionError(f"compression={name!r} needs hdf5plugin: pip install hdf5plugin") from None
    maker, keyword = _PLUGINS[name]
    try:
        made = getattr(hdf5plugin, maker)(**({keyword: level} if keyword and level is not None else {}))
    except (ValueError, TypeError) as error:
        raise OptionError(f"compression_level={level!r} does not fit {name!r}: {error}") from error
    return dict(made)
