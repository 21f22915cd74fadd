"""The benchmarks run, measure what they say, and save what they print. No assertions on time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, str(BENCHMARKS / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def saved(folder: Path, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / f"{name}.json").read_text())
    assert {"python", "packages", "processor", "file_system", "load_average"} <= set(found["environment"])  # type: ignore[call-overload]
    return found


def test_benchmark(tmp_path: Path) -> None:
    out = run("benchmark.py", "--quick", "--scenarios", "facts", "--output", str(tmp_path))
    assert "bytes/step" in out
    found = saved(tmp_path, "benchmark-quick")
    cases = found["results"]["facts"]  # type: ignore[index]
    assert cases["standard"]["steps"] == cases["optimized, same steps"]["steps"] == 1_000
    assert cases["optimized"]["steps"] == 10_000
    for case in cases.values():
        assert len(case["repeats"]) == 1
        assert case["steps_per_s"]["median"] > 0
        assert case["bytes_per_step"] > 0
    assert cases["optimized, python"]["hot_path"] == "python"
    assert found["gains"]["facts"]["speed_python"] > 0  # type: ignore[index]
    assert [one["neurons"] for one in found["neurons"]] == [10, 100, 1_000, 3_000, 10_000]  # type: ignore[attr-defined]
    for name in ("benchmark-quick", "neurons-quick"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000


def test_latency(tmp_path: Path) -> None:
    assert "empty method" in run("latency.py", "--steps", "3000", "--output", str(tmp_path))
    found = saved(tmp_path, "latency")
    assert found["nanoseconds"]["log()"]["p50"] > 0  # type: ignore[index]
    assert found["compared"]["log(), python"]["ratio"] > 1  # type: ignore[index]
    for figures in found["nanoseconds"].values():  # type: ignore[attr-defined]
        assert sum(figures["counts"]) == 3_000
    assert (tmp_path / "latency.png").stat().st_size > 10_000


def test_memory(tmp_path: Path) -> None:
    assert "growth" in run("memory.py", "--steps", "5000", "--output", str(tmp_path))
    assert len(saved(tmp_path, "memory")["samples"]) > 50  # type: ignore[arg-type]
    assert (tmp_path / "memory.png").stat().st_size > 10_000
    assert "memory.png" in run("plots.py", "--results", str(tmp_path))


def test_async_write(tmp_path: Path) -> None:
    out = run("async_write.py", "--steps", "2000", "--repeats", "1", "--output", str(tmp_path))
    assert "async/sync" in out
    assert set(saved(tmp_path, "async_write")["latency_ns"]) == {"True", "False"}  # type: ignore[call-overload]


def test_reading(tmp_path: Path) -> None:
    out = run("reading.py", "--quick", "--workloads", "facts", "--output", str(tmp_path))
    assert "slice 1%" in out
    found = saved(tmp_path, "reading-quick")["results"]["facts"]  # type: ignore[index]
    assert found["file_bytes"] > 0
    for question in ("full", "trace", "slice 1%", "window"):
        ways = found["questions"][question]
        assert ways["h5py"]["over_loader"]["cpu_seconds"] > 0
        assert len({one["answer"] for one in (*ways["loader"]["repeats"], *ways["h5py"]["repeats"])}) == 1


def test_size(tmp_path: Path) -> None:
    out = run("size.py", "--quick", "--steps", "10000", "--output", str(tmp_path))
    assert "× Shannon" in out
    found = saved(tmp_path, "size-quick")
    rare = found["spikes"]["independent, 2.0%"]  # type: ignore[index]
    assert 1 < rare["over_shannon"] < 1.08
    assert found["precision"]["factor"] >= 3  # type: ignore[index]
    assert (tmp_path / "size-quick.png").stat().st_size > 10_000
    assert set(found["files"]["facts"]["over_ours"]) == {"standard, gzip", "standard, no filter"}  # type: ignore[index]


def test_simulator(tmp_path: Path) -> None:
    pytest.importorskip("brian2")
    arguments = ("--neurons", "200", "--steps", "300", "--repeats", "1", "--output", str(tmp_path))
    assert "slower" in run("simulator.py", *arguments)
    found = saved(tmp_path, "simulator")
    assert set(found["results"]) == {"plain", "recorded", "python"}  # type: ignore[call-overload]


@pytest.fixture
def workloads(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import workloads

    return workloads


def test_the_shannon_bound_of_a_coin_is_one_bit(workloads) -> None:  # type: ignore[no-untyped-def]
    fair = np.tile([True, False], (100, 8))
    assert workloads.shannon_bytes(fair) == fair.size / 8
    assert workloads.shannon_bytes(np.zeros((10, 10), bool)) == 0


def test_inputs_depend_on_the_seed_alone(workloads) -> None:  # type: ignore[no-untyped-def]
    work = workloads.WORKLOADS["facts"].cut(500)
    one, two, other = workloads.generate(work), workloads.generate(work), workloads.generate(work, seed=1)
    assert (one.spikes == two.spikes).all()
    assert one.x == two.x
    assert (one.spikes != other.spikes).any()
    assert one.spikes.mean() == pytest.approx(work.rate, rel=0.1)


def test_batches(tmp_path: Path) -> None:
    assert "log_batch(), 100,000 steps" in run("batches.py", "--steps", "100000", "--output", str(tmp_path))
    ways = saved(tmp_path, "batches")["ways"]
    # What is left of a difference may be nothing on a busy machine.
    assert all(way["whole_ns"] > 0 for way in ways.values())  # type: ignore[attr-defined]


def test_manifest(tmp_path: Path) -> None:
    pytest.importorskip("mne")
    pytest.importorskip("edfio")
    pytest.importorskip("torch")
    counts = ("--files", "4", "--distinct", "2", "--samples", "2", "--repeats", "1", "--seconds", "240")
    assert "times faster" in run("manifest.py", *counts, "--reads", "2", "--output", str(tmp_path))
    found = saved(tmp_path, "manifest")
    weights = found["manifest"]
    assert weights["pos_weight"] == weights["pos_weight_by_reading_every_label"]  # type: ignore[index]
    assert (tmp_path / "manifest.png").stat().st_size > 10_000
