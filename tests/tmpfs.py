"""Small file systems of our own, where this process may mount any."""

from __future__ import annotations

import contextlib
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def _mount(*arguments: str) -> bool:
    command = shutil.which("mount")
    if command is None:
        return False
    return subprocess.run([command, *arguments], check=False, capture_output=True).returncode == 0


@contextlib.contextmanager
def tmpfs(place: Path, size: str) -> Iterator[Path]:
    """A file system in memory of this size, mounted at a new folder."""
    place.mkdir()
    if not _mount("-t", "tmpfs", "-o", f"size={size}", "flightrec-test", str(place)):
        raise OSError(f"nothing can be mounted at {place}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True, capture_output=True)


def remount(place: Path, *options: str) -> None:
    """Change options of a mounted file system, for instance ``ro`` or ``size=1m``."""
    if not _mount("-o", ",".join(("remount", *options)), str(place)):
        raise OSError(f"{place} is not remounted with {options}")


@functools.cache
def _may_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        try:
            with tmpfs(Path(folder, "m"), "1m"):
                return True
        except OSError:
            return False


needs_mount = pytest.mark.skipif(not _may_mount(), reason="this process may not mount file systems")
