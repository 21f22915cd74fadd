"""What a build is to do: subjects with their sources, looked at before anything is written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loaders.windows.sources.find import find_subject, source_of
from loaders.windows.sources.physiology import Picks
from loaders.windows.sources.source import Samples, Source
from loaders.windows.sources.tensors import WindowSamples
from recorder.errors import OptionError, ReadError
from recorder.h5.windows.layout import Settings


@dataclass
class Plan:
    """One subject to be made windows from.

    Attributes
    ----------
    windows, channels : int
        As its source says.
    rate : float or None
    record : dict
        What is stored of its source.
    """

    subject: str
    source: Source
    windows: int = 0
    channels: int = 0
    rate: float | None = None
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The record, as JSON."""
        return json.dumps(self.record)


@dataclass(frozen=True)
class Places:
    """Where subjects that are given by name are looked for."""

    folder: Path
    base: Path | None
    picks: Picks


Subjects = Sequence[str] | Mapping[str, Any]


def check_subjects(subjects: Subjects) -> list[str]:
    """Names, each once.

    Raises
    ------
    OptionError
    """
    if isinstance(subjects, str):
        raise OptionError(f"expected a list of subjects, or a dict of their sources, got {subjects!r}")
    names = list(subjects)
    if not names:
        raise OptionError("expected at least one subject, got none")
    seen: set[str] = set()
    for name in names:
        if not _is_name(name):
            raise OptionError(f"expected names of subjects, got {name!r}")
        if name in seen:
            raise OptionError(f"expected each subject once, got {name!r} again")
        seen.add(name)
    return names


def _is_name(name: Any) -> bool:
    if not isinstance(name, str) or not name or "\0" in name:
        return False
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def source_for(subjects: Subjects, name: str, places: Places) -> Source:
    """The source of a subject: given with it, or looked for.

    Raises
    ------
    ReadError
        There is none.
    OptionError
        A file of a format that is not known.
    """
    if not isinstance(subjects, Mapping):
        return find_subject(name, places.folder, places.base, places.picks)
    given = subjects[name]
    return source_of(given, places.picks) if isinstance(given, str | Path) else given


def look_at(plan: Plan, settings: Settings, scratch: Path) -> None:
    """Fill in what the source says of itself; its samples are left alone.

    Raises
    ------
    ReadError, OSError
    """
    plan.record = plan.source.fingerprint()
    samples = plan.source.open(scratch)
    try:
        stride = stride_of(samples, settings)
        plan.windows = max(0, (samples.samples - settings.window_size) // stride + 1)
        plan.channels, plan.rate = samples.channels, samples.rate
        plan.record |= {"samples": samples.samples, "sampling_rate": samples.rate}
    finally:
        samples.close()


def stride_of(samples: Samples, settings: Settings) -> int:
    """Samples from a window to the next.

    Raises
    ------
    ReadError
        The source is made of windows, and those have another size.
    """
    if not isinstance(samples, WindowSamples):
        return settings.stride
    if samples.size != settings.window_size:
        raise ReadError(f"its windows have {samples.size} samples, expected {settings.window_size}")
    return samples.size
