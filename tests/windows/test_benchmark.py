"""The benchmark of window caches runs, and saves what it says. No assertions on time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_benchmark_compares_each_way_with_pt_files(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    script = Path(__file__).parents[2] / "benchmarks" / "windows.py"
    sizes = ["--windows", "2", "--small", "8", "--variants", "2", "--turns", "2", "--memory", "0"]
    command = [sys.executable, str(script), *sizes, "--output", str(tmp_path), "--scratch", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "windows.json").read_text())
    for part in ("large", "small", "turns"):
        assert found[part]["windows"] >= 2
        for way in (".pt", "cache"):
            assert found[part][way]["window, warm"]["p50_ms"] > 0
            assert found[part][way]["batch, cold"]["windows_per_s"] > 0
    assert found["turns"]["cache"]["size_to_baseline"] < 0.55
    assert len([one for one in found["variants"].values() if isinstance(one, dict)]) == 10
    assert (tmp_path / "windows.png").stat().st_size > 10_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["windows.json", "windows.png"]
