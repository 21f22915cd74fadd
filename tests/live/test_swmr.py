"""``enable_swmr=True``: who knows nothing but HDF5 sees what was logged, a short while later."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loaders import ExperimentLoader
from recorder import DataExporter, StandardDataExporter, WriteError
from recorder.h5.chunking import Chunking
from recorder.h5.file import open_snapshot
from recorder.h5.repair import repair
from recorder.h5.streams.column import Column
from recorder.h5.streams.pace import Pace, tick_of
from recorder.h5.streams.tail import Tail, foretold, same_bytes
from recorder.h5.verify import verify
from tests.comparing import assert_same, contents
from tests.killed import as_killed

pytestmark = pytest.mark.usefixtures("each_hot_path")

NEURONS = 6
ROOT = Path(__file__).parents[2]


def call(step: int, late: bool, gap: bool = False) -> dict[str, Any]:
    given: dict[str, Any] = {
        "timestep": step,
        "neural_state": {"v": np.arange(NEURONS) * 0.5 + step},
        "spikes": np.arange(NEURONS) % 5 == step % 7,
        "behavior": {"x": step * 0.25, "n": step},
        "reward": float(step // 6),
    }
    if late:
        given["behavior"]["late"] = -step
    if gap:
        # From here on it has timesteps of its own, which begin as a copy of the others'.
        del given["behavior"]["n"]
    if step % 9 == 0:
        given |= {"event_type": "a", "data": {"step": step}}
    return given


def seen(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """All datasets of the first episode, by HDF5 alone, from another process as a SWMR reader."""
    script = """
import h5py, sys, numpy as np
found = {}
def take(name, item):
    if isinstance(item, h5py.Dataset):
        found[name.replace("/", ".")] = item[()]
with h5py.File(sys.argv[1], "r", swmr=True) as f:
    f["episodes/episode_0000"].visititems(take)
np.savez(sys.argv[2], **found)
"""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "seen.npz"
        subprocess.run([sys.executable, "-c", script, str(path), str(out)], check=True)
        with np.load(out) as found:
            return {name.replace(".", "/"): found[name] for name in found.files}


@pytest.mark.parametrize("threaded", [False, True])
def test_everything_is_in_the_file_after_a_flush(tmp_path: Path, threaded: bool) -> None:
    options: Any = {"enable_swmr": True, "flush_interval": 1e6, "async_write": threaded}
    with DataExporter("run", tmp_path, 1, **options) as exporter:
        exporter.start_episode()
        for step in range(1, 400):
            exporter.log(**call(step, late=step > 250))
            if step not in (1, 3, 70, 71, 300, 399):
                continue
            exporter.flush()
            found = seen(exporter.h5_path)
            steps = np.arange(1, step + 1)
            assert np.array_equal(found["behavior/x"], steps * 0.25)
            assert np.array_equal(found["behavior/timesteps"], steps)
            assert np.array_equal(found["neural_states/v"][:, 2], steps + 1.0)
            assert np.array_equal(np.repeat(found["rewards/values"], found["rewards/lengths"]), steps // 6)
            assert len(found["spikes/timesteps"]) == step
            cells = np.cumsum(found["spikes/intervals"].astype(np.int64) + 1) - 1
            fired = np.flatnonzero(np.concatenate([call(int(s), False)["spikes"] for s in steps]))
            assert np.array_equal(cells, fired)
            if step > 9:
                assert found["events/ends"][-1] == len(found["events/data"])
            if step > 250:
                assert np.array_equal(found["behavior/late"], -steps[250:])


def test_an_open_file_shows_more_when_it_is_refreshed(tmp_path: Path) -> None:
    script = (
        "import h5py, sys\n"
        "with h5py.File(sys.argv[1], 'r', swmr=True) as f:\n"
        "    x = f['episodes/episode_0000/behavior/x']\n"
        "    for line in sys.stdin:\n"
        "        x.refresh()\n"
        "        print(len(x), x[:].sum(), flush=True)\n"
    )
    with DataExporter("run", tmp_path, enable_swmr=True, flush_interval=1e6) as exporter:
        exporter.start_episode()
        exporter.log(0, behavior={"x": 0.0})
        exporter.flush()
        command = [sys.executable, "-c", script, str(exporter.h5_path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
            assert reader.stdin is not None
            assert reader.stdout is not None
            for step in range(1, 500):
                exporter.log(step, behavior={"x": float(step)})
                if step % 7 == 0:
                    exporter.flush()
                    reader.stdin.write("\n")
                    reader.stdin.flush()
                    count, total = reader.stdout.readline().split()
                    assert (int(count), float(total)) == (step + 1, step * (step + 1) / 2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=25)
@given(
    st.lists(st.integers(0, 60), max_size=6),
    st.integers(1, 300),
    st.integers(0, 300),
    st.sampled_from(["gzip", "lzf", None]),
)
def test_the_finished_file_is_as_any(gaps: list[int], steps: int, killed_at: int, compression: str) -> None:
    flushes = set(np.cumsum(gaps).tolist())
    calls = [call(step, late=step > 100, gap=step % 90 == 89) for step in range(steps)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        options: Any = {
            "enable_swmr": True,
            "flush_interval": 1e6,
            "chunk_size": 70,
            "compression": compression,
        }
        with DataExporter("live", path, 3, **options) as exporter:
            exporter.start_episode()
            for step, one in enumerate(calls):
                if step == killed_at:
                    killed = as_killed(exporter, path / "killed")
                exporter.log(**one)
                if step in flushes:
                    exporter.flush()
            exporter.end_episode(success=True)
        assert_same(contents(exporter.h5_path), oracle(path, "plain", calls))
        assert not list(verify(exporter.h5_path))
        if killed_at < steps:
            repair(killed)
            found, wanted = contents(killed), oracle(path, "prefix", calls[:killed_at])
            for part in ("neural", "behavior", "spikes", "rewards", "events"):
                assert_same(found[0][part], wanted[0][part])


def oracle(folder: Path, name: str, calls: list[dict[str, Any]]) -> Any:
    with StandardDataExporter(name, folder, 3) as plain:
        plain.start_episode()
        for one in calls:
            plain.log(**one)
        plain.end_episode(success=True)
    return contents(plain.h5_path)


def test_a_slow_chunk_stays_in_one_place(tmp_path: Path) -> None:
    """Hundreds of looks at a chunk that fills slowly do not make the file grow."""
    sizes = []
    with DataExporter("run", tmp_path, enable_swmr=True, flush_interval=1e6, chunk_size=10_000) as exporter:
        exporter.start_episode()
        for step in range(600):
            exporter.log(step, behavior={"x": float(step)})
            exporter.flush()
            with h5py.File(exporter.h5_path) as file:
                chunk = file["episodes/episode_0000/behavior/x"].id.get_chunk_info(0)
                sizes.append(chunk.byte_offset)
    assert len(set(sizes)) < 20


def test_the_example_follows_with_h5py_alone(tmp_path: Path) -> None:
    """What is there at first, what comes while it watches, and the end."""
    record = """
import sys
from recorder import DataExporter
with DataExporter("run", sys.argv[1], enable_swmr=True, flush_interval=0.05) as exporter:
    for episode in range(2):
        exporter.start_episode()
        for step in range(300):
            exporter.log(step, reward=float(step % 3))
            if not episode and step in (99, 199):
                exporter.flush()
                sys.stdin.readline()
        exporter.end_episode(success=True)
"""
    command = [sys.executable, "-c", record, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, text=True) as writer:
        while not (found := list(tmp_path.glob("*/experiment_data.h5"))):
            assert writer.poll() is None
            time.sleep(0.01)
        command = [sys.executable, str(ROOT / "examples/swmr_reader.py"), str(found[0])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
            assert writer.stdin is not None
            assert reader.stdout is not None
            for rows in (100, 200):
                for line in reader.stdout:
                    if line.startswith(f"episode_0000: {rows} rewards"):
                        break
                writer.stdin.write("\n")
                writer.stdin.flush()
            lines = reader.stdout.read().splitlines()
    assert writer.returncode == reader.returncode == 0
    assert lines[-1] == "episode_0001: 300 rewards, 300 in all"


class Clock:
    """A clock that tests move, and what they log at its times; the recorder looks when it is due."""

    EVERY = 1e6
    """Seconds, none of which pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self._looked = 0.0
        monkeypatch.setattr("recorder.h5.streams.pace.time", SimpleNamespace(monotonic=lambda: self.now))

    def wait(self, exporter: DataExporter, share: float) -> None:
        """Let this share of ``flush_interval`` pass."""
        self.now += share * self.EVERY
        if self.now - self._looked >= tick_of(self.EVERY):
            self._looked = self.now
            exporter._call_in()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_chunks_have_the_rows_that_may_wait(tmp_path: Path, clock: Clock) -> None:
    """A slow stream gets small chunks, a fast one, and timesteps, as large ones as without."""
    with DataExporter("run", tmp_path, 1, enable_swmr=True, flush_interval=clock.EVERY) as exporter:
        rows = {}
        for rate in (1, 10, 1_000, 100_000):
            exporter.start_episode()
            for step in range(max(30, 2 * rate)):
                clock.wait(exporter, 1 / rate)
                exporter.log(step, behavior={"x": 0.5})
            with open_snapshot(exporter.h5_path) as file:
                group = file["episodes"][f"episode_{exporter.episode_count - 1:04d}"]["behavior"]
                rows[rate] = group["x"].chunks[0]
                assert group["timesteps"].chunks == (10_000,)
            exporter.end_episode(success=True)
    assert rows == {1: 1000, 10: pytest.approx(7, abs=1), 1_000: pytest.approx(700, abs=70), 100_000: 10_000}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=25)
@given(
    st.lists(
        st.tuples(st.integers(1, 60), st.sampled_from([0.001, 0.02, 0.1, 0.3, 2.0]), st.booleans()),
        min_size=1,
        max_size=5,
    )
)
def test_rows_are_in_time(clock: Clock, segments: list[tuple[int, float, bool]]) -> None:
    """Whatever the rate, and how it changes: at each call all rows are there that are old enough by then."""
    with tempfile.TemporaryDirectory() as folder:
        options: Any = {"enable_swmr": True, "flush_interval": clock.EVERY, "chunk_size": 40}
        with DataExporter("run", Path(folder), 1, **options) as exporter:
            exporter.start_episode()
            times: list[float] = []
            for count, pause, noisy in segments:
                for _ in range(count):
                    clock.wait(exporter, pause)
                    # Looks come with calls: what was logged before the last one that found it due is there.
                    now, step = clock.now, len(times)
                    x = float(np.sin(step * 12.9898) * 43758.5453 % 1.0) if noisy else 0.0
                    gap = {"n": step} if step % 23 < 20 else {}
                    exporter.log(step, behavior={"x": x, **gap}, reward=x)
                    times.append(now)
                    old = sum(1 for at in times[:-1] if at <= now - clock.EVERY)
                    if not old:
                        continue
                    with open_snapshot(exporter.h5_path) as file:
                        episode = file["episodes/episode_0000"]
                        assert len(episode["behavior/x"]) >= old
                        assert len(episode["behavior/timesteps"]) >= old
                        assert episode["rewards/lengths"][:].sum() >= old
                        n = episode["behavior/n"]
                        whole = [step for step in range(old) if step % 23 < 20]
                        own = episode["behavior"][n.attrs["timesteps"]]
                        assert np.array_equal(n[: len(whole)], whole)
                        assert np.array_equal(own[: len(whole)], whole)
                        assert np.array_equal(episode["behavior/timesteps"][:old], np.arange(old))


@pytest.mark.parametrize(("rate", "most"), [(100, 1.35), (1_000, 1.2), (10_000, 1.2)])
def test_it_takes_little_more_than_without(tmp_path: Path, clock: Clock, rate: int, most: float) -> None:
    """Data as of a simulation: new spikes and noise in every step."""
    sizes = []
    for options in ({}, {"enable_swmr": True, "flush_interval": clock.EVERY}):
        rng = np.random.default_rng(0)
        with DataExporter("run", tmp_path, 10, **options) as exporter:  # type: ignore[arg-type]
            exporter.start_episode()
            for step in range(30_000):
                clock.wait(exporter, 1 / rate)
                exporter.log(
                    step,
                    neural_state={"v": rng.standard_normal(10) - 65},
                    spikes=rng.random(100) < 0.02,
                    behavior={"x": rng.standard_normal()},
                    reward=float(step % 50 == 0),
                )
            exporter.end_episode(success=True)
        sizes.append(exporter.h5_path.stat().st_size)
    assert sizes[1] < most * sizes[0]


def test_what_comes_as_foretold_is_stored_once(tmp_path: Path, clock: Clock) -> None:
    """Thousands of timesteps are shown at hundreds of looks, and their chunk stays where it is."""
    places = set()
    with DataExporter("run", tmp_path, enable_swmr=True, flush_interval=clock.EVERY) as exporter:
        exporter.start_episode()
        for step in range(3_000):
            clock.wait(exporter, 0.1)
            exporter.log(5 + 3 * step, behavior={"x": np.sin(step)})
            if step % 100 == 99:
                with open_snapshot(exporter.h5_path) as file:
                    steps = file["episodes/episode_0000/behavior/timesteps"]
                    assert step - 12 < len(steps) <= step + 1
                    assert np.array_equal(steps[:], 5 + 3 * np.arange(len(steps)))
                    places.add(steps.id.get_chunk_info(0).byte_offset)
    assert len(places) == 1


@pytest.mark.parametrize(
    ("rows", "then"),
    [
        (np.array([3, 5, 7]), [9, 11]),
        (np.array([250, 253], np.uint8), [0, 3]),
        (np.array([2**63 - 1 - 4, 2**63 - 1 - 2]), [2**63 - 1, -(2**63) + 1]),
        (np.array([7], np.int32), [7, 7]),
        (np.array([1.0, 2.0]), [2.0, 2.0]),
        (np.array([False, True]), [True, True]),
        (np.array([[1, 2], [3, 4]]), [[3, 4], [3, 4]]),
    ],
)
def test_what_is_foretold(rows: np.ndarray[Any, Any], then: list[Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = foretold(rows, len(rows) + 2)
    assert whole.dtype == rows.dtype
    assert np.array_equal(whole[: len(rows)], rows)
    assert np.array_equal(whole[len(rows) :], then)


def test_rows_are_compared_by_their_bits() -> None:
    assert same_bytes(np.array([np.nan, 1.0]), np.array([np.nan, 1.0]))
    assert not same_bytes(np.array([0.0]), np.array([-0.0]))
    assert not same_bytes(np.array([0.0]), np.array([0.0, 0.0]))


def test_a_reader_that_refreshes_sees_no_wrong_row(tmp_path: Path) -> None:
    """Rows that come as foretold, and rows that do not, at every size of a look; the reader never waits."""
    script = """
import h5py, sys, numpy as np
def close(x): return np.sin(x * 12.9898) * 43758.5453 % 1.0
looks = 0
with h5py.File(sys.argv[1], "r", swmr=True) as f:
    group = f["episodes/episode_0000/behavior"]
    columns = [group[name] for name in ("timesteps", "noise", "count", "still")]
    print("ready", flush=True)
    while True:
        for column in columns:
            column.refresh()
        rows = min(map(len, columns))
        steps, noise, count, still = (column[:rows] for column in columns)
        looks += 1
        row = np.arange(rows)
        assert np.array_equal(steps, row + row // 97 * 1000)
        assert np.array_equal(noise, close(row))
        assert np.array_equal(count, row * 3 - row // 41)
        assert np.array_equal(still, row // 53 * 0.5)
        if rows >= int(sys.argv[2]):
            break
print(looks, flush=True)
"""
    rows, rng = 6_000, np.random.default_rng(5)
    options: Any = {"enable_swmr": True, "flush_interval": 1e6, "chunk_size": 500}
    with DataExporter("run", tmp_path, **options) as exporter:
        exporter.start_episode()
        reader = None
        shown = 0
        for row in range(rows):
            values = {
                "noise": np.sin(row * 12.9898) * 43758.5453 % 1.0,
                "count": row * 3 - row // 41,
                "still": row // 53 * 0.5,
            }
            exporter.log(row + row // 97 * 1000, behavior=values)
            if row >= shown or row == rows - 1:
                exporter.flush()
                shown = row + int(rng.integers(1, 2 ** int(rng.integers(1, 9))))
            if reader is None and row == 20:
                command = [sys.executable, "-c", script, str(exporter.h5_path), str(rows)]
                reader = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
                assert reader.stdout is not None
                assert reader.stdout.readline() == "ready\n"
        assert reader is not None
        assert int(reader.communicate()[0]) > 0
        assert reader.returncode == 0


@pytest.mark.parametrize("durability", ["process", "fsync"])
def test_chunks_of_one_size_are_not_mixed_up(tmp_path: Path, durability: str) -> None:
    """Noise whose encoded chunks are sometimes exactly as large as it is: HDF5 would keep the wrong mask."""
    rows, chunk, clashes = 7_680, 64, []
    rng = np.random.default_rng(3)
    noise = {"log": np.exp(rng.normal(size=rows) * 3).astype("f4"), "even": rng.random(rows).astype("f4")}
    real = Tail.clashes
    options: Any = {"enable_swmr": True, "flush_interval": 1e6, "chunk_size": chunk, "durability": durability}
    with (
        mock.patch.object(Pace, "chunk_rows", return_value=chunk),
        mock.patch.object(
            Tail, "clashes", lambda self, size: clashes.append(real(self, size)) or clashes[-1]
        ),
        DataExporter("run", tmp_path, **options) as exporter,
    ):
        exporter.start_episode()
        for step in range(rows):
            exporter.log(step, behavior={name: values[step] for name, values in noise.items()})
            if step % chunk in (10, 60):
                exporter.flush()
        exporter.end_episode(success=True)
    assert any(clashes)
    with h5py.File(exporter.h5_path) as file:
        for name, values in noise.items():
            assert np.array_equal(file[f"episodes/episode_0000/behavior/{name}"][:], values)


@pytest.mark.parametrize("before", ["raw", "encoded"])
def test_another_form_of_the_same_size(tmp_path: Path, before: str) -> None:
    """The sizes meet on purpose."""
    rows = np.arange(64, dtype=np.int64)
    chunking = Chunking.of("gzip", 4, 64)
    with h5py.File(tmp_path / "file.h5", "w", libver="latest") as file:
        column = Column("x", np.dtype(np.int64), (), 64, {})
        column.create(file, chunking, 0, final=False)
        for count in (5, 30, 40):
            column.push(rows[column.waiting : count])
            if before == "encoded" and count == 30:
                # As if the last one had this very size, though it had another.
                column.tail._size = len(chunking.encode(np.pad(rows[:count], (0, 64 - count)))[0])
            assert column.show(chunking)
            # The handle that wrote a chunk keeps the mask of the one before: whoever reads opens another.
            column.detach()
            assert np.array_equal(file["x"][:], rows[:count])
            column.attach(file)
        column.push(rows[40:])
        column.encode(chunking)
        if before == "encoded":
            column.tail._size = len(chunking.encode(rows)[0])
        column.drain()
        column.detach()
        assert np.array_equal(file["x"][:], rows)


def test_filters_of_hdf5_show_whole_chunks(tmp_path: Path) -> None:
    options: Any = {"enable_swmr": True, "flush_interval": 1e6, "chunk_size": 50, "compression": "lzf"}
    with DataExporter("run", tmp_path, **options) as exporter:
        exporter.start_episode()
        for step in range(120):
            exporter.log(step, behavior={"x": float(step)})
            exporter.flush()
            with open_snapshot(exporter.h5_path) as file:
                x = file["episodes/episode_0000/behavior/x"]
                assert np.array_equal(x[:], np.arange((step + 1) // x.chunks[0] * x.chunks[0]))
                assert x.chunks[0] <= 50


@pytest.mark.parametrize("steps", [[500, 400, 300, 450], [-5, -4, 3], list(range(0, 60, 3))], ids=str)
def test_what_is_said_of_timesteps_is_true(tmp_path: Path, steps: list[int]) -> None:
    """Also of those from before the rows of a chunk were chosen."""
    options: dict[str, Any] = {"enable_swmr": True, "flush_interval": 0.2, "validate_data": False}
    logged = [*steps, *range(1000, 4000)]
    with DataExporter("run", tmp_path, **options) as exporter:
        exporter.start_episode()
        for number, step in enumerate(logged):
            exporter.log(step, behavior={"x": float(number)}, reward=float(number % 3))
            if number in (len(steps) - 1, len(steps) + 700):
                exporter.flush()
        exporter.end_episode()
    with ExperimentLoader(exporter.h5_path) as loader:
        found = loader.get_episode(0).stream("behavior/x")
        assert found.timesteps.tolist() == logged
        assert len(found.read()) == len(logged)
    assert list(verify(exporter.h5_path)) == []


@pytest.mark.parametrize("error", [OSError, RuntimeError, ValueError, MemoryError])
def test_what_cannot_be_shown_is_told_and_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    exporter = DataExporter("run", tmp_path, enable_swmr=True, flush_interval=100.0)
    exporter.start_episode()

    def fail(*_: Any) -> bool:
        raise error("no")

    for step in range(200):
        exporter.log(step, behavior={"x": float(step)})
    exporter.flush()
    for step in range(200, 400):
        exporter.log(step, behavior={"x": float(step)})
    with monkeypatch.context() as patch:
        patch.setattr(Tail, "store", fail)
        with pytest.raises(WriteError):
            exporter.flush()
    with pytest.raises(WriteError):
        exporter.log(400, behavior={"x": 400.0})
    with contextlib.suppress(WriteError):
        exporter.close()
    with ExperimentLoader(exporter.h5_path) as loader:
        assert loader.get_episode(0).stream("behavior/x").read().tolist() == [
            float(step) for step in range(400)
        ]
