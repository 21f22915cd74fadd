"""Merging: any number of recordings, each with what it was."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from loaders import ExperimentLoader, assembling, drafts
from recorder import DataExporter
from recorder.errors import DamagedError, ReadError
from recorder.h5.draft import draft_file
from recorder.h5.tree import put_document
from recorder.h5.verify import verify

pytestmark = pytest.mark.usefixtures("ctrl_c")


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


def test_a_file_beside_the_target_is_the_users(tmp_path: Path) -> None:
    path, mine = record(tmp_path, "a"), tmp_path / "out.h5.new"
    mine.write_text("precious")
    assembling.split(path, [0], tmp_path / "out.h5")
    assembling.pack(path, tmp_path / "packed.h5")
    assembling.merge([path], tmp_path / "merged.h5")
    assert mine.read_text() == "precious"
    with pytest.raises(FileExistsError), draft_file(mine):
        raise AssertionError
    assert mine.read_text() == "precious"


@pytest.mark.parametrize("links", [True, False])
def test_who_comes_second_leaves_the_first_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    path, out = record(tmp_path, "a"), tmp_path / "out.h5"
    if not links:
        monkeypatch.setattr(os, "link", _no_links)

    def another(done: int, _: int) -> None:
        if done == 1:
            assembling.split(path, [1], out)

    with pytest.raises(FileExistsError, match=r"out\.h5 exists already$"):
        assembling.split(path, [0, 1], out, progress=another)
    with ExperimentLoader(out) as loader:
        assert loader.list_episodes() == [1]
    assert not list(tmp_path.glob("*.new"))


def _no_links(*_: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_a_link_that_leads_nowhere_is_refused_before_the_work(tmp_path: Path) -> None:
    path = record(tmp_path, "a")
    (tmp_path / "out.h5").symlink_to(tmp_path / "nothing")
    with pytest.raises(FileExistsError, match="exists already"):
        assembling.split(path, [0], tmp_path / "out.h5")


@pytest.mark.parametrize("command", ["pack", "gzip", "split", "merge"])
def test_an_interrupt_that_is_lost_while_the_result_is_looked_at_stops_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    path = record(tmp_path, "a")
    before = path.stat().st_ino
    real = drafts.verify

    def looked(*arguments: Any) -> Any:
        # As the callback of a weak reference, in which Python forgets what is raised.
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr(drafts, "verify", looked)
    out = tmp_path / "out.h5"
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        if command == "merge":
            assembling.merge([path, path], out)
        elif command == "split":
            assembling.split(path, [0], out)
        else:
            assembling.pack(path, compression="gzip" if command == "gzip" else "keep")
    assert signal.getsignal(signal.SIGINT) is handler
    assert path.stat().st_ino == before
    assert not out.exists()
    assert not list(tmp_path.rglob("*.new"))


def traced(folder: Path, name: str, code: str) -> Path:
    source = folder / "model.py"
    source.write_text(code)
    with DataExporter(name, folder) as exporter:
        exporter.save_code_snapshot([source])
        for _ in range(2):
            exporter.start_episode()
            exporter.log(timestep=0, reward=1.0)
            exporter.end_episode()
        # Of one second both, or not: the names may be the same.
        exporter.save_checkpoint("point", {"of": np.array([len(name)])})
    return exporter.h5_path


def test_what_was_merged_says_all_of_where_it_came_from(tmp_path: Path) -> None:
    paths = [traced(tmp_path, *so) for so in (("a", "RATE = 1"), ("bb", "RATE = 2"), ("ccc", "RATE = 1"))]
    with DataExporter.resume(paths[1]) as exporter:
        exporter.start_episode()
        exporter.log(timestep=0, reward=1.0)
    made = assembling.merge(paths, tmp_path / "all.h5")
    with ExperimentLoader(made) as loader:
        origin, points = loader.get_origin(), loader.get_all_checkpoints()
        assert loader.get_code_snapshot() == {"model.py": "RATE = 1"}
        assert loader.get_resumptions() == []
        assert "merged" not in loader.attributes
    assert [entry["recording"] for entry in origin] == [str(path) for path in paths]
    assert [entry.get("code") for entry in origin] == [None, {"model.py": "RATE = 2"}, None]
    assert [len(entry["resumed"]) for entry in origin] == [0, 1, 0]
    for number, path in enumerate(paths):
        with ExperimentLoader(path) as loader:
            ((former, present),) = origin[number]["checkpoints"]
            assert list(loader.get_all_checkpoints()) == [former]
            assert_array_equal(points[present]["of"], [number + 1])
            assert origin[number]["resumed"] == loader.get_resumptions()
    assert len(points) == 3
    assert not any("of_which" in entry for entry in origin)


def test_origins_are_kept_over_several_steps(tmp_path: Path) -> None:
    # The second's is longer than an attribute may be.
    first, second = (traced(tmp_path, "a", "RATE = 1"), traced(tmp_path, "b", "RATE = 1" + "0" * 70_000))
    merged = assembling.merge([first, second], tmp_path / "merged.h5")
    part = assembling.split(merged, [0, 3], tmp_path / "part.h5")
    smaller = assembling.split(part, [3], tmp_path / "smaller.h5")
    again = assembling.merge([smaller, first], tmp_path / "again.h5")
    packed = assembling.pack(again, tmp_path / "packed.h5")

    def origin(path: Path) -> Any:
        with ExperimentLoader(path) as loader:
            return loader.get_origin()

    assert origin(first) is None
    assert origin(part) == {
        "recording": str(merged),
        "of": 4,
        "episodes": [0, 3],
        "of_which": origin(merged),
    }
    assert origin(smaller) == {
        "recording": str(part),
        "of": 2,
        "episodes": [3],
        "of_which": origin(part),
    }
    assert [entry.get("of_which") for entry in origin(again)] == [origin(smaller), None]
    assert origin(packed) == origin(again)
    with h5py.File(again) as file:
        assert "split" not in file.attrs
        assert "split" not in file


@pytest.mark.parametrize("former", ["merged", "split"])
def test_a_long_former_document_leaves_nothing(tmp_path: Path, former: str) -> None:
    path = record(tmp_path, "a")
    long = [str(number) for number in range(20_000)]
    with h5py.File(path, "r+") as file:
        put_document(file, former, long)
        assert former in file
    made = assembling.split(path, [0], tmp_path / "part.h5")
    with ExperimentLoader(made) as loader:
        assert loader.get_origin()["of_which"] == long
    assert list(verify(made)) == []


def test_a_recording_is_merged_with_the_next_again_and_again(tmp_path: Path) -> None:
    first = record(tmp_path, "a", 1)
    whole = assembling.merge([first], tmp_path / "0.h5")
    for number in range(1, 25):
        whole = assembling.merge([whole], tmp_path / f"{number}.h5")
    with ExperimentLoader(whole) as loader:
        origin, steps = loader.get_origin(), 0
    while origin is not None:
        (entry,) = origin
        steps, origin = steps + 1, entry["of_which"]
    assert steps == 21
