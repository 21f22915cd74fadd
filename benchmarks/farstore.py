"""A file system of fsspec whose requests take their time, as those of an object store do, and are counted."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import fsspec
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from loaders import ExperimentLoader

DELAY = 0.02
"""Seconds a request."""
requests = [0]


class FarFile(AbstractBufferedFile):
    """A file whose ranges take their time."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        requests[0] += 1
        time.sleep(DELAY)
        with Path(self.path).open("rb") as file:
            file.seek(start)
            return file.read(end - start)


class FarStore(AbstractFileSystem):
    """Files of this machine, far away."""

    protocol = "far"
    cachable = False

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix("far:/")

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Size, after the delay."""
        requests[0] += 1
        time.sleep(DELAY)
        name = self._strip_protocol(path)
        return {"name": name, "size": Path(name).stat().st_size, "type": "file"}

    def _open(self, path: str, mode: str = "rb", **options: Any) -> FarFile:
        options.pop("autocommit", None)
        return FarFile(self, path, mode, **options)


def far(path: Path) -> float:
    """What an analysis reads of one recording."""
    fsspec.register_implementation("far", FarStore, clobber=True)
    with ExperimentLoader(f"far:/{path}") as loader:
        last = loader.list_episodes()[-1]
        return float(loader.get_episode(last).get_rewards()["rewards"].sum())
