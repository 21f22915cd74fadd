"""Whatever ends an episode, or interrupts it, has the rows that are under way stored, once each."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loaders import ExperimentLoader
from recorder import DataExporter, InputError, RingFullError, StateError
from recorder.integrations.staged import Staged
from recorder.integrations.triggered import Triggered
from tests.integrations.card import Card, Event


def stored(exporter: DataExporter) -> tuple[list[int], str]:
    """Timesteps of the first episode, and how it ended."""
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        episode = experiment.get_episode(0)
        behavior = episode.get_behavior()
        times = behavior["timesteps"].tolist() if behavior else []
        assert behavior["x"].ravel().tolist() == times if times else True
        return times, episode.status


def log(staged: Staged, card: Card, steps: range) -> None:
    for t in steps:
        staged.log(t, behavior={"x": card.tensor([t])})


def by_error(exporter: DataExporter) -> None:
    with pytest.raises(ZeroDivisionError), exporter:
        raise ZeroDivisionError


def by_the_next(exporter: DataExporter) -> None:
    with pytest.warns(UserWarning, match="not ended"):
        exporter.start_episode()


ENDINGS: list[tuple[Callable[[DataExporter], Any], str]] = [
    (lambda exporter: exporter.close(), "completed"),
    (lambda exporter: exporter.end_episode(), "completed"),
    (lambda exporter: exporter.current_episode.end(), "completed"),
    (by_the_next, "completed"),
    (by_error, "interrupted"),
    (lambda exporter: exporter.end_early("SIGTERM"), "interrupted"),
]


@pytest.mark.parametrize(("end", "status"), ENDINGS)
def test_an_episode_that_ends_elsewhere_has_all_its_rows(
    exporter: DataExporter, card: Card, end: Callable[[DataExporter], Any], status: str
) -> None:
    staged = Staged(exporter)
    staged.start_episode()
    log(staged, card, range(20))
    assert staged.pending == 16
    del staged
    gc.collect()
    end(exporter)
    assert stored(exporter) == (list(range(20)), status)


def test_rows_before_a_capture_are_kept_before_it_ends(exporter: DataExporter, card: Card) -> None:
    captured = Triggered(exporter, 3, 2, lambda timestep, **_: timestep == 5)
    with Staged(captured, steps=4) as staged:
        staged.start_episode()
        log(staged, card, range(7))  # it fires among those that are under way
        exporter.close()
    assert stored(exporter) == ([3, 4, 5, 6], "completed")


def test_what_a_predicate_raises_does_not_store_its_step_twice(exporter: DataExporter, card: Card) -> None:
    captured = Triggered(exporter, 3, 2, lambda timestep, **_: 1 / (timestep - 1))
    staged = Staged(captured)
    staged.start_episode()
    log(staged, card, range(4))
    with pytest.raises(ZeroDivisionError):
        staged.flush()
    assert stored(exporter) == (list(range(4)), "completed")


def test_a_recording_ends_although_a_row_under_way_is_refused(exporter: DataExporter, card: Card) -> None:
    staged = Staged(exporter)
    staged.start_episode()
    log(staged, card, range(2))
    staged.log(2, behavior={"x": card.tensor([1.0, 2.0])})
    log(staged, card, range(3, 5))
    with pytest.raises(InputError, match="timestep 2"):
        exporter.close()
    assert stored(exporter) == ([0, 1, 3, 4], "completed")


def test_flush_stores_what_is_not_refused_and_tells_all_that_is(exporter: DataExporter, card: Card) -> None:
    staged = Staged(exporter)
    staged.start_episode()
    for t in range(6):
        staged.log(t, behavior={"x": card.tensor([t] if t in (0, 3, 5) else [t, t])})
    with pytest.raises(InputError, match="timestep 1") as caught:
        staged.flush()
    assert [note.partition(": expected")[0] for note in caught.value.__notes__] == [
        "Refused too: StreamShapeError: behavior/x at timestep 2",
        "Refused too: StreamShapeError: behavior/x at timestep 4",
    ]
    assert staged.pending == 0
    staged.end_episode(success=True)
    assert stored(exporter) == ([0, 3, 5], "completed")


def test_an_interrupt_while_a_row_is_waited_for_loses_none(
    exporter: DataExporter, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    synchronize = Event.synchronize

    def interrupted(event: Event) -> None:
        if card.waited == 3:
            card.waited += 1
            raise KeyboardInterrupt
        synchronize(event)

    monkeypatch.setattr(Event, "synchronize", interrupted)
    with pytest.raises(KeyboardInterrupt), Staged(exporter, steps=4) as staged:
        staged.start_episode()
        log(staged, card, range(20))
    assert stored(exporter) == (list(range(8)), "completed")


def test_an_interrupt_where_a_row_was_just_stored_stores_it_once(exporter: DataExporter, card: Card) -> None:
    staged = Staged(exporter, steps=2)
    staged.start_episode()
    log(staged, card, range(5))

    def trace(frame: Any, event: str, _: Any) -> Any:
        if frame.f_code is Staged._finish.__code__ and event == "line" and staged.pending == 2:
            raise KeyboardInterrupt  # at the first line after the row was stored
        return trace

    sys.settrace(trace)
    try:
        with pytest.raises(KeyboardInterrupt):
            log(staged, card, range(5, 6))
    finally:
        sys.settrace(None)
    log(staged, card, range(6, 9))
    staged.end_episode()
    assert stored(exporter) == (list(range(9)), "completed")


class Full(DataExporter):
    """One whose ring is full whenever it is told so."""

    full = 0

    def log(self, *arguments: Any, **keywords: Any) -> None:
        if self.full:
            self.full -= 1
            raise RingFullError("the ring is full")
        super().log(*arguments, **keywords)


def test_rows_that_a_full_ring_has_no_room_for_stay_under_way(tmp_path: Path, card: Card) -> None:
    exporter = Full("full", str(tmp_path), ring_bytes=1 << 20)
    staged = Staged(exporter, steps=4)
    staged.start_episode()
    log(staged, card, range(6))
    exporter.full = 2
    for _ in range(2):
        with pytest.raises(RingFullError):
            log(staged, card, range(6, 7))  # may be called again, as log() may
    log(staged, card, range(6, 8))
    exporter.full = 1
    with pytest.raises(RingFullError):
        staged.flush()
    assert staged.pending == 4
    exporter.full = 1  # at the end there is time to make room
    exporter.end_episode()
    assert stored(exporter) == (list(range(8)), "completed")


def test_rows_that_cannot_be_stored_at_the_end_are_counted(tmp_path: Path, card: Card) -> None:
    exporter = Full("full", str(tmp_path), ring_bytes=1 << 20)
    staged = Staged(exporter)
    staged.start_episode()
    log(staged, card, range(3, 6))
    exporter.full = 100
    with pytest.raises(RingFullError) as caught:
        exporter.close()
    assert caught.value.__notes__ == ["3 staged rows, from timestep 3 on, are not stored."]
    with pytest.raises(StateError, match="timestep 3 was under way"):
        staged.flush()


def test_an_error_that_passes_is_not_replaced(exporter: DataExporter, card: Card) -> None:
    with pytest.raises(KeyboardInterrupt) as caught, Staged(exporter) as staged:
        staged.start_episode()
        log(staged, card, range(2))
        staged.log(2, behavior={"x": card.tensor([1.0, 2.0])})
        raise KeyboardInterrupt
    assert "failed too: behavior/x at timestep 2" in caught.value.__notes__[0]
    assert stored(exporter) == ([0, 1], "completed")


class Before:
    """A target of a user's own, which tells nobody what it stands before."""

    def __init__(self, exporter: DataExporter) -> None:
        self._own = exporter

    def __getattr__(self, name: str) -> Any:
        if name == "exporter":
            raise AttributeError(name)
        return getattr(self._own, name)


def test_rows_of_an_episode_that_was_ended_elsewhere_are_told(exporter: DataExporter, card: Card) -> None:
    staged = Staged(Before(exporter))
    staged.start_episode()
    staged.log(7, behavior={"x": card.tensor([1.0])})
    exporter.end_episode()
    with pytest.raises(StateError, match="timestep 7 was under way"):
        staged.flush()
    assert staged.pending == 0


def test_rows_that_nobody_asked_for_any_more_are_told(exporter: DataExporter, card: Card) -> None:
    def forgetful() -> None:
        staged = Staged(Before(exporter))
        staged.start_episode()
        log(staged, card, range(2))

    with pytest.warns(UserWarning, match="2 staged rows were never stored"):
        forgetful()
