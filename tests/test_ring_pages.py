"""Pages of the ring are made ready before anything is stored in them, and never again."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.ring.arena import Ring
from recorder.ring.pages import Pages, clear

PAGE = 4096


@pytest.fixture
def mapped(tmp_path: Path) -> Iterator[tuple[int, mmap.mmap]]:
    """A descriptor and a map of 4 MiB of ones."""
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.pwrite(descriptor, b"\1" * (4 << 20), 0)
    with mmap.mmap(descriptor, 4 << 20) as view:
        yield descriptor, view
    os.close(descriptor)


@pytest.mark.parametrize(
    ("start", "end"), [(0, PAGE), (PAGE, 17 * PAGE), (3 * PAGE, 1000 * PAGE), (PAGE, PAGE)]
)
def test_clear_writes_zeros_there_and_nowhere_else(
    mapped: tuple[int, mmap.mmap], start: int, end: int
) -> None:
    clear(*mapped, start, end)
    assert mapped[1][:] == b"\1" * start + bytes(end - start) + b"\1" * ((4 << 20) - end)


def test_what_was_prepared_is_left_alone(mapped: tuple[int, mmap.mmap]) -> None:
    view = mapped[1]
    pages = Pages(*mapped, PAGE, 1000 * PAGE)
    stored = PAGE
    for upto in (PAGE, PAGE + 1, 2 * PAGE, 300 * PAGE, 20 * PAGE, 1000 * PAGE, 300 * PAGE):
        pages.prepare(upto)
        assert not any(view[stored:upto])
        stored = max(stored, upto)
        view[PAGE:stored] = b"\2" * (stored - PAGE)
    assert view[:PAGE] == b"\1" * PAGE
    assert view[PAGE : 1000 * PAGE] == b"\2" * (999 * PAGE)
    assert view[1000 * PAGE :] == b"\1" * (24 * PAGE)


def test_a_system_that_refuses_has_its_page_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("recorder.ring.pages.os.pwritev", refuse)
    ring = Ring.create(tmp_path / "ring", 1 << 20)
    record = ring.append(2, {"a": 1})
    assert record is not None
    assert Ring.open(tmp_path / "ring").record(0).meta["a"] == 1


def test_records_stay_when_the_ones_after_them_get_their_pages(tmp_path: Path) -> None:
    ring = Ring.create(tmp_path / "ring", 1 << 22)
    for number in range(300):
        assert ring.append(2, {"number": number, "filler": "x" * 9000}) is not None
    assert [ring.record(n).meta["number"] for n in range(300)] == list(range(300))
    again = Ring.open(tmp_path / "ring")
    assert [again.record(n).meta["number"] for n in range(300)] == list(range(300))
