"""The benchmark of integrations runs, and says what it has measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "integrations.py"


def test_a_quick_run_saves_every_way(tmp_path: Path) -> None:
    cases = ("--cases", "step function", "triggered")
    command = [sys.executable, BENCHMARK, "--quick", "--output", tmp_path, *cases]
    subprocess.run(command, check=True, capture_output=True)
    results = json.loads((tmp_path / "integrations-quick.json").read_text())["results"]
    assert set(results["step function"]) == {"steps", "load_average", "bare", "by hand", "integration"}
    assert set(results["triggered"]) == {"steps", "load_average", "bare", "by hand", "never", "firing"}
    for way in ("by hand", "integration"):
        assert len(results["step function"][way]["repeats"]) == 1
        assert results["step function"][way]["us_a_step"]["median"] > 0
