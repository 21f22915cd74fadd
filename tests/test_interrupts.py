"""Signals that come while a block is at work wait, all of them, and their handlers stay."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from loaders import ExperimentLoader
from recorder import DataExporter
from recorder.interrupts import deferred, remembered
from recorder.ring.arena import Ring
from recorder.writer import Writer

pytestmark = pytest.mark.usefixtures("ctrl_c")


def test_every_signal_is_delivered_and_every_handler_put_back() -> None:
    seen: list[int] = []

    def first(number: int, _: Any) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    def second(number: int, _: Any) -> None:
        seen.append(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    try:
        signal.signal(signal.SIGUSR1, first)
        signal.signal(signal.SIGUSR2, second)
        with pytest.raises(KeyboardInterrupt), deferred():
            signal.raise_signal(signal.SIGUSR1)
            signal.raise_signal(signal.SIGUSR2)
            assert seen == []
        assert seen == [signal.SIGUSR1, signal.SIGUSR2]
        assert signal.getsignal(signal.SIGUSR1) is first
        assert signal.getsignal(signal.SIGUSR2) is second
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_long_block_says_where_it_may_end() -> None:
    done: list[int] = []
    with pytest.raises(KeyboardInterrupt), deferred() as due:
        for step in range(3):
            if step == 1:
                signal.raise_signal(signal.SIGINT)
            done.append(step)
            due()
    assert done == [0, 1]


def test_what_a_handler_raises_is_not_forgotten() -> None:
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), remembered() as due:
        due()
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        due()
        raise AssertionError
    with pytest.raises(KeyboardInterrupt), remembered(), contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), remembered():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as error:
            raise OSError("what HDF5 makes of it") from error
    with pytest.raises(KeyboardInterrupt), remembered(), deferred() as due:
        signal.raise_signal(signal.SIGINT)
        with contextlib.suppress(KeyboardInterrupt):
            due()
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_handler_that_raises_nothing_runs_once() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    try:
        with remembered() as due:
            signal.raise_signal(signal.SIGUSR1)
            due()
        assert seen == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_ctrl_c_while_a_recording_is_closed_waits_for_its_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ring goes once no thread looks at it any more, and then the interrupt comes."""
    run, close, writing = Writer._run, Ring.close, []

    def interrupting(writer: Writer) -> None:
        run(writer)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)

    def closed(ring: Ring, **options: Any) -> None:
        writing.append([thread.name for thread in threading.enumerate() if "flightrec" in thread.name])
        close(ring, **options)

    monkeypatch.setattr(Writer, "_run", interrupting)
    monkeypatch.setattr(Ring, "close", closed)
    exporter = DataExporter("run", tmp_path, async_write=True)
    exporter.start_episode()
    exporter.log(0, reward=1.0)
    with pytest.raises(KeyboardInterrupt):
        exporter.close()
    assert writing == [[]]
    with ExperimentLoader(exporter.h5_path) as loader:
        assert loader.status == "completed"
    exporter.close()
