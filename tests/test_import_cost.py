"""What importing costs: heavy packages come in where they are used, not before."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"git", "scipy", "psutil", "matplotlib", "torch", "hdf5plugin", "pandas", "tqdm", "filelock", "click"}


@pytest.mark.parametrize(
    ("package", "heavy"),
    [
        ("recorder", HEAVY - {"filelock"}),
        ("loaders", HEAVY),
        ("recorder.cli", HEAVY - {"filelock", "click"} | {"h5py"}),
    ],
)
def test_a_fresh_import_leaves_heavy_packages_alone(package: str, heavy: set[str]) -> None:
    code = f"import {package}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert package.partition(".")[0] in loaded
    assert not heavy & loaded
