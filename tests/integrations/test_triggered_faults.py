"""Whatever goes wrong meanwhile, what was kept is stored, or comes back with a repair."""

from __future__ import annotations

import sys
import threading
import warnings
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import DataExporter, ShortCaptureWarning, StateError, WriteError
from recorder.h5.repair import repair
from recorder.h5.sink import Sink
from recorder.integrations.triggered import Triggered
from tests.killed import as_killed


def made(folder: Path, **options: Any) -> DataExporter:
    """A recording with a small ring."""
    return DataExporter("run", folder, 1, **{"ring_bytes": 1 << 20, "validate_data": False, **options})


def steps_of(path: Path, episode: int = 0) -> list[int]:
    with ExperimentLoader(path) as loader:
        rewards = loader.get_episode(episode).get_rewards()
        return rewards["timesteps"].tolist() if rewards else []


@pytest.mark.parametrize("killed", [False, True])
def test_events_before_the_first_step_of_a_block_belong_to_it(tmp_path: Path, killed: bool) -> None:
    with made(tmp_path / "run") as exporter:
        capture = Triggered(exporter, before=2000, after=0)
        episode = capture.start_episode()
        capture.log(0, reward=0.0)
        capture.trigger()
        episode.log_weight_change(0, 1, 0.0, 1.0)
        for at in range(1500):  # more than a block has room for
            episode.log_event("seen", 0, {"at": at})
        capture.log(1, reward=1.0)
        path = as_killed(exporter, tmp_path / "killed") if killed else exporter.h5_path
        if killed:
            repair(path)
        capture.trigger()
    with ExperimentLoader(path) as loader:
        found = loader.get_episode(0)
        assert found.get_rewards()["timesteps"].tolist() == [0, 1]
        assert list(found.get_events()["seen"]["at"]) == list(range(1500))
        assert len(found.get_weight_changes()["timesteps"]) == 1


@pytest.mark.parametrize("options", [{}, {"async_write": True}, {"on_full": "raise"}, {"on_full": "drop"}])
def test_steps_that_grow_until_the_ring_is_full_are_fewer(tmp_path: Path, options: dict[str, Any]) -> None:
    def log(capture: Triggered) -> None:
        for step in range(600):
            capture.log(step, reward=1.0, event_type="seen", data={"text": "x" * 40 * min(step, 500)})

    with made(tmp_path, **options) as exporter:
        capture = Triggered(exporter, before=500, after=0)
        capture.start_episode()
        with pytest.warns(ShortCaptureWarning, match="ring_bytes"):
            log(capture)
        capture.trigger("grown")
        capture.log(600, reward=1.0)
        capture.trigger("again")
    found = steps_of(exporter.output_dir)
    assert found == list(range(found[0], 601))
    with ExperimentLoader(exporter.output_dir) as loader:
        told = loader.get_episode(0).get_events()["capture"]
    assert list(told["steps"]) == [len(found) - 1, 1]
    assert list(told["first"]) == [found[0], 600]


def test_an_episode_has_one_triggered(tmp_path: Path) -> None:
    with made(tmp_path) as exporter:
        one, other = Triggered(exporter, 5, 0), Triggered(exporter, 5, 0)
        one.start_episode()
        for step in range(10):
            one.log(step, reward=1.0)
        with pytest.raises(StateError, match="another Triggered"):
            other.log(10, reward=1.0)
        one.trigger()
        one.end_episode()
        other.start_episode()
        other.log(0, reward=1.0)
        other.trigger()
    assert steps_of(exporter.output_dir) == [5, 6, 7, 8, 9]
    assert steps_of(exporter.output_dir, 1) == [0]


def test_another_thread_fires_with_the_step_that_comes(tmp_path: Path) -> None:
    with made(tmp_path) as exporter:
        capture = Triggered(exporter, before=3, after=1)
        capture.start_episode()
        capture.trigger("of an episode without steps")
        capture.end_episode()
        capture.start_episode()
        for step in range(10):
            if step == 6:
                watchdog = threading.Thread(target=capture.trigger, args=("watchdog",))
                watchdog.start()
                watchdog.join()
            capture.log(step, reward=1.0)
    assert steps_of(exporter.output_dir, 1) == [4, 5, 6, 7]


def test_a_capture_ends_although_its_predicate_raises(tmp_path: Path) -> None:
    def predicate(timestep: int, **_: Any) -> bool:
        if timestep > 5:
            raise ZeroDivisionError
        return timestep == 5

    with made(tmp_path) as exporter:
        capture = Triggered(exporter, before=2, after=2, predicate=predicate)
        capture.start_episode()
        for step in range(10):
            try:
                capture.log(step, reward=1.0)
            except ZeroDivisionError:
                assert step > 5
    assert steps_of(exporter.output_dir) == [4, 5, 6, 7]


@pytest.mark.parametrize("threaded", [False, True])
def test_what_a_failing_disk_does_not_take_is_repaired(tmp_path: Path, threaded: bool) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with mock.patch.multiple(Sink, end=full, change=full):
        exporter = made(tmp_path, async_write=threaded)
        with pytest.raises(WriteError), exporter:
            capture = Triggered(exporter, before=100, after=0)
            capture.start_episode()
            for step in range(300):
                capture.log(step, reward=1.0)
            exporter.save_checkpoint("none", {"a": 1})
    assert repair(exporter.h5_path).status == "recovered"
    assert steps_of(exporter.h5_path) == list(range(200, 300))


class Interrupting:
    """Raises KeyboardInterrupt at the n-th line of the code that holds steps."""

    FILES = ("holding.py", "steplog.py", "triggered.py", "writer.py", "arena.py", "record.py", "exporter.py")

    def __init__(self, at: int) -> None:
        self._left = at

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.endswith(self.FILES):
            return None
        if event == "line":
            self._left -= 1
            if self._left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self


@pytest.mark.parametrize("first", range(1, 22, 2))
def test_an_interrupt_leaves_the_last_steps(
    tmp_path: Path, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.sizes.FIRST_BLOCK", 2048)
    traced = sys.gettrace()
    for at in range(first, 900, 61):
        exporter = made(tmp_path)
        last = -1
        try:
            with pytest.raises(KeyboardInterrupt), exporter:
                capture = Triggered(exporter, before=100, after=0)
                capture.start_episode()
                for step in range(400):
                    if step == 340:
                        sys.settrace(Interrupting(at))
                    capture.log(step, reward=1.0)
                    last = step
                raise KeyboardInterrupt
        finally:
            sys.settrace(traced)
        if exporter.h5_path.with_name(exporter.h5_path.name + ".ring").exists():
            repair(exporter.h5_path)
        found = steps_of(exporter.h5_path)
        assert found[-1] in (last, last + 1), at
        assert found == list(range(found[0], found[-1] + 1)), at
        assert len(found) in (99, 100, 101), at


def test_rows_of_many_small_blocks_are_warned_of_once(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as told, made(tmp_path) as exporter:
        warnings.simplefilter("always")
        capture = Triggered(exporter, before=50, after=0)
        capture.start_episode()
        for step in range(3):
            capture.log(step, reward=1.0)
        for step in range(3, 120):
            capture.log(step, reward=1.0, behavior={"late": np.zeros(4000)})
        capture.trigger()
    assert [one.category for one in told] == [ShortCaptureWarning]
    assert steps_of(exporter.output_dir)[-1] == 119
