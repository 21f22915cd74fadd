"""A power cut at any instant of a recording with ``durability="fsync"`` takes nothing a commit covered."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash import shim
from tests.crash.harness import in_memory

ROOT = Path(__file__).parents[2]


def test_what_a_commit_covered_survives_every_order_of_writes(tmp_path: Path) -> None:
    try:
        environment = shim.environment()
    except shim.NoCompilerError as reason:
        pytest.skip(str(reason))
    command = [sys.executable, "benchmarks/power.py", "--stride", "200", "--output", str(tmp_path)]
    done = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, env={**environment, **in_memory()}
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    found = json.loads((tmp_path / "power.json").read_text())
    assert found["power_cuts"] > 40
    assert found["failures"] == []
