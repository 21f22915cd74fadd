"""Calls from two threads at once, from a signal handler and from a forked child: stored whole, or refused."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import ClosedError, ConcurrentLogError
from tests.test_inputs import KINDS, open_exporter

pytestmark = pytest.mark.usefixtures("each_hot_path")

Send = Callable[[Any, int], int]


def one(exporter: Any, number: int) -> int:
    exporter.log(number, behavior={"x": float(number)}, spikes=np.arange(3) == number % 3)
    return 1


def many(exporter: Any, number: int) -> int:
    steps = np.arange(number, number + 50)
    exporter.log_batch(steps, behavior={"x": steps.astype(float)}, spikes=np.arange(3) == steps[:, None] % 3)
    return 50


def with_event(exporter: Any, number: int) -> int:
    """A call for which the generated function has no place."""
    exporter.log(
        number,
        behavior={"x": float(number)},
        spikes=np.arange(3) == number % 3,
        event_type="e",
        data={"number": number},
    )
    return 1


def check(path: Path, stored: int) -> None:
    """So many rows, each of one call: its timestep, value and spike belong together."""
    with ExperimentLoader(path) as loader:
        episode = loader.get_episode(0)
        x, spikes = episode.get_behavior(), episode.get_spikes()
        assert np.array_equal(x["x"], x["timesteps"])
        assert len(np.unique(x["timesteps"])) == len(x["timesteps"]) == stored
        assert np.array_equal(x["timesteps"], spikes["timesteps"])
        assert np.array_equal(x["timesteps"] % 3, spikes["neuron_ids"])
        assert all(data == {"number": step} for step, _, data in episode.iter_events())
        assert episode.get_metadata()["total_timesteps"] == stored


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", [one, with_event, many])
def test_two_threads(tmp_path: Path, kind: str, other: Send) -> None:
    exporter = open_exporter(kind, tmp_path)
    exporter.start_episode()
    stored: list[int] = []

    def work(send: Send, offset: int, calls: int) -> None:
        for number in range(calls):
            with contextlib.suppress(ConcurrentLogError):
                stored.append(send(exporter, offset + 50 * number))

    # Threads change places all the time, so that few calls suffice.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    calls = 100 if kind == "standard" else 3000
    send = many if kind == "batch" else one
    threads = [
        threading.Thread(target=work, args=(send, 0, calls)),
        threading.Thread(target=work, args=(other, 10**9, calls)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    exporter.close()
    check(exporter.h5_path, sum(stored))


@pytest.mark.parametrize("kind", KINDS)
def test_a_signal_handler(tmp_path: Path, kind: str) -> None:
    exporter = open_exporter(kind, tmp_path)
    exporter.start_episode()
    stored: list[int] = []
    send = many if kind == "batch" else one
    numbers = itertools.count(10**9, 50)  # of handlers too that interrupt each other

    def handler(*_: Any) -> None:
        with contextlib.suppress(ConcurrentLogError):
            stored.append(send(exporter, next(numbers)))

    old = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    total = 0
    try:
        for number in range(300 if kind == "standard" else 5000):
            total += send(exporter, 50 * number)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    exporter.close()
    check(exporter.h5_path, total + sum(stored))


@pytest.mark.parametrize("kind", KINDS)
def test_a_forked_child(tmp_path: Path, kind: str) -> None:
    exporter = open_exporter(kind, tmp_path)
    exporter.start_episode()
    total = one(exporter, 0)
    child = os.fork()
    if child == 0:
        refused = 0
        for send in (one, many, with_event):
            try:
                send(exporter, 7)
            except ClosedError:
                refused += 1
        exporter.close()
        os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    total += one(exporter, 1)
    exporter.close()
    check(exporter.h5_path, total)
