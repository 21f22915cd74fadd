"""The store's benchmark runs, at small sizes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_benchmark_of_stores(tmp_path: Path) -> None:
    sizes = ["--stores", "8", "--objects", "10", "30", "--snapshots", "2"]
    done = subprocess.run(
        [sys.executable, "benchmarks/storage.py", *sizes, "--output", str(tmp_path)],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / "storage.json").read_text())
    assert found["growth"]["30"]["range of 10"]["median_us"] > 0
    assert found["series"]["bytes_a_snapshot"] < found["series"]["bytes_a_snapshot_dense_gzip"]
    assert found["stores"]["in a batch"]["processor_us"] > 0
