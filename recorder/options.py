"""Every option of a recording: its default, its check and its meaning, in one place."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recorder.errors import OptionError
from recorder.format.layout import BEHAVIOR, NEURAL

COMPRESSIONS = ("gzip", "lzf", "szip")
"""Filters that every HDF5 build of h5py may have; others come from hdf5plugin by name."""
ON_FULL = ("wait", "raise", "drop")
FSYNC = "fsync"
DURABILITIES = ("process", FSYNC)
SPIKE_FORMATS = ("auto", "dense", "indices")
MIN_RING_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingOptions:
    """What a recording was opened with; checked when it is made.

    Raises
    ------
    OptionError
        A value that cannot be what it is; the message names the option and what it takes.
    """

    experiment_name: str
    output_base_dir: str | Path = "experiments"
    neural_sampling_rate: int | Mapping[str, int] = 100
    """Keep a neural-state row when at least this many timesteps passed since the last kept one;
    a mapping gives each variable its own rate (absent ones: every step)."""
    validate_data: bool = True
    """Warn about suspicious data, in the original system's words; types and shapes are checked always."""
    compression: str | None = "gzip"
    compression_level: int | None = 4
    chunk_size: int = 10_000
    """Rows per HDF5 chunk, as long as a chunk stays below ``MAX_CHUNK_BYTES``."""
    enable_swmr: bool = False
    """Commit what was logged at least every ``flush_interval`` seconds, for readers in SWMR mode."""
    async_write: bool = False
    """Encode and write on a thread of its own; False does it on the caller's, block by block."""
    ring_bytes: int = 64 << 20
    on_full: str = "wait"
    flush_interval: float = 1.0
    durability: str = "process"
    spike_format: str = "auto"
    n_neurons: int | None = None
    dimension_scales: bool = False
    """Give dense streams HDF5's dimension scales when the recording is closed."""
    progress: bool = False
    precision: Mapping[str, float] | None = None
    """How far a stored value may be from the logged one, by stream: ``{"v": 1e-3}``; exact where absent."""
    precisions: Mapping[str, float] = field(init=False, repr=False, default_factory=dict)
    rates: Mapping[str, int] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        _check_name(self.experiment_name)
        _require(isinstance(self.output_base_dir, str | os.PathLike), "output_base_dir", "a path", self)
        object.__setattr__(self, "rates", _rates(self.neural_sampling_rate))
        object.__setattr__(self, "precisions", _precisions(self.precision))
        for name in ("validate_data", "enable_swmr", "async_write", "dimension_scales", "progress"):
            _require(isinstance(getattr(self, name), bool), name, "True or False", self)
        _require(_is_int(self.chunk_size) and self.chunk_size >= 1, "chunk_size", "rows, at least 1", self)
        _require(
            _is_int(self.ring_bytes) and self.ring_bytes >= MIN_RING_BYTES,
            "ring_bytes",
            f"bytes, at least {MIN_RING_BYTES}",
            self,
        )
        _require(self.on_full in ON_FULL, "on_full", f"one of {ON_FULL}", self)
        _require(self.durability in DURABILITIES, "durability", f"one of {DURABILITIES}", self)
        _require(self.spike_format in SPIKE_FORMATS, "spike_format", f"one of {SPIKE_FORMATS}", self)
        _require(
            isinstance(self.flush_interval, int | float) and self.flush_interval > 0,
            "flush_interval",
            "seconds above 0",
            self,
        )
        if self.n_neurons is not None:
            _require(_is_int(self.n_neurons) and self.n_neurons >= 1, "n_neurons", "an int above 0", self)
        _require(
            self.compression is None or isinstance(self.compression, str),
            "compression",
            "a filter name or None",
            self,
        )
        if self.compression == "gzip":
            level = self.compression_level
            if level is None:
                object.__setattr__(self, "compression_level", 4)
            else:
                _require(_is_int(level) and 0 <= level <= 9, "compression_level", "0 to 9 for gzip", self)

    def rate_of(self, variable: str) -> int:
        """Sampling rate of a neural-state variable, in timesteps; 1 keeps every row."""
        return self.rates.get(variable, self.rates.get("", 1))


def _rates(given: int | Mapping[str, int]) -> dict[str, int]:
    table = given if isinstance(given, Mapping) else {"": given}
    out: dict[str, int] = {}
    for key, rate in table.items():
        if not isinstance(key, str):
            raise OptionError(f"neural_sampling_rate must name variables, as {{'v': 10}}, got {key!r}")
        if not _is_int(rate) or rate < 0:
            name = f"neural_sampling_rate[{key!r}]" if key else "neural_sampling_rate"
            raise OptionError(f"{name} must be timesteps, an int of at least 0, got {rate!r}")
        out[key] = max(1, operator.index(rate))
    return out


def _precisions(given: Mapping[str, float] | None) -> dict[str, float]:
    out: dict[str, float] = {}
    if given is not None and not isinstance(given, Mapping):
        raise OptionError(f"precision must be bounds by stream, as {{'v': 1e-3}}, got {given!r}")
    for key, bound in (given or {}).items():
        if not isinstance(key, str):
            raise OptionError(f"precision must name streams, as {{'v': 1e-3}}, got {key!r}")
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not 0 < bound < math.inf:
            raise OptionError(f"precision[{key!r}] must be a number above 0, got {bound!r}")
        group = key.partition("/")[0]
        out[key if group in (NEURAL, BEHAVIOR) and "/" in key else f"{NEURAL}/{key}"] = float(bound)
    return out


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name:
        raise OptionError(f"experiment_name must be a non-empty str, got {name!r}")
    if "/" in name or "\\" in name or "\0" in name or name in (".", ".."):
        raise OptionError(f"experiment_name names one folder: no slashes or NUL, got {name!r}")
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise OptionError(f"experiment_name must be valid Unicode, got {name!r}") from None
    if length > 200:
        raise OptionError(f"experiment_name is a folder's name: at most 200 bytes, got {length}")


def _is_int(value: Any) -> bool:
    try:
        operator.index(value)
    except TypeError:
        return False
    return not isinstance(value, bool)


def _require(ok: bool, name: str, takes: str, options: RecordingOptions) -> None:
    if not ok:
        raise OptionError(f"{name} must be {takes}, got {getattr(options, name)!r}")
