"""Merging: any number of recordings, each with what it was."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentLoader, assembling
from recorder import DataExporter
from recorder.errors import DamagedError, ReadError


def record(folder: Path, name: str, episodes: int = 2) -> Path:
    with DataExporter(name, folder, neural_sampling_rate=1) as exporter:
        for _ in range(episodes):
            exporter.start_episode()
            exporter.log_batch(np.arange(5), reward=np.arange(5.0))
            exporter.end_episode(success=True)
    return exporter.h5_path


@contextlib.contextmanager
def few_files(more: int) -> Iterator[None]:
    """This process may open only so many files besides those that it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_recordings_are_merged_than_files_may_be_open(tmp_path: Path) -> None:
    path = record(tmp_path, "a", 1)
    parts = [Path(shutil.copy(path, tmp_path / f"part_{number}.h5")) for number in range(30)]
    told: list[tuple[int, int]] = []
    with few_files(20):
        made = assembling.merge(parts, tmp_path / "all.h5", progress=lambda *so_far: told.append(so_far))
    assert told == [(number, 30) for number in range(1, 31)]
    with ExperimentLoader(made) as loader:
        assert loader.list_episodes() == list(range(30))
        assert [entry["episodes"] for entry in loader.get_origin()] == [[[0, n]] for n in range(30)]


def test_too_many_open_files_are_no_damage(tmp_path: Path) -> None:
    path = record(tmp_path, "a", 1)
    with few_files(20):
        taken: list[Any] = []
        with contextlib.ExitStack() as stack, pytest.raises(OSError, match="Too many open files") as caught:
            while True:
                taken.append(stack.enter_context(ExperimentLoader(path)))
                taken[-1].get_episode(0).get_rewards()
    assert not isinstance(caught.value, DamagedError)


def test_a_recording_that_changes_while_it_is_merged_is_refused(tmp_path: Path) -> None:
    first, second = record(tmp_path, "a"), record(tmp_path, "b")

    def resumed(done: int, _: int) -> None:
        if done == 1:
            with DataExporter.resume(second) as exporter:
                exporter.start_episode()
                exporter.log(timestep=0, reward=1.0)

    with pytest.raises(ReadError, match="changed while"):
        assembling.merge([first, second], tmp_path / "all.h5", progress=resumed)
    assert not list(tmp_path.glob("all*"))
