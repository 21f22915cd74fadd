"""The ``.pt`` files of a dataset: one tensor each, lists of keywords, splits."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from loaders.steering.keywords import KeywordLists
from recorder.errors import DamagedError, MissingFileError
from recorder.format.embeddings import FIELDS, KEYWORD_LISTS, split_stem, tensor_file

_OLD_TORCH = b"\x80"
"""What files begin with that were saved before torch 1.6, or in its way: a bare pickle."""


def is_there(folder: Path) -> bool:
    """Whether a folder has ``.pt`` files at all."""
    return (folder / tensor_file(next(iter(FIELDS)))).is_file()


def stems(splits: Sequence[str]) -> list[str]:
    """Stems of all files of a dataset with these splits."""
    return [*FIELDS, KEYWORD_LISTS, *map(split_stem, splits)]


def what_is_broken(folder: Path, names: Sequence[str]) -> str:
    """What keeps these files from being whole, as far as their ends tell; empty if nothing does."""
    for stem in names:
        path = folder / tensor_file(stem)
        try:
            if not is_old(path) and not zipfile.is_zipfile(path):
                return f"{path.name} is cut short"
        except OSError:
            return f"{path.name} is missing"
    return ""


def is_old(path: Path) -> bool:
    """Whether a file was saved in torch's old format.

    Raises
    ------
    MissingFileError
    """
    try:
        with path.open("rb") as file:
            return file.read(1) == _OLD_TORCH
    except FileNotFoundError:
        raise MissingFileError(f"Required tensor file not found: {path}") from None


def load(path: Path, *, mapped: bool = False) -> Any:
    """What a file holds, without running anything that it may bring along.

    Parameters
    ----------
    path : Path
    mapped : bool
        Map the tensors' bytes instead of reading them.

    Raises
    ------
    MissingFileError
        There is no such file.
    DamagedError
        It is no file of torch, or holds more than plain values and tensors; or it is to be mapped, and was
        saved in torch's old format.
    """
    if not path.is_file():
        raise MissingFileError(f"Required tensor file not found: {path}")
    if mapped and not zipfile.is_zipfile(path):
        raise DamagedError(
            f"{path} cannot be mapped: it is damaged, or in torch's old format. Load it and save it again"
        )
    try:
        return torch.load(str(path), map_location="cpu", weights_only=True, mmap=mapped)
    except UnpicklingError as error:
        line = str(error).partition("\n")[0]
        raise DamagedError(f"{path} holds more than tensors and plain values: {line}") from error
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DamagedError(f"{path} is no file of torch, or is damaged: {error}") from error


def load_tensor(path: Path, *, mapped: bool = False) -> torch.Tensor:
    """The tensor of a file, on the CPU and without history.

    Raises
    ------
    MissingFileError, DamagedError
        As :func:`load`, or it holds something else.
    """
    found = load(path, mapped=mapped)
    if not isinstance(found, torch.Tensor) or found.layout != torch.strided or found.is_quantized:
        raise DamagedError(f"{path}: expected a dense tensor, got {type(found).__name__}")
    return found.detach()


def load_lists(folder: Path) -> KeywordLists:
    """The keyword lists.

    Raises
    ------
    MissingFileError, DamagedError
        As :func:`load`, or it is no list of lists of int.
    """
    path = folder / tensor_file(KEYWORD_LISTS)
    return KeywordLists.of(load(path), str(path))


def newest(folder: Path, names: Sequence[str]) -> int:
    """When the last of these files was changed, in ns; those that are missing are left out."""
    times = [0]
    for stem in names:
        try:
            times.append((folder / tensor_file(stem)).stat().st_mtime_ns)
        except OSError:
            continue
    return max(times)
